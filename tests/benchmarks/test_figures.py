"""The arithmetic on figures: percentiles, medians with spread, the X server's part, the reference row."""

from __future__ import annotations

from typing import Any

from benchmarks.figures import Spread, median, percentile, reference, spread, summarise


def engines(**rows: tuple[float, float]) -> dict[str, dict[str, Spread | None]]:
    """Rows as name=(CPU, bytes); an underscore stands for the colon."""
    return {
        name.replace("_", ":", 1): {"cpu_cores": Spread(cpu, cpu, cpu), "bytes": Spread(size, size, size)}
        for name, (cpu, size) in rows.items()
    }


def test_percentiles_take_a_value_that_was_measured() -> None:
    assert percentile([], 0.5) is None
    assert percentile([3.0], 0.95) == 3.0
    assert percentile([5.0, 1.0, 3.0], 0.5) == 3.0
    assert percentile(list(map(float, range(100))), 0.95) == 95.0


def test_spread_leaves_out_what_was_not_measured() -> None:
    assert spread([4.0, None, 1.0, 2.0]) == Spread(2.0, 1.0, 4.0)
    assert spread([True, False, True]) == Spread(1.0, 0.0, 1.0)
    assert spread([None, None]) is None


def run(engine: float, server: float, **others: Any) -> dict[str, Any]:
    return {"engine_cores": engine, "server_cores": server, **others}


def test_an_engine_is_charged_with_what_it_adds_to_the_server() -> None:
    figures = summarise([run(0.10, 0.06), run(0.12, 0.05), run(0.20, 0.07)], baseline_server_cores=0.02)
    added, total = figures["server_added_cores"], figures["cpu_cores"]
    assert added is not None and round(added.median, 6) == 0.04
    # Sum first, median then: 0.14, 0.15, 0.25.
    assert total is not None and [round(value, 6) for value in total] == [0.15, 0.14, 0.25]


def test_a_server_that_was_busier_without_an_engine_gives_nothing_back() -> None:
    figures = summarise([run(0.1, 0.01)], baseline_server_cores=0.02)
    assert median(figures, "server_added_cores") == 0.0
    assert median(figures, "cpu_cores") == 0.1


def test_a_figure_that_only_some_runs_have_is_kept() -> None:
    figures = summarise([run(0.1, 0.0, wakeups=None), run(0.1, 0.0, wakeups=2), run(0.1, 0.0)], 0.0)
    assert figures["wakeups"] == Spread(2.0, 2.0, 2.0)
    assert median(figures, "no such figure") is None


def test_the_reference_has_the_fewest_bytes_of_those_nearly_as_cheap() -> None:
    assert reference(engines(pixelflux_a=(1.0, 900), pixelflux_b=(1.3, 500), pixelflux_c=(1.4, 10))) == "pixelflux:b"
    assert reference(engines(pixelflux_a=(1.0, 900), pixelflux_c=(1.31, 10))) == "pixelflux:a"


def test_only_the_peer_s_modes_are_candidates() -> None:
    rows = engines(stripedesk_auto=(0.1, 1), ffmpeg_x264=(0.1, 1), pixelflux_jpeg=(9.0, 9))
    assert reference(rows) == "pixelflux:jpeg"
    assert reference(engines(stripedesk_auto=(0.1, 1))) is None


def test_between_equals_the_cheaper_is_the_reference() -> None:
    assert reference(engines(pixelflux_a=(1.1, 0), pixelflux_b=(1.0, 0))) == "pixelflux:b"
