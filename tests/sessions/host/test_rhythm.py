"""An agent that has nothing to do hardly wakes: one beat for all its sessions, one question to Redis, no polling."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path
from typing import Any

import pytest
import redis
from channels.layers import get_channel_layer

from sessions.hostagent import messages, rhythm
from sessions.hostagent.messages import StatusReader, Unavailable, listen_for_wake, status_key
from sessions.spawners import cgroups
from sessions.spawners.cgroups import LegacyGroup
from tests.sessions.fixtures_redis import redis_server, redis_url  # noqa: F401

SIDS = [f"{number:032x}" for number in range(20)]


class Turns:
    """Counts the event loop's turns."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.count = 0
        selector: Any = asyncio.get_running_loop()._selector  # type: ignore[attr-defined]
        select = selector.select

        def counted(timeout: float | None) -> Any:
            self.count += 1
            return select(timeout)

        monkeypatch.setattr(selector, "select", counted)


async def test_who_waits_for_the_beat_wakes_with_the_others(monkeypatch: pytest.MonkeyPatch) -> None:
    woken: list[int] = []
    turns = Turns(monkeypatch)

    async def session() -> None:
        await asyncio.sleep(rhythm.until_beat(0.5))
        woken.append(turns.count)

    sessions = []
    for _ in SIDS:  # each begins when it does
        sessions.append(asyncio.create_task(session()))
        await asyncio.sleep(0.001)
    await asyncio.gather(*sessions)
    assert max(woken) - min(woken) < len(SIDS) / 2, "each woke the loop for itself"


async def test_a_beat_that_comes_too_soon_does_not_come_twice(monkeypatch: pytest.MonkeyPatch) -> None:
    loop = asyncio.get_running_loop()
    monkeypatch.setattr(loop, "time", lambda: 9.9999)
    assert rhythm.until_beat(5.0) == pytest.approx(5.0001)
    monkeypatch.setattr(loop, "time", lambda: 10.0001)
    assert rhythm.until_beat(5.0) == pytest.approx(4.9999)


async def test_all_workers_are_asked_for_in_one_question(redis_url: str) -> None:  # noqa: F811
    reader = StatusReader(redis_url)
    with redis.Redis.from_url(redis_url) as admin:
        before = admin.info("stats")["total_connections_received"]
        for sid in SIDS[1:]:
            admin.set(status_key(sid), '{"state": "streaming"}')
        admin.lpush(status_key(SIDS[0]), "no string at all")
        found = await asyncio.gather(*map(reader.read, SIDS), return_exceptions=True)
        assert admin.info("stats")["total_connections_received"] == before + 1
    assert isinstance(found[0], Unavailable)
    assert [status.state for status in found[1:]] == ["streaming"] * (len(SIDS) - 1)  # type: ignore[union-attr]
    asked = asyncio.create_task(reader.read(SIDS[1]))
    others = reader.read(SIDS[2])
    await asyncio.sleep(0)
    asked.cancel()
    assert (await others).state == "streaming", "one who is cancelled takes the answer from the others"
    await reader.close()


async def test_a_wish_wakes_and_its_absence_does_not(redis_url: str, monkeypatch: pytest.MonkeyPatch) -> None:  # noqa: F811
    woken = asyncio.Event()
    listening = asyncio.create_task(listen_for_wake(woken.set, redis_url))
    async with asyncio.timeout(10):
        await woken.wait()  # it has begun: what was sent before was missed
        woken.clear()
        await get_channel_layer().group_send("hosts", {"type": "host.wake"})
        await woken.wait()
        turns = Turns(monkeypatch)
        await asyncio.sleep(1)
        assert turns.count < 5
        with redis.Redis.from_url(redis_url) as admin:
            woken.clear()
            admin.client_kill_filter(_type="pubsub")
        await woken.wait()  # it listens again, and looks what it missed
    listening.cancel()
    await asyncio.wait([listening])


async def test_a_link_that_was_cut_is_not_listened_to_for_ever(
    redis_url: str,  # noqa: F811
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(messages, "SILENT_S", 0.2)
    monkeypatch.setattr(messages, "RETRY_S", 0.0)
    woken = 0

    def wake() -> None:
        nonlocal woken
        woken += 1

    listening = asyncio.create_task(listen_for_wake(wake, redis_url))
    async with asyncio.timeout(10):
        while woken < 3:
            await asyncio.sleep(0.02)
    listening.cancel()
    await asyncio.wait([listening])


def test_version_1_counts_processor_time_where_its_counter_is(tmp_path: Path) -> None:
    """Mounted by itself or together with ``cpu``: else every process of the machine is looked at instead."""
    (tmp_path / "alone").mkdir()
    (tmp_path / "alone" / "cpuacct.usage").write_text("1500000000\n")
    (tmp_path / "mountinfo").write_text(f"31 24 0:28 / {tmp_path}/alone rw - cgroup cgroup rw,cpuacct\n")
    (tmp_path / "cgroup").write_text("2:cpuacct:/\n")
    assert cgroups.find(tmp_path).bases == {"cpuacct": tmp_path / "alone"}
    assert LegacyGroup({"cpu": tmp_path, "cpuacct": tmp_path / "alone"}).cpu_seconds() == 1.5
    assert LegacyGroup({"cpu": tmp_path / "alone"}).cpu_seconds() == 1.5
    assert LegacyGroup({"memory": tmp_path}).cpu_seconds() is None
    assert LegacyGroup({"cpu": tmp_path}).cpu_seconds() is None


async def test_a_silent_redis_answers_nobody_in_bounded_time(tmp_path: Path) -> None:
    server = await asyncio.start_unix_server(lambda reader, writer: reader.read(), str(tmp_path / "silent"))
    reader = StatusReader(f"unix://{tmp_path}/silent")
    began = time.monotonic()
    found = await asyncio.gather(*map(reader.read, SIDS), return_exceptions=True)
    assert all(isinstance(error, Unavailable) for error in found)
    assert time.monotonic() - began < 8
    await reader.close()
    server.close()
