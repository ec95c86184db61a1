"""Our engine and pixelflux on the same screen, with the same settings, in turns: ``python -m benchmarks.capture_pair``.

Starts an X server of its own; each engine runs in a process of its own (engine_process.py), one at a time. Rounds
interleave the engines in a rotating order, so that whatever else the machine does falls on all of them. README.md
beside this file says how to run it and what the columns mean.
"""

from __future__ import annotations

import argparse
import bisect
import json
import os
import platform
import select
import statistics
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks.workloads import WORKLOADS, Play
from tests.stripeengine.fixtures_x11 import XServer

SIZE = (1920, 1080)
SETTLE_SECONDS = 2.0  # first picture and its paint-over are not what is measured
ANSWER_SECONDS = 20.0
# A key whose picture comes later than this is taken for one that showed nothing.
KEY_SECONDS = 0.09
ENGINES = (("ours", "jpeg"), ("ours", "h264"), ("pixelflux", "jpeg"), ("pixelflux", "h264"))
COLUMNS = (
    ("cpu_cores", "engine CPU, cores", 4),
    ("server_cores", "X server CPU, cores", 4),
    ("kbps", "kbit/s", 0),
    ("fps", "frames/s", 1),
    ("latency_p50_ms", "latency p50, ms", 2),
    ("latency_p95_ms", "latency p95, ms", 2),
    ("key_p50_ms", "key to message p50, ms", 2),
    ("key_p95_ms", "key to message p95, ms", 2),
    ("rss_mb", "resident, MB", 0),
)


class EngineProcess:
    """One engine under measurement; a context manager that ends it whatever happens."""

    def __init__(self, engine: str, mode: str, python: str, server: XServer) -> None:
        script = str(Path(__file__).with_name("engine_process.py"))
        environment = {**server.environment, "BENCH_SIZE": f"{SIZE[0]}x{SIZE[1]}"}
        self._name = f"{engine} {mode}"
        self._process = subprocess.Popen(
            [python, script, engine, mode],
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE if engine == "ours" else subprocess.DEVNULL,
            text=True,
        )
        if self._process.stdin is None or self._process.stdout is None:
            raise RuntimeError("no pipes to the engine")
        self._orders, self._answers = self._process.stdin, self._process.stdout

    def order(self, text: str) -> None:
        """Send an order."""
        self._orders.write(text + "\n")
        self._orders.flush()

    def answer(self) -> str:
        """Return the next line; raises `RuntimeError` if the engine died or says nothing for 20 s."""
        if not select.select([self._answers], [], [], ANSWER_SECONDS)[0]:
            raise RuntimeError(f"{self._name} does not answer")
        line = self._answers.readline()
        if not line:
            errors = self._process.stderr.read() if self._process.stderr is not None else ""
            raise RuntimeError(f"{self._name} ended: {errors.strip()}")
        return line.strip()

    def __enter__(self) -> EngineProcess:
        return self

    def __exit__(self, *_: object) -> None:
        try:
            self._process.communicate(timeout=5)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.communicate()


def cpu_seconds(pid: int) -> float:
    """Return the processor time a process has used."""
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="ascii", errors="replace").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def percentile(values: Sequence[float], share: float) -> float | None:
    """Return a percentile, or None of nothing."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))] if ordered else None


def key_latencies(sent: Sequence[int], arrivals: Sequence[int]) -> list[float]:
    """Return for each key the time in ms until the next message, leaving out keys that none followed."""
    latencies = []
    for time_ns in sent:
        index = bisect.bisect_right(arrivals, time_ns)
        if index < len(arrivals) and arrivals[index] - time_ns < KEY_SECONDS * 1e9:
            latencies.append((arrivals[index] - time_ns) / 1e6)
    return latencies


def measure(engine: str, mode: str, python: str, server: XServer, play: Play, seconds: float) -> dict[str, Any]:
    """Run one engine under a workload that is already on the screen, and return its figures."""
    with EngineProcess(engine, mode, python, server) as process:
        if process.answer() != "ready":
            raise RuntimeError(f"{engine} {mode} did not start")
        time.sleep(SETTLE_SECONDS)
        process.order("begin")
        server_cpu, wall = cpu_seconds(server.pid), time.monotonic()
        sent = play(seconds)
        server_cpu, wall = cpu_seconds(server.pid) - server_cpu, time.monotonic() - wall
        process.order("end")
        raw = json.loads(process.answer())
    keys = key_latencies(sent, raw["arrivals_ns"])
    return {
        "cpu_cores": raw["cpu_s"] / raw["wall_s"],
        "server_cores": server_cpu / wall,
        "kbps": raw["bytes"] * 8 / 1000 / raw["wall_s"],
        "fps": raw["frames"] / raw["wall_s"],
        "messages": raw["messages"],
        "latency_p50_ms": percentile(raw["latency_ms"], 0.5),
        "latency_p95_ms": percentile(raw["latency_ms"], 0.95),
        "keys": len(sent),
        "keys_shown": len(keys),
        "key_p50_ms": percentile(keys, 0.5),
        "key_p95_ms": percentile(keys, 0.95),
        "rss_mb": raw["rss_mb"],
    }


def medians(runs: Sequence[dict[str, Any]]) -> dict[str, float | None]:
    """Return the median of every column over the rounds."""
    result: dict[str, float | None] = {}
    for name, _, _ in COLUMNS:
        values = [run[name] for run in runs if run[name] is not None]
        result[name] = statistics.median(values) if values else None
    return result


def table(results: dict[str, dict[str, dict[str, float | None]]]) -> str:
    """Return the medians as one Markdown table a workload."""
    lines = []
    for workload, engines in results.items():
        lines += [f"\n**{workload}**\n", "| engine | " + " | ".join(title for _, title, _ in COLUMNS) + " |"]
        lines.append("|---" * (len(COLUMNS) + 1) + "|")
        for name, figures in engines.items():
            cells = ("–" if (v := figures[key]) is None else f"{v:.{digits}f}" for key, _, digits in COLUMNS)
            lines.append(f"| {name} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def peer_version(python: str) -> str:
    """Return the version of pixelflux that ``python`` has; raises `SystemExit` naming the remedy if it has none."""
    code = "import importlib.metadata, pixelflux; print(importlib.metadata.version('pixelflux'))"
    try:
        done = subprocess.run([python, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    except (OSError, subprocess.SubprocessError) as error:
        raise SystemExit(
            f"capture_pair: {python} has no working pixelflux ({error}): "
            "python3 -m venv DIR && DIR/bin/pip install pixelflux, then STRIPEDESK_BENCH_PYTHON=DIR/bin/python"
        ) from None
    return done.stdout.strip()


def run_all(options: argparse.Namespace, pythons: dict[str, str]) -> dict[str, Any]:
    """Run every round; returns all runs by workload and engine."""
    engines = [pair for pair in ENGINES if pair[0] in pythons]
    runs: dict[str, dict[str, list[dict[str, Any]]]] = {
        workload: {f"{engine} {mode}": [] for engine, mode in engines} for workload in options.workloads
    }
    with XServer(SIZE) as server:
        for number in range(options.rounds):
            for workload in options.workloads:
                turn = number % len(engines)
                for engine, mode in engines[turn:] + engines[:turn]:
                    with WORKLOADS[workload](server) as play:
                        figures = measure(engine, mode, pythons[engine], server, play, options.seconds)
                    runs[workload][f"{engine} {mode}"].append(figures)
                    print(f"round {number + 1} {workload} {engine} {mode}", file=sys.stderr, flush=True)
    return runs


def main() -> int:
    """Run the benchmark and print its table."""
    parser = argparse.ArgumentParser(prog="capture_pair", description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=float, default=5.0, help="length of one measurement (default 5)")
    parser.add_argument("--rounds", type=int, default=3, help="measurements of each engine and workload (default 3)")
    parser.add_argument("--workloads", nargs="+", choices=list(WORKLOADS), default=list(WORKLOADS))
    parser.add_argument("--json", metavar="FILE", help="write every run and the medians")
    options = parser.parse_args()
    if not 0.5 <= options.seconds <= 600 or not 1 <= options.rounds <= 100:
        parser.error("--seconds must be 0.5 to 600 and --rounds 1 to 100")
    pythons = {"ours": sys.executable}
    versions = {}
    peer = os.environ.get("STRIPEDESK_BENCH_PYTHON", "")
    if peer:
        versions["pixelflux"] = peer_version(peer)
        pythons["pixelflux"] = peer
    else:
        print("capture_pair: without STRIPEDESK_BENCH_PYTHON our engine runs alone; see README.md", file=sys.stderr)
    runs = run_all(options, pythons)
    results = {
        workload: {name: medians(figures) for name, figures in engines.items()} for workload, engines in runs.items()
    }
    print(f"{SIZE[0]}x{SIZE[1]}, medians of {options.rounds} runs of {options.seconds:g} s, {versions or 'ours alone'}")
    print(table(results))
    if options.json:
        machine = {"cores": os.cpu_count(), "machine": platform.machine(), "kernel": platform.release()}
        document = {"machine": machine, "versions": versions, "medians": results, "runs": runs}
        Path(options.json).write_text(json.dumps(document, indent=1), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
