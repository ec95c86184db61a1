"""Plots of a delivery result: how near each figure comes to its bound, and costs by the number of viewers."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from benchmarks.delivery.figures import ROWS, Figures
from benchmarks.plots import load_matplotlib

CURVES: Final = (
    ("fan-out", "cpu_percent", "worker CPU, % of a core"),
    ("web-tier", "web_percent", "web process CPU, % of a core"),
    ("web-tier", "owner_ms", "owner's p95 beside them, ms"),
)
LEAST_SHARE = 0.001


def shares(results: Mapping[str, Figures | None]) -> dict[str, float]:
    """Return for each judged figure how much of what is allowed it uses: 1 is the bound, above it is missed.

    Bounds of 0 are left out: there is nothing to be a share of.
    """
    found = {}
    for name, figures in results.items():
        for target in ROWS[name].targets:
            value = (figures or {}).get(target.figure)
            if value is None:
                continue
            if target.most:
                found[f"{name}: {target.title}"] = max(value / target.most, LEAST_SHARE)
            elif target.least:
                found[f"{name}: {target.title}"] = target.least / value if value > 0 else math.inf
    return found


def curve(figures: Figures, stem: str) -> list[tuple[int, float]]:
    """Return (viewers, value) of the figures called ``stem_N``."""
    points = []
    for name, value in figures.items():
        if (match := re.fullmatch(rf"{stem}_(\d+)", name)) and value is not None:
            points.append((int(match[1]), value))
    return sorted(points)


def draw(results: Mapping[str, Figures | None], directory: Path) -> list[Path]:
    """Write the plots as SVG; return the files."""
    pyplot = load_matplotlib()
    directory.mkdir(parents=True, exist_ok=True)
    written = []
    if bars := {title: value for title, value in shares(results).items() if math.isfinite(value)}:
        figure, axes = pyplot.subplots(figsize=(9, 0.6 + 0.3 * len(bars)), layout="constrained")
        colours = ["#2a7f4f" if value <= 1 else "#b3402a" for value in bars.values()]
        axes.barh(list(bars), list(bars.values()), color=colours)
        axes.axvline(1, color="#333")
        axes.set_xscale("log")
        axes.invert_yaxis()
        axes.set_title("share of what is allowed (right of the line: missed)")
        written.append(directory / "delivery-targets.svg")
        figure.savefig(written[-1], metadata={"Date": None})
        pyplot.close(figure)
    curves = [(title, points) for row, stem, title in CURVES if (points := curve(results.get(row) or {}, stem))]
    if curves:
        figure, all_axes = pyplot.subplots(1, len(curves), figsize=(4.5 * len(curves), 3.4), layout="constrained")
        for axes, (title, points) in zip([all_axes] if len(curves) == 1 else all_axes, curves, strict=True):
            axes.plot([number for number, _ in points], [value for _, value in points], marker="o")
            axes.set_title(title)
            axes.set_xlabel("viewers")
            axes.set_ylim(bottom=0)
            axes.grid(alpha=0.3)
        written.append(directory / "delivery-viewers.svg")
        figure.savefig(written[-1], metadata={"Date": None})
        pyplot.close(figure)
    return written
