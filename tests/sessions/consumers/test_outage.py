"""A database that is away: who watches goes on watching, who comes is asked to come again, nobody is thrown out."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import pytest
from django.contrib.auth.models import User
from django.db import OperationalError

from sessions.consumers import session as module
from sessions.consumers.admission import Door
from sessions.models import DesktopSession, QualityPreset
from tests.sessions.consumers.conftest import Viewer
from tests.sessions.fixtures_frames import FakeWorker

Connect = Callable[..., Awaitable[Viewer]]


async def test_a_viewer_stays_and_a_newcomer_comes_again(
    connect: Connect,
    session: DesktopSession,
    anna: User,
    preset: QualityPreset,
    worker: FakeWorker,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, "RECHECK_S", 0.2)
    monkeypatch.setattr(module, "STARTING_RECHECK_S", 0.2)
    path = f"/ws/session/{session.pk}/"
    viewer = await connect(path, anna)
    await viewer.until(lambda: viewer.pictures)

    asked: list[int] = []

    def away(door: Door) -> None:
        asked.append(1)
        raise OperationalError("unable to open database file")

    with monkeypatch.context() as outage:
        outage.setattr(Door, "_access", away)
        await viewer.until(lambda: len(asked) >= 2)  # he is looked at again and again
        before = len(viewer.pictures)
        await worker.next_frame()
        await viewer.until(lambda: len(viewer.pictures) > before)
        await viewer.say({"type": "preset", "id": preset.pk})
        await viewer.until(lambda: [n for n in viewer.of("notice") if "database" in n["message"]])

        late = await connect(path, anna)
        assert (await late.closed())[0] == 1013
    assert viewer.code is None
    again = await connect(path, anna)
    await again.until(lambda: again.pictures)
