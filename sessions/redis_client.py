"""The web tier's own connection to Redis, for keys. Channel layers have theirs.

`connect` gives a thread-safe client with a pool; a call blocks for at most about two seconds when Redis is gone.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Final

import redis
import redis.asyncio
from django.conf import settings
from redis.asyncio.retry import Retry as AsyncRetry
from redis.backoff import NoBackoff
from redis.retry import Retry

TIMEOUT_S: Final = 1.0
RedisUnavailable = (redis.RedisError, OSError, TimeoutError)
"""What a call raises when Redis cannot be reached or cannot answer."""


@lru_cache(maxsize=4)
def _client(url: str) -> redis.Redis:
    # One retry, at once: a pooled connection may have died with the Redis before the present one.
    return redis.Redis.from_url(
        url,
        decode_responses=True,
        socket_timeout=TIMEOUT_S,
        socket_connect_timeout=TIMEOUT_S,
        retry=Retry(NoBackoff(), 1),
    )


def connect() -> redis.Redis:
    """Return the process' client; nothing is sent before the first command."""
    return _client(settings.REDIS_URL)


def connect_async() -> redis.asyncio.Redis:
    """Return a client for one event loop and one use: ``async with connect_async() as client``."""
    return redis.asyncio.Redis.from_url(
        settings.REDIS_URL,
        decode_responses=True,
        socket_timeout=TIMEOUT_S,
        socket_connect_timeout=TIMEOUT_S,
        retry=AsyncRetry(NoBackoff(), 1),
    )
