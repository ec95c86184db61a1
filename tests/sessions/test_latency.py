"""Times of stages: bounded, whoever measured them."""

from __future__ import annotations

import struct

import pytest

from sessions.latency import LONGEST_MS, MOST_SAMPLES, STAGES, Samples, check_quantiles, together
from sessions.reports import DROPS, parse_report
from sessions.worker.stages import Stages


def test_the_newest_times_count_and_what_cannot_be_is_brought_to_what_can() -> None:
    samples = Samples()
    for ms in range(MOST_SAMPLES * 2):
        samples.add("encode", float(ms))
    low, high = samples.quantiles()["encode"]
    assert low == MOST_SAMPLES * 1.5 - 0.5 and high == MOST_SAMPLES * 2 - 1 - MOST_SAMPLES // 20
    for ms in (float("nan"), float("inf"), -5.0, 1e12):
        samples.add("paint", ms)
    assert samples.quantiles()["paint"] == (LONGEST_MS / 2, LONGEST_MS)
    samples.extend("relay", [0.002])
    assert list(samples.quantiles()) == [stage for stage in STAGES if stage in ("encode", "relay", "paint")]


@pytest.mark.parametrize(
    "raw",
    [None, [], "x", {"encode": 1}, {"encode": [1]}, {"encode": [2, 1]}, {"encode": [-1, 1]}, {"encode": ["1", "2"]},
     {"encode": [True, True]}, {"encode": [0, 1e9]}, {"encode": [float("nan"), 1]}, {"nonsense": [1, 2]}],
)  # fmt: skip
def test_a_lie_reads_as_unknown(raw: object) -> None:
    assert check_quantiles(raw) == {}


def test_several_viewers_are_told_of_as_one() -> None:
    assert check_quantiles({"encode": [1, 2.5], "x": 1}) == {"encode": (1.0, 2.5)}
    assert together([{"relay": (1.0, 9.0)}, {"relay": (2.0, 3.0)}, {"paint": (4.0, 4.0)}, {"relay": (8.0, 8.5)}]) == {
        "relay": (2.0, 9.0),
        "paint": (4.0, 4.0),
    }


def header(capture: int, publish: int, encode: int) -> bytes:
    data = bytearray(48)
    struct.pack_into("<QQ", data, 16, capture, publish)
    struct.pack_into("<I", data, 40, encode)
    return bytes(data)


def test_a_frame_answers_the_first_input_before_it_and_none_of_long_ago() -> None:
    stages = Stages()
    stages.frame(header(1_000, 3_500, 2_000))
    assert stages.samples.quantiles() == {"encode": (2.0, 2.0), "publish": (0.5, 0.5)}
    stages.injected(10_000)
    stages.injected(12_000)
    stages.frame(header(9_000, 9_500, 100))  # captured before it
    stages.frame(header(14_000, 14_500, 100))
    stages.frame(header(20_000, 20_500, 100))
    assert stages.samples.quantiles()["react"] == (4.0, 4.0)
    stages.injected(30_000)
    stages.frame(header(5_000_000, 5_000_100, 100))  # a clock, not an answer
    assert stages.samples.quantiles()["react"] == (4.0, 4.0)


@pytest.mark.parametrize(
    "text", [None, "", "{", "[]", '{"stages": 5, "dropped": [], "fps": "x", "role": [], "phase": {}}']
)
def test_a_report_that_is_none_tells_nothing(text: str | None) -> None:
    report = parse_report("v" * 100, text)
    assert (report.viewer, report.fps, report.stages, report.dropped, report.role) == ("v" * 16, 0.0, {}, {}, "")
    assert report.drops_text == "" and report.phase_text == ""
    hostile = '{"dropped": {"behind": 3, "<script>": 1, "gap": -1}, "fps": 1e400, "role": "root", "phase": "<b>"}'
    report = parse_report("v", hostile)
    assert report.dropped == {"behind": 3.0, "gap": 0.0} and report.drops_text == f"3 {DROPS['behind']}"
    assert (report.fps, report.role, report.phase) == (0.0, "", "")
