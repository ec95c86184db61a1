"""The stages between an input and its picture, and how long the last of each have taken.

Standard library only: worker and web tier measure with it, pages and metrics read what they tell. What is measured
elsewhere, by a worker or a browser, may be a lie: it is bounded here. Pure state; nothing blocks.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterable, Mapping
from statistics import median
from typing import Any, Final

STAGES: Final[dict[str, str]] = {
    "inject": "received → injected",
    "react": "injected → damage",
    "encode": "damage → encoded",
    "publish": "encoded → published",
    "relay": "published → relayed",
    "decode": "arrived → decoded",
    "paint": "decoded → painted",
    "ack": "relayed → acknowledged",
}
"""Names of the stages, in their order, with what people read (docs/explanation/latency.md)."""

LONGEST_MS: Final = 60_000.0
MOST_SAMPLES: Final = 256

Quantiles = dict[str, tuple[float, float]]
"""Stage → median and 95th percentile in ms, in the order of `STAGES`."""


class Samples:
    """The newest times of some stages."""

    def __init__(self) -> None:
        self._times: dict[str, deque[float]] = {}

    def add(self, stage: str, ms: float) -> None:
        """Note one time; what cannot be is brought to the nearest that can."""
        if not math.isfinite(ms):
            return
        times = self._times.get(stage)
        if times is None:
            times = self._times[stage] = deque(maxlen=MOST_SAMPLES)
        times.append(min(max(ms, 0.0), LONGEST_MS))

    def extend(self, stage: str, seconds: Iterable[float]) -> None:
        """Note several, in seconds."""
        for value in seconds:
            self.add(stage, value * 1000)

    def quantiles(self) -> Quantiles:
        """Return median and 95th percentile of what there is."""
        return {stage: _quantiles(self._times[stage]) for stage in STAGES if self._times.get(stage)}


def _quantiles(values: Iterable[float]) -> tuple[float, float]:
    ordered = sorted(values)
    high = ordered[max(0, math.ceil(len(ordered) * 0.95) - 1)]
    return round(median(ordered), 2), round(high, 2)


def check_quantiles(raw: Any) -> Quantiles:
    """Return of ``raw`` what can be true; unknown stages and impossible numbers are left out."""
    if not isinstance(raw, Mapping):
        return {}
    found: Quantiles = {}
    for stage in STAGES:
        pair = raw.get(stage)
        if not isinstance(pair, list | tuple) or len(pair) != 2:
            continue
        low, high = pair
        if all(type(value) in (int, float) and 0 <= value <= LONGEST_MS for value in pair) and low <= high:
            found[stage] = (float(low), float(high))
    return found


def together(many: Iterable[Quantiles]) -> Quantiles:
    """Return, for several viewers, the median of their medians and the largest of their 95th percentiles."""
    listed = list(many)
    found: Quantiles = {}
    for stage in STAGES:
        pairs = [one[stage] for one in listed if stage in one]
        if pairs:
            found[stage] = (round(median(low for low, _ in pairs), 2), max(high for _, high in pairs))
    return found
