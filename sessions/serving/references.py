"""What one viewer has of the picture: tiles that he lacks or has with fewer pixels, and decoders with their base.

Follows every op that is passed on to him and every one that is not. A delta picture needs its stream's key frame; one
whose base is lacking is left out (protocol, section 5) and its tiles are missed. A copy moves what is missed with it;
one that reads nothing but missed tiles is left out. Pure bookkeeping; a frame without video costs a viewer who lacks
nothing one test.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import NamedTuple

from stripeengine import wire
from stripeengine.wire_filter import filter_ops

from ..tiles import Grid, Rectangle, covered, moved, touched
from .frames import Frame

KEY_FRAME_INTERVAL_S = 1.0
"""Between two requests of one viewer; when one is made the worker decides."""


ALL = -1
"""As a mask: whatever the frame touches. Counting it is left to whoever needs it."""


class Admitted(NamedTuple):
    """What of a frame a viewer is sent (None: nothing of it), and the tiles that were and were not brought."""

    raw: wire.Buffer | None
    passed: int
    refused: int


class References:
    """One viewer's decoders and masks. ``codecs`` are those he can decode."""

    def __init__(self, codecs: frozenset[str] = frozenset()) -> None:
        self.codecs = codecs
        self.grid = Grid(1, 1)
        """Of the picture that he has."""
        self.missed = 1
        self.inexact = 0
        self.outsized = False
        """The picture has another size by now."""
        self.dropped: Counter[str] = Counter()
        self._streams: set[int] = set()
        self._wants_key_frames = False
        self._video_lost = False
        self._asked_at = float("-inf")

    # ---- what he is sent -----------------------------------------------------------------------------------------

    def start(self, grid: Grid) -> None:
        """He has a whole picture of that size; his decoders have no base."""
        self.grid = grid
        self.missed = self.inexact = 0
        self.outsized = False
        self._streams.clear()

    def missing_codec(self, frame: Frame) -> str:
        """Return the codec that the frame needs and the viewer lacks, or nothing."""
        return next(iter(frame.codecs - self.codecs), "")

    def admit(self, frame: Frame) -> Admitted:
        """Follow a frame that is passed on; return it without what the viewer cannot apply."""
        if frame.resized:
            self.start(frame.grid)
        elif frame.grid != self.grid:
            self.skip(frame)  # a resize was lost
            return Admitted(None, 0, frame.touched)
        if not self.missed and not self.inexact:
            if not frame.video:
                return Admitted(frame.message.raw, ALL, 0)
            if frame.codecs <= self.codecs and frame.deltas <= self._streams:
                self._streams |= frame.keys
                return Admitted(frame.message.raw, ALL, 0)
        refused = {op for op in frame.message.ops if not self._apply(op)}
        if not refused:
            return Admitted(frame.message.raw, ALL, 0)
        lost = self._tiles(refused)
        passed = self._tiles(op for op in frame.message.ops if op not in refused)
        if len(refused) == len(frame.message.ops) and not frame.resized:
            return Admitted(None, 0, lost)
        return Admitted(filter_ops(frame.message, lambda op: op not in refused), passed, lost)

    def skip(self, frame: Frame) -> None:
        """Follow a frame that is not passed on."""
        self._streams -= frame.deltas | frame.keys
        if frame.grid == self.grid and not frame.resized:
            self.missed |= frame.touched
        else:
            self.lose()
            self.outsized = self.outsized or frame.grid != self.grid

    def lose(self) -> None:
        """Frames were lost of which nothing is known."""
        self.missed = self.grid.all
        self._streams.clear()

    def lose_streams(self) -> None:
        """His decoders have no base any more."""
        self._streams.clear()

    def repaired(self, tiles: int, exact: bool) -> None:
        """He was sent the newest state of these tiles; not ``exact``: with losses that others do not have."""
        self.missed &= ~tiles
        self.inexact = self.inexact & ~tiles if exact else self.inexact | tiles

    def report(self, areas: Iterable[Rectangle], streams: Iterable[int], later: Iterable[wire.Op]) -> None:
        """Note what he could not show; ``later`` are the copies that he was sent since."""
        lost = 0
        for area in areas:
            lost |= touched(self.grid, area)
        for op in later:
            lost |= moved(self.grid, lost, op)
        self.missed |= lost & self.grid.all
        self._streams.difference_update(streams)

    # ---- what he needs -------------------------------------------------------------------------------------------

    def wants_key_frames(self, now: float) -> bool:
        """Whether to ask for key frames now; at most once in `KEY_FRAME_INTERVAL_S`."""
        if not self._wants_key_frames or now < self._asked_at + KEY_FRAME_INTERVAL_S:
            return False
        self._asked_at = now
        self._wants_key_frames = False
        return True

    def take_video_lost(self) -> bool:
        """Whether pictures of a video were left out since this was last asked: what is missed of it changes again."""
        lost, self._video_lost = self._video_lost, False
        return lost

    def key_frames_due(self) -> float | None:
        """Return when `wants_key_frames` may become true by itself."""
        return self._asked_at + KEY_FRAME_INTERVAL_S if self._wants_key_frames else None

    # ---- inside --------------------------------------------------------------------------------------------------

    def _apply(self, op: wire.Op) -> bool:
        """Follow one op; return whether the viewer can apply it."""
        lost = blurred = 0
        if op.kind == wire.H264 and not self._decodes(op):
            self.missed |= touched(self.grid, op.rectangle)
            self._video_lost = True
            return False
        if op.kind == wire.COPY and (self.missed or self.inexact):
            source = touched(self.grid, (op.sx, op.sy, op.w, op.h))
            if self.missed & source == source:
                self.dropped["base"] += 1
                self.missed |= touched(self.grid, op.rectangle)
                return False
            lost, blurred = moved(self.grid, self.missed, op), moved(self.grid, self.inexact, op)
        inside = covered(self.grid, op.rectangle)
        self.missed = self.missed & ~inside | lost
        self.inexact = self.inexact & ~inside | blurred
        return True

    def _decodes(self, op: wire.Op) -> bool:
        if ("h264-444" if op.flags & wire.CHROMA_444 else "h264") not in self.codecs:
            self.dropped["codec"] += 1
            return False
        if op.flags & wire.KEY:
            self._streams.add(op.stream)
        elif op.stream not in self._streams:
            self.dropped["base"] += 1
            self._wants_key_frames = True
            return False
        return True

    def _tiles(self, ops: Iterable[wire.Op]) -> int:
        mask = 0
        for op in ops:
            mask |= touched(self.grid, op.rectangle)
        return mask
