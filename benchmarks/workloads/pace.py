"""What the workloads share: a scene, and events on a schedule that does not slip. `beats` sleeps between its items."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

Look = Callable[[], None]
Play = Callable[[float, Look], list[int]]


def nothing() -> None:
    """Rewind what needs no rewinding."""


@dataclass(frozen=True)
class Scene:
    """What a workload shows: ``play(seconds, look)``, and ``rewind()`` to where every run begins."""

    play: Play
    rewind: Callable[[], None] = nothing


LOOKS_PER_SECOND = 1.5
SOON_SECONDS = 0.12


def beats(seconds: float, rate: float) -> Iterator[int]:
    """Yield 0, 1, 2 … ``rate`` times a second for ``seconds``; a late one does not move those after it."""
    start = time.monotonic()
    for number in range(max(1, int(seconds * rate))):
        time.sleep(max(0.0, start + number / rate - time.monotonic()))
        yield number
    time.sleep(max(0.0, start + seconds - time.monotonic()))


def watch(seconds: float, look: Look) -> None:
    """Do nothing but look, now and then."""
    for _ in beats(seconds, LOOKS_PER_SECOND):
        time.sleep(0.5 / LOOKS_PER_SECOND)
        look()


def look_soon(look: Look) -> None:
    """Look when the answer to an input should be there, and nothing better than the first one can be."""
    time.sleep(SOON_SECONDS)
    look()


def occasionally(number: int, rate: float) -> bool:
    """Tell whether event ``number`` of so many a second is one to look at."""
    return number % max(1, round(rate / LOOKS_PER_SECOND)) == 0
