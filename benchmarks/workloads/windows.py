"""Workloads of the window manager: a window dragged, windows raised in turn."""

from __future__ import annotations

import contextlib
import math
import time
from collections.abc import Iterator

from benchmarks.display import LEFT, Stage
from benchmarks.workloads import content, terminal
from benchmarks.workloads.pace import Look, Play, beats, look_soon, occasionally

STEPS_PER_SECOND = 60
SWITCHES_PER_SECOND = 2
TURNS_PER_SECOND = 0.5


def drag_play(stage: Stage, x: int, y: int) -> Play:
    """Return a play that holds Alt and the left button at (x, y) inside a window and moves it round in a circle."""
    radius = 220

    def play(seconds: float, look: Look) -> list[int]:
        alt = stage.keycode("Alt_L")
        stage.point(x, y)
        stage.input.key(alt, True)
        stage.input.button(LEFT, True)
        stage.input.flush()
        sent = []
        try:
            for number in beats(seconds, STEPS_PER_SECOND):
                if occasionally(number, STEPS_PER_SECOND) and number:
                    look()
                angle = 2 * math.pi * TURNS_PER_SECOND * (number + 1) / STEPS_PER_SECOND
                # Starts and ends where the window was, so that it is there for the next run too.
                shift = round(radius * math.sin(angle)), round(radius * (1 - math.cos(angle)))
                sent.append(stage.point(x + shift[0], y + shift[1]))
            stage.point(x, y)
        finally:
            stage.input.button(LEFT, False)
            stage.input.key(alt, False)
            stage.input.flush()
        return sent

    return play


@contextlib.contextmanager
def drag(stage: Stage) -> Iterator[Play]:
    """A terminal with text moved over a terminal with text."""
    stage.terminal(terminal.WHOLE_SCREEN, "sh", "-c", "seq 1 4000 | paste -sd ' '; exec sleep 1000000")
    path = stage.files / "window.txt"
    path.write_text(content.source_text(), encoding="utf-8")
    stage.terminal("100x32+560+200", "less", "-~", str(path))
    time.sleep(terminal.SETTLE_SECONDS)
    yield drag_play(stage, 900, 400)


def switch_play(stage: Stage, windows: list[int]) -> Play:
    """Return a play that raises the windows in turn."""
    raised = 0

    def play(seconds: float, look: Look) -> list[int]:
        nonlocal raised
        sent = []
        for number in beats(seconds, SWITCHES_PER_SECOND):
            raised += 1
            sent.append(time.monotonic_ns() // 1000)
            stage.ask("windowactivate", str(windows[raised % len(windows)]))
            if occasionally(number, SWITCHES_PER_SECOND):
                look_soon(look)
        return sent

    return play


@contextlib.contextmanager
def switching(stage: Stage) -> Iterator[Play]:
    """Three windows as large as the screen: numbers, source text, a file listing."""
    listing = "ls -lR --color=always /usr/include | head -3000 | less -R -~"
    windows = [
        stage.terminal(terminal.WHOLE_SCREEN, "sh", "-c", "seq 1 4000 | paste -sd ' '; exec sleep 1000000"),
        terminal.pager(stage, terminal.WHOLE_SCREEN),
        stage.terminal(terminal.WHOLE_SCREEN, "sh", "-c", listing),
    ]
    time.sleep(terminal.SETTLE_SECONDS)
    yield switch_play(stage, windows)
