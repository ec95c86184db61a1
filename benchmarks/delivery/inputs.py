"""Rows about input and about many sessions: ``input`` and ``sessions``. Each starts a stack of its own; they block."""

from __future__ import annotations

import contextlib
import random
import threading
import time
from collections.abc import Iterator
from typing import Any
from unittest import mock

from benchmarks.clocks import cpu_seconds, monotonic_us, waited_seconds
from benchmarks.delivery.figures import Figures, median_ms, p95_ms
from benchmarks.delivery.site import Site, staged
from benchmarks.display import Display, Stage
from benchmarks.workloads.browser import NOTCHES_PER_SECOND, scroll
from benchmarks.workloads.pace import Scene
from benchmarks.workloads.terminal import KEYS_PER_SECOND, typing

VIEWERS, TICKS = 20, 30
EVENTS_PER_SECOND = 40
IDLE, ACTIVE = 8, 4
STAGES = ("encoded", "published", "relayed", "received", "committed")


class Listener:
    """A window over everything that notes when the pointer came where: what XTest has injected, as clients see it."""

    def __init__(self, display: Display) -> None:
        from Xlib import X
        from Xlib import display as xlib

        with mock.patch.dict("os.environ", {"XAUTHORITY": display.server.authority}):
            self._display: Any = xlib.Display(display.server.display)
        self.seen: dict[tuple[int, int], int] = {}
        root = self._display.screen().root
        self._window: Any = root.create_window(
            0, 0, *display.size, 0, 0, X.InputOnly, override_redirect=True, event_mask=X.PointerMotionMask
        )
        self._window.map()
        self._display.sync()
        threading.Thread(target=self._listen, daemon=True).start()

    def _listen(self) -> None:
        with contextlib.suppress(Exception):  # the display ends with the run
            while True:
                event = self._display.next_event()
                now = monotonic_us()
                self.seen.setdefault((event.root_x, event.root_y), now)


def inputs(short: bool) -> Figures:
    """Move the owner's pointer while twenty watch a window that changes."""
    seconds = 5.0 if short else 15.0
    generator = random.Random(4)  # noqa: S311 - moments, the same in every run
    with staged() as (site, worker, painter):
        owner, crowd = site.crowd(), site.crowd()
        [first] = owner.open(worker.session)
        crowd.open(worker.session, VIEWERS - 1)
        painter.order(f"tick {TICKS}")
        listener = Listener(worker.display)
        time.sleep(1)
        owner.order("mark")
        sent: dict[tuple[int, int], int] = {}
        for number in range(int(seconds * EVENTS_PER_SECOND)):
            time.sleep(generator.random() * 2 / EVENTS_PER_SECOND)
            place = 100 + number % 800, 100 + number // 800
            sent[place] = owner.order("input", viewer=first, events=[["move", *place]])["sent_us"]
        time.sleep(0.5)
        [counts] = owner.counts(first)
        delays = [listener.seen[place] - at for place, at in sent.items() if place in listener.seen]
    return {
        "p95_ms": p95_ms(delays),
        "median_ms": median_ms(delays),
        "arrived_share": len(delays) / len(sent),
        **{f"{stage}_ms": median_ms(counts[stage]) for stage in STAGES},
        **{f"{stage}_p95_ms": p95_ms(counts[stage]) for stage in STAGES},
    }


def sessions(short: bool) -> Figures:
    """Run eight desktops at rest and four in use, each watched by its owner, and see that none is late."""
    seconds = 8.0 if short else 20.0
    with Site(IDLE + ACTIVE) as site, contextlib.ExitStack() as stack:
        scenes = [stack.enter_context(_scene(number)) for number in range(ACTIVE)]
        workers = [site.worker(number, display) for number, (display, _) in enumerate(scenes)]
        workers += [site.worker(number) for number in range(ACTIVE, ACTIVE + IDLE)]
        crowd = site.crowd()
        viewers = [crowd.open(worker.session)[0] for worker in workers]
        time.sleep(3)
        crowd.order("mark")
        pids = [site.web.pid, site.redis_process.pid, *(worker.process.pid for worker in workers)]
        before, began = [cpu_seconds(pid) for pid in pids], time.monotonic()
        waits = [waited_seconds(worker.process.pid) for worker in workers[:ACTIVE]]
        players = [threading.Thread(target=scene.play, args=(seconds, _no_look)) for _, scene in scenes]
        for player in players:
            player.start()
        for player in players:
            player.join()
        wall = time.monotonic() - began
        used = [(cpu_seconds(pid) - was) / wall for pid, was in zip(pids, before, strict=True)]
        waits = [waited_seconds(worker.process.pid) - was for worker, was in zip(workers, waits, strict=False)]
        counts = crowd.counts(*viewers)[:ACTIVE]
    expected = [KEYS_PER_SECOND if number % 2 == 0 else NOTCHES_PER_SECOND for number in range(ACTIVE)]
    worst = [p95_ms(one["published"]) for one in counts]
    return {
        "p95_ms": None if None in worst else max(value for value in worst if value is not None),
        "rate_share": min(
            min(1.0, len(one["published"]) / (rate * seconds)) for one, rate in zip(counts, expected, strict=True)
        ),
        "waited_ms": max(wait * 1000 / max(1, len(one["published"])) for wait, one in zip(waits, counts, strict=True)),
        "cores": sum(used),
        "idle_percent": max(used[-IDLE:]) * 100,
        **{f"p95_ms_{number}": value for number, value in enumerate(worst)},
        **{f"fps_{number}": len(one["published"]) / seconds for number, one in enumerate(counts)},
    }


@contextlib.contextmanager
def _scene(number: int) -> Iterator[tuple[Display, Scene]]:
    """Yield a screen of its own with somebody typing (even numbers) or scrolling a page in Chromium (odd ones)."""
    with (
        Display((1920, 1080)) as display,
        Stage(display) as stage,
        (typing if number % 2 == 0 else scroll)(stage) as scene,
    ):
        yield display, scene


def _no_look() -> None:
    """Nobody compares pictures here."""
