"""Medians, their spread, and which row is the reference: the arithmetic on figures. Pure functions."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from typing import Any, Final, NamedTuple

# A mode whose CPU is this much above the row's lowest may still be the reference, if it sends fewer bytes.
REFERENCE_CPU: Final = 1.3


class Spread(NamedTuple):
    """Of one figure over the repetitions."""

    median: float
    low: float
    high: float


Figures = Mapping[str, Spread | None]


def percentile(values: Sequence[float], share: float) -> float | None:
    """Return a percentile, or None of nothing."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))] if ordered else None


def spread(values: Sequence[float | None]) -> Spread | None:
    """Return median, least and greatest of those that are not None; None if there are none."""
    known = [float(value) for value in values if value is not None]
    return Spread(statistics.median(known), min(known), max(known)) if known else None


def summarise(runs: Sequence[Mapping[str, Any]], baseline_server_cores: float) -> dict[str, Spread | None]:
    """Return the spread of every figure, with what the engine adds to the X server and the sum, ``cpu_cores``."""
    completed = []
    for run in runs:
        # Noise may make it negative; an engine cannot give the server time back.
        added = max(0.0, run["server_cores"] - baseline_server_cores)
        completed.append({**run, "server_added_cores": added, "cpu_cores": run["engine_cores"] + added})
    names = {name: None for run in completed for name in run}
    return {name: spread([run.get(name) for run in completed]) for name in names}


def median(figures: Figures, name: str) -> float | None:
    """Return the median of one figure, None where there is none."""
    found = figures.get(name)
    return None if found is None else found.median


def reference(engines: Mapping[str, Figures], peer: str = "pixelflux") -> str | None:
    """Return the mode of ``peer`` to compare a workload with; None if none was measured.

    It is the one with the fewest bytes among those whose CPU is at most 1.3 of the lowest; CPU decides between equals.
    """
    cpu = {
        name: value
        for name, figures in engines.items()
        if name.startswith(f"{peer}:") and (value := median(figures, "cpu_cores")) is not None
    }
    if not cpu:
        return None
    limit = REFERENCE_CPU * min(cpu.values())
    able = [name for name, value in cpu.items() if value <= limit]
    return min(able, key=lambda name: (median(engines[name], "bytes") or 0.0, cpu[name]))
