"""Database changes of a session: in order, again after trouble, the newest of a kind, and never in anybody's way."""

from __future__ import annotations

import asyncio

import pytest
from django.db import OperationalError

from sessions.hostagent import writes
from sessions.hostagent.writes import Writes


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(writes, "FIRST_DELAY", 0.01)


async def test_what_waits_is_in_order_and_of_each_kind_the_newest() -> None:
    made: list[str] = []
    away = True

    def change(name: str) -> None:
        if away:
            raise OperationalError("away")
        made.append(name)

    changes = Writes("s")
    replaced = changes.soon("state", change, "recovering")
    changes.soon("spawner", change, "worker 2")
    last = changes.soon("state", change, "running")
    async with asyncio.timeout(5):
        await replaced
        await asyncio.sleep(0.05)
        assert not last.done() and made == []
        away = False
        await last
    assert made == ["worker 2", "running"]


async def test_a_change_that_cannot_be_is_logged_and_the_next_is_made(caplog: pytest.LogCaptureFixture) -> None:
    made: list[int] = []

    def wrong() -> None:
        raise ValueError("no such move")

    changes = Writes("abc")
    async with asyncio.timeout(5):
        await changes.soon("state", wrong)
        await changes.soon("state", made.append, 1)
    assert made == [1] and "session abc: a change of its state failed" in caplog.text


async def test_closing_gives_a_moment_and_no_more(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(writes, "CLOSE_S", 0.1)
    made: list[int] = []

    def away() -> None:
        raise OperationalError("away")

    changes = Writes("s")
    changes.soon("spawner", made.append, 1)
    changes.soon("state", away)
    async with asyncio.timeout(5):
        await changes.close()
    assert made == [1]
