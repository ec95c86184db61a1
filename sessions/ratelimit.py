"""Counters in Redis that say when somebody has tried too often. Blocks on Redis."""

from __future__ import annotations

from dataclasses import dataclass

from .redis_client import connect


@dataclass(frozen=True)
class RateLimit:
    """At most ``limit`` events in ``window_s`` seconds for each subject. Fixed windows: simple, and enough here."""

    name: str
    limit: int
    window_s: int

    def _key(self, subject: str) -> str:
        return f"stripedesk:rate:{self.name}:{subject}"

    def hit(self, subject: str) -> bool:
        """Count one event; whether it is within the limit."""
        pipeline = connect().pipeline()
        pipeline.incr(self._key(subject))
        # Sets it the first time, and shortens what a clock that was set back has made longer than a window.
        pipeline.expire(self._key(subject), self.window_s, lt=True)
        count, _ = pipeline.execute()
        return int(count) <= self.limit

    def exhausted(self, subject: str) -> bool:
        """Whether the limit has been reached, without counting."""
        pipeline = connect().pipeline()
        pipeline.expire(self._key(subject), self.window_s, lt=True)
        pipeline.get(self._key(subject))
        _, count = pipeline.execute()
        return int(count or 0) >= self.limit
