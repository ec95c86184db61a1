"""What one viewer is sent at most: bits and pictures a second. Pure state on one event loop; nothing blocks."""

from __future__ import annotations

BURST_S = 0.5


class Caps:
    """Bounds of 0 do not bound. Times are any monotonic clock's seconds."""

    def __init__(self, kbps: int = 0, fps: int = 0) -> None:
        self.kbps = kbps
        self.fps = fps
        self._paid_until = 0.0
        self._next_at = 0.0

    @property
    def bytes_per_s(self) -> float:
        """The most bytes in a second."""
        return self.kbps * 125.0 if self.kbps else float("inf")

    def spend(self, size: int, now: float) -> None:
        """Note that a picture of ``size`` bytes is sent."""
        if self.fps:
            self._next_at = max(self._next_at, now - 1 / self.fps) + 1 / self.fps
        if self.kbps:
            self._paid_until = max(self._paid_until, now - BURST_S) + size / self.bytes_per_s

    def free_at(self) -> float:
        """Return when the next picture may be sent."""
        return max(self._next_at, self._paid_until)
