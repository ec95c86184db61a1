"""What event loops ask of Redis: one cancellation is enough at every moment, and a Redis that is silent is given up."""

from __future__ import annotations

import asyncio
import random
import socket
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from sessions import redis_client, tickets
from sessions.hostagent.messages import StatusReader
from sessions.hostagent.redis_users import RedisUsers
from sessions.ratelimit import RateLimit
from sessions.serving import presence
from sessions.serving.framebus import send_to_worker
from sessions.tasks import end_tasks
from sessions.worker.bus import Bus
from tests.sessions.fixtures_redis import redis_server, redis_url, use_redis  # noqa: F401

SID = "ab" * 16
Call = Callable[[], Awaitable[Any]]
ASKS: dict[str, Callable[[str], Call]] = {
    "presence": lambda url: lambda: presence.refresh(SID, "v1"),
    "ticket": lambda url: lambda: tickets.redeem("of nothing"),
    "status": lambda url: (lambda reader: lambda: reader.read(SID))(StatusReader(url)),
    "users": lambda url: (lambda users: lambda: users.remove(SID))(RedisUsers(url)),
    "to-worker": lambda url: lambda: send_to_worker(SID, {"type": "worker.cursor"}),
}


async def assert_one_cancellation_ends(call: Call, times: int = 80) -> None:
    dice = random.Random(3)

    async def for_ever() -> None:
        while True:
            await call()

    for _ in range(times):
        task = asyncio.create_task(for_ever())
        for _ in range(dice.randrange(30)):
            await asyncio.sleep(0)
        task.cancel()
        await asyncio.wait([task], timeout=5)
        went_on = not task.cancelled()
        await end_tasks(task, again=0.01)
        assert not went_on, "it went on as if nothing had been said"


@pytest.mark.parametrize("name", list(ASKS))
async def test_one_cancellation_ends_whoever_asks_redis(redis_url: str, name: str) -> None:  # noqa: F811
    await assert_one_cancellation_ends(ASKS[name](redis_url))


async def test_one_cancellation_ends_whoever_publishes_frames(redis_url: str) -> None:  # noqa: F811
    bus = Bus(redis_url)
    keeping = asyncio.create_task(bus.keep())
    while not bus.is_up:
        await asyncio.sleep(0.005)

    async def publish() -> None:
        while not bus.is_up:  # cut off in the middle of a command it connects again
            await asyncio.sleep(0)
        await bus.command("PUBLISH", "nobody", b"x")

    await assert_one_cancellation_ends(publish)
    await assert_one_cancellation_ends(bus.keep, 20)
    keeping.cancel()
    await asyncio.wait([keeping])
    await bus.close()


@pytest.fixture
def silent_redis(tmp_path: Path, settings: Any) -> Any:
    """Takes connections and never answers."""
    path = tmp_path / "silent.sock"
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
        listener.listen(64)
        use_redis(settings, f"unix://{path}")
        yield f"unix://{path}"


async def test_a_silent_redis_is_given_up_in_time(silent_redis: str) -> None:
    began = time.monotonic()
    await asyncio.gather(
        presence.refresh(SID, "v1"), presence.forget(SID, "v1"), StatusReader(silent_redis).forget(SID)
    )
    with pytest.raises(redis_client.RedisUnavailable):
        await tickets.redeem("of nothing")
    assert time.monotonic() - began < 6 * redis_client.TIMEOUT_S


# ---- a clock that was set back: what is in Redis has hours to live ----------------------------------------------


def test_a_limit_does_not_lock_out_for_longer_than_its_window(redis_url: str) -> None:  # noqa: F811
    limit = RateLimit("test", 1, 60)
    assert limit.hit("anna") and not limit.hit("anna") and limit.exhausted("anna")
    client = redis_client.connect()
    key = "stripedesk:rate:test:anna"
    assert 0 < client.ttl(key) <= 60
    for ask in (limit.exhausted, limit.hit):
        client.expire(key, 7200)
        ask("anna")
        assert client.ttl(key) <= 60
    client.expire(key, 5)
    limit.hit("anna")
    assert client.ttl(key) <= 5  # further tries do not make it longer


async def test_a_ticket_from_before_the_clock_was_set_back_opens_nothing(redis_url: str) -> None:  # noqa: F811
    ticket = await asyncio.to_thread(tickets.issue, "link")
    other = await asyncio.to_thread(tickets.issue, "link")
    client = redis_client.connect()
    for key in client.keys("stripedesk:ticket:*"):
        assert client.ttl(key) <= tickets.LIFETIME_S
    assert await tickets.redeem(other) == "link"
    [key] = client.keys("stripedesk:ticket:*")
    client.expire(key, 7200)
    assert await tickets.redeem(ticket) is None
    assert not client.keys("stripedesk:ticket:*")
