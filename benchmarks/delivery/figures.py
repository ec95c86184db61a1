"""Percentiles, and what each row must reach: pure functions on a row's figures, the single source of the targets."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

Figures = Mapping[str, float | None]


def percentile(values: Sequence[float], share: float) -> float | None:
    """Return the value that ``share`` (0…1) of the values do not exceed; None if there are none."""
    if not values:
        return None
    return float(sorted(values)[min(len(values) - 1, max(0, math.ceil(share * len(values)) - 1))])


def p95_ms(values_us: Sequence[float]) -> float | None:
    """Return the 95th percentile of µs in ms."""
    found = percentile(values_us, 0.95)
    return None if found is None else found / 1000


def median_ms(values_us: Sequence[float]) -> float | None:
    """Return the median of µs in ms."""
    found = percentile(values_us, 0.5)
    return None if found is None else found / 1000


def added(value: float | None, base: float | None) -> float | None:
    """Return how much ``value`` is above ``base``; None if one is not known."""
    return None if value is None or base is None else value - base


def ratio(value: float | None, base: float | None) -> float | None:
    """Return ``value`` over ``base``; None if one is not known, or there is nothing to compare with."""
    return None if value is None or not base else value / base


def percent_above(value: float | None, base: float | None) -> float | None:
    """Return how many per cent ``value`` is above ``base``; None if there is nothing to compare."""
    found = ratio(value, base)
    return None if found is None else (found - 1) * 100


@dataclass(frozen=True)
class Target:
    """One figure of a row and its bound: at most ``most``, or at least ``least``; neither: told, not judged."""

    figure: str
    title: str
    unit: str = ""
    most: float | None = None
    least: float | None = None
    digits: int = 1

    @property
    def bound(self) -> str:
        """The bound in words, "" if there is none."""
        if self.most is not None:
            return f"≤ {self.most:g}"
        return f"≥ {self.least:g}" if self.least is not None else ""

    def miss(self, figures: Figures) -> str:
        """Return why the figures miss the target, "" if they do not."""
        if not self.bound:
            return ""
        value = figures.get(self.figure)
        if value is None:
            return f"{self.title} was not measured"
        if (self.most is not None and value > self.most) or (self.least is not None and value < self.least):
            return f"{self.title}: {value:.{self.digits + 1}f} {self.unit}".rstrip() + f", {self.bound} is asked"
        return ""


@dataclass(frozen=True)
class Row:
    """A row of the table: its title and its targets."""

    title: str
    targets: tuple[Target, ...]


T = Target
ROWS: Final[dict[str, Row]] = {
    "fan-out": Row(
        "engine work for viewers that keep up",
        (
            T("encodes_added_percent", "frames made for 50 viewers above those for one", "%", most=2),
            T("cpu_added_percent", "worker CPU for 50 viewers above that for one", "%", most=10),
            T("cpu_percent", "worker CPU for one viewer", "% of a core"),
            T(
                "slow_cpu_ratio",
                "worker CPU beside its engine that ten slow viewers add, over what one adds",
                "×",
                most=2,
                digits=2,
            ),
        ),
    ),
    "video-join": Row(
        "a second viewer joins an endless full-screen video",
        (
            T("first_ms", "first picture of the newcomer", "ms"),
            T("stills_per_s", "pictures until full rate", "/s", least=10),
            T("full_rate_s", "full rate after", "s", most=4),
            T("owner_bytes_percent", "owner's bytes a frame above before, while key frames are clocked", "%", most=8),
            T("owner_key_frames_alone", "key frames before anybody joined: the film began anew", "", digits=0),
            T("owner_key_frames", "key frames since", "", digits=0),
            T("owner_fps", "owner's frames", "/s"),
            T("owner_fps_alone", "owner's frames before", "/s"),
        ),
    ),
    "web-tier": Row(
        "viewers of 60 frames of 30 kB a second",
        (
            T("percent_per_viewer", "web tier for each further viewer", "% of a core", most=1, digits=2),
            T("owner_added_ms", "owner's p95 with 50 viewers above that alone, median of the rounds", "ms", most=5),
            T("owner_ms", "owner's p95 alone", "ms"),
            T("delivered_share", "of the frames reached the viewers", "", least=0.95, digits=2),
            T("web_mb", "memory of the web process with 50", "MB"),
            T("web_waited_percent", "of the time the web process waited for a processor, with 50", "%"),
        ),
    ),
    "slow": Row(
        "one viewer at 256 kbit/s, one that never reads, one that stalls 30 s",
        (
            T("owner_added_ms", "owner's p95 with them above that alone", "ms", most=1),
            T("owner_ms", "owner's p95 alone", "ms"),
            T("owner_bytes_percent", "owner's bytes for a picture above alone", "%", most=1),
            T("key_frames", "key frames on top", "", most=0),
            T("memory_mb", "server memory for each of them", "MB", most=2),
            T("age_s", "the picture's age at 256 kbit/s, 95 % of the time at most", "s", most=1.5, digits=2),
            T("exact_256_s", "exact after rest and recovery: 256 kbit/s", "s", most=1, digits=2),
            T("exact_stalled_s", "exact after rest and recovery: stalled", "s", most=1, digits=2),
        ),
    ),
    "join": Row(
        "join → first full picture",
        (
            T("p95_ms", "p95, from the opening of the socket", "ms", most=200),
            T("median_ms", "median", "ms"),
            T("first_ms", "first picture, with fewer pixels if all are much, median", "ms"),
            T("thin_first_ms", "the same at 256 kbit/s and 20 ms each way, median", "ms"),
            T("together_ms", "ten at once, the last", "ms"),
            T("others_bytes", "bytes of pictures to others", "", most=0, digits=0),
        ),
    ),
    "kills": Row(
        "kill −9",
        (
            T("worker_s", "worker: picture back after (worst)", "s", most=1.5, digits=2),
            T("web_s", "web: picture back after (worst)", "s", most=2, digits=2),
            T("redis_s", "Redis: picture back after (worst)", "s", most=3, digits=2),
            T("agent_s", "host agent: longest time without a picture", "s", most=0.5, digits=2),
            T("rounds", "rounds of random kills", "", digits=0),
            T("round_s", "picture back in them (worst)", "s", digits=2),
            T("lost", "rounds without a picture or with another desktop", "", most=0, digits=0),
        ),
    ),
    "input": Row(
        "browser event → XTest injected, 20 viewers streaming",
        (
            T("p95_ms", "p95", "ms", most=5, digits=2),
            T("median_ms", "median", "ms", digits=2),
            T("arrived_share", "of the events arrived", "", least=1, digits=3),
            T("encoded_ms", "damage → encoded, median", "ms", digits=2),
            T("published_ms", "damage → published, median", "ms", digits=2),
            T("relayed_ms", "published → at the owner, median", "ms", digits=2),
            T("committed_ms", "damage → committed by the owner, median", "ms", digits=2),
            T("committed_p95_ms", "damage → committed by the owner, p95", "ms", digits=2),
        ),
    ),
    "selkies": Row(
        "key press → changed pixel in Chromium",
        (
            T("auto_ratio", "auto over Selkies' median", "×", most=0.6, digits=2),
            T("jpeg_ratio", "jpeg over Selkies' median", "×", most=0.6, digits=2),
            T("h264_ratio", "h264 over Selkies' median", "×", most=0.6, digits=2),
            T("auto_ms", "auto, median", "ms"),
            T("jpeg_ms", "jpeg, median", "ms"),
            T("h264_ms", "h264, median", "ms"),
            T("selkies_jpeg_ms", "Selkies with JPEG, median", "ms"),
            T("selkies_h264_ms", "Selkies with H.264, median", "ms"),
        ),
    ),
    "sessions": Row(
        "8 idle and 4 active sessions",
        (
            T("p95_ms", "p95 damage → published, the worst session", "ms", most=25),
            T("rate_share", "of the pictures drawn became frames, the worst session", "", least=0.95, digits=2),
            T("waited_ms", "its worker waited for a processor, for each frame, the worst session", "ms"),
            T("cores", "all processes of the platform", "cores", digits=2),
            T("idle_percent", "an idle session's worker", "% of a core", digits=2),
        ),
    ),
    "soak": Row(
        "joins, leaves and resizes",
        (
            T("minutes", "for", "min"),
            T("web_mb", "growth of the web process", "MB", most=5),
            T("worker_mb", "growth of the worker", "MB", most=5),
            T("redis_mb", "growth of Redis", "MB", most=2),
            T("descriptors", "growth in descriptors, all three", "", most=0, digits=0),
            T("keys", "growth in Redis keys", "", most=0, digits=0),
            T("tasks", "growth in tasks of the web process", "", most=0, digits=0),
        ),
    ),
}


def missed(results: Mapping[str, Figures | None]) -> list[str]:
    """Return one sentence for each target missed by the rows of ``results``; None for a row that failed."""
    problems = []
    for name, figures in results.items():
        if figures is None:
            problems.append(f"{name}: was not measured")
        else:
            problems += [f"{name}: {text}" for target in ROWS[name].targets if (text := target.miss(figures))]
    return problems


def table(results: Mapping[str, Figures | None]) -> str:
    """Return the results as a Markdown table."""
    lines = ["| row | figure | measured | asked | |", "|---|---|---|---|---|"]
    for name, figures in results.items():
        for target in ROWS[name].targets:
            value = (figures or {}).get(target.figure)
            shown = "–" if value is None else f"{value:.{target.digits}f} {target.unit}".rstrip()
            verdict = "" if not target.bound else "missed" if figures is None or target.miss(figures) else "reached"
            lines.append(f"| {name} | {target.title} | {shown} | {target.bound} | {verdict} |")
    return "\n".join(lines)
