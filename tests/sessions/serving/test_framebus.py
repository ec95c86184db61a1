"""The FrameBus over a real Redis, with a worker that behaves and one that does not."""

from __future__ import annotations

import asyncio
import os
from typing import Any

import msgpack
import pytest
from channels.layers import get_channel_layer

from sessions.serving import framebus, intake
from sessions.serving.asks import QUARTER, Ask
from sessions.serving.frames import Answer, Frame
from sessions.tiles import Grid
from sessions.worker.messages import Repair, frames_group, parse_worker_message, snapshots_group
from stripeengine import wire
from tests.sessions.fixtures_frames import FakeWorker, frame, snapshot
from tests.sessions.fixtures_redis import RedisServer

SESSION = "5" * 32


class Viewer:
    def __init__(self, name: str = "v") -> None:
        self.id = name
        self.rank = 0
        self.watches = True
        self.frames: list[wire.Message] = []
        self.answers: list[Answer] = []
        self.gaps = 0

    def on_frame(self, frame: Frame) -> None:
        self.frames.append(frame.message)

    def on_answer(self, answer: Answer) -> None:
        self.answers.append(answer)

    def on_gap(self, epoch: int, number: int) -> None:
        self.gaps += 1

    @property
    def snapshots(self) -> list[tuple[wire.Message, ...]]:
        return [answer.parts for answer in self.answers]

    @property
    def ids(self) -> list[int]:
        return [message.header.frame_id for message in self.frames]


async def until(check: Any, seconds: float = 5) -> None:
    async with asyncio.timeout(seconds):
        while not check():
            await asyncio.sleep(0.01)


async def joined(*viewers: Viewer) -> framebus.FrameBus:
    for viewer in viewers:
        bus = framebus.join(SESSION, viewer)
    await asyncio.wait_for(bus._subscribed.wait(), 5)
    return bus


async def test_two_viewers_share_one_bus_and_the_same_bytes(redis_url: str) -> None:
    one, two = Viewer("one"), Viewer("two")
    bus = await joined(one, two)
    async with FakeWorker(redis_url, SESSION) as worker:
        sent = await worker.next_frame()
        await until(lambda: one.frames and two.frames)
        assert one.frames[0].raw == sent and one.frames[0] is two.frames[0]
        bus.request_snapshot("two")
        await until(lambda: two.snapshots)
        assert not one.snapshots and two.snapshots[0][0].header.frame_id == 1
        framebus.leave(bus, one)
        assert framebus.join(SESSION, one) is bus
        framebus.leave(bus, one)
        framebus.leave(bus, two)
        assert framebus.join(SESSION, one) is not bus
        framebus.leave(framebus.join(SESSION, one), one)
        await asyncio.sleep(0.1)
        await worker.next_frame()
        await asyncio.sleep(0.1)
        assert one.ids == [1]


async def test_who_may_act_on_the_picture_is_handed_it_first(monkeypatch: pytest.MonkeyPatch) -> None:
    bus, told = intake.Intake(SESSION), list[str]()
    viewers = {name: Viewer(name) for name in ("guest", "owner", "another", "helper")}
    for name, viewer in viewers.items():
        monkeypatch.setattr(viewer, "on_frame", lambda frame, name=name: told.append(name))
        bus.attach(viewer)
    viewers["guest"].rank = viewers["another"].rank = 2
    viewers["helper"].rank = 1
    bus.arrange()
    bus.deliver({"type": "frame", "data": frame(1)}, 0.0)
    assert told == ["owner", "helper", "guest", "another"]


async def test_the_last_viewer_leaves_nothing_behind(redis_url: str) -> None:
    import redis.asyncio

    for _ in range(3):
        viewer = Viewer()
        bus = await joined(viewer)
        framebus.leave(bus, viewer)
        await asyncio.wait([bus._reader], timeout=5)
        assert bus._reader.done()
    async with redis.asyncio.Redis.from_url(redis_url) as client:
        async with asyncio.timeout(5):
            while await client.pubsub_channels("*frames*"):
                await asyncio.sleep(0.02)


async def test_a_gap_is_noticed_and_duplicates_are_dropped(redis_url: str) -> None:
    viewer = Viewer()
    bus = await joined(viewer)
    async with FakeWorker(redis_url, SESSION) as worker:
        for number in (1, 2, 4, 4, 3, 5):
            await worker.publish(frame(number))
        await until(lambda: viewer.ids == [1, 2, 4, 5])
        assert viewer.gaps == 1 and bus.invalid == 2
        await worker.publish(frame(1, epoch=9))
        await until(lambda: viewer.ids == [1, 2, 4, 5, 1])
        assert viewer.gaps == 1
    framebus.leave(bus, viewer)


async def test_the_head_tells_of_a_lost_tail_and_of_a_new_life(redis_url: str) -> None:
    viewer = Viewer()
    bus = await joined(viewer)
    async with FakeWorker(redis_url, SESSION) as worker:
        await worker.next_frame()
        await worker.head(7, 1)
        await worker.head(7, 0)
        await until(lambda: viewer.ids == [1])
        await asyncio.sleep(0.05)
        assert viewer.gaps == 0
        await worker.head(7, 2)
        await until(lambda: viewer.gaps == 1)
        await worker.head(8, 1)
        await until(lambda: viewer.gaps == 2)
        assert (bus.epoch, bus.last_frame) == (8, 1)
    framebus.leave(bus, viewer)


async def test_a_snapshot_in_parts_arrives_whole(redis_url: str) -> None:
    viewer = Viewer()
    bus = await joined(viewer)
    async with FakeWorker(redis_url, SESSION) as worker:
        await worker.publish(frame(5))
        for flags in (wire.MORE, wire.MORE, 0):
            await worker.snapshot(bus.id, ["v", "somebody else"], snapshot(3, flags=flags))
        await until(lambda: viewer.snapshots)
        assert [len(parts) for parts in viewer.snapshots] == [3]
        # A part of another snapshot starts afresh: nobody gets a mixture.
        await worker.snapshot(bus.id, ["v"], snapshot(4, flags=wire.MORE))
        await worker.snapshot(bus.id, ["v"], snapshot(5))
        await until(lambda: len(viewer.snapshots) == 2)
        assert [part.header.frame_id for part in viewer.snapshots[1]] == [5]
    framebus.leave(bus, viewer)


async def test_an_answer_waits_for_the_last_frame_it_contains(redis_url: str) -> None:
    viewer = Viewer()
    bus = await joined(viewer)
    async with FakeWorker(redis_url, SESSION) as worker:
        await worker.next_frame()
        await worker.snapshot(bus.id, ["v"], snapshot(2, flags=wire.PARTIAL))
        await worker.head(7, 1)
        await asyncio.sleep(0.1)
        assert not viewer.answers
        await worker.next_frame()
        await until(lambda: viewer.answers)
        assert viewer.ids == [1, 2] and viewer.answers[0].partial
        # The frame that it waits for is lost: the head tells of that, and the answer is as good as ever.
        await worker.snapshot(bus.id, ["v"], snapshot(3))
        await worker.head(7, 3)
        await until(lambda: len(viewer.answers) == 2)
        assert viewer.gaps == 1
        # That frame was only late: it is old by now, not wrong.
        await worker.publish(frame(3))
        await worker.publish(frame(4))
        await until(lambda: viewer.ids == [1, 2, 4])
        assert bus.invalid == 0 and viewer.gaps == 1
    framebus.leave(bus, viewer)


async def test_a_repair_is_asked_for_as_the_worker_reads_it(redis_url: str) -> None:
    viewer = Viewer()
    bus = await joined(viewer)
    async with FakeWorker(redis_url, SESSION) as worker:
        bus.request_repair("v", Ask(9, False, Grid(200, 136), 0b100000000101, QUARTER, 0, 0.0))
        (raw,) = await worker.wait_for("worker.repair")
        asked = parse_worker_message(raw)
        assert isinstance(asked, Repair) and (asked.viewer, asked.bus, asked.token) == ("v", bus.id, 9)
        assert (asked.width, asked.height, asked.tiles) == (200, 136, 0b100000000101)
        assert (asked.shrink, asked.quality) == (4, 60)
    framebus.leave(bus, viewer)


async def test_the_worker_is_told_how_many_look(redis_url: str) -> None:
    one, two = Viewer("one"), Viewer("two")
    async with FakeWorker(redis_url, SESSION) as worker:
        bus = await joined(one, two)
        await worker.wait_for("worker.watch", 2)
        two.watches = False
        bus.tell_watchers()
        bus.tell_watchers()
        await worker.wait_for("worker.watch", 3)
        framebus.leave(bus, two)
        framebus.leave(bus, one)  # the last word is said though the bus has ended
        told = await worker.wait_for("worker.watch", 4)
        assert [(message["bus"], message["viewers"]) for message in told] == [(bus.id, n) for n in (1, 2, 1, 0)]


async def test_a_hostile_worker_is_counted_and_its_good_frames_still_arrive(
    redis_url: str, caplog: pytest.LogCaptureFixture
) -> None:
    viewer = Viewer()
    bus = await joined(viewer)
    good = frame(1)
    garbage: list[Any] = [
        {"type": "frame"},
        {"type": "frame", "data": "text"},
        {"type": "frame", "data": b""},
        {"type": "frame", "data": good[:-1]},
        {"type": "frame", "data": os.urandom(500)},
        {"type": "frame", "data": b"\x01\x01" + bytes(46)},
        {"type": "frame", "data": snapshot(1)},
        {"type": "snapshot", "viewers": ["v"], "data": good},
        {"type": "snapshot", "viewers": "v", "data": snapshot(1)},
        {"type": "snapshot", "viewers": {"v": "1"}, "data": snapshot(1)},
        {"type": "snapshot", "viewers": {5: 1}, "data": snapshot(1)},
        {"type": "snapshot", "viewers": [["v"], 5, None], "data": snapshot(1)},
        {"type": "head", "epoch": "7", "frame": 1},
        {"type": "head", "epoch": 0, "frame": -1},
        {"type": "session.event"},
        {"type": 5},
        [1, 2],
        None,
        5,
    ]
    async with FakeWorker(redis_url, SESSION) as worker:
        for item in garbage:
            await worker.publish_raw(frames_group(SESSION), msgpack.packb(item))
        for raw in (b"", b"\xc1", b"\xdf\xff\xff\xff\xff", b"\x91" * 5000, os.urandom(300)):
            await worker.publish_raw(frames_group(SESSION), raw)
            await worker.publish_raw(snapshots_group(SESSION, bus.id), raw)
        await worker.next_frame()
        await until(lambda: viewer.ids == [1])
        assert bus.invalid >= len(garbage) and not viewer.snapshots
        assert len(caplog.records) < 12  # it does not fill the log either
    framebus.leave(bus, viewer)


async def test_an_endless_snapshot_is_cut_off(redis_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(intake, "MOST_SNAPSHOT_BYTES", 10_000)
    viewer = Viewer()
    bus = await joined(viewer)
    async with FakeWorker(redis_url, SESSION) as worker:
        for _ in range(20):
            await worker.snapshot(bus.id, ["v"], snapshot(3, flags=wire.MORE, size=1000))
        await until(lambda: bus.invalid)
        assert len(bus._parts) < 11 and not viewer.snapshots
    framebus.leave(bus, viewer)


async def test_a_flood_does_not_keep_the_loop_from_others_and_stays_bounded(redis_url: str) -> None:
    viewer = Viewer()
    bus = await joined(viewer)
    async with FakeWorker(redis_url, SESSION) as worker:
        blocked = 0.0
        loop = asyncio.get_running_loop()

        async def watch() -> None:
            nonlocal blocked
            while True:
                before = loop.time()
                await asyncio.sleep(0)
                blocked = max(blocked, loop.time() - before)

        watcher = asyncio.create_task(watch())
        for number in range(1, 1001):
            await worker.publish(frame(number))
        await until(lambda: bus.last_frame == 1000 or bus.overflows)
        watcher.cancel()
        assert blocked < 0.5
        assert bool(viewer.gaps) == bool(bus.overflows)  # what was dropped is not kept secret
        await asyncio.sleep(0.2)
        await worker.publish(frame(1001))
        await until(lambda: viewer.ids[-1:] == [1001])


async def test_a_backlog_is_dropped_and_the_viewers_told(redis_url: str) -> None:
    viewer = Viewer()
    bus = await joined(viewer)
    async with FakeWorker(redis_url, SESSION) as worker:
        layer: Any = get_channel_layer("frames")
        queue = next(iter(layer.channels.values()))
        for number in range(1, 1001):  # as if the loop had been blocked for long
            queue.put_nowait(msgpack.packb({"type": "frame", "data": frame(number)}))
        await until(lambda: bus.overflows == 1)
        assert queue.qsize() == 0 and len(viewer.frames) < 100 and viewer.gaps == 1
        await worker.publish(frame(1001))
        await until(lambda: viewer.ids[-1:] == [1001])
    framebus.leave(bus, viewer)


async def test_key_frames_are_asked_for_once_a_second_for_all(redis_url: str) -> None:
    viewer = Viewer()
    bus = await joined(viewer)
    async with FakeWorker(redis_url, SESSION) as worker:
        for _ in range(10):
            bus.request_key_frames()
        await worker.wait_for("worker.key_frames")
        await asyncio.sleep(0.1)
        assert len(worker.asked("worker.key_frames")) == 1
    framebus.leave(bus, viewer)


async def test_a_redis_that_was_away_is_found_again(private_redis: RedisServer) -> None:
    viewer = Viewer()
    private_redis.stop()
    bus = framebus.join(SESSION, viewer)  # joining does not fail
    await asyncio.sleep(0.2)
    private_redis.start()
    await asyncio.wait_for(bus._subscribed.wait(), 10)
    async with FakeWorker(private_redis.url, SESSION) as worker:
        await worker.next_frame()
        await until(lambda: viewer.ids == [1])
    framebus.leave(bus, viewer)


async def test_a_question_that_redis_does_not_take_is_put_again(
    redis_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    taken: list[bool] = []
    send = framebus.send_to_worker

    async def third(session: str, message: dict[str, Any]) -> bool:
        if message["type"] != "worker.snapshot":
            return await send(session, message)
        taken.append(len(taken) == 2)
        return taken[-1] and await send(session, message)

    monkeypatch.setattr(framebus, "send_to_worker", third)
    monkeypatch.setattr(framebus, "ASK_AGAIN_S", 0.01)
    viewer = Viewer()
    bus = await joined(viewer)
    async with FakeWorker(redis_url, SESSION) as worker:
        bus.request_snapshot("v")
        await worker.wait_for("worker.snapshot")
        await asyncio.sleep(0.1)
        assert taken == [False, False, True] and len(worker.asked("worker.snapshot")) == 1
    framebus.leave(bus, viewer)


async def test_a_subscription_that_is_deaf_is_made_anew(redis_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever the layer thinks: here Redis has forgotten of what the layer still counts as subscribed."""
    monkeypatch.setattr(framebus, "DEAF_S", 0.5)
    monkeypatch.setattr(framebus, "RETRY_S", 0.01)
    viewer = Viewer()
    bus = await joined(viewer)
    layer: Any = get_channel_layer(framebus.FRAMES_ALIAS)
    [shard] = layer._get_layer()._shards
    await shard._pubsub.connection.send_command("UNSUBSCRIBE", *shard._subscribed_to)
    async with FakeWorker(redis_url, SESSION) as worker:
        await worker.next_frame()
        await asyncio.sleep(0.1)
        assert not viewer.ids
        await until(lambda: viewer.gaps)
        await asyncio.wait_for(bus._subscribed.wait(), 5)
        await worker.next_frame()
        await until(lambda: viewer.ids == [2])
    framebus.leave(bus, viewer)
