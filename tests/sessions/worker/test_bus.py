"""The worker's Redis side against the real thing and the installed channels_redis."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any

import msgpack
import pytest
import redis
from channels.layers import get_channel_layer

from sessions.worker import bus as bus_module
from sessions.worker.bus import FRAME_HEAD, Bus, BusGone, BusLost, pack_data, snapshot_head
from sessions.worker.messages import frames_group, session_group, snapshots_group, worker_group
from tests.sessions.fixtures_redis import RedisServer

SESSION = "0" * 32


@asynccontextmanager
async def running(url: str, **options: Any) -> AsyncIterator[Bus]:
    bus = Bus(url, **options)
    keeper = asyncio.create_task(bus.keep())
    try:
        async with asyncio.timeout(5):
            while not bus.is_up:
                await asyncio.sleep(0.01)
        yield bus
    finally:
        keeper.cancel()
        await asyncio.wait([keeper])
        await bus.close()


@pytest.mark.parametrize("size", [0, 1, 300, 70_000])
def test_hand_packed_maps_are_msgpack(size: int) -> None:
    data = os.urandom(size)
    frame = b"".join(pack_data(FRAME_HEAD, memoryview(data)))
    assert msgpack.unpackb(frame) == {"type": "frame", "data": data}
    snapshot = b"".join(pack_data(snapshot_head({"a": 0, "b": 7}), data))
    assert msgpack.unpackb(snapshot) == {"type": "snapshot", "viewers": {"a": 0, "b": 7}, "data": data}


@pytest.mark.parametrize(
    ("alias", "group"),
    [("frames", frames_group(SESSION)), ("frames", snapshots_group(SESSION, "b")), ("default", session_group(SESSION))],
)
async def test_the_installed_layer_receives_what_the_bus_publishes(redis_url: str, alias: str, group: str) -> None:
    layer: Any = get_channel_layer(alias)
    channel = await layer.new_channel()
    await layer.group_add(group, channel)
    async with running(redis_url) as bus:
        if alias == "frames":
            assert await bus.publish_frames(group, FRAME_HEAD, b"picture") == 1
            expected = {"type": "frame", "data": b"picture"}
        else:
            expected = {"type": "session.event", "event": {"type": "stats"}}
            assert await bus.publish_control(group, expected) == 1
        async with asyncio.timeout(5):
            assert await layer.receive(channel) == expected


async def test_the_bus_hears_what_the_installed_layer_sends_and_survives_garbage(redis_url: str) -> None:
    heard: list[Any] = []
    layer: Any = get_channel_layer()
    async with running(redis_url) as bus:
        listener = asyncio.create_task(bus.listen(worker_group(SESSION), heard.append))
        while not await bus.command("PUBSUB", "NUMPAT") and not await bus.command("PUBSUB", "CHANNELS"):
            await asyncio.sleep(0.01)
        channel = f"stripedesk__group__{worker_group(SESSION)}"
        for garbage in (b"", b"\xc1", b"\x00\x00", os.urandom(200), b"x" * 200_000):
            await bus.command("PUBLISH", channel, garbage)
        await layer.group_send(worker_group(SESSION), {"type": "worker.stop"})
        async with asyncio.timeout(5):
            while {"type": "worker.stop"} not in heard:
                await asyncio.sleep(0.01)
        listener.cancel()
        with suppress(asyncio.CancelledError):
            await listener


async def test_a_lost_redis_costs_the_message_and_comes_back(private_redis: RedisServer) -> None:
    restored: list[int] = []
    async with running(private_redis.url) as bus:
        bus.on_restored = lambda: restored.append(1)
        heard: list[Any] = []
        listener = asyncio.create_task(bus.listen(worker_group(SESSION), heard.append))
        assert await bus.command("PING") == b"PONG"
        private_redis.stop()
        with pytest.raises(BusLost):
            await bus.publish_frames("g", FRAME_HEAD, b"x")
        with pytest.raises(BusLost):  # at once, without waiting for a connection
            await asyncio.wait_for(bus.publish_frames("g", FRAME_HEAD, b"x"), 0.1)
        private_redis.start()
        async with asyncio.timeout(10):
            while not bus.is_up:
                await asyncio.sleep(0.02)
            while not await bus.publish_control(worker_group(SESSION), {"type": "worker.stop"}):
                await asyncio.sleep(0.05)  # until the listener is back as well
            while not heard:
                await asyncio.sleep(0.02)
        assert restored and heard == [{"type": "worker.stop"}] and bus.hears.is_set()
        listener.cancel()
        await asyncio.wait([listener])


async def test_it_hears_before_it_says_so_and_not_after_a_loss(private_redis: RedisServer) -> None:
    """Who sees a picture asks for more at once; the worker publishes none before it would hear that."""
    group = f"stripedesk__group__{worker_group(SESSION)}"
    async with running(private_redis.url) as bus:
        assert not bus.hears.is_set()
        told: list[bool] = []
        bus.on_restored = lambda: told.append(bus.hears.is_set())
        listener = asyncio.create_task(bus.listen(worker_group(SESSION), lambda message: None))
        async with asyncio.timeout(5):
            await bus.hears.wait()
        assert told == [True] and await bus.command("PUBLISH", group, b"") == 1
        private_redis.stop()
        async with asyncio.timeout(5):
            while bus.hears.is_set():
                await asyncio.sleep(0.01)
        private_redis.start()
        async with asyncio.timeout(10):
            await bus.hears.wait()
        assert await bus.command("PUBLISH", group, b"") == 1 and all(told) and len(told) > 1
        listener.cancel()
        await asyncio.wait([listener])


async def test_it_gives_up_after_a_while(tmp_path: Any) -> None:
    bus = Bus(f"unix://{tmp_path}/nobody.sock", give_up_s=0.3)
    with pytest.raises(BusGone):
        await asyncio.wait_for(bus.keep(), 5)


async def test_a_redis_that_came_back_without_its_user_is_given_up_at_once(private_redis: RedisServer) -> None:
    """The host agent makes another user and starts another worker; this one would wait for a minute in vain."""
    with redis.Redis.from_url(private_redis.url) as admin:
        admin.execute_command("ACL", "SETUSER", "worker", "on", ">secret", "~*", "&*", "+@all")
    bus = Bus(f"unix://worker:secret@{private_redis.socket}")
    keeper = asyncio.create_task(bus.keep())
    try:
        async with asyncio.timeout(5):
            while not bus.is_up:
                await asyncio.sleep(0.01)
        private_redis.stop()
        with suppress(BusLost):
            await bus.command("PING")
        private_redis.start()
        with pytest.raises(BusGone):
            await asyncio.wait_for(keeper, 5)
    finally:
        keeper.cancel()
        await asyncio.wait([keeper])
        await bus.close()


async def test_a_socket_that_is_another_groups_is_given_up_soon(tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """The host agent starts a worker that may open it. Root opens everything, so the refusal is made up here."""

    async def refuse(path: str) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(asyncio, "open_unix_connection", refuse)
    monkeypatch.setattr(bus_module, "CLOSED_S", 0.3)
    bus = Bus(f"unix://{tmp_path}/closed.sock")
    with pytest.raises(BusGone):
        await asyncio.wait_for(bus.keep(), 5)


async def test_a_redis_that_does_not_answer_is_lost(tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bus_module, "COMMAND_S", 0.2)
    server = await asyncio.start_unix_server(lambda r, w: asyncio.sleep(60), path=f"{tmp_path}/mute.sock")
    bus = Bus(f"unix://{tmp_path}/mute.sock", give_up_s=0.5)
    with pytest.raises(BusGone):
        await asyncio.wait_for(bus.keep(), 10)
    server.close()


def test_names_are_those_of_the_settings_and_of_the_pages(settings: Any) -> None:
    from sessions import status
    from sessions.worker import messages

    prefixes = {alias: layer["CONFIG"]["prefix"] for alias, layer in settings.CHANNEL_LAYERS.items()}
    assert prefixes == {"default": messages.CONTROL_PREFIX, "frames": messages.FRAMES_PREFIX}
    assert status.status_key(SESSION) == messages.status_key(SESSION)
    assert status.viewers_key(SESSION) == messages.viewers_key(SESSION)
