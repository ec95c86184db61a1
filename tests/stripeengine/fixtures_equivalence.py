"""Drives an engine through a random history and holds every message against what the viewer should see.

`Watcher` knows the source and decodes the messages; `Pipeline` is one engine under one interface, the C engine
(`NativePipeline`, own thread, real time) or the oracle (`ReferencePipeline`, virtual time). The rules it holds them to:

1. Ids grow by one, the size is the source's, messages keep to 256 kB unless a single op is larger.
2. An op lies inside the picture, and covers only rows of stripes (or blocks of 64 rows) that changed since the last
   rest, or that a better paint-over is for; a JPEG of a change lies inside the box of what has changed.
3. Inside an op the picture is the source within the codec's error, outside it is bit for bit what it was. What is
   copied is, but for the losses it has had, exactly what the source shows there.
4. What changed arrives, and at rest all of it was last drawn by an op of paint-over quality.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import select
import time
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from stripeengine import wire
from stripeengine.decode import Decoder
from stripeengine.reference import ReferenceEngine, ReferenceSource
from stripeengine.reference.stripes import stripe_height
from stripeengine.settings import EngineSettings
from tests.stripeengine.fixtures_bounds import op_bound, rms

Pixels = npt.NDArray[np.uint8]
Mask = npt.NDArray[np.bool_]
Rectangle = tuple[int, int, int, int]

REPAIR_ROWS = 64  # what is lossy among these is painted over in one rectangle
PATIENCE_S = 30.0  # for a machine busy with other things; a healthy engine needs milliseconds


class Pipeline(Protocol):
    """One engine with its source."""

    engine: Any
    source: Any

    def start(self) -> None:
        """Let it run."""

    def next_frame(self, wait_s: float) -> bytes | None:
        """Return the next message, waiting up to that long (of the pipeline's own time) for it."""

    def clock(self) -> float:
        """Return the pipeline's own time, seconds."""

    def close(self) -> None:
        """Stop it."""


class ReferencePipeline:
    """The oracle in virtual time."""

    def __init__(self, width: int, height: int, settings: EngineSettings) -> None:
        self.source = ReferenceSource(width, height)
        self.engine = ReferenceEngine(self.source, settings)
        self._now = 0.0

    def start(self) -> None:
        self.engine.start()

    def next_frame(self, wait_s: float) -> bytes | None:
        until = self._now + wait_s
        while not self.engine.step(self._now):
            if self.engine.failure is not None:
                raise self.engine.failure
            if self._now >= until:
                return None
            self._now += 1 / self.engine.settings.framerate
        frame = self.engine.take()
        assert frame is not None
        with frame:
            return bytes(frame.buffer)

    def clock(self) -> float:
        return self._now

    def close(self) -> None:
        self.engine.close()


class NativePipeline:
    """The C engine in real time."""

    def __init__(self, width: int, height: int, settings: EngineSettings) -> None:
        from stripeengine import Engine, FramebufferSource

        self.source = FramebufferSource(width, height)
        self.engine = Engine(self.source, settings)

    def start(self) -> None:
        self.engine.start()

    def next_frame(self, wait_s: float) -> bytes | None:
        until = time.monotonic() + wait_s
        while True:
            frame = self.engine.take()
            if frame is not None:
                with frame:
                    return bytes(frame.buffer)
            if self.engine.failure is not None:
                raise self.engine.failure
            rest = until - time.monotonic()
            if rest <= 0:
                return None
            if select.select([self.engine.fileno()], [], [], rest)[0]:
                _drain(self.engine.fileno())

    def clock(self) -> float:
        return time.monotonic()

    def close(self) -> None:
        self.engine.close()


def _drain(descriptor: int) -> None:
    with contextlib.suppress(BlockingIOError):
        os.read(descriptor, 8)


class Watcher:
    """A viewer of a pipeline who knows the source."""

    def __init__(self, pipeline: Pipeline, width: int, height: int, settings: EngineSettings) -> None:
        self.pipeline = pipeline
        self.decoder = Decoder()
        self.settings = settings
        self.joined: list[tuple[Decoder, Mask]] = []
        """Decoders that began with a snapshot, and what was drawn in them since."""
        self._history = [settings]
        """Every settings since the last rest: an op may have been encoded under any."""
        self._frame_id = 0
        self._submitted_us = 0
        self._start(width, height)

    def _start(self, width: int, height: int) -> None:
        """A picture of another size: black, nothing known of it, everything may come."""
        self.picture: Pixels = np.zeros((height, width, 3), dtype=np.uint8)
        self.before = self.picture
        self._seen = False
        self._pending = np.zeros((height, width), dtype=bool)
        self._changed = np.ones((height, width), dtype=bool)
        self._touched = np.zeros((height, width), dtype=bool)
        self._final = np.zeros((height, width), dtype=bool)
        """What was last drawn in the best quality there is."""
        self._shown = self.picture.copy()
        """What the viewer would see if no codec had losses."""
        self._allowed = np.ones(height, dtype=bool)

    # ---- what happens to the source and the engine ----

    def submit(self, picture: Pixels, damage: list[Rectangle] | None) -> None:
        """Give the source a picture, of which only the damage counts, and wait until the viewer has seen it."""
        new = self.picture.copy()
        for x, y, w, h in damage if damage is not None else [(0, 0, new.shape[1], new.shape[0])]:
            new[y : y + h, x : x + w] = picture[y : y + h, x : x + w]
        changed = (new != self.picture).any(axis=2)
        self.before, self.picture = self.picture, new
        self._pending |= changed
        self._changed |= changed
        self._touched |= changed
        self._allow(changed.any(axis=1))
        self.pipeline.source.submit(picture, damage)
        self._submitted_us = time.monotonic_ns() // 1000  # before, the engine may have asked the source too early
        self.pipeline.start()
        self.arrive()
        if not changed.any():
            # Nothing tells when the engine has looked at it, and the next frame's times would be those of this damage.
            message = self.pipeline.next_frame(0.03)
            if message is not None:
                self._watch(message)

    def resize(self, picture: Pixels) -> None:
        """Give the source another size and a picture of it."""
        self._start(picture.shape[1], picture.shape[0])
        self.joined.clear()
        self.pipeline.source.resize(picture.shape[1], picture.shape[0])
        self.submit(picture, None)

    def update(self, changes: dict[str, Any]) -> None:
        """Change settings."""
        self.pipeline.engine.update(**changes)
        before, self.settings = self.settings, self.settings.replace(changes)
        assert self.pipeline.engine.settings == self.settings
        if self.settings.paint_over_jpeg_quality > before.paint_over_jpeg_quality:
            self._allow(self._touched.any(axis=1))  # what is at rest may be painted over once more
        if self.settings.paint_colour != "same":
            self._allow(self._touched.any(axis=1))  # in better colours
        self._history.append(self.settings)
        self._allow(self._allowed)

    def join(self) -> None:
        """Let another viewer begin with a snapshot."""
        if not self._seen:
            return
        messages = self.pipeline.engine.snapshot()
        assert all(len(message) <= wire.MESSAGE_AIM for message in messages)
        headers = [wire.peek(message) for message in messages]
        assert [header.more for header in headers] == [True] * (len(messages) - 1) + [False]
        assert {header.frame_id for header in headers} == {self._frame_id}
        newcomer = Decoder()
        for message in messages:
            for op in wire.parse_message(message).ops:
                assert not wire.is_stateful(op)
            newcomer.apply(message)
        shape = self.picture.shape[:2]
        assert newcomer.picture.shape == self.picture.shape
        for message in messages:
            for op in wire.parse_message(message).ops:
                final = op._replace(flags=op.flags | wire.FINAL)
                self._expect_close(newcomer, final, "snapshot")
        self.joined.append((newcomer, np.zeros(shape, dtype=bool)))
        self.pipeline.engine.request_key_frames()

    # ---- what comes ----

    def arrive(self) -> None:
        """Take messages until everything that changed has been drawn."""
        until = self.pipeline.clock() + PATIENCE_S
        while self._pending.any() or not self._seen:
            message = self.pipeline.next_frame(0.25)
            if message is not None:
                self._watch(message)
            assert self.pipeline.clock() < until, "what changed was never drawn"
        self._changed[:] = False

    def rest(self) -> None:
        """Let everything come to rest, and check that nothing is left to better and nothing more is sent."""
        until = self.pipeline.clock() + PATIENCE_S
        trigger = self.settings.paint_over_trigger_frames / self.settings.framerate
        while True:
            message = self.pipeline.next_frame(trigger + 0.03)
            if message is not None:
                self._watch(message)
            elif not self.settings.paint_over or self._final[self._touched].all():
                break
            assert self.pipeline.clock() < until, "an area at rest was never painted over"
        assert not self.decoder.missed
        self._history = [self.settings]
        self._allowed[:] = False
        for newcomer, drawn in self.joined:
            # Deltas are not for him until a key frame; what he could draw is what everybody sees.
            if not newcomer.missed:
                assert np.array_equal(newcomer.picture[drawn], self.decoder.picture[drawn])
            assert newcomer.picture.shape == self.picture.shape
        if self.settings.paint_over:
            assert not any(newcomer.missed for newcomer, _ in self.joined)

    def _watch(self, message: bytes) -> None:
        parsed = wire.parse_message(message)
        header = parsed.header
        assert header.kind == wire.FRAME and header.epoch == self.pipeline.engine.epoch
        assert header.frame_id == self._frame_id + 1
        self._frame_id = header.frame_id
        assert len(message) <= wire.MESSAGE_AIM or len(parsed.ops) == 1
        assert header.publish_us >= header.capture_us > 0
        before = self.decoder.picture
        if header.resized:
            before = np.zeros((header.height, header.width, 3), dtype=np.uint8)
        before = before.copy()
        self.decoder.apply(message)
        for newcomer, _ in self.joined:
            newcomer.apply(message)
        if self.decoder.picture.shape != self.picture.shape:
            return  # finished before the resize was noticed
        if not self._seen:
            assert header.resized, "the first picture of a size must say so"
            self._seen = True
        covered = np.zeros(self._pending.shape, dtype=bool)
        for op in parsed.ops:
            # capture_us is when damage was first seen: nothing of an earlier submit is left by then.
            self._check_op(op, certain=header.capture_us >= self._submitted_us)
            x, y, w, h = op.rectangle
            covered[y : y + h, x : x + w] = True
        assert np.array_equal(self.decoder.picture[~covered], before[~covered]), "drawn outside the ops"

    def _check_op(self, op: wire.Op, *, certain: bool) -> None:
        x, y, w, h = op.rectangle
        area = (slice(y, y + h), slice(x, x + w))
        assert self._allowed[y : y + h].all(), f"rows of {op.rectangle} include a stripe where nothing changed"
        if op.kind == wire.COPY:
            self._check_copy(op, certain=certain)
            return
        current = self._expect_close(self.decoder, op, "frame", certain=certain)
        for newcomer, drawn in self.joined:
            drawn[area] = not newcomer.missed
        self._shown[area] = (self.picture if current else self.before)[area]
        if not current:
            # What the last submit left as it was is drawn all the same.
            same = (self.before[area] == self.picture[area]).all(axis=2)
            self._final[area][same] = bool(op.flags & wire.FINAL)
            return
        if op.kind == wire.JPEG and not op.flags & wire.FINAL and len({s.mode for s in self._history}) == 1:
            assert self._in_change(op), f"{op.rectangle} is not tight"
        self._pending[area] = False
        self._final[area] = bool(op.flags & wire.FINAL)

    def _check_copy(self, op: wire.Op, *, certain: bool) -> None:
        x, y, w, h = op.rectangle
        area = (slice(y, y + h), slice(x, x + w))
        source = (slice(op.sy, op.sy + h), slice(op.sx, op.sx + w))
        for state in (self._shown, self._final, *(drawn for _, drawn in self.joined)):
            state[area] = state[source].copy()
        candidates = [self.picture] if certain else [self.picture, self.before]
        matches = [np.array_equal(self._shown[area], picture[area]) for picture in candidates]
        assert any(matches), f"{op} copies what is not on the screen"
        self._pending[area] &= not matches[0]

    def _expect_close(self, decoder: Decoder, op: wire.Op, what: str, *, certain: bool = True) -> bool:
        """Fail unless the op's rectangle shows the source; return whether it does.

        Unless ``certain``, the op may have been encoded before the last submit and may show what was there before it.
        """
        x, y, w, h = op.rectangle
        shown = decoder.picture[y : y + h, x : x + w]
        candidates = (
            [self.picture] if certain or self.before.shape != self.picture.shape else [self.picture, self.before]
        )
        errors = [rms(shown, picture[y : y + h, x : x + w]) for picture in candidates]
        nearest = errors.index(min(errors))
        source = candidates[nearest][y : y + h, x : x + w]
        bound = max(op_bound(op, source, settings) for settings in self._history)
        assert errors[nearest] <= bound, f"{what}: {op} differs from its source by {errors[nearest]:.1f} > {bound:.1f}"
        return nearest == 0

    def _in_change(self, op: wire.Op) -> bool:
        rows, columns = np.flatnonzero(self._changed.any(axis=1)), np.flatnonzero(self._changed.any(axis=0))
        return bool(
            rows.size
            and rows[0] <= op.y
            and op.y + op.h <= rows[-1] + 1
            and columns[0] <= op.x
            and op.x + op.w <= columns[-1] + 1
        )

    def _allow(self, rows: Mask) -> None:
        """Allow ops on every stripe of these rows, cut as now or as before the last change of settings."""
        allowed = rows.copy()
        total = len(rows)
        steps = {stripe_height(settings, total): None for settings in self._history[-2:]} | {REPAIR_ROWS: None}
        for step, _ in itertools.product(steps, range(2)):
            for top in range(0, total, step):
                if allowed[top : top + step].any():
                    allowed[top : top + step] = True
        self._allowed = self._allowed | allowed
