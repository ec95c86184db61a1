"""How fast one viewer takes pictures, judged by his acknowledgements: bytes a second, and the least delay there is.

Pure state on one event loop; nothing blocks. A rate is only known once the link, or the browser, has held something
up; until then there is none. An acknowledgement in time that proves more raises it at once, so a link that recovers is
used at once. The delay without queueing is that of something small that was sent alone; until there was such a thing,
it is not believed to be long, for what is large takes long on a thin link whatever the distance.
"""

from __future__ import annotations

from typing import NamedTuple

LATE_FACTOR = 1.5
LATE_S = 0.05
LEAST_SAMPLE = 4096
"""Bytes of which a late acknowledgement may tell a rate (fewer tell of a hiccup), and an early one a delay."""
RAISE = 1.1
USED = 0.9
"""A rate of which less was used is not raised."""
FIRST = 16384
"""Bytes in flight before the first acknowledgement, a snapshot aside."""
PLENTY = 250e3
"""Bytes a second from which on a link need not be tried out with little."""
UNLIMITED = 25e6
"""Bytes a second from which on a link is taken for unlimited."""
BASE_S = 30.0
"""For so long the quickest acknowledgement counts."""
BELIEVED_S = 0.25
SOON_S = 0.5
LATENCY_S = 0.15
"""What may be in flight beyond the round trip."""


class Stamp(NamedTuple):
    """What was delivered when something was sent. ``alone``: nothing else was in flight."""

    sent_at: float
    size: int
    delivered: int
    alone: bool


class Rate:
    """One viewer's. Times are any monotonic clock's seconds."""

    def __init__(self) -> None:
        self.bytes_per_s = 0.0
        """0: not known."""
        self.in_time = 0
        """Bytes that the newest acknowledgement was in time for; 0 if it was late."""
        self.soon = 0
        """The same, late or not, if it came within `SOON_S`."""
        self.proven = 0.0
        """The most bytes a second of which an acknowledgement told: it carries at least that."""
        self._delivered = 0
        self._any = _Least()
        self._small = _Least()

    @property
    def base(self) -> float:
        """The delay from sending to acknowledgement without queueing, paint included; 0 before the first."""
        return self._small.value or min(self._any.value, BELIEVED_S)

    @property
    def is_tried(self) -> bool:
        """Whether anything was acknowledged."""
        return self._delivered > 0

    def wants_probe(self, now: float) -> bool:
        """Whether nothing small was sent alone for long."""
        return self._small.is_old(now)

    def sent(self, size: int, now: float, alone: bool) -> Stamp:
        """Note that ``size`` bytes are sent; keep the result until they are acknowledged."""
        return Stamp(now, size, self._delivered, alone)

    def acked(self, stamp: Stamp, now: float, last: bool) -> None:
        """Note an acknowledgement; ``last``: of those that came together, which alone tells of time."""
        self._delivered += stamp.size
        if not last:
            return
        delay = max(now - stamp.sent_at, 1e-4)
        if stamp.alone and stamp.size <= LEAST_SAMPLE:
            self._small.note(delay, now)
        self._any.note(delay, now)
        late = delay > self.base * LATE_FACTOR + LATE_S
        gained = self._delivered - stamp.delivered
        sample = gained / delay
        self.in_time = 0 if late else gained
        self.soon = gained if delay <= SOON_S else 0
        self.proven = sample if late else max(self.proven, sample)
        if late and gained > LEAST_SAMPLE:
            self.bytes_per_s = (self.bytes_per_s + sample) / 2 if self.bytes_per_s else sample
        elif not late and self.bytes_per_s:
            used = sample > self.bytes_per_s * USED
            self.bytes_per_s = max(self.bytes_per_s * (RAISE if used else 1.0), sample)
        if self.bytes_per_s > UNLIMITED:
            self.bytes_per_s = 0.0

    def room(self, in_flight: int) -> float:
        """Return how many bytes more may be in flight without queueing for long."""
        if not self._delivered:
            return FIRST - in_flight
        if not self.bytes_per_s:
            return float("inf")
        return self.bytes_per_s * (self.base + LATENCY_S) - in_flight


class _Least:
    """The least value of the last one or two spans of `BASE_S`."""

    def __init__(self) -> None:
        self._now = self._before = float("inf")
        self._since = float("-inf")

    @property
    def value(self) -> float:
        """0: none."""
        least = min(self._now, self._before)
        return least if least != float("inf") else 0.0

    def is_old(self, now: float) -> bool:
        """Whether the span is over in which values were noted."""
        return now - self._since > BASE_S

    def note(self, value: float, now: float) -> None:
        if self.is_old(now):
            self._before, self._now, self._since = self._now, float("inf"), now
        self._now = min(self._now, value)
