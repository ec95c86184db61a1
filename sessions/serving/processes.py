"""Several web processes behind one address: started, watched, started again when one dies, ended together.

`manage.py serve --processes N` is the parent: it serves nothing itself. Single-threaded; it sleeps until a signal, and
a child that comes up and dies again and again is started ever more slowly. Children end with it, even if it is killed.
"""

from __future__ import annotations

import ctypes
import os
import signal
import subprocess
import time
from collections.abc import Callable, Sequence

GRACE_S = 10.0
FIRST_DELAY_S, LAST_DELAY_S = 0.1, 15.0
STEADY_S = 10.0
_PR_SET_PDEATHSIG = 1


class Processes:
    """Keeps ``count`` processes of ``command`` running. ``say`` takes a line for the log."""

    def __init__(self, command: Sequence[str], count: int, say: Callable[[str], None], fds: Sequence[int] = ()) -> None:
        self._command, self._say, self._fds = list(command), say, tuple(fds)
        self._children: list[subprocess.Popen[bytes] | None] = [None] * count
        self._began = [0.0] * count
        self._delay = [0.0] * count
        self._due = [0.0] * count

    def run(self) -> None:
        """Keep them until SIGTERM or SIGINT."""
        signals = {signal.SIGTERM, signal.SIGINT, signal.SIGCHLD}
        signal.pthread_sigmask(signal.SIG_BLOCK, signals)
        try:
            while True:
                self._look()
                due = [due for due, child in zip(self._due, self._children, strict=True) if child is None]
                wait = max(0.01, min(due) - time.monotonic()) if due else 3600.0
                received = signal.sigtimedwait(signals, wait)
                if received is not None and received.si_signo != signal.SIGCHLD:
                    return
        finally:
            self._end()
            signal.pthread_sigmask(signal.SIG_UNBLOCK, signals)

    def _look(self) -> None:
        """Note what has died, and start what is due."""
        for number, child in enumerate(self._children):
            if child is None:
                if time.monotonic() >= self._due[number]:
                    self._start(number)
                continue
            if (status := child.poll()) is None:
                continue
            if time.monotonic() - self._began[number] > STEADY_S:
                self._delay[number] = 0.0
            self._children[number], self._due[number] = None, time.monotonic() + self._delay[number]
            when = f"in {self._delay[number]:.1f} s" if self._delay[number] else "at once"
            self._say(f"Web process {number + 1} ended ({status}); again {when}.")
            self._delay[number] = min(max(self._delay[number] * 2, FIRST_DELAY_S), LAST_DELAY_S)

    def _start(self, number: int) -> None:
        self._began[number] = time.monotonic()
        # The mask of blocked signals is inherited; the child undoes it in `follow_parent`.
        self._children[number] = subprocess.Popen(self._command, pass_fds=self._fds)  # noqa: S603

    def _end(self) -> None:
        living = [child for child in self._children if child is not None and child.poll() is None]
        for child in living:
            child.terminate()
        deadline = time.monotonic() + GRACE_S
        for child in living:
            try:
                child.wait(max(0.1, deadline - time.monotonic()))
            except subprocess.TimeoutExpired:
                child.kill()
                child.wait()


def follow_parent(parent: int) -> None:
    """In a child: take signals again, and end when the parent has ended."""
    ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGTERM, signal.SIGINT, signal.SIGCHLD})
    if os.getppid() != parent:  # it died before we asked to be told
        raise SystemExit(0)
