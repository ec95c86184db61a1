"""Our engine and its peers on real applications: ``python -m benchmarks.engine``.

On an X server of its own it shows one workload after the other, lets every engine capture each in turns, and prints
medians with spread. docs/reference/benchmark.md says what the columns mean and how to run it. One thread; recordings
are judged in processes of their own between two workloads, when nothing is measured.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import platform
import signal
import statistics
import subprocess
import sys
import time
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any, Final

from benchmarks import plots, report
from benchmarks.display import Display, Stage, scratch_directory
from benchmarks.engines import OURS, PEERS, Spec, Unavailable
from benchmarks.figures import Spread, summarise
from benchmarks.floors import FLOORS, missed
from benchmarks.judging import judge
from benchmarks.measuring import Run, Timing, measure_engine, measure_nothing, witness
from benchmarks.workloads import WORKLOADS, Workload
from stripeengine.settings import setting

SIZE: Final = (1920, 1080)
ROUNDS, SHORT_ROUNDS = 3, 1
REST_SECONDS, SHORT_REST_SECONDS = 2.5, 1.0
NOTHING: Final = "nothing"


def arguments() -> argparse.Namespace:
    """Read the command line; exits 2 with a message if it makes no sense."""
    parser = argparse.ArgumentParser(prog="benchmarks.engine", description=__doc__.splitlines()[0])
    parser.add_argument(
        "--workloads", default=None, help=f"of {', '.join(WORKLOADS)} (default: all; short: with floors)"
    )
    parser.add_argument(
        "--modes", default=None, help=f"of our engine: {', '.join(OURS)} (default: all; short: see docs)"
    )
    parser.add_argument("--against", default=",".join(PEERS), help="peers, as engine:mode (default: %(default)s)")
    parser.add_argument("--short", action="store_true", help="each once and briefly: under 10 minutes")
    parser.add_argument(
        "--rounds", type=int, default=None, help=f"repetitions (default {ROUNDS}, short {SHORT_ROUNDS})"
    )
    parser.add_argument("--size", default="1920x1080", help="of the screen (default %(default)s)")
    parser.add_argument("--json", metavar="FILE", type=Path, help="write every run and the medians")
    parser.add_argument("--plot", metavar="DIR", type=Path, help="write plots")
    parser.add_argument("--check", action="store_true", help="exit 1 and name every floor that was missed")
    parser.add_argument("--candidate", default="auto", help="our mode that --check is about (default %(default)s)")
    options = parser.parse_args()
    names = list(FLOORS if options.short else WORKLOADS) if options.workloads is None else options.workloads.split(",")
    options.workloads = [name for name in names if name]
    unknown = [name for name in options.workloads if name not in WORKLOADS]
    if unknown or not options.workloads:
        parser.error(f"--workloads: there is no {', '.join(unknown) or 'name'}; there are {', '.join(WORKLOADS)}")
    options.rounds = options.rounds if options.rounds is not None else SHORT_ROUNDS if options.short else ROUNDS
    if not 1 <= options.rounds <= 100:
        parser.error("--rounds must be between 1 and 100")
    try:
        wanted = options.modes.split(",") if options.modes is not None else default_modes(options.short)
        options.ours = [Spec.parse(f"stripedesk:{mode}") for mode in wanted if mode]
        options.peers = [Spec.parse(name) for name in options.against.split(",") if name]
        options.candidate = Spec.parse(f"stripedesk:{options.candidate}").name
        width, height = options.size.split("x")
        options.size = int(width), int(height)
    except ValueError as error:
        parser.error(str(error))
    if not (320 <= options.size[0] <= 8192 and 240 <= options.size[1] <= 8192):
        parser.error("--size must be between 320x240 and 8192x8192")
    plots.check_option(parser, options.plot)
    return options


def default_modes(short: bool) -> tuple[str, ...]:
    """Return our modes to measure: the short form leaves out those that ``auto`` combines, once it exists."""
    return ("auto",) if short and "auto" in setting("mode").choices else OURS


def available(specs: list[Spec]) -> tuple[dict[str, Spec], dict[str, str], dict[str, str]]:
    """Return the engines that can run here, their versions, and why the others cannot."""
    able: dict[str, Spec] = {}
    versions: dict[str, str] = {}
    absent: dict[str, str] = {}
    for spec in specs:
        try:
            versions[spec.name] = spec.version()
            able[spec.name] = spec
        except Unavailable as error:
            absent[spec.name] = str(error)
            print(f"benchmarks.engine: {spec.name} is left out: {error}", file=sys.stderr)
    return able, versions, absent


def timing(workload: Workload, short: bool) -> Timing:
    """Return how long a run of a workload takes."""
    if short:
        return Timing(workload.settle, workload.short_seconds, SHORT_REST_SECONDS)
    return Timing(workload.settle, workload.seconds, REST_SECONDS)


def measure(
    name: str, specs: dict[str, Spec], options: argparse.Namespace, directory: Path
) -> tuple[dict[str, list[Run]], list[str]]:
    """Show a workload and let every engine, and none, capture it, in an order that rotates with the rounds.

    Returns the runs by engine, and sentences on engines that failed.
    """
    order = [NOTHING, *specs]
    runs: dict[str, list[Run]] = {engine: [] for engine in order}
    failures = []
    workload = WORKLOADS[name]
    times = timing(workload, options.short)
    with (
        Display(options.size) as display,
        Stage(display) as stage,
        workload.open(stage) as scene,
        witness(display) as watcher,
    ):
        for number in range(options.rounds):
            turn = number % len(order)
            for engine in order[turn:] + order[:turn]:
                print(f"{name}, round {number + 1}: {engine}", file=sys.stderr, flush=True)
                if engine == NOTHING:
                    runs[engine].append(measure_nothing(display, watcher, scene, times))
                    continue
                recording = directory / f"{engine.replace(':', '-')}.{number}"
                try:
                    runs[engine].append(measure_engine(display, watcher, specs[engine], scene, times, recording))
                except (RuntimeError, ProcessLookupError) as error:
                    failures.append(f"{name}: {engine}: {error}")
                    print(f"benchmarks.engine: {failures[-1]}", file=sys.stderr)
    return runs, failures


def figures(
    runs: dict[str, list[Run]], specs: dict[str, Spec], size: tuple[int, int], pool: ProcessPoolExecutor
) -> tuple[dict[str, dict[str, Spread | None]], dict[str, list[dict[str, Any]]], list[str]]:
    """Judge the runs of one workload; returns medians with spread and every run's figures by engine, and failures."""
    baseline = statistics.median(run.server_cpu_s / run.wall_s for run in runs[NOTHING])
    pending = {
        engine: [pool.submit(judge, specs[engine], run, size) for run in runs[engine]]
        for engine in specs
        if runs[engine]
    }
    judged: dict[str, list[dict[str, Any]]] = {}
    failures = []
    for engine, futures in pending.items():
        try:
            judged[engine] = [one.result() for one in futures]
        except Exception as error:  # a recording that cannot be decoded must not lose the others' figures
            failures.append(f"{engine}: what it sent could not be judged: {type(error).__name__}: {error}")
    medians = {engine: summarise(values, baseline) for engine, values in judged.items()}
    return medians, {NOTHING: [{"server_cores": baseline}], **judged}, failures


def run_all(options: argparse.Namespace, specs: dict[str, Spec]) -> tuple[dict[str, Any], dict[str, Any], list[str]]:
    """Measure every workload; returns medians, runs and failures."""
    results: dict[str, Any] = {}
    every: dict[str, Any] = {}
    failures: list[str] = []
    # Not forked: this process has threads of libraries in it.
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(os.cpu_count(), mp_context=context) as pool:
        for name in options.workloads:
            with scratch_directory() as directory:
                try:
                    runs, failed = measure(name, specs, options, Path(directory))
                except (RuntimeError, OSError, subprocess.SubprocessError) as error:
                    failures.append(f"{name}: {error}")
                    print(f"benchmarks.engine: {failures[-1]}", file=sys.stderr)
                    continue
                results[name], every[name], undecodable = figures(runs, specs, options.size, pool)
                failures += [*failed, *(f"{name}: {text}" for text in undecodable)]
    return results, every, failures


def main() -> int:
    """Run the benchmark; 0, or 1 if ``--check`` found a floor missed or an engine failed."""
    options = arguments()
    # Ended from outside it still has an X server and applications to end; a background job ignores Ctrl-C until told.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    signal.signal(signal.SIGINT, signal.default_int_handler)
    begun = time.monotonic()
    specs, versions, absent = available([*options.ours, *options.peers])
    if not specs:
        print("benchmarks.engine: no engine is left to measure", file=sys.stderr)
        return 1
    results, runs, failures = run_all(options, specs)
    about = {
        "command": " ".join(["python", "-m", "benchmarks.engine", *sys.argv[1:]]),
        "machine": {"cores": os.cpu_count(), "machine": platform.machine(), "kernel": platform.release()},
        "size": options.size,
        "rounds": options.rounds,
        "versions": versions,
        "absent": absent,
        "failures": failures,
        "seconds": round(time.monotonic() - begun),
    }
    print(f"`{about['command']}`: {options.rounds} rounds, {about['seconds']} s, {versions}\n")
    print(report.tables(results, {name: workload.title for name, workload in WORKLOADS.items()}))
    if options.json is not None:
        text = json.dumps(report.document(results, runs, about), indent=1)
        options.json.write_text(text + "\n", encoding="utf-8")
    if options.plot is not None:
        for path in plots.draw(results, options.plot):
            print(f"wrote {path}", file=sys.stderr)
    problems = list(failures)
    if options.check:
        problems += missed(results, options.candidate)
        print(f"\n{len(problems)} floors missed by {options.candidate}" + "".join(f"\n- {text}" for text in problems))
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
