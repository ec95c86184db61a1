"""Rows about viewers who do not keep up: ``slow`` and ``video-join``. Each starts a stack of its own; they block."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from benchmarks.clocks import monotonic_us, resident_mb
from benchmarks.delivery.figures import Figures, added, p95_ms, percentile, ratio
from benchmarks.delivery.site import Crowd, Site, Worker, staged
from benchmarks.display import Display, Stage
from benchmarks.workloads.video import open_player

STEPS = 30
STALL_S, SHORT_STALL_S = 30.0, 10.0
EXACT_WITHIN_S = 15.0
LOOK_S = 0.05
CLIP_S = 4.0
"""The clip of `benchmarks.workloads.content` repeats after so long."""
WINDOW_US = 500_000


def slow(short: bool) -> Figures:
    """Let a page scroll before an owner, alone and then beside three who are slow, each in another way."""
    stall = SHORT_STALL_S if short else STALL_S
    with staged() as (site, worker, painter):
        owner, beside = site.crowd(), site.crowd()
        [first] = owner.open(worker.session, log=True)
        painter.order(f"stamp {STEPS}")
        time.sleep(2)
        alone = _owner(owner, first, stall)
        before = resident_mb(site.web.pid)
        [thin] = beside.open(worker.session, decode="real", kbps=256, delay_ms=20)
        [halting] = beside.open(worker.session, decode="real", shaped=True)
        beside.open(worker.session, never_reads=True)
        time.sleep(2)
        beside.order("shape", viewer=halting, stalled=True)
        beside.order("mark")
        with_them = _owner(owner, first, stall)
        ages = beside.counts(thin)[0]["ages"]
        memory = resident_mb(site.web.pid) - before
        painter.order("rest")
        beside.order("shape", viewer=thin, kbps=0)
        beside.order("shape", viewer=halting, stalled=False)
        exact = _exact(beside, worker, (thin, halting))
        state = beside.order("state", viewer=thin)
    return {
        "owner_added_ms": added(with_them["p95_ms"], alone["p95_ms"]),
        "owner_ms": alone["p95_ms"],
        "owner_bytes_percent": (with_them["bytes_a_frame"] / alone["bytes_a_frame"] - 1) * 100,
        "owner_fps": with_them["fps"],
        "owner_fps_alone": alone["fps"],
        "key_frames": max(0.0, with_them["key_frames"] - alone["key_frames"]),
        "memory_mb": memory / 3,
        "age_s": _seconds(percentile(ages, 0.95)),
        "age_max_s": _seconds(percentile(ages, 1)),
        "age_median_s": _seconds(percentile(ages, 0.5)),
        "exact_256_s": exact[thin],
        "exact_stalled_s": exact[halting],
        "undecodable": float(state["undecodable"]),
    }


def _owner(owner: Crowd, viewer: int, seconds: float) -> dict[str, Any]:
    owner.order("mark")
    time.sleep(seconds)
    [counts] = owner.counts(viewer)
    return {
        "p95_ms": p95_ms(counts["committed"]),
        "bytes_a_frame": counts["bytes"] / max(1, counts["messages"]),
        "fps": len(counts["committed"]) / seconds,
        "key_frames": counts["key_frames"],
    }


def _exact(crowd: Crowd, worker: Worker, viewers: tuple[int, ...]) -> dict[int, float | None]:
    """Return after how many seconds each viewer's picture was the screen's; None if it never was."""
    began = time.monotonic()
    framebuffer = str(Path(worker.display.server.authority).with_name("Xvfb_screen0"))
    exact: dict[int, float | None] = dict.fromkeys(viewers)
    while None in exact.values() and time.monotonic() - began < EXACT_WITHIN_S:
        for viewer in viewers:
            if exact[viewer] is None and not crowd.order("different", viewer=viewer, framebuffer=framebuffer)["pixels"]:
                exact[viewer] = time.monotonic() - began
        time.sleep(LOOK_S)
    return exact


@contextlib.contextmanager
def _video(site: Site) -> Iterator[Worker]:
    """Yield the worker of a screen on which a film fills everything and never ends."""
    with Display((1920, 1080)) as display, Stage(display) as stage:
        open_player(stage, display.size, 0, 0, "-fs")
        yield site.worker(0, display, mode="auto")


def video_join(short: bool) -> Figures:
    """Let somebody join a film that an owner has been watching alone."""
    loops = 2 if short else 4
    with Site() as site, _video(site) as worker:
        owner, crowd = site.crowd(), site.crowd()
        [first] = owner.open(worker.session, log=True)
        time.sleep(CLIP_S)
        alone = _owner(owner, first, loops * CLIP_S)
        began = monotonic_us()
        [late] = crowd.open(worker.session, log=True)
        beside = _owner(owner, first, loops * CLIP_S)
        commits = crowd.order("commits", viewer=late, since_us=began)["commits"]
    full = _full_rate(commits, 0.9 * beside["fps"])
    pictures = [at for at, _, _ in commits]
    until = full if full is not None else pictures[-1]
    spell = (until - pictures[0]) / 1e6
    return {
        "first_ms": (pictures[0] - began) / 1000,
        "stills_per_s": sum(at <= until for at in pictures) / spell if spell > 0.2 else beside["fps"],
        "full_rate_s": None if full is None else (full - began) / 1e6,
        "owner_bytes_percent": ((ratio(_kbps(beside), _kbps(alone)) or 0) - 1) * 100,
        "owner_fps": beside["fps"],
        "owner_fps_alone": alone["fps"],
        "owner_kbps": _kbps(beside),
        "owner_kbps_alone": _kbps(alone),
        "owner_ms": beside["p95_ms"],
        "owner_ms_alone": alone["p95_ms"],
        "owner_key_frames": float(beside["key_frames"]),
    }


def _kbps(owner: dict[str, Any]) -> float:
    return float(owner["bytes_a_frame"] * owner["fps"] / 125)


def _full_rate(commits: list[list[Any]], fps: float) -> int | None:
    """Return when frames (not stills) began to come at ``fps``, in µs; None if they never did."""
    frames = [at for at, _, kind in commits if kind == "frame"]
    for number, at in enumerate(frames):
        inside = sum(at <= other < at + WINDOW_US for other in frames[number : number + 64])
        if inside >= fps * WINDOW_US / 1e6:
            return int(at)
    return None


def _seconds(microseconds: float | None) -> float | None:
    return None if microseconds is None else microseconds / 1e6
