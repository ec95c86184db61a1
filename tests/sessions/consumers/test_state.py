"""The session's state and its worker's events, as its viewers are told of them.

Through the real ASGI application, with a real Redis, a real database and a worker of the test's own.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import msgpack
import pytest
from django.contrib.auth.models import User

from sessions.consumers import session as consumer
from sessions.models import DesktopSession
from sessions.serving import presence
from sessions.worker.messages import CONTROL_PREFIX, session_group
from tests.sessions.consumers.conftest import path_of, save
from tests.sessions.fixtures_frames import FakeWorker

Connect = Callable[..., Any]


async def test_a_starting_session_reports_its_stages_until_it_runs(
    connect: Connect, session: DesktopSession, anna: User, worker: FakeWorker
) -> None:
    await save(session, state="starting", stage="display")
    viewer = await connect(path_of(session), anna)
    await viewer.until(lambda: viewer.of("state"))
    assert viewer.of("state")[0] == {"type": "state", "state": "starting", "stage": "display"}
    assert not viewer.pictures and not worker.asked("worker.snapshot")
    await save(session, state="running", stage="")
    await worker.event({"type": "state", "state": "running"})
    await viewer.until(lambda: viewer.pictures)
    assert viewer.of("state")[-1] == {"type": "state", "state": "running"}


async def test_a_lost_state_event_is_made_good(
    connect: Connect,
    session: DesktopSession,
    anna: User,
    worker: FakeWorker,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(consumer, "STARTING_RECHECK_S", 0.2)
    await save(session, state="starting")
    viewer = await connect(path_of(session), anna)
    await viewer.until(lambda: viewer.of("state"))
    await save(session, state="running")
    await viewer.until(lambda: viewer.pictures)


async def test_what_changes_while_a_viewer_is_let_in_is_not_missed(
    connect: Connect,
    session: DesktopSession,
    anna: User,
    worker: FakeWorker,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(consumer, "STARTING_RECHECK_S", 60)
    refresh = presence.refresh

    async def refresh_late(*who: str) -> None:
        """A desktop started ahead needs so long: it runs before he who launched it is in."""
        await save(session, state="running")
        await worker.event({"type": "state", "state": "running"})
        await asyncio.sleep(0.3)
        await refresh(*who)

    monkeypatch.setattr(presence, "refresh", refresh_late)
    await save(session, state="starting")
    viewer = await connect(path_of(session), anna)
    await viewer.until(lambda: viewer.pictures)


async def test_an_ended_session_is_refused_and_one_that_ends_closes(
    connect: Connect, session: DesktopSession, anna: User, worker: FakeWorker
) -> None:
    viewer = await connect(path_of(session), anna)
    await viewer.until(lambda: viewer.pictures)
    await worker.event({"type": "state", "state": "ended"})  # the worker's word alone ends nothing
    await viewer.pump(0.3)
    assert viewer.code is None
    await save(session, state="ended", reason="desktop-exited", message="The terminal was closed.")
    await worker.event({"type": "state", "state": "ended"})
    assert await viewer.closed() == (4411, "session-ended", "The terminal was closed.")
    assert viewer.of("state")[-1]["state"] == "ended"
    late = await connect(path_of(session), anna)
    assert await late.closed() == (4411, "session-ended", "The terminal was closed.")


async def test_events_of_the_worker_are_relayed_and_wrong_ones_are_not(
    connect: Connect, session: DesktopSession, anna: User, worker: FakeWorker
) -> None:
    viewer = await connect(path_of(session), anna)
    await viewer.until(lambda: viewer.pictures)
    for event in (
        {"type": "error", "code": "session-ended", "message": "spoofed"},
        {"type": "cursor", "serial": "x"},
        {"type": "stats", "fps": 1.0, "kbps": 2.0, "viewers": 1, "mode": "jpeg"},
    ):
        await worker.event(event)
    await viewer.until(lambda: viewer.of("stats"))
    assert not viewer.of("error") and not viewer.of("cursor") and viewer.code is None


async def test_a_worker_cannot_speak_for_a_client(
    connect: Connect, session: DesktopSession, anna: User, worker: FakeWorker
) -> None:
    viewer = await connect(path_of(session), anna)
    await viewer.until(lambda: viewer.pictures)
    forged = [{"type": "websocket.receive", "text": '{"type":"ping","t":7}'}, {"type": "websocket.disconnect"}, [1]]
    for data in (*map(msgpack.packb, forged), b"\xc1"):
        await worker.publish_raw(session_group(worker.session), data, CONTROL_PREFIX)
    await worker.event({"type": "cursor", "serial": 1, "hidden": True})  # and is heard as before
    await viewer.until(lambda: viewer.of("cursor"))
    assert viewer.code is None and not viewer.of("pong")
