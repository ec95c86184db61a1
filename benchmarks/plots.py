"""Plots of a result: one picture a figure, workloads side by side. Needs matplotlib (dependency group ``bench``).

``python -m benchmarks.plots RESULT.json DIR`` draws a result that ``benchmarks.engine --json`` has written.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from benchmarks.figures import Figures, Spread
from benchmarks.report import read

# Figure, title, file, logarithmic.
PLOTS: Final = (
    ("cpu_cores", "CPU of the engine and what it adds to the X server, cores", "cpu", True),
    ("kbps", "kbit/s", "bytes", True),
    ("latency_p50_ms", "change to message, median, ms", "latency", True),
    ("psnr", "PSNR during the workload, dB (100: exact)", "quality", False),
    ("final_psnr", "PSNR at rest, dB (100: exact)", "quality-at-rest", False),
    ("rss_mb", "resident memory, MB", "memory", False),
)


def check_option(parser: argparse.ArgumentParser, directory: Path | None) -> None:
    """End with what is missing for ``--plot``, now and not when all is measured."""
    if directory is None:
        return
    try:
        load_matplotlib()
    except RuntimeError as error:
        parser.error(str(error))


def load_matplotlib() -> Any:
    """Return pyplot; raises `RuntimeError` naming the remedy if it is not installed."""
    try:
        import matplotlib
    except ImportError:
        raise RuntimeError("plots need matplotlib: pip install --group bench, or leave out --plot") from None
    matplotlib.use("svg")
    # Letters as letters, and the same file from the same figures.
    matplotlib.rcParams.update({"svg.fonttype": "none", "svg.hashsalt": "stripedesk"})
    from matplotlib import pyplot

    return pyplot


def draw(results: Mapping[str, Mapping[str, Figures]], directory: Path) -> list[Path]:
    """Write one SVG a figure; returns the files."""
    pyplot = load_matplotlib()
    directory.mkdir(parents=True, exist_ok=True)
    engines = list({name: None for row in results.values() for name in row})
    written = []
    for key, title, name, logarithmic in PLOTS:
        figure, axes = pyplot.subplots(figsize=(max(6, 1.3 * len(results)), 4.2), layout="constrained")
        width = 0.8 / len(engines)
        positive = False
        for number, engine in enumerate(engines):
            values = [bar(row.get(engine, {}).get(key)) for row in results.values()]
            positive |= any(middle > 0 for middle, _, _ in values)
            places = [place + (number - (len(engines) - 1) / 2) * width for place in range(len(results))]
            errors = [[middle - low for middle, low, _ in values], [high - middle for middle, _, high in values]]
            axes.bar(places, [middle for middle, _, _ in values], width, yerr=errors, label=engine, ecolor="#555")
        axes.set_xticks(range(len(results)), list(results), rotation=30, ha="right")
        axes.set_title(title)
        if logarithmic and positive:
            axes.set_yscale("log")
        axes.grid(axis="y", alpha=0.3)
        axes.legend(fontsize="small", loc="upper left", bbox_to_anchor=(1, 1))
        path = directory / f"{name}.svg"
        figure.savefig(path, metadata={"Date": None})
        pyplot.close(figure)
        written.append(path)
    return written


def bar(value: Spread | None) -> tuple[float, float, float]:
    """Return median, least and greatest; NaN, which draws nothing, where there is no figure."""
    nothing = float("nan")
    return (nothing, nothing, nothing) if value is None else (value.median, value.low, value.high)


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit("usage: python -m benchmarks.plots RESULT.json DIR")
    try:
        for written_path in draw(read(Path(sys.argv[1])), Path(sys.argv[2])):
            print(written_path)
    except (OSError, ValueError, RuntimeError) as problem:
        sys.exit(f"benchmarks.plots: {problem}")
