"""A session for modes auto and lossless: an engine, what happens on its screen, and a viewer with rules."""

from __future__ import annotations

import contextlib
import os
import select
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from stripeengine import Engine, EngineSettings, FramebufferSource, wire
from stripeengine.decode import Decoder
from tests.stripeengine.fixtures_rest import PATIENCE_S, SLICE_S, others_work

Pixels = npt.NDArray[np.uint8]

AT_REST_S = 0.2  # a video without a new picture for so long is at rest: SE_ACTIVITY_REST_US,
AT_END_S = 0.5  # and is over: SE_ACTIVITY_LEAVE_US
ATTEMPTS = 5  # at a film, while the machine stands still for longer


@dataclass
class Session:
    """An engine, its source, and a viewer who holds every message against the rules."""

    mode: str
    width: int = 320
    height: int = 240
    seed: int = 1
    settings: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        values = {"mode": self.mode, "framerate": 120, "repair_delay_ms": 60, **self.settings}
        self.random = np.random.default_rng(self.seed)
        self.source = FramebufferSource(self.width, self.height)
        self.engine = Engine(self.source, EngineSettings().replace(values))
        self.decoder = Decoder()
        self.picture: Pixels = np.zeros((self.height, self.width, 3), dtype=np.uint8)
        self.kinds: dict[int, int] = dict.fromkeys(range(1, 6), 0)
        self.bytes = 0
        self.keys = 0
        self.videos: set[tuple[int, ...]] = set()
        self.pause = 0.0  # the longest between two pictures
        self._shown = float("inf")
        self._started = False

    def __enter__(self) -> Session:
        return self

    def __exit__(self, *_: object) -> None:
        self.engine.close()
        self.source.close()

    def show(self, picture: Pixels | None = None) -> None:
        """Submit the picture."""
        if picture is not None:
            self.picture = picture
        now = time.monotonic()
        self.pause, self._shown = max(self.pause, now - self._shown), now
        self.source.submit(self.picture)
        if not self._started:
            self.engine.start()
            self._started = True

    def take(self, seconds: float, most: int = 0) -> int:
        """Apply what comes within that time, ``most`` of it if given; return how many messages.

        If nothing has come, the engine first finishes what it is at work on: see `fixtures_rest`.
        """
        until, count = time.monotonic() + seconds, 0
        longest = until + PATIENCE_S
        while True:
            frame = self.engine.take()
            if frame is not None:
                with frame:
                    self._apply(bytes(frame.buffer))
                count += 1
                if count == most:
                    return count
                continue
            assert self.engine.failure is None, self.engine.failure
            now = time.monotonic()
            if now < until:
                self._wait(until - now)
            elif count == 0 and now < longest and others_work():
                self._wait(SLICE_S)
            else:
                return count

    def _wait(self, seconds: float) -> None:
        """Wait for the eventfd and read it."""
        if select.select([self.engine.fileno()], [], [], seconds)[0]:
            with contextlib.suppress(BlockingIOError):
                os.read(self.engine.fileno(), 8)

    def _apply(self, data: bytes) -> None:
        message = wire.parse_message(data)
        assert len(data) <= wire.MESSAGE_AIM or len(message.ops) == 1
        before = self.decoder.picture.copy()
        self.decoder.apply(message)
        assert not self.decoder.missed
        self.bytes += len(data)
        covered = np.zeros(self.decoder.picture.shape[:2], dtype=bool)
        for op in message.ops:
            x, y, w, h = op.rectangle
            covered[y : y + h, x : x + w] = True
            self.kinds[op.kind] += 1
            if op.kind == wire.H264:
                self.keys += bool(op.flags & wire.KEY)
                self.videos.add(op.rectangle)
        if not message.header.resized:
            assert np.array_equal(self.decoder.picture[~covered], before[~covered]), "drawn outside the ops"

    def error(self) -> int:
        """Return the largest difference of the decoded picture, 255 if its size is another."""
        if self.decoder.picture.shape != self.picture.shape:
            return 255
        return int(np.abs(self.decoder.picture.astype(np.int16) - self.picture).max())

    def settle(self, what: str, patience: float = PATIENCE_S) -> None:
        """Wait until the picture is exact."""
        start = time.monotonic()
        while self.error():
            self.take(0.02)
            assert time.monotonic() - start < patience, f"{what}: {self.error()} off at rest"

    # ---- what happens on the screen ----

    def place(self, least: int = 8) -> tuple[slice, slice]:
        """Return a random rectangle as slices."""
        height, width = self.picture.shape[:2]
        w = int(self.random.integers(min(least, width), width + 1))
        h = int(self.random.integers(min(least, height), height + 1))
        x, y = int(self.random.integers(0, width - w + 1)), int(self.random.integers(0, height - h + 1))
        return slice(y, y + h), slice(x, x + w)

    def text(self, place: tuple[slice, slice]) -> None:
        """Draw strokes in two colours."""
        area = self.picture[place]
        paper, ink = self.random.integers(0, 256, (2, 3), dtype=np.uint8)
        strokes = self.random.random(area.shape[:2]) < 0.15
        strokes[::7] = strokes[1::7] = False
        area[:] = np.where(strokes[:, :, None], ink, paper)

    def photo(self, place: tuple[slice, slice]) -> None:
        """Draw a gradient with grain."""
        area = self.picture[place]
        y, x = np.mgrid[0 : area.shape[0], 0 : area.shape[1]]
        start = int(self.random.integers(0, 100))
        base = np.stack((x + start, y + start, (x + y) // 2), axis=2) % 200
        area[:] = base + self.random.integers(0, 24, area.shape)

    def flat(self, place: tuple[slice, slice]) -> None:
        """Fill with one colour."""
        self.picture[place] = self.random.integers(0, 256, 3, dtype=np.uint8)

    def scroll(self, place: tuple[slice, slice]) -> None:
        """Scroll up; new text comes in below."""
        area = self.picture[place]
        step = min(int(self.random.integers(1, 60)), area.shape[0])
        area[: area.shape[0] - step] = area[step:].copy()
        bottom = slice(place[0].stop - step, place[0].stop)
        self.text((bottom, place[1]))

    def drag(self, place: tuple[slice, slice]) -> None:
        """Move a window a little, over what was there."""
        window = self.picture[place].copy()
        height, width = self.picture.shape[:2]
        y = int(np.clip(place[0].start + self.random.integers(-12, 13), 0, height - window.shape[0]))
        x = int(np.clip(place[1].start + self.random.integers(-12, 13), 0, width - window.shape[1]))
        self.picture[place] = (90, 120, 150)
        self.picture[y : y + window.shape[0], x : x + window.shape[1]] = window

    def change(self) -> None:
        """Do one of these."""
        kinds = (self.text, self.text, self.photo, self.flat, self.scroll, self.drag)
        kinds[int(self.random.integers(0, len(kinds)))](self.place())

    def play(self, place: tuple[slice, slice], pictures: int) -> None:
        """Let a video run there."""
        for _ in range(pictures):
            self.photo(place)
            self.show()
            self.take(0.012)

    def play_on(self, draw: Callable[[], None]) -> None:
        """Let a video of 60 pictures run, and again if the machine stood still meanwhile, until it is a stream.

        `kinds` and `videos` are of the last 60.
        """
        for _ in range(ATTEMPTS):
            self.pause, self.kinds[wire.H264] = 0, 0
            self.videos.clear()
            for _ in range(60):
                draw()
                self.show()
                self.take(0.012)
            if self.pause < AT_REST_S or self.kinds[wire.H264] > 10:
                break
