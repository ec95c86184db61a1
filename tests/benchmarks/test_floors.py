"""Which floors a result misses, and that the message names workload, figure and reference."""

from __future__ import annotations

import re

import pytest

from benchmarks.figures import Figures, Spread
from benchmarks.floors import FLOORS, Floor, check, missed
from benchmarks.workloads import WORKLOADS

OURS = "stripedesk:auto"


def row(**values: float) -> dict[str, Spread | None]:
    """Figures of one engine; what is not given is good."""
    good = {"cpu_cores": 0.1, "bytes": 1000.0, "latency_p50_ms": 1.0, "kbps": 10.0, "psnr": 50.0, "final_psnr": 50.0}
    good |= {"rss_mb": 50.0, "final_exact": 1.0, "exact_at_once": 1.0, "wakeups": 0.0}
    return {name: Spread(value, value, value) for name, value in (good | values).items()}


def rows(ours: Figures, theirs: Figures) -> dict[str, Figures]:
    return {OURS: ours, "pixelflux:jpeg": theirs}


def test_a_floor_is_met_at_its_limit_and_missed_above_it() -> None:
    floor = Floor(cpu=1 / 4, bytes=0.8, latency=1 / 2)
    theirs = row(cpu_cores=0.4, bytes=1000, latency_p50_ms=2.0)
    assert check(floor, rows(row(cpu_cores=0.1, bytes=800, latency_p50_ms=1.0), theirs), OURS) == []
    problems = check(floor, rows(row(cpu_cores=0.11, bytes=801, latency_p50_ms=1.1), theirs), OURS)
    assert [text.split(" is ")[0] for text in problems] == ["CPU", "bytes", "latency p50"]
    assert "0.275 of pixelflux:jpeg's (0.11 against 0.4); at most 0.25" in problems[0]


def test_nothing_is_the_least_that_can_be_sent() -> None:
    floor = Floor(bytes=1.0)
    assert check(floor, rows(row(bytes=0), row(bytes=0)), OURS) == []
    assert "against 0" in check(floor, rows(row(bytes=1), row(bytes=0)), OURS)[0]


@pytest.mark.parametrize(
    ("floor", "values", "says"),
    [
        (Floor(silent=True), {"bytes": 1.0}, "bytes: 1 bytes, at most 0"),
        (Floor(silent=True), {"wakeups": 3.0, "bytes": 0.0}, "wake-ups beyond the verification scan: 3, at most 0"),
        (Floor(kbps=30), {"kbps": 31.0}, "rate: 31 kbit/s, at most 30"),
        (Floor(latency_ms=0.4), {"latency_p50_ms": 0.5}, "latency p50: 0.5 ms, at most 0.4"),
        (Floor(exact=True), {"final_exact": 0.0}, "not exact at rest"),
        (Floor(at_once=True), {"exact_at_once": 0.9}, "not exact at once"),
        (Floor(jpeg_bytes=0.02), {"bytes": 1000.0}, "bytes is 1 of pixelflux:jpeg's"),
        (Floor(), {"psnr": 44.0}, "PSNR during it is 44.0 dB, pixelflux:jpeg has 50.0"),
        (Floor(), {"final_psnr": 44.0}, "final PSNR is 44.0 dB, pixelflux:jpeg has 50.0"),
        (Floor(better=True), {}, "final PSNR is 50.0 dB, pixelflux:jpeg has 50.0; better"),
        (Floor(), {"rss_mb": 51.0}, "memory is 51 MB, pixelflux:jpeg has 50"),
    ],
)
def test_each_kind_of_floor_is_named_when_it_is_missed(floor: Floor, values: dict[str, float], says: str) -> None:
    assert [says in text for text in check(floor, rows(row(**values), row()), OURS)] == [True]


def test_a_good_row_misses_nothing() -> None:
    floor = Floor(silent=False, kbps=30, latency_ms=1.0, exact=True, at_once=True, jpeg_bytes=1.0, better=True)
    assert check(floor, rows(row(final_psnr=100.0), row()), OURS) == []


def test_one_repetition_that_is_not_exact_is_enough() -> None:
    ours = row() | {"final_exact": Spread(1.0, 0.0, 1.0)}
    assert check(Floor(exact=True), rows(ours, row()), OURS) == ["the picture is not exact at rest"]


def test_what_was_not_measured_is_no_success() -> None:
    ours = row() | {"latency_p50_ms": None}
    assert check(Floor(latency=1.0), rows(ours, row()), OURS) == ["latency p50 was not measured for us"]
    assert check(Floor(cpu=1.0), {OURS: row()}, OURS) == ["no reference was measured (a mode of pixelflux)"]
    assert "wake-ups" in check(Floor(silent=True), rows(row(bytes=0) | {"wakeups": None}, row()), OURS)[0]
    problems = missed({"typing": {"pixelflux:jpeg": row()}}, OURS)
    assert f"typing: {OURS} was not measured" in problems
    assert len(problems) == len(FLOORS)


def test_every_column_is_compared_with_one_mode() -> None:
    engines = {
        OURS: row(cpu_cores=0.1, latency_p50_ms=1.0),
        "pixelflux:jpeg": row(cpu_cores=1.0, bytes=9000, latency_p50_ms=1.0),
        "pixelflux:h264": row(cpu_cores=1.2, bytes=2000, latency_p50_ms=4.0, rss_mb=90),
    }
    assert check(Floor(cpu=1 / 11, bytes=0.5, latency=0.25), engines, OURS) == []


def test_the_office_is_compared_with_ffmpeg_alone() -> None:
    engines = {OURS: row(), "pixelflux:jpeg": row(cpu_cores=9, bytes=99999)}
    assert check(FLOORS["office"], engines, OURS) == ["no reference was measured (ffmpeg:x264)"]
    engines["ffmpeg:x264"] = row(cpu_cores=1.0, bytes=4000, final_psnr=49.0)
    assert check(FLOORS["office"], engines, OURS) == []


def test_floors_are_of_workloads_that_exist() -> None:
    assert set(FLOORS) <= set(WORKLOADS)
    assert all(re.fullmatch(r"[a-z-]+", name) for name in WORKLOADS)
