"""Coming in: who is let in, and who is refused and told why.

Through the real ASGI application, with a real Redis, a real database and a worker of the test's own.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from asgiref.sync import sync_to_async
from django.contrib.auth.models import User
from django.utils import timezone

from sessions import tickets
from sessions.consumers import session as consumer
from sessions.models import DesktopSession, ShareLink
from stripeengine import wire
from tests.sessions.consumers.conftest import HELLO, by_link, path_of
from tests.sessions.fixtures_frames import FakeWorker
from tests.sessions.fixtures_redis import RedisServer

Connect = Callable[..., Any]


async def test_the_owner_is_welcomed_and_gets_snapshot_then_frames(
    connect: Connect, session: DesktopSession, anna: User, worker: FakeWorker
) -> None:
    await worker.next_frame()
    viewer = await connect(path_of(session), anna)
    await viewer.until(lambda: viewer.pictures)
    welcome = viewer.texts[0]
    assert welcome["type"] == "welcome" and welcome["role"] == "owner"
    assert {"view", "input", "settings"} <= set(welcome["permissions"])
    assert welcome["session"] == {"id": str(session.pk), "name": "Work", "template": "Terminal", "state": "running"}
    assert welcome["presets"] == [{"id": session.preset_id, "name": "Balanced", "help": "For most work."}]
    assert (welcome["preset"], welcome["heartbeat_s"], welcome["window"]) == (session.preset_id, 10, 4)
    assert wire.peek(viewer.pictures[0]).kind == wire.SNAPSHOT
    sent = await worker.next_frame()
    await viewer.until(lambda: sent in viewer.pictures)
    assert worker.asked("worker.cursor")


@pytest.mark.parametrize(
    ("said", "code", "error"),
    [
        ({"type": "hello", "versions": [9]}, 4406, "version"),
        ({"type": "hello"}, 4400, "malformed"),
        ({"type": "ping", "t": 1}, 4400, "malformed"),
        ("{", 4400, "malformed"),
        (b"\x00\x01", 4400, "malformed"),
    ],
)
async def test_a_wrong_greeting_is_refused(
    connect: Connect, session: DesktopSession, anna: User, redis_url: str, said: Any, code: int, error: str
) -> None:
    viewer = await connect(path_of(session), anna, hello=None)
    await viewer.say(said)
    assert (await viewer.closed())[:2] == (code, error)


async def test_silence_instead_of_a_greeting_is_closed(
    connect: Connect, session: DesktopSession, anna: User, redis_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(consumer, "HELLO_S", 0.1)
    viewer = await connect(path_of(session), anna, hello=None)
    assert (await viewer.closed())[:2] == (4408, "timeout")


async def test_strangers_are_refused(connect: Connect, session: DesktopSession, bob: User, redis_url: str) -> None:
    assert (await (await connect(path_of(session))).closed())[:2] == (4401, "unauthenticated")
    assert (await (await connect(path_of(session), bob)).closed())[:2] == (4404, "unknown-session")
    unknown = "/ws/session/00000000-0000-0000-0000-000000000000/"
    assert (await (await connect(unknown, bob)).closed())[:2] == (4404, "unknown-session")
    assert (await connect(path_of(session), bob, origin="http://evil.example")).code == 403


async def test_a_ticket_opens_its_own_link_once(
    connect: Connect, make_link: Callable[..., ShareLink], worker: FakeWorker
) -> None:
    link, other = await sync_to_async(make_link)(), await sync_to_async(make_link)()
    ticket = await sync_to_async(tickets.issue)(link.pk)
    wrong = await connect(f"/ws/link/{other.pk}/", hello={**HELLO, "ticket": ticket})
    assert (await wrong.closed())[:2] == (4401, "unauthenticated")
    used = await connect(f"/ws/link/{link.pk}/", hello={**HELLO, "ticket": ticket})
    assert (await used.closed())[:2] == (4401, "unauthenticated")  # it was taken by the wrong address
    missing = await connect(f"/ws/link/{link.pk}/")
    assert (await missing.closed())[:2] == (4401, "unauthenticated")
    viewer = await by_link(connect, link)
    await viewer.until(lambda: viewer.pictures)
    assert viewer.texts[0]["role"] == "viewer" and viewer.texts[0]["permissions"] == ["view"]


@pytest.mark.parametrize("values", [{"revoked_at": timezone.now()}, {"expires_at": timezone.now() - timedelta(1)}])
async def test_a_closed_link_is_refused(
    connect: Connect, make_link: Callable[..., ShareLink], redis_url: str, values: dict[str, Any]
) -> None:
    link = await sync_to_async(make_link)(**values)
    assert (await (await by_link(connect, link)).closed())[:2] == (4410, "link-closed")


async def test_redis_down_says_try_again(
    connect: Connect, session: DesktopSession, anna: User, private_redis: RedisServer
) -> None:
    private_redis.stop()
    viewer = await connect(path_of(session), anna, hello=None)
    assert (await viewer.closed(10))[0] == 1013
