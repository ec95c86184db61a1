"""The common beat of everything that looks again and again: all sessions' looks fall into one turn of the event loop.

One wake-up then serves all of them, and one question to Redis asks for all their workers.
"""

from __future__ import annotations

import asyncio
import math

EARLY = 1e-3
"""Seconds by which a timer may come too soon; it shall not come twice then."""


def until_beat(interval: float) -> float:
    """Return the seconds until the event loop's clock is next a whole multiple of ``interval``."""
    now = asyncio.get_running_loop().time()
    return (math.floor((now + EARLY) / interval) + 1) * interval - now
