"""The platform's own connections to Redis, for keys. Channel layers have theirs.

`connect` gives a thread-safe client with a pool; a call blocks for at most about two seconds when Redis is gone.
`connect_async` gives one for an event loop, to be used inside `answer_within`.
"""

from __future__ import annotations

import asyncio
from functools import lru_cache
from typing import Any, Final

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


def connect_async(url: str = "", **options: Any) -> redis.asyncio.Redis:
    """Return a client for one event loop, of Django's Redis or another; its calls belong inside `answer_within`.

    It has no ``socket_timeout`` of its own: redis-py would bound every command with `asyncio.wait_for`, which before
    Python 3.12 swallows a cancellation that comes as the command ends, and the cancelled task goes on for ever.
    """
    return redis.asyncio.Redis.from_url(
        url or settings.REDIS_URL,
        **{
            "decode_responses": True,
            "socket_timeout": None,
            "socket_connect_timeout": TIMEOUT_S,
            "retry": AsyncRetry(NoBackoff(), 1),
            **options,
        },
    )


def answer_within(seconds: float = 2 * TIMEOUT_S) -> asyncio.Timeout:
    """Bound what an event loop asks of Redis: ``async with answer_within():`` raises `TimeoutError`."""
    return asyncio.timeout(seconds)
