"""One engine in a process of its own, driven over stdin: the part of the benchmark that is measured.

Run by path with the interpreter that has the engine installed: ``python benchmarks/engine_process.py ENGINE MODE``,
DISPLAY in the environment. It says ``ready`` once it captures; a line ``begin`` starts the counters, a line ``end``
stops them and is answered with one line of JSON; then it exits. End of input ends it too, so it cannot outlive the
benchmark. Imports nothing of this project but the engine under test.
"""

from __future__ import annotations

import importlib
import json
import os
import select
import sys
import threading
import time
from pathlib import Path
from typing import Any

# What both engines are asked for. pixelflux' names for them are below.
JPEG_QUALITY, PAINT_OVER_JPEG_QUALITY = 70, 92
CRF, PAINT_OVER_CRF = 25, 18
FRAMERATE, PAINT_OVER_FRAMES = 60, 15


class Counters:
    """What came out since ``begin``: bytes, messages, and per frame its arrival and the engine's own latency."""

    def __init__(self) -> None:
        self.size = 0
        self.messages = 0
        self.frames: dict[int, tuple[int, float]] = {}  # id: (arrival of its last part in ns, latency in ms)

    def add(self, frame_id: int, size: int, latency_ms: float) -> None:
        """Count one message; parts of one frame share its id."""
        self.size += size
        self.messages += 1
        before = self.frames.get(frame_id, (0, 0.0))
        self.frames[frame_id] = (time.monotonic_ns(), max(before[1], latency_ms))


class Measurement:
    """CPU and wall time of this process between `begin` and `report`."""

    def __init__(self) -> None:
        self.counters = Counters()
        self._cpu = time.process_time()
        self._wall = time.monotonic()

    def report(self) -> dict[str, Any]:
        """Return the figures as plain data."""
        cpu, wall = time.process_time() - self._cpu, time.monotonic() - self._wall
        frames = sorted(self.counters.frames.values())
        return {
            "cpu_s": cpu,
            "wall_s": wall,
            "bytes": self.counters.size,
            "messages": self.counters.messages,
            "frames": len(frames),
            "arrivals_ns": [arrival for arrival, _ in frames],
            "latency_ms": [latency for _, latency in frames],
            "rss_mb": resident_mb(),
        }


def resident_mb() -> float:
    """Return this process' resident memory in 10⁶ bytes, shared pages included."""
    for line in Path("/proc/self/status").read_text(encoding="ascii", errors="replace").splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) * 1024 / 1e6
    return 0.0


def say(text: str) -> None:
    """Answer the benchmark."""
    print(text, flush=True)


def run_ours(mode: str) -> None:
    """Capture with this repository's engine; one thread waits for frames and for orders."""
    sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
    from stripeengine import Engine, EngineSettings, X11Source

    settings = EngineSettings(
        mode=mode,
        framerate=FRAMERATE,
        jpeg_quality=JPEG_QUALITY,
        paint_over=True,
        paint_over_jpeg_quality=PAINT_OVER_JPEG_QUALITY,
        paint_over_trigger_frames=PAINT_OVER_FRAMES,
        h264_crf=CRF,
        paint_over_crf=PAINT_OVER_CRF,
    )
    measurement = Measurement()
    with X11Source(os.environ["DISPLAY"]) as source, Engine(source, settings) as engine:
        engine.start()
        say("ready")
        poller = select.poll()
        poller.register(engine.fileno(), select.POLLIN)
        poller.register(sys.stdin.fileno(), select.POLLIN)
        while True:
            ready = {fd for fd, _ in poller.poll()}
            if engine.fileno() in ready:
                os.eventfd_read(engine.fileno())
                while (frame := engine.take()) is not None:
                    with frame:
                        measurement.counters.add(frame.frame_id, len(frame.buffer), frame.encode_us / 1000)
                if engine.failure is not None:
                    raise engine.failure
            if sys.stdin.fileno() in ready:
                # Not sys.stdin.readline: its buffer would hide a second line from poll.
                order = os.read(sys.stdin.fileno(), 64)
                if not order.startswith(b"begin"):
                    if order.startswith(b"end"):
                        say(json.dumps(measurement.report()))
                    return
                measurement = Measurement()


def run_pixelflux(mode: str) -> None:
    """Capture with pixelflux; its own thread calls back per stripe, this one waits for orders."""
    pixelflux: Any = importlib.import_module("pixelflux")
    settings = pixelflux.CaptureSettings()
    settings.codec = mode
    settings.use_wayland = False
    settings.use_cpu = True
    settings.capture_width, settings.capture_height = (int(part) for part in os.environ["BENCH_SIZE"].split("x"))
    settings.target_fps = float(FRAMERATE)
    settings.jpeg_quality = JPEG_QUALITY
    settings.use_paint_over_quality = True
    settings.paint_over_jpeg_quality = PAINT_OVER_JPEG_QUALITY
    settings.paint_over_trigger_frames = PAINT_OVER_FRAMES
    settings.video_crf = CRF
    settings.video_paintover_crf = PAINT_OVER_CRF
    settings.video_fullframe = False
    lock = threading.Lock()
    measurement = Measurement()

    def deliver(stripe: Any) -> None:
        with lock:
            measurement.counters.add(
                stripe.frame_id, len(memoryview(stripe)), (stripe.encode_end_ns - stripe.capture_ns) / 1e6
            )

    capture = pixelflux.ScreenCapture()
    # It logs to descriptor 1, which is ours to answer on.
    answers = os.dup(1)
    os.dup2(2, 1)
    sys.stdout = os.fdopen(answers, "w")
    capture.start_capture(deliver, settings)
    say("ready")
    for line in sys.stdin:
        if line.startswith("begin"):
            with lock:
                measurement = Measurement()
            continue
        if line.startswith("end"):
            with lock:
                report = measurement.report()
            say(json.dumps(report))
        break
    capture.stop_capture()


if __name__ == "__main__":
    {"ours": run_ours, "pixelflux": run_pixelflux}[sys.argv[1]](sys.argv[2])
