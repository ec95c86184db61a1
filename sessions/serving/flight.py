"""What one viewer was sent and has not acknowledged, and how much more that may be.

As many frames as come in his quickest round trip, paint included, and two; and as many bytes as his link carries in
that time and a little. Pure state on one event loop; nothing blocks.
"""

from __future__ import annotations

from collections import deque
from math import ceil
from typing import NamedTuple

from stripeengine import wire

from .link import Link
from .rate import Rate, Stamp

WINDOW = 4
"""Frames in flight at first; the client learns it from `welcome`."""
LEAST_WINDOW, MOST_WINDOW = 3, 32
ROOM = 16384
"""Bytes that must have room before a repair is asked for while something else is in flight."""
SHORTEST_S, LONGEST_S = 1 / 240, 1.0


class _Unit(NamedTuple):
    """A frame (serial 0), or a snapshot or repair."""

    frame: int
    serial: int
    stamp: Stamp
    copies: tuple[wire.Op, ...]


class Flight:
    """One viewer's. Times are any monotonic clock's seconds."""

    def __init__(self) -> None:
        self.link = Link()
        self.rate = Rate()
        self.newest = 0
        """Newest frame id that the viewer has been told in this epoch."""
        self.serial = 0
        self.delays: list[float] = []
        """From sending to acknowledgement, since somebody took them."""
        self._units: deque[_Unit] = deque()
        self._bytes = 0
        self._frame_at = 0.0
        self._interval = 1 / 60

    def __len__(self) -> int:
        return len(self._units)

    @property
    def window(self) -> int:
        """Frames that may be in flight."""
        if not self.rate.base:
            return WINDOW
        return max(LEAST_WINDOW, min(MOST_WINDOW, ceil(self.rate.base / self._interval) + 2))

    def note_frame(self, now: float) -> None:
        """A frame has come, whether it is sent or not."""
        passed = min(LONGEST_S, max(SHORTEST_S, now - self._frame_at))
        self._interval += (passed - self._interval) / 8
        self._frame_at = now

    def has_room(self, size: int) -> bool:
        """Whether a frame of ``size`` bytes may be sent."""
        return not self._units or (len(self._units) < self.window and size <= self.rate.room(self._bytes))

    def is_ready(self) -> bool:
        """Whether a repair would not have to wait for long behind what is in flight."""
        return self.has_room(ROOM) and (self.rate.is_tried or not self._units)

    def wants_probe(self, now: float) -> bool:
        """Whether something small should be sent before anything else, to learn the round trip."""
        return not self._units and self.rate.wants_probe(now)

    def sent(self, frame: int, size: int, now: float, copies: tuple[wire.Op, ...] = (), serial: int = 0) -> None:
        """Note what is sent."""
        self.newest = max(self.newest, frame)
        self._units.append(_Unit(frame, serial, self.rate.sent(size, now, not self._units), copies))
        self._bytes += size

    def acked(self, frame: int, serial: int | None, now: float, waiting: bool) -> bool:
        """Note an acknowledgement, of snapshots and repairs by frame id if ``serial`` is None.

        ``waiting``: more waits to be sent. Returns False for a number never sent.
        """
        if frame > self.newest or (serial or 0) > self.serial:
            return False
        done: list[_Unit] = []
        while self._units and _is_acked(self._units[0], frame, serial):
            done.append(self._units.popleft())
            self._bytes -= done[-1].stamp.size
        for unit in done:
            self.rate.acked(unit.stamp, now, unit is done[-1])
        if done:
            delay = max(0.0, now - done[-1].stamp.sent_at)
            self.link.acked(sum(unit.stamp.size for unit in done), delay, now, waiting)
            self.delays.append(delay)
            del self.delays[:-256]
        return True

    def copies_after(self, frame: int) -> list[wire.Op]:
        """Return the copies of what was sent after that frame and is in flight."""
        return [op for unit in self._units if unit.frame > frame for op in unit.copies]

    def forget(self) -> None:
        """What is in flight will not be acknowledged."""
        self._units.clear()
        self._bytes = 0


def _is_acked(unit: _Unit, frame: int, serial: int | None) -> bool:
    if unit.serial and serial is not None:
        return unit.serial <= serial
    return unit.frame <= frame
