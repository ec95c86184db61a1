"""One engine in a process of its own, driven over stdin: the part of the benchmark that is measured.

Run by path with the interpreter that has the engine installed: ``python benchmarks/engine_process.py ENGINE MODE
RECORDING``, DISPLAY, BENCH_SIZE and BENCH_SCREEN (the file with the screen) in the environment. It writes every message
with its time to RECORDING (docs/reference/dump.md) and answers lines of JSON: one with the pid to measure once it
captures, one for each line ``mark``; a line ``end`` or the end of input ends it, so it cannot outlive the benchmark.
Time spent on recording is counted, so that it can be taken off. Of this project it imports the engine under test and
the recording's writer.
"""

from __future__ import annotations

import importlib
import json
import os
import select
import struct
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from stripeengine.dump import DumpWriter  # noqa: E402

# What all engines are asked for. pixelflux' and x264's names for them are below.
JPEG_QUALITY, PAINT_OVER_JPEG_QUALITY = 70, 92
CRF, PAINT_OVER_CRF = 25, 18
FRAMERATE, PAINT_OVER_FRAMES = 60, 15
# In front of a message of pixelflux: when it was captured and encoded (monotonic ns), and its frame.
STRIPE = struct.Struct("<QQI")
PIPE_BYTES = 1 << 20


class Recorder:
    """Writes messages with their times; `seconds` is the processor time this took in the engine's process."""

    def __init__(self, path: str) -> None:
        self._dump = DumpWriter(path)
        self.seconds = 0.0

    def write(self, message: bytes | memoryview, prefix: bytes = b"") -> None:
        """Append a message; the time is from before the writing."""
        now, begun = time.monotonic_ns() // 1000, time.thread_time()
        self._dump.write(now, prefix + bytes(message) if prefix else message)
        self.seconds += time.thread_time() - begun


def say(answer: dict[str, Any]) -> None:
    """Answer the benchmark."""
    print(json.dumps(answer), flush=True)


def run_stripedesk(mode: str, recorder: Recorder) -> None:
    """Capture with this repository's engine; one thread waits for frames and for orders."""
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
    screen = os.open(os.environ["BENCH_SCREEN"], os.O_RDONLY)  # as a session's worker is given it
    with X11Source(os.environ["DISPLAY"], framebuffer=screen) as source, Engine(source, settings) as engine:
        engine.start()
        say({"pid": os.getpid()})
        poller = select.poll()
        poller.register(engine.fileno(), select.POLLIN)
        poller.register(sys.stdin.fileno(), select.POLLIN)
        while True:
            ready = {fd for fd, _ in poller.poll()}
            if engine.fileno() in ready:
                os.eventfd_read(engine.fileno())
                while (frame := engine.take()) is not None:
                    with frame:
                        recorder.write(frame.buffer)
                if engine.failure is not None:
                    raise engine.failure
            if sys.stdin.fileno() in ready:
                # Not sys.stdin.readline: its buffer would hide a second line from poll.
                if not os.read(sys.stdin.fileno(), 64).startswith(b"mark"):
                    return
                stats = engine.stats()
                say({"recording_s": recorder.seconds, "wakeups": stats.wakeups, "scans": stats.scans})


def run_pixelflux(mode: str, recorder: Recorder) -> None:
    """Capture with pixelflux; its own thread calls back per stripe, this one waits for orders."""
    pixelflux: Any = importlib.import_module("pixelflux")
    settings = pixelflux.CaptureSettings()
    settings.codec = "jpeg" if mode == "jpeg" else "h264"
    settings.video_fullframe = mode == "h264-fullframe"
    settings.use_wayland = False
    settings.use_cpu = True
    settings.capture_width, settings.capture_height = screen_size()
    settings.target_fps = float(FRAMERATE)
    settings.jpeg_quality = JPEG_QUALITY
    settings.use_paint_over_quality = True
    settings.paint_over_jpeg_quality = PAINT_OVER_JPEG_QUALITY
    settings.paint_over_trigger_frames = PAINT_OVER_FRAMES
    settings.video_crf = CRF
    settings.video_paintover_crf = PAINT_OVER_CRF
    lock = threading.Lock()

    def deliver(stripe: Any) -> None:
        with lock:
            prefix = STRIPE.pack(stripe.capture_ns, stripe.encode_end_ns, stripe.frame_id)
            recorder.write(memoryview(stripe), prefix)

    capture = pixelflux.ScreenCapture()
    # It logs to descriptor 1, which is ours to answer on.
    answers = os.dup(1)
    os.dup2(2, 1)
    sys.stdout = os.fdopen(answers, "w")
    capture.start_capture(deliver, settings)
    say({"pid": os.getpid()})
    for line in sys.stdin:
        if not line.startswith("mark"):
            break
        with lock:
            seconds = recorder.seconds
        say({"recording_s": seconds})
    capture.stop_capture()


def run_ffmpeg(mode: str, recorder: Recorder) -> None:
    """Let ffmpeg grab the screen and encode all of it; this process, which is not measured, records its output."""
    width, height = screen_size()
    colour = ["-colorspace", "bt709", "-color_primaries", "bt709", "-color_trc", "bt709", "-color_range", "tv"]
    command = ["ffmpeg", "-nostdin", "-hide_banner", "-loglevel", "error", "-f", "x11grab", "-draw_mouse", "0"]
    command += ["-framerate", str(FRAMERATE), "-video_size", f"{width}x{height}", "-i", os.environ["DISPLAY"]]
    # Times of capture survive into the file: that is what latency is counted from.
    command += ["-copyts", "-fps_mode", "passthrough", "-enc_time_base", "1:1000000"]
    command += ["-vf", "scale=out_color_matrix=bt709:out_range=tv,format=yuv420p", "-c:v", f"lib{mode}", *colour]
    command += ["-preset", "ultrafast", "-tune", "zerolatency", "-crf", str(CRF), "-g", "100000"]
    command += ["-f", "nut", "-flush_packets", "1", "-"]
    process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, bufsize=0)
    if process.stdout is None:
        raise RuntimeError("no pipe to ffmpeg")
    try:
        output = process.stdout.fileno()
        started = False
        while True:
            ready = select.select([output, sys.stdin], [], [])[0]
            if output in ready:
                chunk = os.read(output, PIPE_BYTES)
                if not chunk:
                    raise RuntimeError(f"ffmpeg ended with {process.wait()}")
                recorder.write(chunk)
                if not started:
                    started = True
                    say({"pid": process.pid})
            if sys.stdin in ready:
                if not os.read(sys.stdin.fileno(), 64).startswith(b"mark"):
                    return
                # Recording is this process' time, not ffmpeg's.
                say({"recording_s": 0.0})
    finally:
        process.kill()
        process.wait()


def screen_size() -> tuple[int, int]:
    """Return the width and height of the screen that is captured."""
    width, height = os.environ["BENCH_SIZE"].split("x")
    return int(width), int(height)


if __name__ == "__main__":
    run = {"stripedesk": run_stripedesk, "pixelflux": run_pixelflux, "ffmpeg": run_ffmpeg}[sys.argv[1]]
    run(sys.argv[2], Recorder(sys.argv[3]))
