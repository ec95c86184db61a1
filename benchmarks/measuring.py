"""One run: an engine, or none, under a workload that is on the screen. What is written down here is judged later.

Blocks for the length of the run. Nothing but the engine, the X server, the application and the sparse looks at the
framebuffer work meanwhile.
"""

from __future__ import annotations

import json
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import numpy.typing as npt

from benchmarks.child import Child
from benchmarks.clocks import cpu_seconds, monotonic_us, resident_mb
from benchmarks.display import Display
from benchmarks.engines import Spec
from benchmarks.workloads import Scene

Pixels = npt.NDArray[np.uint8]

STILL_SECONDS = 0.003
STILL_TRIES = 8


@dataclass(frozen=True)
class Timing:
    """How long the parts of a run take, in seconds."""

    settle: float
    play: float
    rest: float


@dataclass
class Run:
    """What was seen. Times are monotonic µs, pictures BGRX."""

    begin_us: int = 0
    stop_us: int = 0
    """The workload has stopped; what comes now repairs the picture."""
    end_us: int = 0
    engine_cpu_s: float = 0.0
    server_cpu_s: float = 0.0
    rss_mb: float = 0.0
    wakeups: int | None = None
    """Of the engine, beyond its verification scans; None if it does not say."""
    input_us: list[int] = field(default_factory=list)
    damage_us: list[int] = field(default_factory=list)
    looks: list[tuple[int, Pixels]] = field(default_factory=list)
    final: Pixels | None = None
    recording: Path | None = None

    @property
    def wall_s(self) -> float:
        return (self.end_us - self.begin_us) / 1e6


def witness(display: Display) -> Child:
    """Start the process that notes when the screen changes."""
    child = Child("damage_watch", [sys.executable, "-m", "benchmarks.damage_watch"], display.server.environment)
    try:
        child.answer()
    except BaseException:
        child.close()
        raise
    return child


def measure_engine(display: Display, watcher: Child, spec: Spec, scene: Scene, timing: Timing, recording: Path) -> Run:
    """Start an engine, run it and end it; raises `RuntimeError` if it fails."""
    scene.rewind()
    with spec.launch(display, recording) as engine:
        pid = int(json.loads(engine.answer())["pid"])
        time.sleep(timing.settle)
        before = json.loads(engine.order("mark"))
        cpu = cpu_seconds(pid)
        run = _observe(display, watcher, scene, timing)
        run.engine_cpu_s = cpu_seconds(pid) - cpu
        run.rss_mb = resident_mb(pid)
        after = json.loads(engine.order("mark"))
    run.engine_cpu_s -= after["recording_s"] - before["recording_s"]
    if "wakeups" in after:
        scans = after["scans"] - before["scans"]
        run.wakeups = after["wakeups"] - before["wakeups"] - scans
    run.recording = recording
    return run


def measure_nothing(display: Display, watcher: Child, scene: Scene, timing: Timing) -> Run:
    """Run the workload without an engine: what the X server needs for it alone."""
    scene.rewind()
    time.sleep(timing.settle)
    return _observe(display, watcher, scene, timing)


def settled(display: Display) -> tuple[int, Pixels]:
    """Return the time and the picture of a moment at which nothing is half drawn, or the last one tried."""
    before = display.truth()
    for _ in range(STILL_TRIES):
        time.sleep(STILL_SECONDS)
        after, now = display.truth(), monotonic_us()
        # Every eighth pixel shows well enough whether an application is at it.
        if np.array_equal(before[::4, ::2], after[::4, ::2]):
            break
        before = after
    return now, after


def _observe(display: Display, watcher: Child, scene: Scene, timing: Timing) -> Run:
    run = Run()
    watcher.order("take")
    server_cpu = cpu_seconds(display.server.pid)
    run.begin_us = monotonic_us()

    def look() -> None:
        run.looks.append(settled(display))

    run.input_us = scene.play(timing.play, look)
    run.stop_us = monotonic_us()
    time.sleep(timing.rest)
    run.end_us = monotonic_us()
    run.server_cpu_s = cpu_seconds(display.server.pid) - server_cpu
    run.final = display.truth()
    run.damage_us = json.loads(watcher.order("take"))
    return run
