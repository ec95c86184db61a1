"""One short run for real: an X server, a terminal, keys, our engine, and the judgement."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import numpy as np
import pytest

from benchmarks.display import Display, Stage, rgb
from benchmarks.engines import Spec
from benchmarks.judging import judge
from benchmarks.measuring import Timing, measure_engine, measure_nothing, witness
from benchmarks.workloads import WORKLOADS
from stripeengine.x11 import X11Source

pytestmark = pytest.mark.skipif(
    not all(map(shutil.which, ("Xvfb", "xterm", "openbox", "xdotool"))),
    reason="needs Xvfb, xterm, openbox and xdotool",
)


def test_typing_is_measured_and_judged(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    spec = Spec("stripedesk", "jpeg")
    timing = Timing(settle=0.5, play=2.0, rest=0.5)  # on a busy machine the witness misses half of the changes
    with Display((1920, 1080)) as display:
        with Stage(display) as stage, WORKLOADS["typing"].open(stage) as scene, witness(display) as watcher:
            programs = [program.pid for program in stage._programs]
            nothing = measure_nothing(display, watcher, scene, timing)
            run = measure_engine(display, watcher, spec, scene, timing, tmp_path / "recording")
            truth = rgb(display.truth())
            with monkeypatch.context() as patched:
                patched.setenv("XAUTHORITY", display.server.authority)
                with X11Source(display.server.display) as source:
                    seen = np.frombuffer(source.read(), np.uint8).reshape(1080, 1920, 4)[:, :, 2::-1]
        # The server's file is what a client of the server sees, the pointer apart.
        assert np.array_equal(truth, seen)
        assert all(not os.path.exists(f"/proc/{pid}") for pid in programs)
    assert nothing.input_us and nothing.damage_us
    figures = judge(spec, run, display.size)
    assert len(run.input_us) == 20
    assert figures["changes_seen"] >= 5 and 5 <= figures["frames"] <= 60
    assert 0 < figures["latency_p50_ms"] <= figures["input_p50_ms"] < 100
    assert 0 < figures["engine_cores"] < 0.5 and figures["wakeups"] > 0
    assert figures["final_psnr"] > 30 and figures["psnr"] > 30
