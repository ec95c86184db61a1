"""What the link to one viewer carries, judged by his acknowledgements. Pure state on one event loop; nothing blocks.

Only a stream that the link holds up tells what the link carries: frames wait for acknowledgements, and these come
later than the quickest ever did. A viewer far away who is sent little has frames waiting too, but his acknowledgements
are as late as always. While a bound from here is in force nothing waits, so it is raised step by step as long as it is
used and its frames are acknowledged in time.
"""

from __future__ import annotations

from ..worker.messages import MIN_LINK_KBPS

MOST_KBPS = 200_000
"""Above it there is no bound; below `MIN_LINK_KBPS` none is told."""
SHARE = 0.9
SAMPLE_S = 0.4
SAMPLE_ACKS = 2
LATE_FACTOR = 1.5
LATE_S = 0.05
PROBE_S = 3.0
PROBE_STEP = 1.25
PROBE_USE = 0.6
LATE_PARTS = 4
"""A bound of which that share was used in `PROBE_S`, and less than a quarter of it late, is raised."""
CHANGE = 0.15


class Link:
    """One viewer's link. Times are any monotonic clock's seconds."""

    def __init__(self) -> None:
        self._reset()

    def _reset(self) -> None:
        self._quickest = float("inf")
        self._sample_from = 0.0  # time of the acknowledgement a sample begins with
        self._sample_bytes = 0
        self._sample_acks = -1  # -1: no sample
        self._kbps = 0.0  # what the link carries, 0 for unknown
        self._used_from = 0.0
        self._used_bytes = self._late_bytes = 0
        self._told = 0

    def acked(self, size: int, delay: float, now: float, waiting: bool) -> None:
        """Note ``size`` bytes acknowledged ``delay`` seconds after they were sent; ``waiting``: more frames wait."""
        self._quickest = min(self._quickest, delay)
        late = delay > self._quickest * LATE_FACTOR + LATE_S
        self._used_bytes += size
        self._late_bytes += size if late else 0
        if not waiting or not late:
            self._sample_acks = -1
            return
        if self._sample_acks < 0:
            self._sample_from, self._sample_bytes, self._sample_acks = now, 0, 0
            return
        self._sample_bytes += size
        self._sample_acks += 1
        passed = now - self._sample_from
        if passed < SAMPLE_S or self._sample_acks < SAMPLE_ACKS:
            return
        kbps = self._sample_bytes / 125 / passed
        self._kbps = (self._kbps + kbps) / 2 if self._kbps else kbps
        self._sample_from, self._sample_bytes, self._sample_acks = now, 0, 0
        self._used_from, self._used_bytes, self._late_bytes = now, 0, 0

    def news(self, now: float) -> int | None:
        """Return the bound to tell in kbit/s, 0 for none; None if what was told last still holds."""
        self._probe(now)
        kbps = round(min(self._kbps * SHARE, MOST_KBPS))
        bound = 0 if self._kbps == 0 or kbps >= MOST_KBPS else max(MIN_LINK_KBPS, kbps)
        if bound == self._told or (bound and self._told and abs(bound - self._told) <= CHANGE * self._told):
            return None
        self._told = bound
        return bound

    def lift(self) -> bool:
        """Forget the link; return whether a bound was told that has to be lifted."""
        told = self._told
        self._reset()
        return bool(told)

    def _probe(self, now: float) -> None:
        if not self._used_from:
            self._used_from, self._used_bytes, self._late_bytes = now, 0, 0
        passed = now - self._used_from
        if not self._kbps or passed < PROBE_S:
            return
        timely = self._late_bytes * LATE_PARTS < self._used_bytes
        if timely and self._used_bytes / 125 / passed >= PROBE_USE * max(MIN_LINK_KBPS, self._kbps * SHARE):
            self._kbps = max(self._kbps, MIN_LINK_KBPS / SHARE) * PROBE_STEP
            if self._kbps * SHARE >= MOST_KBPS:
                self._kbps = 0.0
        self._used_from, self._used_bytes, self._late_bytes = now, 0, 0
