"""The reference engine: what is sent, when, and in which message.

One thread owns an engine; `step` does all the work and blocks for as long as the encoders take. Nothing here is
clever: whole rows are compared, every picture is encoded from the source, and an H.264 stream that was painted over
starts again with a key frame. Mode auto is JPEG that ends exact (`lossless_when_still`), mode lossless is one batch of
rectangles a message; neither copies. `max_kbps` and `motion_coarser` are not honoured.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import time
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import xxhash

from .. import wire
from ..colour import Colour
from ..errors import EngineError
from ..lossless import encode_batch
from ..settings import EngineSettings, setting
from .encoders import VideoEncoder, encode_jpeg
from .ops import Encoded, fill_messages
from .source import Source
from .stripes import MACROBLOCK, Stripe, changed_rectangle, rows_of, stripe_height, union

Pixels = npt.NDArray[np.uint8]
Rectangle = tuple[int, int, int, int]

_KEY_FRAME_INTERVAL: Final = 1.0  # seconds between key frames on demand
_CLOCK_GRAIN: Final = 1e-6  # seconds; sums of periods are not exact
PAINT_COLOURS: Final = setting("paint_over_colour").choices  # the better the later
_LOSSLESS_PIXELS: Final = 49152  # of 4 bytes at worst: a batch of one rectangle fits a message
_OP_ROOM: Final = wire.MESSAGE_AIM - wire.HEADER_SIZE - wire.OP_SIZE


@dataclass(slots=True)
class ReferenceFrame:
    """One finished message, with the attributes of the C engine's `Frame`."""

    buffer: memoryview
    frame_id: int
    epoch: int
    ops: int
    capture_us: int
    encode_us: int

    def release(self) -> None:
        """Give the buffer back; it must not be used afterwards."""
        self.buffer.release()

    def __enter__(self) -> ReferenceFrame:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self.release()


@dataclass(slots=True)
class ReferenceStats:
    """Counters since start."""

    frames: int = 0
    ops: int = 0
    bytes: int = 0
    dropped: int = 0
    scans: int = 0


class ReferenceEngine:
    """The engine's contract (docs/reference/engine.md), driven by `step`."""

    def __init__(self, source: Source, settings: EngineSettings, *, stamp: bool = True) -> None:
        self.epoch = secrets.randbelow(0xFFFFFFFF) + 1
        self.failure: EngineError | None = None
        self._source = source
        self._settings = settings
        self._stamp = stamp
        self._finished: deque[bytearray] = deque()
        self._frame_id = 0
        self._sent: Pixels = np.zeros((0, 0, 3), dtype=np.uint8)
        self._stripes: list[Stripe] = []
        self._geometry: tuple[str, int] = ("", 0)  # mode and stripe height the stripes were made for
        self._next_at = self._verify_at = float("-inf")
        self._keys_wanted = False
        self._keys_at = float("-inf")
        self._stats = ReferenceStats()
        self._event = -1

    @property
    def settings(self) -> EngineSettings:
        """The settings in force."""
        return self._settings

    def update(self, **changes: Any) -> None:
        """Change settings from the next frame on. Raises `SettingsError`."""
        self._settings = self._settings.replace(changes)

    def start(self) -> None:
        """Open the descriptor. The work is done by `step`."""
        if self._event < 0:
            self._event = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)

    def close(self) -> None:
        """Close the descriptor and forget what is waiting."""
        self._finished.clear()
        if self._event >= 0:
            os.close(self._event)
            self._event = -1

    def __enter__(self) -> ReferenceEngine:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self.close()

    def fileno(self) -> int:
        """Return an eventfd, readable when `step` finished a frame or failed. Raises `EngineError` before `start`."""
        if self._event < 0:
            raise EngineError("the engine is not started")
        return self._event

    def stats(self) -> ReferenceStats:
        """Return the counters."""
        return self._stats

    def cursor(self) -> None:
        """Return None: a framebuffer has no pointer."""

    def request_key_frames(self) -> None:
        """Make the next H.264 picture of every stripe a key frame; at most once a second."""
        self._keys_wanted = True

    def take(self) -> ReferenceFrame | None:
        """Return the next finished frame, or None."""
        if not self._finished:
            return None
        message = self._finished.popleft()
        if self._stamp:
            wire.stamp_publish(message, time.monotonic_ns() // 1000)
        header = wire.peek(message)
        view = memoryview(message)
        return ReferenceFrame(view, header.frame_id, header.epoch, header.op_count, header.capture_us, header.encode_us)

    def step(self, now: float) -> bool:
        """Do what is due at ``now`` (seconds, any clock that only grows); return whether a frame waits for `take`.

        While one waits nothing is made: damage merges in the source. The first change after rest goes out at once,
        then at most ``framerate`` frames a second.
        """
        if self._finished or self.failure is not None:
            self._stats.dropped += bool(self._finished)
            return bool(self._finished)
        if now + _CLOCK_GRAIN < self._next_at:
            return False
        started = time.monotonic_ns() // 1000
        try:
            resized = self._follow_size(now)
            encoded = self._encode_changes(now)
            if self._settings.paint_over or self._settings.ends_exact:
                encoded += self._paint_over(now)
            if not encoded and not resized:
                return False
            self._finish(encoded, started, wire.RESIZED if resized else 0)
        except EngineError as error:
            self.failure = error
        self._next_at = now + 1 / self._settings.framerate
        if self._event >= 0:
            with contextlib.suppress(BlockingIOError):
                os.eventfd_write(self._event, 1)
        return bool(self._finished)

    def snapshot(self, quality: int | None = None) -> list[bytes]:
        """Return the picture as of the last finished frame as JPEG messages of at most 256 kB.

        ``quality`` is 1…100, the better of the settings' two if None. Raises `EngineError` before the first frame.
        """
        if not self._stripes:
            raise EngineError("there is no picture yet: no frame was finished")
        settings = self._settings
        if quality is None:
            quality = max(settings.jpeg_quality, settings.paint_over_jpeg_quality)
        height, width = self._sent.shape[:2]
        encoded = [
            part
            for y in range(0, height, 64)
            for part in self._jpeg((0, y, width, min(64, height - y)), quality, wire.FINAL, settings.rest_chroma)
        ]
        now = time.monotonic_ns() // 1000
        groups = fill_messages(encoded)
        return [
            bytes(self._pack(group, wire.SNAPSHOT, wire.MORE if part < len(groups) else 0, now, now))
            for part, group in enumerate(groups, 1)
        ]

    def _follow_size(self, now: float) -> bool:
        """Start again from black if the source has another size; cut new stripes if they differ."""
        size = self._source.picture().shape
        resized = size != self._sent.shape
        if resized:
            self._sent = np.zeros(size, dtype=np.uint8)
            self._stripes = []
        geometry = (self._settings.mode, stripe_height(self._settings, size[0]))
        if resized or geometry != self._geometry:
            self._geometry = geometry
            self._stripes = self._cut(geometry[1], self._stripes)
        if self._keys_wanted and now >= self._keys_at:
            self._keys_wanted, self._keys_at = False, now + _KEY_FRAME_INTERVAL
            for stripe in self._stripes:
                stripe.key_due = True
        return resized

    def _cut(self, step: int, before: Iterable[Stripe]) -> list[Stripe]:
        """Return stripes of ``step`` rows that know what is still to be painted over of those ``before``."""
        total = self._sent.shape[0]
        stripes = []
        for index, y in enumerate(range(0, total, step)):
            height = min(step, total - y)
            stripe = Stripe(index, y, height, _digest(self._sent[y : y + height]))
            for old in before:
                part = rows_of(old.unrefined, y, height) if old.unrefined else None
                if part:
                    stripe.unrefined = union(stripe.unrefined, part)
                    stripe.changed_at = max(stripe.changed_at, old.changed_at)
            stripes.append(stripe)
        return stripes

    def _encode_changes(self, now: float) -> list[Encoded]:
        """Compare the stripes that may have changed, remember and encode those that have."""
        settings = self._settings
        damage = self._source.take_damage()
        if settings.verify_interval_ms and now >= self._verify_at:
            self._verify_at = now + settings.verify_interval_ms / 1000
            self._stats.scans += 1
            damage = None
        picture = self._source.picture()
        encoded = []
        for stripe in self._stripes:
            if damage is not None and not any(rows_of(area, stripe.y, stripe.height) for area in damage):
                continue
            rows = slice(stripe.y, stripe.y + stripe.height)
            digest = _digest(picture[rows])
            if digest == stripe.digest:
                continue
            changed = changed_rectangle(self._sent[rows], picture[rows])
            if changed is None:
                raise EngineError("two equal stripes have different hashes")
            x, y, w, h = changed
            self._sent[rows] = picture[rows]
            stripe.digest, stripe.changed_at, stripe.painted = digest, now, "same"
            if settings.mode == "lossless":
                area, better = (x, y + stripe.y, w, h), False
                encoded += self._lossless(area)
            elif settings.mode != "h264":
                area = (x, y + stripe.y, w, h)
                better = settings.ends_exact or self._rest_quality > settings.jpeg_quality
                better = better or settings.rest_chroma != settings.chroma
                final = settings.paint_over and not better
                encoded += self._jpeg(area, settings.jpeg_quality, wire.FINAL if final else 0)
            else:
                area = (0, stripe.y, self._sent.shape[1], stripe.height)
                better = settings.paint_over_crf < settings.h264_crf
                # A delta frame promises nothing for what it left alone, so it is never final.
                encoded.append(self._video(stripe, settings.h264_crf, 0))
            if better:
                stripe.unrefined = union(stripe.unrefined, area)
        return encoded

    def _paint_over(self, now: float) -> list[Encoded]:
        """Encode stripes that have come to rest once more: all of them as JPEG, one a frame as H.264 key frame."""
        settings = self._settings
        rest = settings.paint_over_trigger_frames / settings.framerate
        if settings.mode == "lossless" or (settings.mode == "auto" and settings.ends_exact):
            rest = settings.repair_delay_ms / 1000 if settings.mode == "auto" else 0.0
        encoded: list[Encoded] = []
        for stripe in self._stripes:
            due = now - stripe.changed_at + _CLOCK_GRAIN >= rest
            if settings.mode == "h264":
                if due and stripe.unrefined is not None:
                    stripe.encoder, stripe.unrefined, stripe.painted = None, None, "same"
                    final = wire.FINAL if settings.paint_colour == "same" else 0
                    return [*encoded, self._video(stripe, settings.paint_over_crf, final)]
                if due and PAINT_COLOURS.index(stripe.painted) < PAINT_COLOURS.index(settings.paint_colour):
                    stripe.painted = settings.paint_colour
                    encoded += self._at_rest((0, stripe.y, self._sent.shape[1], stripe.height))
            elif due and stripe.unrefined is not None:
                encoded += self._at_rest(stripe.unrefined)
                stripe.unrefined = None
        return encoded

    @property
    def _rest_quality(self) -> int:
        """JPEG quality of what is at rest, at least that of what moves if only colours get better."""
        settings = self._settings
        if settings.rest_chroma == settings.chroma:
            return settings.paint_over_jpeg_quality
        return max(settings.paint_over_jpeg_quality, settings.jpeg_quality)

    def _at_rest(self, area: Rectangle) -> list[Encoded]:
        """Encode what was last sent of ``area`` as well as it will be: exactly or as JPEG."""
        settings = self._settings
        if settings.ends_exact:
            return self._lossless(area)
        quality = settings.paint_over_jpeg_quality if settings.mode == "h264" else self._rest_quality
        return self._jpeg(area, quality, wire.FINAL, settings.rest_chroma)

    def _lossless(self, area: Rectangle) -> list[Encoded]:
        """Encode what was last sent of ``area`` exactly, in parts of which each fits a message: a batch each."""
        x, y, w, h = area
        rows = max(1, _LOSSLESS_PIXELS // w)
        return [
            Encoded(
                wire.LOSSLESS, wire.FINAL, 0, (x, top, w, min(rows, y + h - top)), (w, min(rows, y + h - top)),
                encode_batch([self._sent[top : min(top + rows, y + h), x : x + w]]),
            )
            for top in range(y, y + h, rows)
        ]  # fmt: skip

    def _jpeg(self, area: Rectangle, quality: int, flags: int, chroma: str | None = None) -> list[Encoded]:
        """Encode what was last sent of ``area``, in halves if one picture would not fit a message."""
        x, y, w, h = area
        chroma = chroma or self._settings.chroma
        payload = encode_jpeg(self._sent[y : y + h, x : x + w], quality, chroma)
        if len(payload) > _OP_ROOM and max(w, h) > MACROBLOCK:
            half = -(-max(w, h) // (2 * MACROBLOCK)) * MACROBLOCK
            cuts = [(x, y, half, h), (x + half, y, w - half, h)]
            if h > w:
                cuts = [(x, y, w, half), (x, y + half, w, h - half)]
            return [part for cut in cuts for part in self._jpeg(cut, quality, flags, chroma)]
        flags |= wire.CHROMA_444 if chroma == "444" else 0
        return [Encoded(wire.JPEG, flags, 0, area, (w, h), payload)]

    def _video(self, stripe: Stripe, crf: int, flags: int) -> Encoded:
        """Encode a stripe as the next picture of its stream, padded to whole macroblocks by repeating its edges."""
        width, height = self._sent.shape[1], stripe.height
        right, bottom = -width % MACROBLOCK, -height % MACROBLOCK
        padded = np.pad(self._sent[stripe.y : stripe.y + height], ((0, bottom), (0, right), (0, 0)), mode="edge")
        wanted = (crf, self._settings.chroma, Colour.of(self._settings))
        key = stripe.key_due or stripe.encoder is None or stripe.encoder_settings != wanted
        if stripe.encoder is None or stripe.encoder_settings != wanted:
            stripe.encoder = VideoEncoder(width + right, height + bottom, *wanted)
            stripe.encoder_settings = wanted
        stripe.key_due = False
        payload = stripe.encoder.encode(padded, key=key)
        flags |= wire.KEY if key else 0
        flags |= wire.CROP if right or bottom else 0
        flags |= wire.CHROMA_444 if self._settings.chroma == "444" else 0
        size = (width + right, height + bottom)
        return Encoded(wire.H264, flags, stripe.index, (0, stripe.y, width, height), size, payload)

    def _finish(self, encoded: list[Encoded], started: int, flags: int) -> None:
        """Queue the frames: several with consecutive ids if one would be too large."""
        for group in fill_messages(encoded):
            self._frame_id += 1
            message = self._pack(group, wire.FRAME, flags, started, time.monotonic_ns() // 1000)
            self._finished.append(message)
            flags = 0
            self._stats.frames += 1
            self._stats.ops += len(group)
            self._stats.bytes += len(message)

    def _pack(self, group: list[Encoded], kind: int, flags: int, started: int, ended: int) -> bytearray:
        area = wire.PayloadArea()
        ops = [area.op(e.kind, e.rectangle, e.payload, e.size, flags=e.flags, stream=e.stream) for e in group]
        height, width = self._sent.shape[:2]
        return bytearray(
            wire.pack_message(
                epoch=self.epoch,
                frame_id=self._frame_id,
                width=width,
                height=height,
                ops=ops,
                payloads=area.getvalue(),
                kind=kind,
                flags=flags,
                capture_us=started,
                encode_us=min(ended - started, 0xFFFFFFFF),
            )
        )


def _digest(rows: Pixels) -> int:
    return xxhash.xxh3_64_intdigest(rows.tobytes())
