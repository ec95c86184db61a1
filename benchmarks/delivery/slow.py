"""Rows about viewers who do not keep up: ``slow`` and ``video-join``. Each starts a stack of its own; they block."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator
from typing import Any

from benchmarks.child import Child
from benchmarks.clocks import monotonic_us, resident_mb
from benchmarks.delivery.figures import Figures, added, p95_ms, percent_above, percentile
from benchmarks.delivery.site import Crowd, Site, Worker, staged
from benchmarks.display import Display, Stage
from benchmarks.workloads.video import open_player

STEPS = 30
ROUND_S = 6.0
"""Of the page that scrolls: what a picture costs depends on where it is."""
ROUNDS = 6, 2
MOST_ROUNDS_MORE = 4
WHOLE_SHARE = 0.99
EXACT_WITHIN_S = 15.0
LOOK_S = 0.25
CLIP_S = 4.0
"""The clip of `benchmarks.workloads.content` repeats after so long."""
WINDOW_US = 500_000


def slow(short: bool) -> Figures:
    """Let a page scroll before an owner, alone and beside three who are slow, each in another way.

    While the owner is judged the slow ones' decode is modelled: a real one takes a third of a core, which is not the
    server's doing but would be the owner's delay on a machine that is the viewers' as well. Then they are looked at.
    """
    rounds = ROUNDS[short]
    with staged() as (site, worker, painter):
        owner = site.crowd()
        [first] = owner.open(worker.session, log=True)
        painter.order(f"stamp {STEPS}")
        time.sleep(2)
        before = _rounds(owner, first, rounds // 2, painter)
        resident = resident_mb(site.web.pid)
        beside, *_ = _three(site, worker, "model")
        with_them = _rounds(owner, first, rounds, painter)
        bytes_beside = _bytes_a_picture(with_them, lambda: _counts(owner, first, ROUND_S, painter))
        memory = resident_mb(site.web.pid) - resident
        beside.close()
        time.sleep(1)
        after = _rounds(owner, first, rounds // 2, painter)
        alone = _owner([*before, *after])
        bytes_alone = _bytes_a_picture([*before, *after], lambda: _counts(owner, first, ROUND_S, painter))
        beside, thin, halting = _three(site, worker, "real")
        beside.order("mark")
        time.sleep(rounds / 2 * ROUND_S)
        ages = beside.counts(thin)[0]["ages"]
        painter.order("rest")
        rested = monotonic_us()
        beside.order("shape", viewer=thin, kbps=0)
        beside.order("shape", viewer=halting, stalled=False)
        exact = _exact(beside, worker, (thin, halting), rested)
        state = beside.order("state", viewer=thin)
    they = _owner(with_them)
    return {
        "owner_added_ms": added(they["p95_ms"], alone["p95_ms"]),
        "owner_ms": alone["p95_ms"],
        "owner_before_ms": _owner(before)["p95_ms"],
        "owner_after_ms": _owner(after)["p95_ms"],
        "owner_bytes_percent": percent_above(bytes_beside, bytes_alone),
        "owner_fps": they["fps"],
        "owner_fps_alone": alone["fps"],
        "key_frames": max(0.0, they["key_frames"] - alone["key_frames"]),
        "memory_mb": memory / 3,
        "age_s": _seconds(percentile(ages, 0.95)),
        "age_max_s": _seconds(percentile(ages, 1)),
        "age_median_s": _seconds(percentile(ages, 0.5)),
        "exact_256_s": exact[thin],
        "exact_stalled_s": exact[halting],
        "undecodable": float(state["undecodable"]),
    }


def _three(site: Site, worker: Worker, decode: str) -> tuple[Crowd, int, int]:
    """Let three slow viewers in, who are slow from now on; return them, and which is thin and which halts."""
    crowd = site.crowd()
    [thin] = crowd.open(worker.session, decode=decode, kbps=256, delay_ms=20)
    [halting] = crowd.open(worker.session, decode=decode, shaped=True)
    crowd.open(worker.session, decode=decode, never_reads=True)
    time.sleep(2)
    crowd.order("shape", viewer=halting, stalled=True)
    return crowd, thin, halting


def _counts(owner: Crowd, viewer: int, seconds: float, painter: Child | None = None) -> dict[str, Any]:
    """Return the viewer's counts of so many seconds, and how many pictures were drawn meanwhile."""
    owner.order("mark")
    drawn = int(painter.order("count")) if painter is not None else 0
    time.sleep(seconds)
    [counts] = owner.counts(viewer)
    return {**counts, "seconds": seconds, "drawn": int(painter.order("count")) - drawn if painter is not None else 0}


def _rounds(owner: Crowd, viewer: int, count: int, painter: Child) -> list[dict[str, Any]]:
    """Return the viewer's counts of so many rounds of the page, one by one."""
    return [_counts(owner, viewer, ROUND_S, painter) for _ in range(count)]


def _bytes_a_picture(rounds: list[dict[str, Any]], another: Callable[[], dict[str, Any]]) -> float | None:
    """Return what a picture takes in those rounds in which every picture drawn was a frame of its own.

    Two pictures in one frame take fewer bytes, and how many are merged is the machine's doing: with a fifth of them
    merged a picture takes a sixth less. If there is no such round ``another`` gives more, and None is returned if that
    does not help.
    """
    whole = [spell for spell in rounds if _is_whole(spell)]
    for _ in range(MOST_ROUNDS_MORE):
        if whole:
            break
        whole = [spell for spell in [another()] if _is_whole(spell)]
    return sum(spell["bytes"] for spell in whole) / sum(spell["drawn"] for spell in whole) if whole else None


def _is_whole(spell: dict[str, Any]) -> bool:
    frames = spell["last_frame"] - spell["first_frame"] + 1
    return bool(frames >= WHOLE_SHARE * spell["drawn"] > 0)


def _owner(spells: list[dict[str, Any]]) -> dict[str, Any]:
    """Return what the owner's spells amount to together."""
    seconds = sum(spell["seconds"] for spell in spells)
    committed = [delay for spell in spells for delay in spell["committed"]]
    return {
        "p95_ms": p95_ms(committed),
        "bytes_a_frame": sum(spell["bytes"] for spell in spells) / max(1, sum(spell["messages"] for spell in spells)),
        "fps": len(committed) / seconds,
        "key_frames": sum(spell["key_frames"] for spell in spells),
        "repairs": sum(spell["repairs"] for spell in spells),
        "snapshots": sum(spell["snapshots"] for spell in spells),
    }


def _exact(crowd: Crowd, worker: Worker, viewers: tuple[int, ...], since_us: int) -> dict[int, float | None]:
    """Return after how many seconds each viewer's picture was the screen's; None if it never was."""
    began = time.monotonic()
    framebuffer = str(worker.display.screen)
    for viewer in viewers:
        crowd.order("compare", viewer=viewer, framebuffer=framebuffer)
    exact: dict[int, float | None] = dict.fromkeys(viewers)
    while None in exact.values() and time.monotonic() - began < EXACT_WITHIN_S:
        time.sleep(LOOK_S)
        for viewer in viewers:
            at = crowd.order("state", viewer=viewer)["exact_us"]
            exact[viewer] = max(0, at - since_us) / 1e6 if at else None
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
        alone = _owner([_counts(owner, first, loops * CLIP_S)])
        began = monotonic_us()
        [late] = crowd.open(worker.session, log=True)
        beside = _owner([_counts(owner, first, loops * CLIP_S)])
        commits = crowd.order("commits", viewer=late, since_us=began)["commits"]
    full = _full_rate(commits, 0.9 * beside["fps"])
    pictures = [at for at, _, _ in commits]
    until = full if full is not None else pictures[-1]
    spell = (until - pictures[0]) / 1e6
    return {
        "first_ms": (pictures[0] - began) / 1000,
        "stills_per_s": sum(at <= until for at in pictures) / spell if spell > 0.2 else beside["fps"],
        "full_rate_s": None if full is None else (full - began) / 1e6,
        "owner_bytes_percent": percent_above(beside["bytes_a_frame"], alone["bytes_a_frame"]),
        "owner_fps": beside["fps"],
        "owner_fps_alone": alone["fps"],
        "owner_kbps": _kbps(beside),
        "owner_kbps_alone": _kbps(alone),
        "owner_ms": beside["p95_ms"],
        "owner_ms_alone": alone["p95_ms"],
        "owner_key_frames": float(beside["key_frames"]),
        "owner_key_frames_alone": float(alone["key_frames"]),
        "owner_repairs": float(beside["repairs"]),
        "owner_repairs_alone": float(alone["repairs"]),
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
