"""From a run to its figures: latencies, the frames a look is compared with, how long until the picture is exact."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from benchmarks.engines import Spec
from benchmarks.judging import UNSEEN_US, AtRest, candidates, judge, latencies
from benchmarks.measuring import Run
from benchmarks.playback import Frame
from stripeengine import wire
from stripeengine.dump import DumpWriter

WIDTH, HEIGHT = 32, 16
MS = 1000


def screen(colour: tuple[int, int, int]) -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
    """A framebuffer of one RGB colour, BGRX."""
    pixels = np.zeros((HEIGHT, WIDTH, 4), dtype=np.uint8)
    pixels[:, :, :3] = colour[::-1]
    return pixels


def rgb(colour: tuple[int, int, int]) -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
    return np.ascontiguousarray(screen(colour)[:, :, 2::-1])


def record(path: Path, states: list[tuple[int, int]]) -> Path:
    """A recording whose picture becomes ``colour`` at ``time``: one fill a frame, seen 2 ms before it was there."""
    with DumpWriter(path) as dump:
        for number, (time_us, colour) in enumerate(states, start=1):
            op = wire.Op(wire.FILL, 0, 0, 0, 0, WIDTH, HEIGHT, 0, 0, 0, 0, 0, 0, colour)
            flags = wire.RESIZED if number == 1 else 0
            dump.write(
                time_us,
                wire.pack_message(
                    epoch=3,
                    frame_id=number,
                    width=WIDTH,
                    height=HEIGHT,
                    ops=[op],
                    flags=flags,
                    capture_us=time_us - 2 * MS,
                    encode_us=MS,
                ),
            )
    return path


def test_latency_leaves_out_changes_that_showed_nothing() -> None:
    frames = [Frame(10 * MS, 9 * MS), Frame(101 * MS, 100 * MS)]
    assert latencies(frames, [9 * MS, 99 * MS]) == [1.0, 2.0]
    late = [Frame(UNSEEN_US + 2, UNSEEN_US)]
    assert latencies(late, [1]) == []
    assert latencies(late, [2]) == [UNSEEN_US / 1000]
    assert latencies(late, [UNSEEN_US + 3]) == []


def test_a_look_is_compared_with_what_is_there_and_what_is_under_way() -> None:
    frames = [Frame(time_us, time_us) for time_us in (10 * MS, 20 * MS, 30 * MS, 40 * MS, 500 * MS)]
    assert [frame.time_us // MS for frame in candidates(frames, 20 * MS)] == [20, 30, 40]
    assert [frame.time_us // MS for frame in candidates(frames, 5 * MS)] == [10, 20, 30, 40]
    assert len(candidates([Frame(time_us, time_us) for time_us in range(0, 400 * MS, MS)], 100 * MS)) <= 13


def test_figures_of_a_run(tmp_path: Path) -> None:
    red, almost, blue = 0xFF0000, 0x0000F0, 0x0000FF
    states = [(50 * MS, red), (1100 * MS, almost), (1400 * MS, blue)]
    run = Run(
        begin_us=1000 * MS,
        stop_us=2000 * MS,
        end_us=3000 * MS,
        engine_cpu_s=0.5,
        server_cpu_s=0.1,
        rss_mb=40,
        wakeups=0,
        input_us=[1096 * MS],
        damage_us=[1099 * MS],
        looks=[(1050 * MS, screen((255, 0, 0))), (1200 * MS, screen((0, 0, 255)))],
        final=screen((0, 0, 255)),
        recording=record(tmp_path / "dump", states),
    )
    figures = judge(Spec("stripedesk", "jpeg"), run, (WIDTH, HEIGHT))
    assert figures["engine_cores"] == 0.25
    assert figures["server_cores"] == 0.05
    assert (figures["frames"], figures["fps"]) == (2, 2.0)
    assert figures["bytes"] == 2 * (48 + 32)  # what came before the run is not counted
    assert figures["kbps"] == figures["bytes"] * 8 / 1000
    assert (figures["latency_p50_ms"], figures["input_p50_ms"], figures["own_p50_ms"]) == (1.0, 4.0, 2.0)
    assert figures["exact_at_once"] == 0.5  # red was, the second look found almost
    assert figures["final_exact"] and figures["final_psnr"] == 100
    assert figures["exact_ms"] == figures["best_ms"] == 301.0


def test_a_picture_that_never_gets_exact_says_how_good_it_got(tmp_path: Path) -> None:
    states = [(50 * MS, 0xFF0000), (1100 * MS, 0x0000C0), (1300 * MS, 0x0000F0)]
    run = Run(
        begin_us=1000 * MS,
        stop_us=1050 * MS,
        end_us=3000 * MS,
        damage_us=[1020 * MS],
        final=screen((0, 0, 255)),
        recording=record(tmp_path / "dump", states),
    )
    figures = judge(Spec("stripedesk", "jpeg"), run, (WIDTH, HEIGHT))
    assert figures["exact_ms"] is None and not figures["final_exact"]
    assert figures["best_ms"] == 280.0
    assert figures["final_psnr"] == pytest.approx(10 * np.log10(3 * 255**2 / 15**2), abs=1e-3)
    assert figures["exact_at_once"] is None and figures["psnr"] is None


def test_a_still_screen_is_exact_at_once() -> None:
    rest = AtRest(Run(begin_us=1000 * MS, stop_us=2000 * MS, end_us=3000 * MS, final=screen((1, 2, 3))))
    assert rest.wants(500 * MS, 3001 * MS)
    rest.offer(rgb((1, 2, 3)), 500 * MS)
    assert (rest.figures()["exact_ms"], rest.figures()["final_exact"]) == (0.0, True)


def test_exactness_that_is_lost_again_does_not_count() -> None:
    rest = AtRest(Run(begin_us=0, stop_us=100 * MS, end_us=900 * MS, damage_us=[100 * MS], final=screen((9, 9, 9))))
    for time_us, colour in ((200, 9), (300, 8), (400, 9), (500, 9)):
        rest.offer(rgb((colour,) * 3), time_us * MS)
    assert rest.figures()["exact_ms"] == 300.0


def test_states_are_looked_at_from_the_last_change_on() -> None:
    rest = AtRest(Run(stop_us=100 * MS, end_us=900 * MS, damage_us=[90 * MS], final=screen((0, 0, 0))))
    assert not rest.wants(70 * MS, 80 * MS)
    assert rest.wants(80 * MS, 95 * MS)  # still there when the last change had come
    rest.offer(rgb((0, 0, 0)), 80 * MS)
    assert not rest.wants(110 * MS, 120 * MS)
    assert rest.wants(121 * MS, 130 * MS)
    assert rest.wants(130 * MS, 901 * MS)


def test_without_an_engine_there_is_nothing_to_judge() -> None:
    with pytest.raises(ValueError, match="without an engine"):
        judge(Spec("stripedesk", "jpeg"), Run(), (WIDTH, HEIGHT))
