"""Which ops of a frame one viewer can apply, and which areas of his picture wait for repair.

A delta picture needs its stream's key frame, a copy needs what it reads. An op without its base is left out
(protocol, section 5) and its rectangle remembered until something stateless covers it. Pure bookkeeping; costs one
test per frame for a viewer who misses nothing.
"""

from __future__ import annotations

from collections.abc import Iterable

from stripeengine import wire

REPAIR_S = 1.5
"""An area that no key frame has repaired for so long gets a snapshot."""
KEY_FRAME_INTERVAL_S = 1.0
MOST_MISSED = 64

Rectangle = tuple[int, int, int, int]


class References:
    """One viewer's decoders and missed rectangles."""

    def __init__(self, codecs: frozenset[str]) -> None:
        self._h264 = "h264" in codecs
        self._h264_444 = "h264-444" in codecs
        self._streams: set[int] = set()  # H.264 streams whose base the viewer has
        self._missed: dict[Rectangle, float] = {}  # → since when
        self._asked_at = float("-inf")
        self._wants_key_frames = False

    def reset(self) -> None:
        """A snapshot follows: nothing is missed any more, and no decoder has its base."""
        self._streams.clear()
        self._missed.clear()
        self._wants_key_frames = False

    def missing_codec(self, ops: Iterable[wire.Op]) -> str:
        """Return the codec that ``ops`` need and the viewer lacks; empty if he can decode them."""
        for op in ops:
            if op.kind == wire.H264:
                if op.flags & wire.CHROMA_444 and not self._h264_444:
                    return "h264-444"
                if not op.flags & wire.CHROMA_444 and not self._h264:
                    return "h264"
        return ""

    def admit(self, message: wire.Message, now: float) -> wire.Buffer | None:
        """Return the frame without what the viewer cannot apply; None if nothing is left worth sending."""
        video = [op for op in message.ops if op.kind == wire.H264]
        if not video and not self._missed:
            return message.raw
        refused = {op for op in message.ops if not self._apply(op, now)}
        if not refused:
            return message.raw
        if len(self._missed) > MOST_MISSED:
            # Beyond counting: as one area, which only a snapshot repairs.
            since = min(self._missed.values())
            self._missed = {(0, 0, message.header.width, message.header.height): since}
        if len(refused) == len(message.ops) and not message.header.resized:
            return None
        return wire.filter_ops(message, lambda op: op not in refused)

    def admit_snapshot(self, message: wire.Message) -> wire.Buffer | None:
        """Return a snapshot's message without pictures the viewer cannot decode."""
        if not self.missing_codec(message.ops):
            return message.raw
        return wire.filter_ops(message, lambda op: not self.missing_codec((op,)))

    def wants_key_frames(self, now: float) -> bool:
        """Whether to ask for key frames now; at most once in `KEY_FRAME_INTERVAL_S`."""
        if not self._wants_key_frames or now < self._asked_at + KEY_FRAME_INTERVAL_S:
            return False
        self._asked_at = now
        self._wants_key_frames = False
        return True

    def repair_due(self, now: float) -> bool:
        """Whether an area has waited too long for its repair."""
        return bool(self._missed) and now >= min(self._missed.values()) + REPAIR_S

    def next_check(self) -> float | None:
        """Return when `repair_due` or `wants_key_frames` may become true by itself."""
        times = [min(self._missed.values()) + REPAIR_S] if self._missed else []
        if self._wants_key_frames:
            times.append(self._asked_at + KEY_FRAME_INTERVAL_S)
        return min(times, default=None)

    def _apply(self, op: wire.Op, now: float) -> bool:
        """Follow one op; return whether the viewer can apply it."""
        rectangle = op.rectangle
        if op.kind == wire.H264 and not op.flags & wire.KEY:
            if op.stream not in self._streams:
                self._missed.setdefault(rectangle, now)
                self._wants_key_frames = True
                return False
        elif op.kind == wire.COPY and self._missed:
            source = (op.sx, op.sy, op.w, op.h)
            if any(_meet(source, missed) for missed in self._missed):
                self._missed.setdefault(rectangle, now)
                return False
        elif op.kind == wire.H264:
            self._streams.add(op.stream)
        if self._missed:
            self._missed = {area: since for area, since in self._missed.items() if not _covers(rectangle, area)}
        return True


def _meet(a: Rectangle, b: Rectangle) -> bool:
    return a[0] < b[0] + b[2] and b[0] < a[0] + a[2] and a[1] < b[1] + b[3] and b[1] < a[1] + a[3]


def _covers(outer: Rectangle, inner: Rectangle) -> bool:
    return (
        outer[0] <= inner[0]
        and outer[1] <= inner[1]
        and outer[0] + outer[2] >= inner[0] + inner[2]
        and outer[1] + outer[3] >= inner[1] + inner[3]
    )
