"""What the worker tells about itself: the status key, and the `stats` event while something moves.

Pure bookkeeping; the worker decides when. Runs on the event loop's thread.
"""

from __future__ import annotations

import json
import os
import resource
import time
from dataclasses import dataclass, field
from typing import Any

from ..latency import Quantiles

EXPIRY_S = 15
_PAGE_MB = resource.getpagesize() / 1e6

QUIET_KBPS = 16.0
"""A blinking cursor or a clock in a panel stays below, and keeps no session from being idle."""

WAITING_DISPLAY = "waiting-display"
STREAMING = "streaming"
FAILED = "failed"


@dataclass(frozen=True)
class Rates:
    """Frames and bits a second over one interval."""

    fps: float = 0.0
    kbps: float = 0.0


class Meter:
    """Turns growing counters into rates."""

    def __init__(self) -> None:
        self._at = time.monotonic()
        self._frames = 0
        self._bytes = 0
        self.frames = 0
        self.bytes = 0
        self.rates = Rates()

    def add(self, size: int) -> None:
        """Count one frame of ``size`` bytes."""
        self.frames += 1
        self.bytes += size

    def tick(self) -> Rates:
        """Close an interval and return its rates."""
        now = time.monotonic()
        seconds = max(now - self._at, 1e-3)
        self.rates = Rates(
            round((self.frames - self._frames) / seconds, 1),
            round((self.bytes - self._bytes) * 8 / 1000 / seconds, 1),
        )
        self._at, self._frames, self._bytes = now, self.frames, self.bytes
        return self.rates


@dataclass
class Status:
    """The fields of the status key (docs/explanation/architecture.md)."""

    state: str = WAITING_DISPLAY
    error: str = ""
    epoch: int = 0
    width: int = 0
    height: int = 0
    mode: str = ""
    latency_ms: float | None = None
    dropped: int = 0
    stages: Quantiles = field(default_factory=dict)
    input_at: float = field(default_factory=time.monotonic)
    picture_at: float = field(default_factory=time.monotonic)
    """When somebody last typed or pointed, and when the picture last moved by more than `QUIET_KBPS`."""

    def note_rate(self, rates: Rates) -> None:
        """Note whether the picture moves. With nobody watching there is no rate: then it rests, as far as is known."""
        if rates.kbps > QUIET_KBPS:
            self.picture_at = time.monotonic()

    def as_json(self, meter: Meter) -> str:
        """Return the value of the status key."""
        values: dict[str, Any] = {
            "state": self.state,
            "error": self.error[:200],
            "pid": os.getpid(),
            "epoch": self.epoch,
            "width": self.width,
            "height": self.height,
            "mode": self.mode,
            "fps": meter.rates.fps,
            "kbps": meter.rates.kbps,
            "frames": meter.frames,
            "latency_ms": self.latency_ms,
            "dropped": self.dropped,
            "stages": self.stages,
            # Ages, not times: whoever reads them compares no clocks.
            "input_s": round(time.monotonic() - self.input_at, 1),
            "picture_s": round(time.monotonic() - self.picture_at, 1),
            "rss_mb": round(rss_mb(), 1),
            "updated": round(time.time(), 3),
        }
        return json.dumps(values)


def rss_mb() -> float:
    """Return this process' resident memory in MB, shared pages included."""
    with open("/proc/self/statm", encoding="ascii") as file:
        return int(file.read().split()[1]) * _PAGE_MB
