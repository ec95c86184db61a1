"""Turns wire messages back into the picture: for tests, tools and recordings, and as a model for other clients.

A `Decoder` belongs to one thread and never blocks on anything but the codecs. A message is applied whole or not at
all: payloads are decoded first, and only then, with nothing left that can fail, the ops run on the picture.
Hostile messages cost bounded work: sizes are compared with `Decoder`'s limits before anything is allocated.
"""

from __future__ import annotations

from typing import Final

import numpy as np
import numpy.typing as npt

from . import wire
from .decoding.h264 import VideoStream
from .decoding.jpeg import JpegDecoder
from .decoding.scale import fit
from .errors import DecodeError
from .lossless import decode_batch
from .wire import Message, Op

Pixels = npt.NDArray[np.uint8]
Rectangle = tuple[int, int, int, int]

DEFAULT_MAX_PIXELS: Final = 1 << 25  # a little more than 7680×4320


class Decoder:
    """Applies messages to a picture.

    ``max_pixels`` bounds the picture, and each payload; a larger one raises `DecodeError`.
    """

    def __init__(self, *, max_pixels: int = DEFAULT_MAX_PIXELS) -> None:
        self.picture: Pixels = np.zeros((0, 0, 3), dtype=np.uint8)
        """Height×width×3 uint8 RGB. Replaced on a change of size, else changed in place; 0×0 before the first."""
        self.epoch = 0
        self.frame_id = 0
        """Everything up to this frame has been seen: the last frame's id, or a snapshot's as-of."""
        self.missed: list[Rectangle] = []
        """``(x, y, w, h)`` of what should have changed and did not, until something stateless covers it."""
        self.ignored = 0
        """Messages left out by the rules: older than the picture, or of an epoch without a snapshot yet."""
        self._max_pixels = max_pixels
        self._lost = False
        self._jpeg = JpegDecoder()
        self._streams: dict[int, VideoStream] = {}
        self._snapshot: list[Message] = []
        self._repair: list[Message] = []

    @property
    def needs_snapshot(self) -> bool:
        """Whether a client in this state would ask its server for a snapshot."""
        return self._lost or bool(self.missed) or self.picture.size == 0

    def apply(self, message: Message | wire.Buffer) -> None:
        """Apply a message, or ignore it where the protocol says so.

        The parts of a snapshot are kept until the last has come and are then applied together. An H.264 delta frame
        whose stream has no key frame leaves its rectangle as it was and in `missed`; the rest of its frame applies.

        Raises `WireError` if the message is malformed, `DecodeError` if a payload is, if the size changed without
        `RESIZED`, or if a limit is passed. The picture is then as before, the rectangles of the message are `missed`,
        and its H.264 streams wait for a key frame.
        """
        if not isinstance(message, Message):
            message = wire.parse_message(message)
        if message.header.partial:
            self._take_repair(message)
        elif message.header.kind == wire.SNAPSHOT:
            self._take_snapshot(message)
        else:
            self._take_frame(message)

    def _take_frame(self, message: Message) -> None:
        header = message.header
        new_epoch = header.epoch != self.epoch
        if new_epoch:
            # Frames of a new epoch need its snapshot first, except those that say that they start from black.
            if not header.resized and header.frame_id != 1:
                self.ignored += 1
                return
            self._start_epoch(header.epoch)
        elif header.frame_id <= self.frame_id:
            self.ignored += 1
            return
        self.frame_id = header.frame_id
        self._run([message], fresh=new_epoch or header.resized)

    def _take_snapshot(self, message: Message) -> None:
        header = message.header
        if header.epoch == self.epoch and header.frame_id < self.frame_id:
            self.ignored += 1
            return
        first = self._snapshot[0].header if self._snapshot else header
        if (first.epoch, first.frame_id) != (header.epoch, header.frame_id):
            self._snapshot = []
        elif (first.width, first.height) != (header.width, header.height):
            self._snapshot = []
            raise DecodeError("snapshot: its parts differ in size")
        if header.more:
            # A part outlives this call, so it must not depend on a buffer its caller may release.
            message = wire.parse_message(bytes(message.raw))
        self._snapshot.append(message)
        if header.more:
            if sum(len(part.raw) for part in self._snapshot) > 4 * self._max_pixels:
                self._snapshot = []
                raise DecodeError(f"snapshot: its parts pass {4 * self._max_pixels} bytes")
            return
        parts, self._snapshot = self._snapshot, []
        if header.epoch != self.epoch:
            self._start_epoch(header.epoch)
        size_changed = (header.height, header.width) != self.picture.shape[:2]
        self.frame_id = header.frame_id
        self._run(parts, fresh=size_changed or any(part.header.resized for part in parts))
        self.missed, self._lost = [], False

    def _take_repair(self, message: Message) -> None:
        """Apply a repair in the order in which it comes (protocol, section 2.4)."""
        header = message.header
        if header.epoch != self.epoch or (header.height, header.width) != self.picture.shape[:2]:
            self.ignored += 1
            return
        if self._repair and self._repair[0].header.serial != header.serial:
            self._repair = []
        if header.more:
            message = wire.parse_message(bytes(message.raw))
        self._repair.append(message)
        if sum(len(part.raw) for part in self._repair) > 4 * self._max_pixels + wire.MESSAGE_AIM:
            self._repair = []
            raise DecodeError(f"repair: its parts pass {4 * self._max_pixels} bytes")
        if not header.more:
            parts, self._repair = self._repair, []
            self.frame_id = max(self.frame_id, header.frame_id)
            self._run(parts, fresh=False)

    def _start_epoch(self, epoch: int) -> None:
        self.epoch, self.frame_id = epoch, 0
        self._repair = []
        self.missed = []
        self._streams = {}

    def _run(self, messages: list[Message], *, fresh: bool) -> None:
        """Decode the payloads of ``messages``, then run their ops on the picture, or on black if ``fresh``."""
        header = messages[0].header
        try:
            self._check_limits(messages)
            if not fresh and (header.height, header.width) != self.picture.shape[:2]:
                raise DecodeError("width: the picture's size changed without RESIZED: a resize was missed")
            payloads = [self._decode_payloads(message) for message in messages]
        except DecodeError:
            self._lost = True
            for message in messages:
                self._give_up(message)
            raise
        if fresh:
            self.picture = np.zeros((header.height, header.width, 3), dtype=np.uint8)
            self.missed, self._lost = [], False
        for message, decoded in zip(messages, payloads, strict=True):
            for op, pixels in zip(message.ops, decoded, strict=True):
                self._run_op(op, pixels)

    def _check_limits(self, messages: list[Message]) -> None:
        header = messages[0].header
        area = header.width * header.height
        if area > self._max_pixels:
            raise DecodeError(f"width: {header.width}×{header.height} is more than {self._max_pixels} pixels")
        ops = [op for message in messages for op in message.ops]
        if sum(op.pw * op.ph for op in ops) > 2 * self._max_pixels:
            raise DecodeError(f"ops: the payloads hold more than {2 * self._max_pixels} pixels")
        # No encoder draws a picture tens of times in a frame; a hostile one would, to keep the decoder busy.
        if sum(op.w * op.h for op in ops) > 64 * area + (1 << 20):
            raise DecodeError("ops: the rectangles of one message cover the picture too many times")

    def _decode_payloads(self, message: Message) -> list[Pixels | None]:
        """Return for each op its pixels: None for fill and copy, and for a delta frame that cannot be decoded."""
        batch = [op for op in message.ops if op.kind == wire.LOSSLESS]
        lossless = iter(decode_batch(message.payload(batch[0]), [(op.pw, op.ph) for op in batch]) if batch else ())
        decoded: list[Pixels | None] = []
        for op in message.ops:
            pixels: Pixels | None = None
            if op.kind == wire.LOSSLESS:
                pixels = next(lossless)
            elif op.kind == wire.JPEG:
                pixels = self._jpeg.decode(message.payload(op), op.pw, op.ph)
            elif op.kind == wire.H264:
                stream = self._streams.setdefault(op.stream, VideoStream())
                key = bool(op.flags & wire.KEY)
                if key or not stream.broken:
                    pixels = stream.decode(message.payload(op), op.pw, op.ph, key=key)
            if pixels is not None:
                pixels = fit(pixels, op.w, op.h, crop=bool(op.flags & wire.CROP))
            decoded.append(pixels)
        return decoded

    def _run_op(self, op: Op, pixels: Pixels | None) -> None:
        target = self.picture[op.y : op.y + op.h, op.x : op.x + op.w]
        if op.kind == wire.FILL:
            target[:] = (op.value >> 16, op.value >> 8 & 0xFF, op.value & 0xFF)
        elif op.kind == wire.COPY:
            target[:] = self.picture[op.sy : op.sy + op.h, op.sx : op.sx + op.w].copy()
            source = (op.sx, op.sy, op.w, op.h)
            if any(_overlap(source, missed) for missed in self.missed):
                self._miss(op.rectangle)
        elif pixels is None:
            self._miss(op.rectangle)
        else:
            target[:] = pixels
        if self.missed and not wire.is_stateful(op):
            self.missed = [missed for missed in self.missed if not _inside(missed, op.rectangle)]

    def _give_up(self, message: Message) -> None:
        """Note what a message that could not be applied would have changed."""
        for op in message.ops:
            self._miss(op.rectangle)
            if op.kind == wire.H264 and op.stream in self._streams:
                self._streams[op.stream].mark_broken()

    def _miss(self, rectangle: Rectangle) -> None:
        if rectangle not in self.missed:
            if len(self.missed) >= wire.MAX_OPS:
                # The list must not grow with the length of the stream: one rectangle stands for all.
                self.missed = [(0, 0, wire.MAX_DIMENSION, wire.MAX_DIMENSION)]
            self.missed.append(rectangle)


def _overlap(a: Rectangle, b: Rectangle) -> bool:
    return a[0] < b[0] + b[2] and b[0] < a[0] + a[2] and a[1] < b[1] + b[3] and b[1] < a[1] + a[3]


def _inside(inner: Rectangle, outer: Rectangle) -> bool:
    return (
        outer[0] <= inner[0]
        and outer[1] <= inner[1]
        and inner[0] + inner[2] <= outer[0] + outer[2]
        and inner[1] + inner[3] <= outer[1] + outer[3]
    )
