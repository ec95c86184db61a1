"""The countdown to a session's end by itself, as its viewers are told of it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from django.contrib.auth.models import User

from sessions.models import DesktopSession
from tests.sessions.consumers.conftest import path_of
from tests.sessions.fixtures_frames import FakeWorker

Connect = Callable[..., Any]


async def test_a_countdown_is_relayed_and_taken_back_and_nonsense_is_not(
    connect: Connect, session: DesktopSession, anna: User, worker: FakeWorker
) -> None:
    viewer = await connect(path_of(session), anna)
    await viewer.until(lambda: viewer.pictures)
    told = [
        {"type": "ending", "reason": "idle", "left_s": 300},
        {"type": "ending", "reason": "too-old", "left_s": 0},
        {"type": "ending"},
    ]
    for event in (
        {"type": "ending", "reason": "desktop-exited", "left_s": 5},
        {"type": "ending", "reason": "idle"},
        {"type": "ending", "reason": "idle", "left_s": -1},
        {"type": "ending", "reason": ["idle"], "left_s": 1},
        {**told[0], "more": "than is agreed"},
        *told[1:],
    ):
        await worker.event(event)
    await viewer.until(lambda: len(viewer.of("ending")) >= len(told))
    assert viewer.of("ending") == told
    assert viewer.code is None
