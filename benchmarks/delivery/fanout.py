"""Rows about one encode for many: ``fan-out``, ``web-tier``, ``join``. Each starts a stack of its own; they block."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

from benchmarks.clocks import cpu_seconds, resident_mb, waited_seconds
from benchmarks.delivery.figures import Figures, p95_ms, percentile
from benchmarks.delivery.site import Crowd, Site, Worker, staged
from benchmarks.delivery.slow import ROUND_S

TICKS = 30
MANY = 50
SETTLE_S = 1.5
SLOW = {"kbps": 256.0, "delay_ms": 20.0}
FRAME_BYTES, FRAMES = 30_000, 60
JOIN_ROUNDS = 40, 12
TURNS = 9, 5
"""Of the owner alone and beside all others: what else runs on the machine comes and goes within seconds."""
SLOW_TURNS = 5, 3
"""Of nobody slow, one and ten."""
BESIDE = {"": 0, "_1_slow": 1, "_10_slow": 9}
"""How many slow ones come each time, by the end of the figures' names."""
ENGINE_THREAD = "stripe-engine"
"""Makes the frames. What a scrolling page costs it changes by more from spell to spell than slow viewers cost."""


def fan_out(short: bool) -> Figures:
    """Let viewers come to a window that changes 30 times a second, and look at the worker."""
    seconds = 4.0 if short else 10.0
    with staged() as (site, worker, painter):
        owner = site.crowd()
        [first] = owner.open(worker.session)
        painter.order(f"tick {TICKS}")

        def measure() -> tuple[float, float]:
            """Return (frames made for each picture drawn, worker's cores)."""
            time.sleep(SETTLE_S)
            owner.order("mark")
            drawn, cpu, began = int(painter.order("count")), cpu_seconds(worker.process.pid), time.monotonic()
            time.sleep(seconds)
            drawn = int(painter.order("count")) - drawn
            cores = (cpu_seconds(worker.process.pid) - cpu) / (time.monotonic() - began)
            [counts] = owner.counts(first)
            return (counts["last_frame"] - counts["first_frame"]) / max(drawn, 1), cores

        made = {1: measure()}
        crowd, inside = site.crowd(), 0
        for number in (2, 10, 25, MANY):
            crowd.open(worker.session, number - 1 - inside)
            inside = number - 1
            made[number] = measure()
        crowd.order("close", viewers=list(range(inside)))
        again = measure()  # one viewer once more: what a busier machine costs is not the viewers' doing
        painter.order(f"scroll {TICKS}")
        turns = [_slow_turn(site, worker) for _ in range(SLOW_TURNS[short])]
    spells = {name: percentile([turn[name] for turn in turns], 0.5) or 0.0 for name in turns[0]}
    alone, one, ten = (spells[f"beside_engine_percent_scroll{beside}"] for beside in BESIDE)
    most = max(encodes for encodes, _ in made.values())
    busiest = max(cores for _, cores in made.values())
    return {
        "encodes_added_percent": (most / max(1.0, made[1][0], again[0]) - 1) * 100,
        "cpu_added_percent": (busiest / max(made[1][1], again[1]) - 1) * 100,
        "cpu_percent": made[1][1] * 100,
        "slow_cpu_ratio": max(0.0, ten - alone) / max(one - alone, 0.1),
        **{f"encodes_{number}": encodes for number, (encodes, _) in made.items()},
        **{f"cpu_percent_{number}": cores * 100 for number, (_, cores) in made.items()},
        **spells,
    }


def _slow_turn(site: Site, worker: Worker) -> dict[str, float]:
    """Return what the worker takes, and what of it beside its engine, with nobody slow, one, and ten."""
    slow, pid = site.crowd(), worker.process.pid
    figures = {}
    for beside, more in BESIDE.items():
        if more:
            slow.open(worker.session, more, **SLOW)
        time.sleep(SETTLE_S)
        before, began = _processor_time(pid), time.monotonic()
        time.sleep(ROUND_S)  # a whole one: what a picture costs depends on where the page is
        passed = time.monotonic() - began
        threads, whole = ((now - then) / passed for now, then in zip(_processor_time(pid), before, strict=True))
        figures[f"beside_engine_percent_scroll{beside}"] = threads * 100
        figures[f"cpu_percent_scroll{beside}"] = whole * 100
    slow.close()
    return figures


def _processor_time(pid: int) -> tuple[float, float]:
    """Return a worker's processor seconds: of all threads but the engine's, and of all."""
    whole, engine = cpu_seconds(pid), 0.0
    for thread in Path(f"/proc/{pid}/task").iterdir():
        if (thread / "comm").read_text(encoding="utf-8").strip() == ENGINE_THREAD:
            engine += int((thread / "schedstat").read_text(encoding="ascii").split()[0]) / 1e9
    return whole - engine, whole


def web_tier(short: bool) -> Figures:
    """Publish frames of one size without an engine, and see what relaying them costs."""
    seconds = 4.0 if short else 10.0
    steps = (1, 10, MANY) if short else (1, 2, 10, 25, MANY)
    rounds = TURNS[short]
    cores: dict[int, float] = {}
    delays: dict[int, float | None] = {}
    shares: dict[int, float] = {}
    with Site() as site:
        publisher = site.publisher(0, FRAME_BYTES, FRAMES)
        session = site.sessions[0]
        owner, crowd = site.crowd(), site.crowd()
        [first] = owner.open(session)
        others: list[int] = []
        for number in steps:
            if number - 1 > len(others):
                others += crowd.open(session, number - 1 - len(others))
            time.sleep(SETTLE_S)
            for part in (owner, crowd):
                part.order("mark")
            cpu, waited, began = cpu_seconds(site.web.pid), waited_seconds(site.web.pid), time.monotonic()
            time.sleep(seconds)
            passed = time.monotonic() - began
            cores[number] = (cpu_seconds(site.web.pid) - cpu) / passed
            waited = (waited_seconds(site.web.pid) - waited) / passed
            [own] = owner.counts(first)
            delays[number] = p95_ms(own["received"])
            counts = [own, *crowd.counts(*others)]
            shares[number] = sum(len(one["received"]) for one in counts) / (FRAMES * passed * len(counts))
        memory = resident_mb(site.web.pid)
        turns = [_turn(owner, first, crowd, others, seconds / 2) for _ in range(rounds)]
        publisher.close()
    return {
        "percent_per_viewer": (cores[MANY] - cores[1]) / (MANY - 1) * 100,
        "owner_added_ms": percentile([beside - alone for alone, beside in turns], 0.5),
        "owner_ms": percentile([alone for alone, _ in turns], 0.5),
        "delivered_share": shares[MANY],
        "web_mb": memory,
        "web_waited_percent": waited * 100,
        **{f"web_percent_{number}": value * 100 for number, value in cores.items()},
        **{f"owner_ms_{number}": value for number, value in delays.items()},
        **{f"delivered_share_{number}": value for number, value in shares.items()},
    }


def _turn(owner: Crowd, first: int, crowd: Crowd, others: list[int], seconds: float) -> tuple[float, float]:
    """Return the owner's p95 while all others hide their pages, and right after it while they look."""
    delays = []
    for hidden in (True, False):
        for number in others:
            crowd.order("say", viewer=number, message={"type": "visibility", "hidden": hidden})
        time.sleep(SETTLE_S)
        owner.order("mark")
        time.sleep(seconds)
        [own] = owner.counts(first)
        delay = p95_ms(own["received"])
        if delay is None:
            raise RuntimeError("no frame reached the owner")
        delays.append(delay)
    return delays[0], delays[1]


def join(short: bool) -> Figures:
    """Join a still desktop full of text again and again, alone and ten at once; then one that scrolls."""
    rounds = JOIN_ROUNDS[short]
    with staged() as (site, worker, painter):
        owner, crowd = site.crowd(), site.crowd()
        [first] = owner.open(worker.session, log=True)
        time.sleep(SETTLE_S)
        owner.order("mark")
        firsts, times = _joins(crowd, worker.session, rounds, 1)
        _, together = _joins(crowd, worker.session, 3, 10)
        [counts] = owner.counts(first)
        painter.order(f"scroll {TICKS}")
        _, moving = _joins(crowd, worker.session, rounds, 1)
        painter.order("rest")
        thin = [crowd.order("open", session=worker.session, options=SLOW) for _ in range(3)]
    return {
        "p95_ms": _ms(percentile([*times, *moving], 0.95)),
        "median_ms": _ms(percentile(times, 0.5)),
        "together_ms": _ms(max(together)),
        "first_ms": _ms(percentile(firsts, 0.5)),
        "thin_first_ms": _ms(percentile([answer["pictured_s"][0] for answer in thin], 0.5)),
        "others_bytes": float(counts["bytes"]),
        "still_p95_ms": _ms(percentile(times, 0.95)),
        "scrolling_p95_ms": _ms(percentile(moving, 0.95)),
    }


def _joins(crowd: Any, session: str, rounds: int, count: int) -> tuple[list[float], list[float]]:
    """Return the seconds to the first picture, and to the first with all pixels, of every one who joined."""
    firsts: list[float] = []
    times: list[float] = []
    for _ in range(rounds):
        answer = crowd.order("open", session=session, count=count, full=True)
        firsts += answer["pictured_s"]
        times += answer["full_s"]
        time.sleep(0.1)
        crowd.order("close", viewers=answer["viewers"])
        time.sleep(0.1)
    return firsts, times


def _ms(seconds: float | None) -> float | None:
    return None if seconds is None else seconds * 1000
