"""What happens on the screen while an engine is measured: nothing, typing, a scrolling terminal.

A workload is a context manager that shows its window, with ``play(seconds)`` that returns the times (monotonic ns) at
which something was put in. Everything it starts ends with it.
"""

from __future__ import annotations

import contextlib
import random
import sys
import time
from collections.abc import Callable, Iterator

from stripeengine.x11 import X11Input
from tests.stripeengine.fixtures_x11 import XServer

KEYS_PER_SECOND = 10
LINES_PER_SECOND = 60
WINDOW_SECONDS = 1.0

Play = Callable[[float], list[int]]

# Lines like those of a source file, the same in every run; the rate holds on average whatever one print takes.
_PRINTER = f"""
import random, time
random = random.Random(1)
words = "if return self value for in range def size(x, y) = None # lock frame.buffer += 0x1f".split()
start = time.monotonic()
for number in range(10**9):
    indent = " " * random.randrange(0, 40, 4)
    print(f"{{number:6}}  {{indent}}" + " ".join(random.choices(words, k=random.randrange(2, 22))))
    time.sleep(max(0.0, start + number / {LINES_PER_SECOND} - time.monotonic()))
"""


@contextlib.contextmanager
def _terminal(server: XServer, *command: str) -> Iterator[None]:
    columns, rows = server.size[0] // 6 - 2, server.size[1] // 13
    with server.running("xterm", "-fn", "fixed", "-geometry", f"{columns}x{rows}+0+0", "-e", *command):
        time.sleep(WINDOW_SECONDS)
        yield


@contextlib.contextmanager
def idle(server: XServer) -> Iterator[Play]:
    """A terminal full of text in which nothing happens."""

    def play(seconds: float) -> list[int]:
        time.sleep(seconds)
        return []

    with _terminal(server, "sh", "-c", "seq 1 4000 | paste -sd ' '; exec sleep 1000000"):
        yield play


@contextlib.contextmanager
def typing(server: XServer) -> Iterator[Play]:
    """Keys into a terminal, at times that fall anywhere between two frames; returns when each was sent."""
    generator = random.Random(2)  # noqa: S311 - the same times in every run

    with (
        _terminal(server, "sh", "-c", "seq 1 2000 | paste -sd ' '; exec cat >/dev/null"),
        X11Input(socket=server.socket, auth=server.auth) as keyboard,
    ):
        code = next(i for i, keysyms in enumerate(keyboard.keymap()) if keysyms and keysyms[0] == ord("a"))
        keyboard.move(server.size[0] // 2, server.size[1] // 2)
        keyboard.flush()

        def play(seconds: float) -> list[int]:
            sent = []
            start = time.monotonic()
            for number in range(int(seconds * KEYS_PER_SECOND)):
                due = start + (number + generator.random()) / KEYS_PER_SECOND
                time.sleep(max(0.0, due - time.monotonic()))
                keyboard.key(code, True)
                keyboard.key(code, False)
                sent.append(time.monotonic_ns())
                keyboard.flush()
            time.sleep(max(0.0, start + seconds - time.monotonic()))
            return sent

        yield play


@contextlib.contextmanager
def scrolling(server: XServer) -> Iterator[Play]:
    """A terminal as large as the screen that prints lines at a fixed rate."""

    def play(seconds: float) -> list[int]:
        time.sleep(seconds)
        return []

    with _terminal(server, sys.executable, "-u", "-c", _PRINTER):
        # Until it has filled the screen nothing scrolls.
        time.sleep(server.size[1] / 13 / LINES_PER_SECOND)
        yield play


WORKLOADS: dict[str, Callable[[XServer], contextlib.AbstractContextManager[Play]]] = {
    "idle": idle,
    "typing": typing,
    "scrolling": scrolling,
}
