"""Results for people: Markdown tables, and the JSON document, to and fro. Only `read` touches a file."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from benchmarks.figures import Figures, Spread, reference

Results = Mapping[str, Mapping[str, Figures]]

# Figure, title, digits, factor.
COLUMNS: Final = (
    ("cpu_cores", "CPU, cores", 4),
    ("server_added_cores", "of it X server", 4),
    ("kbps", "kbit/s", 0),
    ("fps", "frames/s", 1),
    ("latency_p50_ms", "latency p50, ms", 2),
    ("latency_p95_ms", "p95", 2),
    ("input_p50_ms", "from input p50, ms", 2),
    ("own_p50_ms", "its own p50, ms", 2),
    ("rss_mb", "memory, MB", 0),
    ("psnr", "PSNR, dB", 1),
    ("ssim", "SSIM", 4),
    ("edge_psnr", "edge PSNR, dB", 1),
    ("exact_at_once", "exact at once", 2),
    ("final_psnr", "PSNR at rest, dB", 1),
    ("exact_ms", "exact after, ms", 0),
    ("best_ms", "best after, ms", 0),
)
SPREAD_COLUMNS: Final = ("cpu_cores", "kbps", "latency_p50_ms")


def cell(value: Spread | None, digits: int, with_spread: bool) -> str:
    """Return one figure; a dash for none; exact pictures as such; least and greatest behind the median if asked."""
    if value is None:
        return "–"
    text = f"{value.median:.{digits}f}"
    if with_spread and value.low != value.high:
        text += f" ({value.low:.{digits}f}–{value.high:.{digits}f})"
    return text


def table(engines: Mapping[str, Figures]) -> str:
    """Return one workload's figures; the reference is marked with ←, exact pictures have 100 dB."""
    chosen = reference(engines)
    lines = ["| engine | " + " | ".join(title for _, title, _ in COLUMNS) + " |", "|---" * (len(COLUMNS) + 1) + "|"]
    for name, figures in engines.items():
        cells = [cell(figures.get(key), digits, key in SPREAD_COLUMNS) for key, _, digits in COLUMNS]
        lines.append(f"| {name}{' ←' if name == chosen else ''} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def tables(results: Results, titles: Mapping[str, str]) -> str:
    """Return all workloads' tables under their names."""
    return "\n\n".join(f"**{name}**: {titles[name]}\n\n{table(engines)}" for name, engines in results.items())


def document(results: Results, runs: Mapping[str, Any], about: Mapping[str, Any]) -> dict[str, Any]:
    """Return everything as plain data: medians with spread, every run, and what was measured where."""
    medians = {
        workload: {
            name: {key: value and value._asdict() for key, value in figures.items()}
            for name, figures in engines.items()
        }
        for workload, engines in results.items()
    }
    chosen = {workload: reference(engines) for workload, engines in results.items()}
    return {**about, "references": chosen, "medians": medians, "runs": runs}


def read(path: Path) -> dict[str, dict[str, Figures]]:
    """Return the medians of a JSON result; raises `ValueError` if it is not one."""
    try:
        rows = json.loads(path.read_text(encoding="utf-8"))["medians"]
        return {
            workload: {
                engine: {key: value and Spread(**value) for key, value in figures.items()}
                for engine, figures in engines.items()
            }
            for workload, engines in rows.items()
        }
    except (KeyError, TypeError, AttributeError, json.JSONDecodeError) as error:
        raise ValueError(f"{path} is not a result of benchmarks.engine --json: {error!r}") from None
