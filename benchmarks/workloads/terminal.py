"""Workloads in a terminal: nothing, typing, a flood of output, pages of coloured source text."""

from __future__ import annotations

import contextlib
import random
import sys
import time
from collections.abc import Iterator

from benchmarks.display import Stage
from benchmarks.workloads import content
from benchmarks.workloads.pace import Look, Scene, beats, look_soon, occasionally, watch

KEYS_PER_SECOND = 10
PAGES_PER_SECOND = 2
SETTLE_SECONDS = 0.5

TYPING = ("sh", "-c", "seq 1 2000 | paste -sd ' '; exec cat >/dev/null")

# Lines like those of a build log; the rate holds on average whatever one print takes. Ends with its terminal.
FLOOD = (
    sys.executable,
    "-u",
    "-c",
    """
import random, time
random = random.Random(1)
words = "if return self value for in range def size(x, y) = None # lock frame.buffer += 0x1f".split()
start = time.monotonic()
for number in range(10**9):
    lines = []
    for part in range(4):
        indent = " " * random.randrange(0, 40, 4)
        lines.append(f"{number * 4 + part:7} {indent}" + " ".join(random.choices(words, k=random.randrange(2, 22))))
    print("\\n".join(lines))
    late = time.monotonic() - start - number / 50
    if late > 0.5:
        start += late
    time.sleep(max(0.0, -late))
""",
)


@contextlib.contextmanager
def idle(stage: Stage) -> Iterator[Scene]:
    """A terminal full of text in which nothing happens."""

    def play(seconds: float, look: Look) -> list[int]:
        watch(seconds, look)
        return []

    stage.terminal(stage.whole_screen, "sh", "-c", "seq 1 4000 | paste -sd ' '; exec sleep 1000000")
    time.sleep(SETTLE_SECONDS)
    yield Scene(play)


@contextlib.contextmanager
def typing(stage: Stage) -> Iterator[Scene]:
    """Keys into a terminal, at times that fall anywhere between two frames."""
    stage.terminal(stage.whole_screen, *TYPING)
    stage.point(stage.width // 2, stage.height // 2)
    stage.click()
    time.sleep(SETTLE_SECONDS)
    yield keys(stage)


def keys(stage: Stage) -> Scene:
    """Return a scene that types into whatever has the focus, each time on a new line."""

    def play(seconds: float, look: Look) -> list[int]:
        generator = random.Random(2)  # noqa: S311 - the same times in every run
        sent = []
        for number in beats(seconds, KEYS_PER_SECOND):
            time.sleep(generator.random() * 0.9 / KEYS_PER_SECOND)
            if occasionally(number, KEYS_PER_SECOND):
                look()
            sent.append(stage.tap("space" if number % 7 == 6 else "ab"[number % 2]))
        return sent

    return Scene(play, stage.tapping("Return"))


@contextlib.contextmanager
def flood(stage: Stage) -> Iterator[Scene]:
    """A terminal as large as the screen that prints 200 lines a second."""
    stage.terminal(stage.whole_screen, *FLOOD)
    time.sleep(1.0)  # until it has filled the screen nothing scrolls
    with contextlib.ExitStack() as frozen:
        frozen.enter_context(stage.frozen(stage.last))

        def play(seconds: float, look: Look) -> list[int]:
            frozen.close()
            watch(seconds, look)
            frozen.enter_context(stage.frozen(stage.last))
            return []

        yield Scene(play)


def pager(stage: Stage, geometry: str) -> int:
    """Open coloured source text in less; returns the window. Space turns the page."""
    path = stage.files / "source.ansi"
    path.write_text(content.coloured(content.source_text()), encoding="utf-8")
    return stage.terminal(geometry, "less", "-R", "-~", str(path))


def pages(stage: Stage) -> Scene:
    """Return a scene that turns pages from the first on, and back again when it has gone far."""

    def play(seconds: float, look: Look) -> list[int]:
        sent = []
        for number in beats(seconds, PAGES_PER_SECOND):
            sent.append(stage.tap("space" if number // 20 % 2 == 0 else "b"))
            if occasionally(number, PAGES_PER_SECOND):
                look_soon(look)
        return sent

    return Scene(play, stage.tapping("g"))


@contextlib.contextmanager
def code(stage: Stage) -> Iterator[Scene]:
    """An editor's page of coloured text, page after page."""
    pager(stage, stage.whole_screen)
    stage.point(stage.width // 2, stage.height // 2)
    stage.click()
    time.sleep(SETTLE_SECONDS)
    yield pages(stage)
