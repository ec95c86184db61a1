"""Child processes of `up`: started, watched, started again when they die, found again after `up` was killed.

Each child has a session of its own, so a terminal's Ctrl-C reaches `up` alone, which then ends them in order. Its pid
and start time are kept in a file: the next `up` ends what a killed one left.
"""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path

from ..spawners import processes
from ..spawners.files import write_private
from ..spawners.processes import ProcessId
from ..spawners.report import last_lines

FIRST_DELAY, LAST_DELAY = 0.1, 15.0
"""Seconds before a child that dies again is started again: doubled each time, up to the second."""

STEADY = 5.0
"""Seconds after which a child has lived: when it dies, it is started again at once."""

LOG_LIMIT = 10 << 20


class Child:
    """One child process. Not thread-safe; nothing blocks but `end`."""

    def __init__(self, name: str, command: Sequence[str], directory: Path, log: Path, environment: dict[str, str]):
        self.name = name
        self.log = log
        self._command = list(command)
        self._record = directory / f"{name}.json"
        self._environment = environment
        self._process: subprocess.Popen[bytes] | None = None
        self._began = 0.0
        self._delay = 0.0
        self._again_at: float | None = None

    def start(self) -> None:
        """Start the child; raises OSError if that is impossible."""
        with contextlib.suppress(FileNotFoundError):
            if self.log.stat().st_size > LOG_LIMIT:
                self.log.replace(self.log.with_suffix(".log.1"))
        descriptor = os.open(self.log, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        try:
            self._process = subprocess.Popen(  # noqa: S603
                self._command,
                stdin=subprocess.DEVNULL,
                stdout=descriptor,
                stderr=descriptor,
                start_new_session=True,
                env=self._environment,
            )
        finally:
            os.close(descriptor)
        identity = ProcessId.of(self._process.pid)
        try:
            state = json.dumps(identity.to_state() if identity else {})
            write_private(self._record, state.encode(), os.geteuid())
        except OSError:  # after a kill -9 of `up` nobody would find it again
            self._process.kill()
            self._process.wait()
            raise
        self._began = time.monotonic()
        self._again_at = None

    @property
    def running(self) -> bool:
        """Whether the child lives."""
        return self._process is not None and self._process.poll() is None

    def watch(self) -> str:
        """Start the child again if it is dead and its time has come; return a sentence if something happened."""
        if self._process is None or self.running:
            return ""
        now = time.monotonic()
        if self._again_at is None:
            if now - self._began > STEADY:
                self._delay = 0.0
            when = f"in {self._delay:.1f} s" if self._delay else "at once"
            sentence = f"{self.name} ended ({describe(self._process.returncode)}); again {when}. {self.last_words()}"
            self._put_off(now)
            return f"{sentence} {self._try(now)}".strip()
        return self._try(now)

    def _put_off(self, now: float) -> None:
        self._again_at = now + self._delay
        self._delay = min(max(self._delay * 2, FIRST_DELAY), LAST_DELAY)

    def _try(self, now: float) -> str:
        """Start it if its time has come; a machine without room is no reason to give up all the others."""
        if self._again_at is None or now < self._again_at:
            return ""
        try:
            self.start()
        except OSError as error:
            self._delay = max(self._delay, FIRST_DELAY)
            again = self._delay
            self._put_off(now)
            what = error.strerror or type(error).__name__
            return (
                f"{self.name} cannot be started: {what}; again in {again:.1f} s. Free some space if the disk is full."
            )
        return ""

    def signal(self, number: int) -> None:
        """Send the child a signal, if it lives."""
        if self._process is not None and self.running:
            self._process.send_signal(number)

    @property
    def due(self) -> float:
        """Seconds until `watch` starts a dead child again; infinite if it lives or its death is yet to be noticed."""
        return float("inf") if self._again_at is None else max(0.0, self._again_at - time.monotonic())

    def last_words(self) -> str:
        """Return the end of the child's log, for a message."""
        lines = last_lines(self.log, 3)
        return f"Its last words: {' | '.join(lines)} (all of them: {self.log})" if lines else f"Its log: {self.log}"

    def end(self, grace: float) -> None:
        """End the child, politely first. Blocks for at most ``grace`` + 5 s."""
        if self._process is not None and self.running:
            self._process.terminate()
            try:
                self._process.wait(grace)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait(5)
        self._process = None
        self._record.unlink(missing_ok=True)


def describe(status: int) -> str:
    """Return words for an exit status."""
    return f"signal {-status}" if status < 0 else f"exit status {status}"


def end_left_behind(directory: Path, grace: float) -> list[str]:
    """End the children that a killed `up` left; return their names. Blocks."""
    names, left = [], []
    for record in sorted(directory.glob("*.json"), key=lambda path: path.stem):
        try:
            identity = ProcessId.from_state(json.loads(record.read_text()))
        except (OSError, ValueError):
            identity = None
        if identity is not None and identity.alive():
            names.append(record.stem)
            left.append(identity)
        record.unlink(missing_ok=True)
    processes.end_all(left, grace)
    return names
