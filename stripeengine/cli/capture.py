"""``python -m stripeengine capture``: run the engine on a display and report what it cost.

One thread: it sleeps on the engine's eventfd and wakes once a frame. Reports CPU time of the whole process, encoder
threads included. Must not import numpy: what is measured here is what a session's worker costs.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import re
import select
import signal
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Any

from ..dump import DumpWriter
from ..errors import EngineError, SettingsError
from ..settings import EngineSettings, setting

PROGRESS_SECONDS = 1.0
GEOMETRY = re.compile(r"^(\d{1,5})x(\d{1,5})\+(\d{1,5})\+(\d{1,5})$", re.ASCII)


def add_parser(commands: Any) -> None:
    """Add the subcommand to an argparse sub-parser collection."""
    parser = commands.add_parser("capture", help="capture an X display and report CPU, bytes, frames and latency")
    parser.add_argument("--display", default=None, help="X display, such as :0 (default: DISPLAY)")
    part = parser.add_mutually_exclusive_group()
    part.add_argument("--rect", default=None, metavar="WxH+X+Y", help="capture this rectangle of the screen only")
    part.add_argument("--monitor", default=None, metavar="NAME", help="capture this monitor only; 'doctor' lists them")
    parser.add_argument("--mode", default=None, help="jpeg, h264, auto or lossless; short for --set mode=…")
    parser.add_argument("--seconds", type=float, default=None, help="how long (default: until Ctrl-C)")
    parser.add_argument(
        "--set", action="append", default=[], metavar="NAME=VALUE", help="a setting; see 'settings' (may be repeated)"
    )
    parser.add_argument("--dump", default=None, metavar="FILE", help="write every wire message with its time")
    parser.add_argument("--json", action="store_true", help="print the report as one line of JSON")
    parser.set_defaults(run=run)


@dataclass
class Tally:
    """What has come out of the engine so far."""

    frames: int = 0
    ops: int = 0
    size: int = 0


def parse_settings(assignments: list[str], mode: str | None) -> EngineSettings:
    """Return the settings that ``name=value`` texts and ``--mode`` describe; raises `SettingsError`."""
    changes: dict[str, Any] = {}
    for text in assignments:
        name, equals, value = text.partition("=")
        if not equals:
            raise SettingsError(name, f"--set needs NAME=VALUE, not {text!r:.60}")
        changes[name.strip()] = setting(name.strip()).parse(value)
    if mode is not None:
        changes["mode"] = setting("mode").parse(mode)
    return EngineSettings().replace(changes)


def parse_geometry(text: str) -> tuple[int, int, int, int]:
    """Return (x, y, width, height) of a rectangle written as X programs do; raises `EngineError`."""
    match = GEOMETRY.match(text)
    if match is None:
        raise EngineError(f"--rect needs WIDTHxHEIGHT+X+Y, such as 1280x720+1920+0, not {text!r:.60}")
    width, height, x, y = (int(number) for number in match.groups())
    return x, y, width, height


@contextlib.contextmanager
def terminated_like_interrupted() -> Iterator[None]:
    """Inside, SIGTERM ends the capture as Ctrl-C does: with a report."""

    def interrupt(number: int, frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def resident_mb() -> float:
    """Return the resident memory of this process in MB (10⁶ bytes), shared pages included."""
    for line in Path("/proc/self/status").read_text(encoding="ascii", errors="replace").splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) * 1024 / 1e6
    return 0.0


def drain(engine: Any, tally: Tally, dump: DumpWriter | None) -> None:
    """Take every frame that is ready; raises the engine's failure if it has one."""
    with contextlib.suppress(BlockingIOError):
        os.eventfd_read(engine.fileno())
    while (frame := engine.take()) is not None:
        with frame:
            message = frame.buffer
            tally.frames += 1
            tally.ops += frame.ops
            tally.size += len(message)
            if dump is not None:
                dump.write(time.monotonic_ns() // 1000, message)
    if engine.failure is not None:
        raise engine.failure


def watch(engine: Any, tally: Tally, dump: DumpWriter | None, seconds: float | None, progress: bool) -> None:
    """Take frames until the time is up; `KeyboardInterrupt` is the caller's to catch."""
    poller = select.poll()
    poller.register(engine.fileno(), select.POLLIN)
    start = time.monotonic()
    shown = start
    while True:
        now = time.monotonic()
        waits = [start + seconds - now] if seconds is not None else []
        if progress:
            waits.append(shown + PROGRESS_SECONDS - now)
        if seconds is not None and waits[0] <= 0:
            return
        if poller.poll(max(0.0, min(waits)) * 1000 if waits else None):
            drain(engine, tally, dump)
        if progress and time.monotonic() >= shown + PROGRESS_SECONDS:
            shown = time.monotonic()
            line = f"\r{shown - start:5.0f} s  {tally.frames} frames  {tally.ops} ops  {tally.size / 1e6:.2f} MB "
            print(line, end="", file=sys.stderr, flush=True)


def report(engine: Any, tally: Tally, mode: str, wall: float, cpu: float) -> dict[str, Any]:
    """Return the figures of a capture of ``wall`` seconds that took ``cpu`` seconds of processor time."""
    stats = engine.stats()
    return {
        "mode": mode,
        "seconds": round(wall, 6),
        "cpu_cores": round(cpu / wall, 5),
        "kbps": round(tally.size * 8 / 1000 / wall, 2),
        "fps": round(tally.frames / wall, 2),
        "frames": tally.frames,
        "ops": tally.ops,
        "bytes": tally.size,
        "latency_ms": {
            "p50": round(stats.latency_p50_ms, 3),
            "p95": round(stats.latency_p95_ms, 3),
            "p99": round(stats.latency_p99_ms, 3),
        },
        "rss_mb": round(resident_mb(), 1),
        "wakeups": stats.wakeups,
        "scans": stats.scans,
        "dropped": stats.dropped,
    }


def sentence(figures: dict[str, Any]) -> str:
    """Return the figures as one readable line."""
    latency = figures["latency_ms"]
    return (
        f"{figures['mode']}, {figures['seconds']:.1f} s: {figures['cpu_cores'] * 100:.2f} % of a core, "
        f"{figures['kbps']:.0f} kbit/s, {figures['fps']:.1f} frames/s "
        f"({figures['frames']} frames, {figures['ops']} ops), "
        f"latency {latency['p50']:.2f} / {latency['p95']:.2f} / {latency['p99']:.2f} ms (p50/p95/p99), "
        f"{figures['rss_mb']:.0f} MB resident"
    )


def run(options: argparse.Namespace) -> int:
    """Capture and report. 0, or 1 if the display went away; raises `EngineError` or `OSError` before that."""
    # Here, not above: 'settings' and 'doctor' must run where the extension was not built.
    from ..engine import Engine
    from ..x11 import X11Source

    settings = parse_settings(options.set, options.mode)
    if options.seconds is not None and not 0 < options.seconds < float("inf"):
        raise EngineError(f"--seconds must be more than 0, not {options.seconds}")
    display = options.display if options.display is not None else os.environ.get("DISPLAY", "")
    if not display:
        raise EngineError("there is no display to capture: name one with --display :0 or set DISPLAY")
    rect = parse_geometry(options.rect) if options.rect is not None else None
    tally = Tally()
    failure: EngineError | None = None
    with contextlib.ExitStack() as stack:
        source = stack.enter_context(X11Source(display, rect=rect, monitor=options.monitor))
        dump = stack.enter_context(DumpWriter(options.dump)) if options.dump is not None else None
        engine = stack.enter_context(Engine(source, settings))
        wall, cpu = time.monotonic(), time.process_time()
        progress = not options.json and sys.stderr.isatty()
        try:
            with terminated_like_interrupted():
                engine.start()
                watch(engine, tally, dump, options.seconds, progress)
        except KeyboardInterrupt:
            pass
        except EngineError as error:
            failure = error
        wall, cpu = max(time.monotonic() - wall, 1e-6), time.process_time() - cpu
        figures = report(engine, tally, settings.mode, wall, cpu)
    if progress:
        print(file=sys.stderr)
    print(json.dumps(figures) if options.json else sentence(figures), flush=True)
    if failure is not None:
        print(f"stripeengine capture: {failure}", file=sys.stderr)
        return 1
    return 0
