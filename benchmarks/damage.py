"""What a film in a window costs by `motion_coarser`, and what a caret and a cleared page cost in mode h264.

    python -m benchmarks.damage

A photograph pans with grain, 640×360 at 30 pictures a second, for 3 s over a page of text of 1920×1080 that rests. The
engine runs in this process over a framebuffer; figures are bytes as sent and the median PSNR of the film as decoded, to
the nearest of the last four pictures, for the newest may still be under way.
"""

from __future__ import annotations

import select
import statistics
import time
from collections import deque
from typing import Any

import numpy as np
import numpy.typing as npt

from benchmarks.decoder import SIZE, text_page
from benchmarks.quality import psnr
from benchmarks.workloads.content import photograph, source_text
from stripeengine import Engine, EngineSettings, FramebufferSource
from stripeengine.decode import Decoder
from stripeengine.ffi import has_h264

Pixels = npt.NDArray[np.uint8]

WIDTH, HEIGHT = 640, 360
X, Y = 400, 200
PICTURES, PER_SECOND = 90, 30
REST_S = 0.5


class Stage:
    """An engine over a page of text, at rest, with its viewer."""

    def __init__(self, **settings: Any) -> None:
        self.picture = text_page([line for line in source_text().splitlines() if line.strip()]).copy()
        self.source = FramebufferSource(*SIZE)
        self.engine = Engine(self.source, EngineSettings(framerate=60, verify_interval_ms=0, **settings))
        self.decoder = Decoder()
        self.source.submit(self.picture)
        self.engine.start()
        self.follow(2 * REST_S)
        self._before = self.engine.stats()

    def follow(self, seconds: float) -> None:
        """Take and decode what comes within that time."""
        until = time.monotonic() + seconds
        while (rest := until - time.monotonic()) > 0:
            frame = self.engine.take()
            if frame is not None:
                with frame:
                    self.decoder.apply(frame.buffer)
            else:
                select.select([self.engine.fileno()], [], [], min(rest, 0.005))

    def sent(self) -> tuple[int, int]:
        """Bytes and messages since this was last asked."""
        before, self._before = self._before, self.engine.stats()
        return self._before.bytes - before.bytes, self._before.frames - before.frames

    def close(self) -> None:
        """End the engine and its source."""
        self.engine.close()
        self.source.close()


def play(mode: str, coarser: int) -> tuple[float, float]:
    """Kilobytes a picture of the film, which is one message, and its dB."""
    stage = Stage(mode=mode, motion_coarser=coarser)
    strip = photograph(1, WIDTH + PICTURES, HEIGHT + PICTURES)
    area = (slice(Y, Y + HEIGHT), slice(X, X + WIDTH))
    quality = []
    last: deque[Pixels] = deque(maxlen=4)
    due = time.monotonic()
    for step in range(PICTURES):
        grain = np.random.default_rng(step).integers(0, 9, (HEIGHT, WIDTH, 1))
        clip = strip[step // 2 : step // 2 + HEIGHT, step : step + WIDTH].astype(np.int16)
        stage.picture[area] = np.minimum(clip + grain, 255)
        last.append(stage.picture[area].copy())
        stage.source.submit(stage.picture, [(X, Y, WIDTH, HEIGHT)])
        due += 1 / PER_SECOND
        stage.follow(due - time.monotonic())
        if step >= PER_SECOND and step % 8 == 0:
            quality.append(max(psnr(stage.decoder.picture[area], picture) for picture in last))
    size, messages = stage.sent()
    stage.close()
    return size / messages / 1000, statistics.median(quality)


def blink_and_clear() -> tuple[float, int]:
    """Bytes a blink of a caret, and of clearing the page, in mode h264 with its paint-overs."""
    stage = Stage(mode="h264")
    for blink in range(10):
        stage.picture[500:519, 800:810] = 248 if blink % 2 == 0 else 39
        stage.source.submit(stage.picture)
        stage.follow(REST_S)
    blinks = stage.sent()[0] / 10
    stage.picture[:] = 39
    stage.source.submit(stage.picture)
    stage.follow(2 * REST_S)
    cleared, _ = stage.sent()
    stage.close()
    return blinks, cleared


def main() -> int:
    """Print the table and the two figures."""
    modes = ["jpeg", "auto", *(["h264"] if has_h264() else [])]
    print("| mode | 0: kB a picture, dB | 4 | 8 |\n|---|---|---|---|")
    for mode in modes:
        cells = ["{:.2f}, {:.1f}".format(*play(mode, coarser)) for coarser in (0, 4, 8)]
        print(f"| `{mode}` | {' | '.join(cells)} |", flush=True)
    if has_h264():
        print("\nA caret's blink: {:.0f} bytes. The page cleared: {} bytes.".format(*blink_and_clear()))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
