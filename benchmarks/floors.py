"""The floors our engine must reach, row by row, and which of them a result misses. Pure functions on medians.

A ratio compares our engine with the workload's reference (`figures.reference`), in the same run.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from benchmarks.figures import Figures, median, reference

FFMPEG: Final = "ffmpeg:x264"
JPEG_PEER: Final = "pixelflux:jpeg"
# Quality is no worse if it is not lower by more than this; below it nobody sees a difference and decoders differ.
QUALITY_DB: Final = 0.1
# Above it a picture is so good that a difference in decibels says nothing.
ENOUGH_DB: Final = 45.0


@dataclass(frozen=True)
class Floor:
    """What one workload must reach. Ratios are ours over the reference's, None where nothing is asked."""

    cpu: float | None = None
    bytes: float | None = None
    latency: float | None = None
    exact: bool = False
    """At rest."""
    at_once: bool = False
    """With the first frame."""
    silent: bool = False
    """No byte, and no wake-up but the verification scan."""
    kbps: float | None = None
    latency_ms: float | None = None
    jpeg_bytes: float | None = None
    """As ``bytes``, but against the peer's JPEG mode."""
    against: str | None = None
    """The reference, if it is not the one the rule chooses."""
    better: bool = False
    """Better final quality than the reference, not just no worse."""


FLOORS: Final[dict[str, Floor]] = {
    "idle": Floor(cpu=1 / 30, silent=True),
    "typing": Floor(cpu=1 / 15, jpeg_bytes=1 / 50, kbps=30, latency=1 / 8, latency_ms=0.4),
    "flood": Floor(cpu=1 / 4, bytes=1 / 8, latency=1 / 2, exact=True),
    "scroll": Floor(cpu=1 / 3, bytes=0.8, latency=1 / 2, exact=True),
    "drag": Floor(cpu=1 / 3, bytes=0.5, latency=1 / 2, exact=True),
    "switching": Floor(cpu=1 / 3, bytes=0.3, latency=1 / 2, exact=True, at_once=True),
    "code": Floor(cpu=1 / 3, bytes=0.3, latency=1 / 2, exact=True, at_once=True),
    "video": Floor(cpu=1 / 3, bytes=0.8, latency=1 / 2),
    "video-full": Floor(cpu=1.0, bytes=1.0, latency=1.0),
    "office": Floor(cpu=1 / 10, bytes=1 / 4, against=FFMPEG, better=True),
}


def missed(results: Mapping[str, Mapping[str, Figures]], candidate: str) -> list[str]:
    """Return one sentence for every floor that ``candidate`` missed or that could not be checked."""
    problems = []
    for workload, floor in FLOORS.items():
        engines = results.get(workload)
        if engines is None:
            problems.append(f"{workload}: was not measured")
        elif candidate not in engines:
            problems.append(f"{workload}: {candidate} was not measured")
        else:
            problems += [f"{workload}: {text}" for text in check(floor, engines, candidate)]
    return problems


def check(floor: Floor, engines: Mapping[str, Figures], candidate: str) -> list[str]:
    """Return what one workload's row misses."""
    ours = engines[candidate]
    name = floor.against or reference(engines)
    if name is None or name not in engines:
        return [f"no reference was measured ({floor.against or 'a mode of pixelflux'})"]
    theirs = engines[name]
    problems = _ratio("CPU", "cpu_cores", ours, theirs, floor.cpu, name)
    problems += _ratio("bytes", "bytes", ours, theirs, floor.bytes, name)
    problems += _ratio("latency p50", "latency_p50_ms", ours, theirs, floor.latency, name)
    if floor.jpeg_bytes is not None:
        if JPEG_PEER in engines:
            problems += _ratio("bytes", "bytes", ours, engines[JPEG_PEER], floor.jpeg_bytes, JPEG_PEER)
        else:
            problems.append(f"{JPEG_PEER} was not measured")
    problems += _limits(floor, ours)
    problems += _quality(floor, ours, theirs, name)
    problems += _memory(engines, candidate, name)
    return problems


def _ratio(title: str, figure: str, ours: Figures, theirs: Figures, limit: float | None, name: str) -> list[str]:
    if limit is None:
        return []
    mine, other = median(ours, figure), median(theirs, figure)
    if mine is None or other is None:
        return [f"{title} was not measured for {'us' if mine is None else name}"]
    if mine <= limit * other:
        return []
    share = f"{mine / other:.3g} of" if other else f"{mine:.3g} against 0 of"
    return [f"{title} is {share} {name}'s ({mine:.4g} against {other:.4g}); at most {limit:.3g} is the floor"]


def _limits(floor: Floor, ours: Figures) -> list[str]:
    problems = []
    for title, figure, limit, unit in (
        ("rate", "kbps", floor.kbps, "kbit/s"),
        ("latency p50", "latency_p50_ms", floor.latency_ms, "ms"),
        ("bytes", "bytes", 0.0 if floor.silent else None, "bytes"),
        ("wake-ups beyond the verification scan", "wakeups", 0.0 if floor.silent else None, ""),
    ):
        value = median(ours, figure)
        if limit is not None and value is None:
            problems.append(f"{title} was not measured")
        elif limit is not None and value is not None and value > limit:
            problems.append(f"{title}: {value:.4g} {unit}".rstrip() + f", at most {limit:g} is the floor")
    # Every repetition must be exact, not just the median one.
    for wanted, title, figure in (
        (floor.exact, "exact at rest", "final_exact"),
        (floor.at_once, "exact at once", "exact_at_once"),
    ):
        found = ours.get(figure)
        if wanted and (found is None or found.low < 1):
            problems.append(f"the picture is not {title}")
    return problems


def _quality(floor: Floor, ours: Figures, theirs: Figures, name: str) -> list[str]:
    problems = []
    for title, figure in (("PSNR during it", "psnr"), ("final PSNR", "final_psnr")):
        mine, other = median(ours, figure), median(theirs, figure)
        if mine is None or other is None:
            problems.append(f"{title} was not measured")
        elif floor.better and figure == "final_psnr":
            if mine <= other:
                problems.append(f"{title} is {mine:.1f} dB, {name} has {other:.1f}; better is the floor")
        elif mine < min(other, ENOUGH_DB) - QUALITY_DB:
            problems.append(f"{title} is {mine:.1f} dB, {name} has {other:.1f}; no worse is the floor")
    return problems


def _memory(engines: Mapping[str, Figures], candidate: str, name: str) -> list[str]:
    """The peer's same mode where it has one, else the reference."""
    twin = f"pixelflux:{candidate.partition(':')[2]}"
    other_name = twin if twin in engines else name
    mine, other = median(engines[candidate], "rss_mb"), median(engines[other_name], "rss_mb")
    if other_name.startswith("pixelflux:") and mine is not None and other is not None and mine > other:
        return [f"memory is {mine:.0f} MB, {other_name} has {other:.0f}; no more is the floor"]
    return []
