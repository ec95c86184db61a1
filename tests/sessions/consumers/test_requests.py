"""What a viewer asks for: input, presets, statistics; and what he may not.

Through the real ASGI application, with a real Redis, a real database and a worker of the test's own.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Any

from asgiref.sync import sync_to_async
from django.contrib.auth.models import User

from sessions.models import DesktopSession, QualityPreset, ShareLink
from stripeengine import wire
from tests.sessions.consumers.conftest import by_link, path_of
from tests.sessions.fixtures_frames import EPOCH, FakeWorker

Connect = Callable[..., Any]


async def test_input_reaches_the_worker_and_is_released_at_the_end(
    connect: Connect, session: DesktopSession, anna: User, worker: FakeWorker
) -> None:
    viewer = await connect(path_of(session), anna)
    await viewer.until(lambda: viewer.of("welcome"))
    name = viewer.texts[0]["viewer"]
    await viewer.until(lambda: viewer.pictures)
    await viewer.say({"type": "input", "seq": 1, "events": [["key", "KeyA", "a", True], ["move", 3, 4]]})
    await viewer.say({"type": "input", "seq": 1, "events": [["release"]]})  # an old number
    await viewer.say({"type": "input", "seq": 2, "events": [["button", 9, True]]})
    await viewer.say({"type": "input", "seq": 3, "events": [["text", "ü"]]})
    await viewer.until(lambda: any(message["seq"] == 3 for message in worker.asked("worker.input")))
    heard = worker.asked("worker.input")
    assert all(message["viewer"] == name for message in heard)
    events = [event for message in heard for event in message["events"]]
    assert events == [["key", "KeyA", "a", True], ["move", 3, 4], ["text", "ü"]]
    # While he holds a key the worker hears that he is still there.
    assert (await worker.wait_for("worker.alive"))[0]["viewer"] == name
    await viewer.leave()
    assert (await worker.wait_for("worker.release"))[0]["viewer"] == name


async def test_an_input_is_acknowledged_with_its_times_to_whom_it_came_from(
    connect: Connect, session: DesktopSession, anna: User, worker: FakeWorker
) -> None:
    viewer, other = await connect(path_of(session), anna), await connect(path_of(session), anna)
    for one in (viewer, other):
        await one.until(lambda one=one: one.pictures)
    name = viewer.texts[0]["viewer"]
    before = time.monotonic_ns() // 1000
    await viewer.say({"type": "input", "seq": 7, "events": [["move", 3, 4]]})
    await worker.wait_for("worker.input")
    now = time.monotonic_ns() // 1000
    await worker.event({"type": "injected", "viewer": name, "seq": 6, "injected_us": now})  # nobody knows that one
    await worker.event({"type": "injected", "viewer": name, "seq": 7, "injected_us": now, "x": 1})
    (told,) = await viewer.until(lambda: viewer.of("injected"))
    assert before <= told.pop("received_us") <= now
    assert told == {"type": "injected", "seq": 7, "injected_us": now}
    await other.pump(0.1)
    assert not other.of("injected")


async def test_statistics_tell_of_the_viewers_own_delivery(
    connect: Connect, session: DesktopSession, anna: User, worker: FakeWorker
) -> None:
    viewer = await connect(path_of(session), anna)
    await viewer.until(lambda: viewer.pictures)
    await viewer.say({"type": "ack", "epoch": EPOCH, "frame": 0, "serial": 1})
    data = bytearray(await worker.next_frame())
    wire.stamp_publish(data, time.monotonic_ns() // 1000)
    worker.last = 2
    await worker.publish(wire.address(data, 2, 0, False))
    await viewer.until(lambda: wire.peek(viewer.pictures[-1]).frame_id == 2)
    await viewer.say({"type": "ack", "epoch": EPOCH, "frame": 2, "serial": wire.peek(viewer.pictures[-2]).serial or 1})
    engine = {"latency_ms": [1.5, 4], "dropped": 2}
    await worker.event({"type": "stats", "fps": 5, "kbps": 9, "viewers": 1, "mode": "auto", "engine": engine})
    (stats,) = await viewer.until(lambda: viewer.of("stats"))
    delivery = stats["delivery"]
    assert stats["engine"] == engine
    assert (delivery["phase"], delivery["shrink"], delivery["snapshots"], delivery["sent"]) == ("push", 1, 1, 2)
    assert (delivery["cap_kbps"], delivery["cap_fps"], delivery["missed"], delivery["inexact"]) == (0, 0, 0, 0)
    assert 0 <= delivery["relay_ms"] < 5000 and 0 <= delivery["ack_ms"] < 5000
    await worker.event({"type": "stats", "fps": 5, "kbps": 9, "viewers": 1, "mode": "auto", "engine": {"dropped": 1}})
    await worker.event({"type": "stats", "fps": 6, "kbps": 9, "viewers": 1, "mode": "auto"})
    again = (await viewer.until(lambda: viewer.of("stats")[1:]))[0]
    assert again["fps"] == 6 and again["delivery"]["relay_ms"] is None


async def test_a_guest_may_not_type_or_change_the_preset_and_is_told_once(
    connect: Connect, make_link: Callable[..., ShareLink], worker: FakeWorker, preset: QualityPreset
) -> None:
    viewer = await by_link(connect, await sync_to_async(make_link)())
    await viewer.until(lambda: viewer.pictures)
    for seq in range(1, 6):
        await viewer.say({"type": "input", "seq": seq, "events": [["key", "KeyA", "a", True]]})
    await viewer.say({"type": "preset", "id": preset.pk})
    await viewer.until(lambda: len(viewer.of("notice")) >= 2)
    await viewer.pump(0.2)
    assert [notice["code"] for notice in viewer.of("notice")] == ["input-refused", "preset-refused"]
    assert not worker.asked("worker.input") and not worker.asked("worker.settings") and viewer.code is None
    await viewer.leave()
    await asyncio.sleep(0.1)
    assert not worker.asked("worker.release")


async def test_the_owner_changes_the_preset(
    connect: Connect, session: DesktopSession, anna: User, worker: FakeWorker
) -> None:
    other = await QualityPreset.objects.acreate(name="Sharp", settings={"jpeg_quality": 95})
    viewer = await connect(path_of(session), anna)
    await viewer.until(lambda: viewer.pictures)
    await viewer.say({"type": "preset", "id": other.pk})
    settings = (await worker.wait_for("worker.settings"))[0]["settings"]
    assert settings["jpeg_quality"] == 95
    await viewer.until(lambda: viewer.of("preset"))
    assert viewer.of("preset")[0] == {"type": "preset", "id": other.pk, "name": "Sharp"}
    await viewer.say({"type": "preset", "id": 999_999})
    await viewer.until(lambda: viewer.of("notice"))
    assert viewer.of("notice")[0]["code"] == "unknown-preset" and viewer.code is None


async def test_a_hostile_client_is_counted_survived_and_closed(
    connect: Connect, session: DesktopSession, anna: User, worker: FakeWorker
) -> None:
    viewer = await connect(path_of(session), anna)
    await viewer.until(lambda: viewer.pictures)
    for wrong in (
        {"type": "shutdown"},
        {"type": "hello", "versions": [1]},
        {"type": "ack", "epoch": EPOCH, "frame": 4_000_000},
        {"type": "resync", "reason": "x" * 70_000},
        {"type": "input", "seq": 5, "events": [["move", 1e999, 0]]},
    ):
        await viewer.say(wrong)
    await viewer.say({"type": "ping", "t": 42})
    await viewer.until(lambda: viewer.of("pong"))
    assert viewer.of("pong")[0]["t"] == 42
    for _ in range(2):
        await viewer.say(b"\x00" * 100)
        await viewer.say("not json")
    await viewer.pump(0.1)
    assert (await viewer.closed())[:2] == (4400, "malformed")


async def test_more_than_500_messages_a_second_are_dropped_and_the_connection_lives(
    connect: Connect, session: DesktopSession, anna: User, worker: FakeWorker
) -> None:
    viewer = await connect(path_of(session), anna)
    await viewer.until(lambda: viewer.pictures)
    for seq in range(1, 1500):
        await viewer.say({"type": "input", "seq": seq, "events": [["move", 1, 1]]})
    await asyncio.sleep(1)
    events = sum(len(message["events"]) for message in worker.asked("worker.input"))
    assert 400 < events < 1200
    await viewer.say({"type": "ping", "t": 1})
    await viewer.until(lambda: viewer.of("pong"))
