"""When input was injected, told to the viewer it came from: of each viewer the newest, at most every `TELL_S`.

Runs on the event loop; nothing blocks.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Any

TELL_S = 0.25
MOST_VIEWERS = 1024


class Receipts:
    """Collects; ``tell`` is called with each `injected` event of the protocol, and the viewer it is for."""

    def __init__(self, tell: Callable[[dict[str, Any]], None]) -> None:
        self._tell = tell
        self._newest: dict[str, tuple[int, int]] = {}
        self._timer: asyncio.TimerHandle | None = None

    def note(self, viewer: str, seq: int) -> None:
        """The X server has just been given this message."""
        if viewer in self._newest or len(self._newest) < MOST_VIEWERS:
            self._newest[viewer] = (seq, time.monotonic_ns() // 1000)
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(TELL_S, self._flush)

    def _flush(self) -> None:
        self._timer = None
        newest, self._newest = self._newest, {}
        for viewer, (seq, at) in newest.items():
            self._tell({"type": "injected", "viewer": viewer, "seq": seq, "injected_us": at})
