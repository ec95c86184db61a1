"""Tasks end, even if what they wait for swallows a cancellation."""

from __future__ import annotations

import asyncio
import random

import redis.asyncio

from sessions.tasks import end_tasks
from tests.sessions.fixtures_redis import redis_server, redis_url  # noqa: F401


async def test_a_task_that_swallows_cancellations_is_ended() -> None:
    swallowed = 0

    async def stubborn() -> None:
        nonlocal swallowed
        while swallowed < 3:
            try:
                await asyncio.sleep(60)
            except asyncio.CancelledError:
                swallowed += 1
        await asyncio.sleep(60)

    task = asyncio.create_task(stubborn())
    await asyncio.sleep(0)
    async with asyncio.timeout(10):
        await end_tasks(task, again=0.01)
    assert task.cancelled() and swallowed == 3


async def test_what_has_ended_or_failed_is_no_matter() -> None:
    async def fail() -> None:
        raise ValueError("of no interest")

    done, failed = asyncio.create_task(asyncio.sleep(0)), asyncio.create_task(fail())
    await asyncio.wait({done, failed})
    await end_tasks(done, failed)
    await end_tasks()


async def test_readers_of_redis_end_whenever_they_are_told(redis_url: str) -> None:  # noqa: F811
    """At every moment of a command, in some of which the library swallows a cancellation."""
    dice = random.Random(3)

    async def read(client: redis.asyncio.Redis) -> None:
        while True:
            await client.getrange("nothing", 0, 10)

    async with redis.asyncio.Redis.from_url(redis_url, socket_timeout=5) as client:
        for _ in range(60):
            task = asyncio.create_task(read(client))
            for _ in range(dice.randrange(20)):
                await asyncio.sleep(0)
            async with asyncio.timeout(10):
                await end_tasks(task, again=0.01)
            assert task.done()
