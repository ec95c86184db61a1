"""What ends or changes a connection in the middle, and who is counted meanwhile.

Through the real ASGI application, with a real Redis, a real database and a worker of the test's own.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
import redis.asyncio
from asgiref.sync import sync_to_async
from django.contrib.auth.models import User
from django.utils import timezone

from sessions.consumers import session as consumer
from sessions.models import DesktopSession, ShareLink
from sessions.serving import framebus
from sessions.worker.messages import viewers_key
from stripeengine import wire
from tests.sessions.consumers.conftest import by_link, path_of, save, tell_access
from tests.sessions.fixtures_frames import EPOCH, FakeWorker

Connect = Callable[..., Any]


async def test_a_revoked_link_closes_and_others_stay(
    connect: Connect, make_link: Callable[..., ShareLink], session: DesktopSession, anna: User, worker: FakeWorker
) -> None:
    link = await sync_to_async(make_link)("collaborator")
    guest, owner = await by_link(connect, link), await connect(path_of(session), anna)
    for viewer in (guest, owner):
        await viewer.until(lambda viewer=viewer: viewer.pictures)
    await save(link, role="viewer")
    await tell_access(worker)
    await guest.until(lambda: guest.of("role"))
    assert guest.of("role")[0] == {"type": "role", "role": "viewer", "permissions": ["view"]}
    await save(link, revoked_at=timezone.now())
    await tell_access(worker)
    assert (await guest.closed())[:2] == (4410, "link-closed")
    await owner.pump(0.1)
    assert owner.code is None


async def test_each_frame_is_handed_to_the_owner_first_and_the_order_follows_roles(
    connect: Connect, session: DesktopSession, anna: User, worker: FakeWorker, make_link: Callable[..., ShareLink]
) -> None:
    links = [await sync_to_async(make_link)() for _ in range(2)]
    guests = [await by_link(connect, link) for link in links]
    owner = await connect(path_of(session), anna)
    for viewer in (*guests, owner):
        await viewer.until(lambda viewer=viewer: viewer.pictures)
    bus = framebus._buses[asyncio.get_running_loop()][session.sid]

    def order() -> list[str]:
        return [sink.id for sink in bus._order]

    one, two, first = (viewer.texts[0]["viewer"] for viewer in (*guests, owner))
    assert order() == [first, one, two]
    await save(links[1], role="collaborator")
    await tell_access(worker)
    await guests[1].until(lambda: guests[1].of("role"))
    assert order() == [first, two, one]


async def test_an_expiring_link_closes_by_itself(
    connect: Connect, make_link: Callable[..., ShareLink], worker: FakeWorker
) -> None:
    link = await sync_to_async(make_link)(expires_at=timezone.now() + timedelta(seconds=1.5))
    guest = await by_link(connect, link)
    await guest.until(lambda: guest.pictures)
    assert (await guest.closed())[:2] == (4410, "link-closed")


async def test_logging_out_or_deactivation_ends_the_connection(
    connect: Connect, session: DesktopSession, anna: User, worker: FakeWorker
) -> None:
    one = await connect(path_of(session), anna)
    two = await connect(path_of(session), anna)
    for viewer in (one, two):
        await viewer.until(lambda viewer=viewer: viewer.pictures)
    await sync_to_async(one.client.logout)()
    await tell_access(worker)
    assert (await one.closed())[:2] == (4401, "unauthenticated")
    await two.pump(0.1)
    assert two.code is None
    await save(anna, is_active=False)
    await tell_access(worker)
    assert (await two.closed())[:2] == (4401, "unauthenticated")


async def test_a_silent_client_is_closed(
    connect: Connect, session: DesktopSession, anna: User, worker: FakeWorker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(consumer, "SILENCE_S", 0.5)
    viewer = await connect(path_of(session), anna)
    assert (await viewer.closed())[:2] == (4408, "timeout")


async def test_presence_counts_who_watches(
    connect: Connect, session: DesktopSession, anna: User, worker: FakeWorker, redis_url: str
) -> None:
    viewer = await connect(path_of(session), anna)
    await viewer.until(lambda: viewer.pictures)
    async with redis.asyncio.Redis.from_url(redis_url, decode_responses=True) as client:
        assert await client.zrange(viewers_key(session.sid), 0, -1) == [viewer.texts[0]["viewer"]]
        assert 0 < await client.ttl(viewers_key(session.sid)) <= 60
        await viewer.leave()
        assert await client.zrange(viewers_key(session.sid), 0, -1) == []


async def test_a_slow_database_does_not_hold_up_pictures(
    connect: Connect, session: DesktopSession, anna: User, worker: FakeWorker
) -> None:
    viewer = await connect(path_of(session), anna)
    await viewer.until(lambda: viewer.pictures)
    await viewer.say({"type": "ack", "epoch": EPOCH, "frame": 0})
    slow = asyncio.create_task(sync_to_async(time.sleep)(1.0))  # the thread that every ORM call shares
    await asyncio.sleep(0.05)
    start = time.monotonic()
    for _ in range(10):
        await worker.next_frame()
        await viewer.until(lambda: wire.peek(viewer.pictures[-1]).frame_id == worker.last)
        await viewer.say({"type": "ack", "epoch": EPOCH, "frame": worker.last})
    assert time.monotonic() - start < 0.8 and not slow.done()
    await slow
