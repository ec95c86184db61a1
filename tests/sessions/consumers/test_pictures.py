"""Pictures to viewers: windows, repairs, links, codecs, hidden pages.

Through the real ASGI application, with a real Redis, a real database and a worker of the test's own.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Any

from asgiref.sync import sync_to_async
from django.contrib.auth.models import User

from sessions.models import DesktopSession, ShareLink
from stripeengine import wire
from tests.sessions.consumers.conftest import Viewer, by_link, path_of
from tests.sessions.fixtures_frames import EPOCH, FakeWorker, video

Connect = Callable[..., Any]


async def test_a_viewer_who_never_acknowledges_gets_a_window_while_another_gets_all(
    connect: Connect, session: DesktopSession, anna: User, worker: FakeWorker
) -> None:
    dead, good = await connect(path_of(session), anna), await connect(path_of(session), anna)
    for viewer in (dead, good):
        await viewer.until(lambda viewer=viewer: viewer.pictures)
    await good.say({"type": "ack", "epoch": EPOCH, "frame": 0})
    for _ in range(30):
        await worker.next_frame()
        await good.until(lambda: wire.peek(good.pictures[-1]).frame_id == worker.last)
        await good.say({"type": "ack", "epoch": EPOCH, "frame": worker.last})
    await dead.pump(0.1)
    assert [wire.peek(p).frame_id for p in good.pictures] == list(range(31))
    assert len(dead.pictures) == 4
    await dead.say({"type": "ack", "epoch": EPOCH, "frame": wire.peek(dead.pictures[-1]).frame_id, "serial": 1})
    await dead.until(lambda: wire.peek(dead.pictures[-1]).partial and len(dead.pictures) == 5)
    repair = wire.peek(dead.pictures[-1])
    assert (repair.frame_id, repair.serial) == (worker.last, 2)
    assert len(worker.asked("worker.snapshot")) == 2 and len(worker.asked("worker.repair")) == 1
    await worker.next_frame()
    await dead.until(lambda: wire.peek(dead.pictures[-1]).frame_id == worker.last)


async def over_a_slow_link(viewer: Viewer, worker: FakeWorker, seconds: float, kbps: int) -> None:
    """Show frames of 10 kB, 40 a second, to a viewer whose link carries that much."""
    loop = asyncio.get_running_loop()

    async def show() -> None:
        while True:
            await worker.next_frame(size=10_000)
            await asyncio.sleep(0.025)

    end, free_at, seen = loop.time() + seconds, 0.0, len(viewer.pictures)
    showing = asyncio.create_task(show())
    while loop.time() < end:
        await viewer.pump(0.005)
        if seen < len(viewer.pictures):
            data = viewer.pictures[seen]
            seen += 1
            free_at = max(free_at, loop.time() - 0.02) + len(data) / (kbps * 125)
            await asyncio.sleep(max(0.0, free_at - loop.time()))
            await viewer.say({"type": "ack", "epoch": EPOCH, "frame": wire.peek(data).frame_id})
    showing.cancel()
    await asyncio.wait([showing])


async def test_a_controllers_link_is_told_to_the_worker_and_lifted_when_he_leaves(
    connect: Connect, session: DesktopSession, anna: User, worker: FakeWorker
) -> None:
    viewer = await connect(path_of(session), anna)
    await viewer.until(lambda: viewer.pictures)
    await viewer.say({"type": "ack", "epoch": EPOCH, "frame": 0})
    await over_a_slow_link(viewer, worker, 5.0, 1000)
    told = worker.asked("worker.link")
    assert told and all(300 < message["kbps"] < 2000 for message in told), told
    name = viewer.texts[0]["viewer"]
    await viewer.leave()
    last = (await worker.wait_for("worker.link", len(told) + 1))[-1]
    assert (last["viewer"], last["kbps"]) == (name, 0)


async def test_a_mere_viewers_link_is_nobodys_business(
    connect: Connect, make_link: Callable[..., ShareLink], worker: FakeWorker
) -> None:
    viewer = await by_link(connect, await sync_to_async(make_link)())
    await viewer.until(lambda: viewer.pictures)
    await viewer.say({"type": "ack", "epoch": EPOCH, "frame": 0})
    await over_a_slow_link(viewer, worker, 3.0, 600)
    await viewer.leave()
    await asyncio.sleep(0.1)
    assert not worker.asked("worker.link")


async def test_a_hidden_viewer_gets_nothing_until_he_is_visible(
    connect: Connect, session: DesktopSession, anna: User, worker: FakeWorker
) -> None:
    viewer = await connect(path_of(session), anna)
    await viewer.until(lambda: viewer.pictures)
    await viewer.say({"type": "visibility", "hidden": True})
    await viewer.pump(0.1)
    count = len(viewer.pictures)
    for _ in range(5):
        await worker.next_frame()
    await viewer.pump(0.2)
    assert len(viewer.pictures) == count
    await viewer.say({"type": "visibility", "hidden": False})
    await viewer.until(lambda: len(viewer.pictures) > count)
    assert wire.peek(viewer.pictures[-1]).partial


async def test_what_a_client_could_not_show_comes_again(
    connect: Connect, session: DesktopSession, anna: User, worker: FakeWorker
) -> None:
    viewer = await connect(path_of(session), anna)
    await viewer.until(lambda: viewer.pictures)
    await viewer.say({"type": "ack", "epoch": EPOCH, "frame": 0, "serial": 1})
    await worker.next_frame()
    await viewer.until(lambda: len(viewer.pictures) == 2)
    await viewer.say({"type": "missed", "epoch": EPOCH, "frame": 1, "areas": [[0, 0, 8, 8]], "streams": [0]})
    await viewer.say({"type": "ack", "epoch": EPOCH, "frame": 1, "serial": 1})
    await viewer.until(lambda: len(viewer.pictures) == 3)
    assert wire.peek(viewer.pictures[-1]).partial
    (asked,) = worker.asked("worker.repair")
    assert (asked["tiles"], asked["shrink"], asked["quality"]) == (b"\x01", 1, 0)


async def test_a_guest_without_the_codec_is_told_why_and_sees_stills(
    connect: Connect, make_link: Callable[..., ShareLink], worker: FakeWorker
) -> None:
    viewer = await by_link(connect, await sync_to_async(make_link)(), codecs=["jpeg"])
    await viewer.until(lambda: viewer.pictures)
    await viewer.say({"type": "ack", "epoch": EPOCH, "frame": 0})
    start = time.monotonic()
    while time.monotonic() - start < 2.5:
        await worker.next_frame(video(key=True))
        await viewer.pump(0.02)
        if viewer.pictures:
            last = wire.peek(viewer.pictures[-1])
            await viewer.say({"type": "ack", "epoch": EPOCH, "frame": last.frame_id, "serial": last.serial})
    stills = [wire.peek(p) for p in viewer.pictures]
    assert all(header.kind == wire.SNAPSHOT for header in stills)
    assert 2 <= len(stills) <= 2.5 * 15 + 5 and all(header.partial for header in stills[1:])
    assert [notice["code"] for notice in viewer.of("notice")] == ["codec-missing"]
    assert not worker.asked("worker.settings")


async def test_a_resync_brings_a_snapshot(
    connect: Connect, session: DesktopSession, anna: User, worker: FakeWorker
) -> None:
    viewer = await connect(path_of(session), anna)
    await viewer.until(lambda: viewer.pictures)
    await viewer.say({"type": "resync", "reason": "decode"})
    await viewer.until(lambda: len(viewer.pictures) == 2)
    assert wire.peek(viewer.pictures[1]).kind == wire.SNAPSHOT
