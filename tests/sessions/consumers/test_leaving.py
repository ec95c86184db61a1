"""A connection that is gone leaves nothing behind: no task of its own goes on, whatever swallows its cancellation."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable

import pytest
from django.contrib.auth.models import User

from sessions.models import DesktopSession
from sessions.serving import presence
from tests.sessions.consumers.conftest import Viewer
from tests.sessions.fixtures_frames import FakeWorker

Connect = Callable[..., Awaitable[Viewer]]


async def test_a_swallowed_cancellation_keeps_nobody_among_the_viewers(
    connect: Connect, session: DesktopSession, anna: User, worker: FakeWorker, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As redis-py does it with a socket timeout; who watches would be told of for ever."""
    viewer = await connect(f"/ws/session/{session.pk}/", anna)
    await viewer.until(lambda: viewer.pictures)
    calls: list[str] = []

    async def refresh(session: str, viewer: str, report: str) -> None:
        calls.append("begun")
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.sleep(60)
        calls.append("swallowed")

    monkeypatch.setattr(presence, "refresh", refresh)
    monkeypatch.setattr(presence, "REFRESH_S", 0.0)
    await viewer.until(lambda: calls)
    await viewer.leave()
    assert calls == ["begun", "swallowed"]
    await asyncio.sleep(1.2)  # it looks once a second
    assert calls == ["begun", "swallowed"]
