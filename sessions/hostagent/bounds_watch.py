"""Tells people when a session meets one of its limits. A task of the agent's event loop; a thread measures homes."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable

from ..spawners.bounds import Bounds
from .rhythm import until_beat

logger = logging.getLogger(__name__)

LOOK_INTERVAL = 2.0
SAID_FOR = 60.0
"""Seconds that what was said stands, if nothing follows."""


async def watch_bounds(sid: str, bounds: Bounds, say: Callable[[str], object], heard: Callable[[], bool]) -> None:
    """Look again and again until cancelled; ``say`` gets each new sentence, and "" when it is over.

    Nothing is looked at while nothing said is ``heard``: a session that only starts takes no such message.
    """
    loop = asyncio.get_running_loop()
    said, until = "", 0.0
    while True:
        await asyncio.sleep(until_beat(LOOK_INTERVAL))
        if not heard():
            continue
        found = bounds.look()
        if found is None and bounds.measures:
            found = await asyncio.to_thread(bounds.measure)
        if found:
            until = loop.time() + SAID_FOR
            if found != said:
                logger.warning("session %s: %s", sid, found)
        elif found is None and (not said or loop.time() < until):
            continue
        if (found or "") != said:
            said = found or ""
            say(said)
