"""How pictures reach viewers, and what can hurt them: ``python -m benchmarks.delivery``.

Starts real stacks of its own, one row after the other, and prints what was measured and what is asked.
docs/reference/delivery-benchmark.md says what the figures mean. One thread; what is measured runs in processes beside.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from benchmarks.delivery import browser, fanout, inputs, kills, plots, slow, soak
from benchmarks.delivery.figures import ROWS, Figures, missed, table
from benchmarks.plots import check_option

Measure = Callable[[bool], Figures]
MEASURES: Final[dict[str, Measure]] = {
    "fan-out": fanout.fan_out,
    "video-join": slow.video_join,
    "web-tier": fanout.web_tier,
    "slow": slow.slow,
    "join": fanout.join,
    "kills": kills.kills,
    "input": inputs.inputs,
    "selkies": browser.selkies,
    "sessions": inputs.sessions,
    "soak": soak.soak,
}


def arguments(line: list[str] | None = None) -> argparse.Namespace:
    """Read the command line; exits 2 with a message if it makes no sense."""
    parser = argparse.ArgumentParser(prog="benchmarks.delivery", description=__doc__.splitlines()[0])
    parser.add_argument("--rows", default=",".join(MEASURES), help="default all: %(default)s")
    parser.add_argument("--short", action="store_true", help="each briefly: under 10 minutes")
    parser.add_argument("--soak-minutes", type=float, default=None, help="how long the soak lasts")
    parser.add_argument("--json", metavar="FILE", type=Path, help="write every figure")
    parser.add_argument("--plot", metavar="DIR", type=Path, help="write plots")
    parser.add_argument("--check", action="store_true", help="exit 1 and name every target that was missed")
    options = parser.parse_args(line)
    options.rows = [name for name in options.rows.split(",") if name]
    if (unknown := [name for name in options.rows if name not in MEASURES]) or not options.rows:
        parser.error(f"--rows: there is no {', '.join(unknown) or 'name'}; there are {', '.join(MEASURES)}")
    if options.soak_minutes is not None and not 0.5 <= options.soak_minutes <= 1440:
        parser.error("--soak-minutes must be between 0.5 and 1440")
    check_option(parser, options.plot)
    return options


def run_all(options: argparse.Namespace) -> tuple[dict[str, Figures | None], dict[str, str]]:
    """Measure the rows; return their figures, None for a row that failed, and why."""
    results: dict[str, Figures | None] = {}
    failures: dict[str, str] = {}
    for name in options.rows:
        print(f"{name}: {ROWS[name].title}", file=sys.stderr, flush=True)
        measure: Any = MEASURES[name]
        more = {"minutes": options.soak_minutes} if name == "soak" else {}
        try:
            results[name] = measure(options.short, **more)
        except (RuntimeError, OSError, subprocess.SubprocessError) as error:
            results[name], failures[name] = None, str(error)
            print(f"benchmarks.delivery: {name}: {error}", file=sys.stderr)
    return results, failures


def main(line: list[str] | None = None) -> int:
    """Run the benchmark; 0, or 1 if a row failed or ``--check`` found a target missed."""
    options = arguments(line)
    # Ended from outside it still has servers and screens to end; a background job ignores Ctrl-C until told.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    signal.signal(signal.SIGINT, signal.default_int_handler)
    begun = time.monotonic()
    results, failures = run_all(options)
    about = {
        "command": " ".join(["python", "-m", "benchmarks.delivery", *(sys.argv[1:] if line is None else line)]),
        "machine": {"cores": os.cpu_count(), "machine": platform.machine(), "kernel": platform.release()},
        "seconds": round(time.monotonic() - begun),
        "failures": failures,
    }
    print(f"`{about['command']}`: {about['seconds']} s, {os.cpu_count()} cores\n\n{table(results)}")
    if options.json is not None:
        options.json.write_text(json.dumps({**about, "rows": results}, indent=1) + "\n", encoding="utf-8")
    if options.plot is not None:
        for path in plots.draw(results, options.plot):
            print(f"wrote {path}", file=sys.stderr)
    problems = missed(results)
    if options.check:
        print(f"\n{len(problems)} targets missed" + "".join(f"\n- {text}" for text in problems))
    return 1 if failures or (options.check and problems) else 0


if __name__ == "__main__":
    sys.exit(main())
