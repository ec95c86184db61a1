"""Who watches: a sorted set per session, scored by when each viewer was last seen, and a report of each.

Runs on the event loop with one Redis client per loop; a Redis that is down costs the count, nothing else.
"""

from __future__ import annotations

import asyncio
import logging
import time
from weakref import WeakKeyDictionary

from django.conf import settings
from redis.asyncio import Redis

from ..redis_client import RedisUnavailable, answer_within, connect_async
from ..worker.messages import viewer_key, viewers_key

logger = logging.getLogger(__name__)

REFRESH_S = 5.0
COUNTED_S = 30
EXPIRY_S = 60

_clients: WeakKeyDictionary[asyncio.AbstractEventLoop, tuple[str, Redis]] = WeakKeyDictionary()


def _client() -> Redis:
    loop = asyncio.get_running_loop()
    url, client = _clients.get(loop, ("", None))
    if client is None or url != settings.REDIS_URL:
        client = connect_async(max_connections=64)
        _clients[loop] = (settings.REDIS_URL, client)
    return client


async def refresh(session: str, viewer: str, report: str = "") -> None:
    """Note that ``viewer`` is watching, what is told of him, and forget who has not been seen for long."""
    now = time.time()
    key = viewers_key(session)
    try:
        async with answer_within(), _client().pipeline(transaction=False) as pipeline:
            pipeline.zadd(key, {viewer: now})
            pipeline.zremrangebyscore(key, "-inf", now - 2 * COUNTED_S)
            # From before the clock was set back: whoever of them still watches is back with his next refresh.
            pipeline.zremrangebyscore(key, now + COUNTED_S, "+inf")
            pipeline.expire(key, EXPIRY_S)
            if report:
                pipeline.set(viewer_key(session, viewer), report, ex=COUNTED_S)
            await pipeline.execute()
    except RedisUnavailable as error:
        logger.debug("presence in session %s: %s", session, error)


async def forget(session: str, viewer: str) -> None:
    """Note that ``viewer`` has left."""
    try:
        async with answer_within(), _client().pipeline(transaction=False) as pipeline:
            pipeline.zrem(viewers_key(session), viewer)
            pipeline.delete(viewer_key(session, viewer))
            await pipeline.execute()
    except RedisUnavailable as error:
        logger.debug("presence in session %s: %s", session, error)
