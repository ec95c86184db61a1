"""A frame as the FrameBus hands it to every viewer: parsed once, with what masks need of it computed at most once.

Immutable but for what it remembers; used on one event loop.
"""

from __future__ import annotations

from collections.abc import Sequence
from copy import copy
from functools import cached_property

from stripeengine import wire
from stripeengine.wire_filter import filter_ops

from ..tiles import Grid, touched, whole


class Frame:
    """One frame message. ``received`` is the event loop's time."""

    def __init__(self, message: wire.Message, received: float = 0.0) -> None:
        self.message = message
        self.received = received
        header = message.header
        self.epoch = header.epoch
        self.number = header.frame_id
        self.resized = header.resized
        self.grid = Grid(header.width, header.height)
        self.size = len(message.raw)

    @cached_property
    def video(self) -> tuple[wire.Op, ...]:
        """The H.264 ops."""
        return tuple(op for op in self.message.ops if op.kind == wire.H264)

    @cached_property
    def keys(self) -> frozenset[int]:
        """The streams that begin with this frame."""
        return frozenset(op.stream for op in self.video if op.flags & wire.KEY)

    @cached_property
    def deltas(self) -> frozenset[int]:
        """The streams of which this frame has a picture that refers to others."""
        return frozenset(op.stream for op in self.video if not op.flags & wire.KEY)

    @cached_property
    def codecs(self) -> frozenset[str]:
        """The codecs that a viewer needs for all of it."""
        return frozenset("h264-444" if op.flags & wire.CHROMA_444 else "h264" for op in self.video)

    @cached_property
    def copies(self) -> tuple[wire.Op, ...]:
        """The copies, in their order."""
        return tuple(op for op in self.message.ops if op.kind == wire.COPY)

    @cached_property
    def touched(self) -> int:
        """The tiles that it changes."""
        mask = 0
        for op in self.message.ops:
            mask |= touched(self.grid, op.rectangle)
        return mask


class Answer:
    """A snapshot, or a repair, with all its messages: the newest state as of frame ``number``."""

    def __init__(self, parts: Sequence[wire.Message], token: int = 0) -> None:
        header = parts[0].header
        self.parts = tuple(parts)
        self.token = token
        self.partial = header.partial
        self.epoch = header.epoch
        self.number = header.frame_id
        self.grid = Grid(header.width, header.height)
        self.size = sum(len(part.raw) for part in parts)

    @cached_property
    def covers(self) -> int:
        """The tiles that it brings whole; a snapshot brings all, whatever it leaves black."""
        if not self.partial:
            return self.grid.all
        return whole(self.grid, [op.rectangle for part in self.parts for op in part.ops])

    @cached_property
    def blurred(self) -> int:
        """Of a snapshot, the tiles that it brings with fewer pixels."""
        mask = 0
        for part in () if self.partial else self.parts:
            for op in part.ops:
                if op.kind in (wire.JPEG, wire.LOSSLESS) and (op.pw, op.ph) != (op.w, op.h):
                    mask |= touched(self.grid, op.rectangle)
        return mask

    def addressed(self, token: int) -> Answer:
        """Return the same answer, to another question."""
        other = copy(self)
        other.token = token
        return other

    def without(self, tiles: int) -> tuple[wire.Message, ...]:
        """Return the messages without the ops that touch ``tiles``; a batch stays or goes whole."""
        if not tiles:
            return self.parts
        kept = []
        for part in self.parts:
            hit = {op for op in part.ops if touched(self.grid, op.rectangle) & tiles}
            if any(op.kind == wire.LOSSLESS for op in hit):
                hit.update(op for op in part.ops if op.kind == wire.LOSSLESS)
            if len(hit) < len(part.ops):
                kept.append(wire.parse_message(filter_ops(part, lambda op, hit=hit: op not in hit)))  # type: ignore[misc]
        return tuple(kept)
