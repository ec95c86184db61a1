"""Workloads of the window manager: a window dragged, windows raised in turn."""

from __future__ import annotations

import contextlib
import math
import time
from collections.abc import Iterator

from benchmarks.display import ANSWER_SECONDS, LEFT, Stage
from benchmarks.workloads import content, terminal
from benchmarks.workloads.pace import Look, Scene, beats, look_soon, occasionally

STEPS_PER_SECOND = 60
SWITCHES_PER_SECOND = 2
TURNS_PER_SECOND = 0.5


def drag_scene(stage: Stage, x: int, y: int) -> Scene:
    """Return a scene that holds Alt and the left button at (x, y) inside a window and moves it round in a circle."""
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

    return Scene(play)


@contextlib.contextmanager
def drag(stage: Stage) -> Iterator[Scene]:
    """A terminal with text moved over a terminal with text."""
    stage.terminal(stage.whole_screen, "sh", "-c", "seq 1 4000 | paste -sd ' '; exec sleep 1000000")
    path = stage.files / "window.txt"
    path.write_text(content.source_text(), encoding="utf-8")
    stage.terminal("100x32+560+200", "less", "-~", str(path))
    time.sleep(terminal.SETTLE_SECONDS)
    yield drag_scene(stage, 900, 400)


def switch_scene(stage: Stage, windows: list[int]) -> Scene:
    """Return a scene that raises the windows in turn; it begins with the first of them on top."""

    def play(seconds: float, look: Look) -> list[int]:
        sent = []
        for number in beats(seconds, SWITCHES_PER_SECOND):
            sent.append(time.monotonic_ns() // 1000)
            stage.ask("windowactivate", str(windows[(number + 1) % len(windows)]))
            if occasionally(number, SWITCHES_PER_SECOND):
                look_soon(look)
        return sent

    def rewind() -> None:
        stage.ask("windowactivate", str(windows[0]))
        time.sleep(ANSWER_SECONDS)

    return Scene(play, rewind)


@contextlib.contextmanager
def switching(stage: Stage) -> Iterator[Scene]:
    """Three windows as large as the screen: numbers, source text, a file listing."""
    listing = "ls -lR --color=always /usr/include | head -3000 | less -R -~"
    windows = [
        stage.terminal(stage.whole_screen, "sh", "-c", "seq 1 4000 | paste -sd ' '; exec sleep 1000000"),
        terminal.pager(stage, stage.whole_screen),
        stage.terminal(stage.whole_screen, "sh", "-c", listing),
    ]
    time.sleep(terminal.SETTLE_SECONDS)
    yield switch_scene(stage, windows)
