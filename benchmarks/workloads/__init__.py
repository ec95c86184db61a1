"""What happens on the screen while an engine is measured: real applications, driven by script, the same every time.

A workload is a context manager over a `Stage` that shows its windows and yields a `Scene`. Its `play` lets
things happen for that long, calls ``look()`` at moments at which the picture should be compared, leaves a still screen
behind, and returns when it put something in (monotonic µs). After `rewind` it can be played again from the same
beginning, so that every engine sees the same. Everything a workload starts ends with its stage.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from benchmarks.display import Stage
from benchmarks.workloads import browser, office, terminal, video, windows
from benchmarks.workloads.pace import Scene

__all__ = ["WORKLOADS", "Scene", "Workload"]


@dataclass(frozen=True)
class Workload:
    """One workload and how long it is played: ``seconds``, or ``short_seconds`` in the short form."""

    open: Callable[[Stage], contextlib.AbstractContextManager[Scene]]
    title: str
    seconds: float = 8.0
    short_seconds: float = 2.0
    settle: float = 1.0
    """How long an engine gets for its first picture and the better one after it, before anything is counted."""


WORKLOADS: Final[dict[str, Workload]] = {
    "idle": Workload(terminal.idle, "a terminal full of text in which nothing happens", 10.0, 3.0, 2.0),
    "typing": Workload(terminal.typing, "10 keys a second into a terminal, at random moments"),
    "flood": Workload(terminal.flood, "a terminal that prints 200 lines a second"),
    "scroll": Workload(browser.scroll, "Chromium, a page of text, 4 wheel notches a second"),
    "smooth": Workload(browser.smooth, "the same with Chromium's smooth scrolling, 5 notches a second"),
    "drag": Workload(windows.drag, "a terminal dragged over another through the window manager, 60 steps a second"),
    "code": Workload(terminal.code, "coloured source text on dark, 2 pages a second"),
    "switching": Workload(windows.switching, "three windows as large as the screen raised in turn, 2 a second"),
    "video": Workload(video.small, "a video of 640×360, 30 pictures a second, in a window"),
    "video-typing": Workload(video.typing, "the same with 10 keys a second into a terminal beside it"),
    "video-full": Workload(video.full, "a video of 1920×1080, 30 pictures a second, full screen"),
    "photos": Workload(browser.photos, "photographs in Chromium, one a second"),
    "office": Workload(office.office, "typing, reading, paging, switching and a little video in turns", 120.0, 10.0),
}
