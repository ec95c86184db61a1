"""Workloads in Chromium: a page of text scrolled by the wheel, and photographs."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator

from benchmarks.display import WHEEL_DOWN, WHEEL_UP, Stage
from benchmarks.workloads import content
from benchmarks.workloads.pace import Look, Scene, beats, occasionally

NOTCHES_PER_SECOND = 4
SMOOTH_NOTCHES_PER_SECOND = 5
PHOTOS_PER_SECOND = 1
PHOTOS = 6
LOAD_SECONDS = 1.5
CHROMIUM = [
    "chromium",
    "--no-sandbox",
    "--disable-gpu",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-extensions",
    "--password-store=basic",
    "--no-default-browser-check",
    "--test-type",
]


def show(stage: Stage, name: str, text: str, *options: str, place: tuple[int, int, int, int] | None = None) -> int:
    """Open a page in a Chromium of its own without decorations of the browser; returns its window."""
    path = stage.files / f"{name}.html"
    path.write_text(text, encoding="utf-8")
    x, y, width, height = place or (0, 0, stage.width, stage.height)
    command = [*CHROMIUM, f"--user-data-dir={stage.files / name}", f"--app=file://{path}"]
    command += [f"--window-size={width},{height}", f"--window-position={x},{y}", *options]
    _, window = stage.window(name, *command)
    stage.ask("windowactivate", str(window))
    stage.point(x + width // 2, y + height // 2)
    time.sleep(LOAD_SECONDS)
    return window


def wheel(stage: Stage, rate: float) -> Scene:
    """Return a scene that turns the wheel: down the page from its top, and up again when it has gone far."""

    def play(seconds: float, look: Look) -> list[int]:
        sent = []
        for number in beats(seconds, rate):
            if occasionally(number, rate) and number:
                look()
            sent.append(stage.click(WHEEL_DOWN if number // 60 % 2 == 0 else WHEEL_UP))
        return sent

    return Scene(play, stage.tapping("Home"))


@contextlib.contextmanager
def scroll(stage: Stage) -> Iterator[Scene]:
    """Wheel notches, each a jump."""
    show(stage, "bench-page", content.page(), "--disable-smooth-scrolling")
    yield wheel(stage, NOTCHES_PER_SECOND)


@contextlib.contextmanager
def smooth(stage: Stage) -> Iterator[Scene]:
    """Wheel notches, each a movement of many small steps."""
    show(stage, "bench-page", content.page(), "--enable-smooth-scrolling")
    yield wheel(stage, SMOOTH_NOTCHES_PER_SECOND)


@contextlib.contextmanager
def photos(stage: Stage) -> Iterator[Scene]:
    """A photograph as large as the screen, and the next."""
    show(stage, "bench-photos", content.gallery(stage.files, PHOTOS, stage.width, stage.height))

    def play(seconds: float, look: Look) -> list[int]:
        sent = []
        for number in beats(seconds, PHOTOS_PER_SECOND):
            if number:
                look()
            sent.append(stage.tap("Right"))
        return sent

    for _ in beats(PHOTOS * 0.3, 1 / 0.3):
        stage.tap("Right")  # every photograph is decoded before the first run
    time.sleep(LOAD_SECONDS)
    yield Scene(play, stage.tapping("Home"))
