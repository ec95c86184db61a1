"""What is told of one viewer to the admin and to metrics: how long his pictures take, how many, and what was left out.

Written beside his presence every few seconds. Pure bookkeeping on the event loop; nothing blocks.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from ..latency import Samples
from .incoming import Ack


class Report:
    """One viewer's. Times are the event loop's seconds."""

    def __init__(self, now: float) -> None:
        self.samples = Samples()
        self._joined = self._told = now
        self._frames = self._bytes = 0
        self.queue = 0
        """Messages that wait in his browser, as he said last."""

    def sent(self, size: int) -> None:
        """A picture of that size was handed to the socket."""
        self._frames += 1
        self._bytes += size

    def acked(self, said: Ack) -> None:
        """What he says of his decoder; nobody else's numbers are touched by it."""
        for stage, ms in (("decode", said.decode_ms), ("paint", said.paint_ms)):
            if ms is not None:
                self.samples.add(stage, ms)
        self.queue = said.queue

    def injected(self, received_us: int, injected_us: int) -> None:
        """An input of his was injected."""
        if injected_us >= received_us:  # else the session is on another machine, whose clock is another
            self.samples.add("inject", (injected_us - received_us) / 1000)

    def as_json(self, now: float, role: str, delivery: Mapping[str, Any], refused: int) -> str:
        """Return the report; rates are of the time since the last one. ``delivery`` as in the protocol, section 6.5."""
        seconds = max(now - self._told, 1e-3)
        values = {
            "role": role,
            "seconds": round(now - self._joined),
            "fps": round(self._frames / seconds, 1),
            "kbps": round(self._bytes / 125 / seconds, 1),
            "queue": self.queue,
            "refused": refused,
            "stages": self.samples.quantiles(),
            **{name: delivery[name] for name in ("phase", "rate_kbps", "cap_kbps", "cap_fps", "missed", "dropped")},
        }
        self._told, self._frames, self._bytes = now, 0, 0
        return json.dumps(values)
