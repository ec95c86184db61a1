"""The agent says so where a worker's own Redis user binds it to nothing."""

from __future__ import annotations

import asyncio
import logging
import tempfile
from pathlib import Path

import pytest

from sessions.hostagent.redis_users import RedisUsers
from sessions.hostagent.streamer import NO_REDIS
from sessions.states import State

from ..fixtures_redis import RedisServer
from .conftest import Installation, wait_for


def make_twice(url: str) -> None:
    async def make() -> None:
        users = RedisUsers(url)
        for sid in ("a" * 32, "b" * 32):
            await users.make(sid)
            await users.remove(sid)
        await users.close()

    asyncio.run(make())


def test_a_redis_that_lets_anybody_in_is_warned_of_once(caplog: pytest.LogCaptureFixture) -> None:
    with tempfile.TemporaryDirectory(prefix="sdr-") as directory:
        server = RedisServer(Path(directory))
        server.start()
        try:
            with caplog.at_level(logging.WARNING, "sessions.hostagent.redis_users"):
                make_twice(server.url)
        finally:
            server.stop()
    assert [record.getMessage().split(":")[0] for record in caplog.records] == ["Redis asks nobody for a password"]


def test_one_that_asks_for_a_password_is_not(installation: Installation, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING, "sessions.hostagent.redis_users"):
        make_twice(installation.environment["REDIS_URL"])
    assert caplog.records == []


def test_a_worker_that_dies_while_redis_is_away_has_a_successor_as_soon_as_it_is_back(
    installation: Installation,
) -> None:
    installation.start_agent()
    pk = installation.launch()
    first = installation.until(pk, State.RUNNING).spawner_state["worker"]
    installation.stop_redis()  # which is the end of this worker, and of its user
    row = installation.until(pk, State.RECOVERING)
    wait_for(lambda: installation.session(pk).message == NO_REDIS, 5, lambda: f"{row.message}\n{installation.log()}")
    installation.start_redis()
    installation.until(pk, State.RUNNING, seconds=5)
    assert installation.session(pk).spawner_state["worker"] != first
