"""One viewer's input on its way: in order, bounded, and let go when nobody knows what was lost."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from sessions.consumers import inputs as inputs_module
from sessions.consumers.incoming import Input
from sessions.consumers.inputs import MOST_WAITING, Inputs
from sessions.worker.messages import MAX_EVENTS


class Redis:
    """Takes messages; ``free`` is cleared while it hangs."""

    def __init__(self) -> None:
        self.taken: list[dict[str, Any]] = []
        self.works = True
        self.free = asyncio.Event()
        self.free.set()

    async def send(self, message: dict[str, Any]) -> bool:
        await self.free.wait()
        if self.works:
            self.taken.append(message)
        return self.works

    @property
    def events(self) -> list[Any]:
        return [event for message in self.taken for event in message.get("events", [])]

    @property
    def kinds(self) -> list[str]:
        return [message["type"].removeprefix("worker.") for message in self.taken]


@pytest.fixture
async def parts() -> AsyncIterator[tuple[Redis, Inputs]]:
    redis = Redis()
    inputs = Inputs("v", redis.send)
    yield redis, inputs
    await inputs.stop()


async def settle() -> None:
    for _ in range(10):
        await asyncio.sleep(0)


def move(seq: int) -> Input:
    return Input(seq, (("move", seq, 0),))


async def test_what_comes_while_one_is_under_way_follows_together_and_in_order(parts: Any) -> None:
    redis, inputs = parts
    inputs.put(move(0))
    await settle()
    redis.free.clear()
    for seq in range(1, 100):
        assert inputs.put(move(seq))
        await settle()  # nobody who puts has to wait
    redis.free.set()
    await settle()
    assert redis.events == [("move", seq, 0) for seq in range(100)]
    assert len(redis.taken) <= 5 and all(len(message["events"]) <= MAX_EVENTS for message in redis.taken)
    assert [message["seq"] for message in redis.taken] == sorted({message["seq"] for message in redis.taken})


async def test_an_old_number_is_refused(parts: Any) -> None:
    redis, inputs = parts
    assert inputs.put(move(5)) and not inputs.put(move(5)) and not inputs.put(move(4)) and inputs.put(move(6))
    await settle()
    assert redis.events == [("move", 5, 0), ("move", 6, 0)]
    assert inputs.received_us(5) and inputs.received_us(4) is None


async def test_what_overflows_is_dropped_and_everything_let_go(parts: Any) -> None:
    redis, inputs = parts
    redis.free.clear()
    for seq in range(MOST_WAITING + 50):
        assert inputs.put(move(seq))
        await settle()
    assert inputs.dropped and len(inputs._waiting) <= MOST_WAITING
    redis.free.set()
    await settle()
    assert redis.kinds.count("release") == 1


async def test_after_a_loss_the_worker_is_told_to_let_go_first(parts: Any) -> None:
    redis, inputs = parts
    redis.works = False
    inputs.put(Input(1, (("key", "KeyA", "a", True),)))
    await settle()
    redis.works = True
    inputs.put(Input(2, (("key", "KeyB", "b", True),)))
    await settle()
    assert redis.kinds == ["release", "input"] and redis.taken[1]["seq"] == 2


async def test_who_holds_something_is_heard_again_and_again(parts: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(inputs_module, "ALIVE_S", 0.02)
    redis, inputs = parts
    inputs.put(Input(1, (("key", "KeyA", "a", True), ("button", 0, True), ("key", "KeyA", "a", False))))
    async with asyncio.timeout(5):
        while redis.kinds.count("alive") < 3:
            await asyncio.sleep(0.01)
    inputs.put(Input(2, (("button", 0, False),)))
    await settle()
    count = redis.kinds.count("alive")
    await asyncio.sleep(0.1)
    assert redis.kinds.count("alive") == count


async def test_a_release_comes_once_and_forgets_what_waits(parts: Any) -> None:
    redis, inputs = parts
    await inputs.release()
    assert redis.taken == []
    inputs.put(Input(1, (("key", "KeyA", "a", True),)))
    await settle()
    await inputs.release()
    await inputs.release()
    assert redis.kinds == ["input", "release"]
