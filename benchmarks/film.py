"""What a film costs, its pictures one by one: bytes, dB and processor time a picture, without a display.

    python -m benchmarks.film [--size 1920x1080] [--pictures 60] [--crf 25]

The pictures are those of the benchmark's clip. Mode `auto`, an engine in this process over a framebuffer; the next
picture is submitted when the last one's message is there, so nothing is left out and the machine's pace hardly counts.
The first ten are not counted: with them the engine finds out that this is a film.
"""

from __future__ import annotations

import argparse
import os
import select
import statistics
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, cast

import numpy as np
import numpy.typing as npt

from benchmarks.quality import compare
from benchmarks.workloads.content import clip
from stripeengine import Engine, EngineSettings, FramebufferSource
from stripeengine.decode import Decoder
from stripeengine.wire import peek

Pixels = npt.NDArray[np.uint8]

BEGINNING = 10
AFTER_S = 0.004
PATIENCE_S = 5.0


def pictures(size: tuple[int, int], count: int) -> Iterator[Pixels]:
    """Yield the clip's first pictures, height×width×3 uint8 RGB."""
    width, height = size
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory, "clip.mkv")
        clip(path, width, height)
        command = ["ffmpeg", "-nostdin", "-loglevel", "error", "-i", str(path), "-frames:v", str(count)]
        command += ["-f", "rawvideo", "-pix_fmt", "rgb24", "-"]
        size_bytes = width * height * 3
        with subprocess.Popen(command, stdout=subprocess.PIPE) as player:
            output = cast("BinaryIO", player.stdout)
            while len(data := output.read(size_bytes)) == size_bytes:
                yield np.frombuffer(data, np.uint8).reshape(height, width, 3)


def follow(engine: Engine, since_us: int) -> list[bytes]:
    """Return the messages that come until one shows what was captured after ``since_us``, and those right behind it."""
    messages: list[bytes] = []
    until = time.monotonic() + PATIENCE_S
    shown = False
    while time.monotonic() < until:
        frame = engine.take()
        if frame is None:
            if select.select([engine.fileno()], [], [], AFTER_S)[0]:
                os.eventfd_read(engine.fileno())
            continue
        with frame:
            messages.append(bytes(frame.buffer))
        if peek(messages[-1]).capture_us >= since_us:
            shown, until = True, time.monotonic() + AFTER_S
    if not shown:
        raise RuntimeError(f"no message came within {PATIENCE_S:.0f} s of a picture")
    return messages


def engine_cpu_s() -> float:
    """Processor time of all threads but this one: the engine does not count x264's own."""
    return time.process_time() - time.thread_time()


def play(engine: Engine, source: FramebufferSource, shown: list[Pixels]) -> tuple[list[list[bytes]], list[float]]:
    """Show the pictures, at most 60 a second; return the messages of each and the engine's processor time in ms."""
    messages, spent = [], []
    for picture in shown:
        before, begin = engine_cpu_s(), time.monotonic_ns() // 1000
        source.submit(picture)
        messages.append(follow(engine, begin))
        spent.append((engine_cpu_s() - before) * 1000)
        time.sleep(max(0.0, begin / 1e6 + 1 / 60 - time.monotonic()))
    return messages, spent


def main() -> int:
    """Play the clip and print a line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.film", description=__doc__.splitlines()[0])
    parser.add_argument("--size", default="1920x1080")
    parser.add_argument("--pictures", type=int, default=60)
    parser.add_argument("--crf", type=int, default=EngineSettings().h264_crf, help="rate factor (default %(default)s)")
    options = parser.parse_args()
    width, height = map(int, options.size.split("x"))
    shown = list(pictures((width, height), options.pictures + BEGINNING))
    with FramebufferSource(width, height) as source:
        settings = EngineSettings(mode="auto", framerate=60, verify_interval_ms=0, h264_crf=options.crf)
        engine = Engine(source, settings)
        begin = time.monotonic_ns() // 1000
        engine.start()
        first = follow(engine, begin)
        messages, spent = play(engine, source, shown)
    decoder = Decoder()
    sizes, qualities = [], []
    for message in first:
        decoder.apply(message)
    for picture, parts in zip(shown, messages, strict=True):
        for message in parts:
            decoder.apply(message)
        sizes.append(sum(map(len, parts)))
        qualities.append(compare(decoder.picture, picture))
    begin_kb, size_kb = sum(sizes[:BEGINNING]) / 1000, statistics.mean(sizes[BEGINNING:]) / 1000
    db = statistics.mean(quality.psnr for quality in qualities[BEGINNING:])
    ssim = statistics.mean(quality.ssim for quality in qualities[BEGINNING:])
    ms = statistics.median(spent[BEGINNING:])
    print(f"{size_kb:.1f} kB, {db:.2f} dB, SSIM {ssim:.4f}, {ms:.2f} ms a picture; first ten: {begin_kb:.0f} kB")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
