"""Repairs: what is encoded, shared and kept, with an engine made of nothing; who looks, and when videos begin anew."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from typing import Any

import msgpack
import pytest

from sessions.serving.frames import Answer
from sessions.tiles import Grid, Rectangle, touched
from sessions.worker import repairs as repairs_module
from sessions.worker.keyclock import KeyClock
from sessions.worker.messages import Repair
from sessions.worker.repairs import Repairs
from sessions.worker.watchers import Watchers
from stripeengine import wire

SIZE = (1920, 1080)
GRID = Grid(*SIZE)
SESSION = "5" * 32


class Studio:
    """Stands for the engine and for Redis."""

    def __init__(self) -> None:
        self.size = SIZE
        self.taken = 0
        self.calls: list[tuple[list[Rectangle], int, int]] = []
        self.published: list[tuple[str, dict[str, int], wire.Message]] = []
        self.during: Callable[[], None] = lambda: None

    def encode(self, rectangles: list[Rectangle], shrink: int, quality: int) -> list[bytes]:
        self.calls.append((rectangles, shrink, quality))
        width, height = self.size
        cut = [(x, y, min(w, width - x), min(h, height - y)) for x, y, w, h in rectangles]
        inside = [rectangle for rectangle in cut if min(rectangle[2:]) > 0]
        return [self.message([rectangle], wire.SNAPSHOT, wire.PARTIAL, self.taken) for rectangle in inside]

    def message(self, rectangles: list[Rectangle], kind: int, flags: int, number: int) -> bytes:
        width, height = self.size
        ops = [wire.fill_op(rectangle, 1) for rectangle in rectangles]
        return wire.pack_message(epoch=7, frame_id=number, width=width, height=height, ops=ops, kind=kind, flags=flags)

    async def publish_frames(self, group: str, head: bytes, data: bytes) -> int:
        message = msgpack.unpackb(head + msgpack.packb(data))
        assert message["type"] == "snapshot"
        self.published.append((group.rpartition(".")[2], message["viewers"], wire.parse_message(message["data"])))
        return 1

    def answers(self) -> dict[str, Answer]:
        """What each viewer has got: his newest answer, whole."""
        parts: list[wire.Message] = []
        found = {}
        for _, viewers, message in self.published:
            parts.append(message)
            if not message.header.more:
                for viewer, token in viewers.items():
                    found[viewer] = Answer(parts, token)
                parts = []
        return found


@asynccontextmanager
async def serving() -> AsyncIterator[tuple[Studio, Repairs]]:
    studio: Any = Studio()
    with ThreadPoolExecutor(1) as thread:
        repairs = Repairs(SESSION, studio, studio.encode, thread, asyncio.Lock())
        task = asyncio.create_task(repairs.run())
        yield studio, repairs
        task.cancel()
        await asyncio.wait([task])


def ask(viewer: str, tiles: int, *, shrink: int = 1, quality: int = 0, token: int = 1, bus: str = "b") -> Repair:
    return Repair(viewer, bus, token, *SIZE, tiles, shrink, quality)


def draw(studio: Studio, repairs: Repairs, *rectangles: Rectangle, flags: int = 0) -> None:
    """The engine's next frame is about to be published."""
    studio.taken += 1
    repairs.note_frame(studio.taken, studio.message(list(rectangles), wire.FRAME, flags, studio.taken))


async def until(check: Callable[[], Any]) -> None:
    async with asyncio.timeout(5):
        while not check():
            await asyncio.sleep(0.005)


async def test_a_repair_brings_what_was_asked_for() -> None:
    async with serving() as (studio, repairs):
        draw(studio, repairs, (0, 0, 8, 8))
        tiles = touched(GRID, (600, 200, 500, 300)) | 1
        repairs.request(ask("v", tiles, shrink=4, quality=60, token=9))
        await until(studio.answers)
        answer = studio.answers()["v"]
        assert (answer.token, answer.number, answer.partial) == (9, 1, True)
        assert answer.covers & tiles == tiles
        ((_, shrink, quality),) = studio.calls
        assert (shrink, quality) == (4, 60)


async def test_those_who_ask_together_share_the_encode_and_the_message() -> None:
    async with serving() as (studio, repairs):
        for number in range(20):
            repairs.request(ask(f"v{number}", GRID.all, token=number))
        repairs.request(ask("thin", GRID.all, shrink=4, quality=60))
        repairs.request(ask("elsewhere", GRID.all, bus="c"))
        await until(lambda: len(studio.answers()) == 22)
        assert len(studio.calls) == 2
        assert all(answer.covers == GRID.all for answer in studio.answers().values())
        parts = len(studio.answers()["v1"].parts)
        assert sum(bus == "b" and len(viewers) == 20 for bus, viewers, _ in studio.published) == parts


async def test_those_who_lack_nearly_the_same_share_pieces() -> None:
    async with serving() as (studio, repairs):
        wide = touched(GRID, (0, 0, 512, 256))
        repairs.request(ask("one", wide))
        repairs.request(ask("two", wide & ~1))
        repairs.request(ask("three", 1))  # the whole cell would cost him thirty times as much
        await until(lambda: len(studio.answers()) == 3)
        assert studio.calls == [([(0, 0, 64, 64), (0, 0, 512, 256)], 1, 0)]
        assert studio.answers()["two"].covers & wide == wide and studio.answers()["three"].covers == 1


async def test_pieces_are_kept_until_a_frame_touches_them() -> None:
    async with serving() as (studio, repairs):
        repairs.request(ask("v", GRID.all))
        await until(lambda: "v" in studio.answers())
        draw(studio, repairs, (1000, 600, 8, 8))
        repairs.request(ask("w", GRID.all))
        await until(lambda: "w" in studio.answers())
        first, second = studio.calls
        assert len(first[0]) == 20 and second[0] == [(512, 512, 512, 256)]
        answer = studio.answers()["w"]
        assert answer.number == 1 and answer.covers == GRID.all and repairs.hits == 19
        draw(studio, repairs, (0, 0, 8, 8), flags=wire.RESIZED)
        assert not repairs._pieces and repairs._bytes == 0


async def test_what_is_all_kept_is_as_of_the_last_frame() -> None:
    async with serving() as (studio, repairs):
        repairs.request(ask("v", 1))
        await until(lambda: "v" in studio.answers())
        draw(studio, repairs, (1000, 600, 8, 8))
        repairs.request(ask("w", 1))
        await until(lambda: "w" in studio.answers())
        assert len(studio.calls) == 1 and studio.answers()["w"].number == 1


async def test_a_piece_that_changed_during_its_encode_serves_who_asked_and_nobody_else() -> None:
    async with serving() as (studio, repairs):
        loop = asyncio.get_running_loop()
        encode = studio.encode

        def slow(*arguments: Any) -> list[bytes]:
            result = encode(*arguments)
            asyncio.run_coroutine_threadsafe(change(), loop).result()
            return result

        async def change() -> None:
            draw(studio, repairs, (0, 0, 8, 8))

        repairs._encode = slow
        repairs.request(ask("v", 1))
        await until(lambda: "v" in studio.answers())
        assert studio.answers()["v"].number == 0 and not repairs._pieces


async def test_a_repair_that_overtakes_a_frame_leaves_out_what_that_makes_old() -> None:
    async with serving() as (studio, repairs):
        left, right = touched(GRID, (0, 0, 512, 256)), touched(GRID, (512, 0, 512, 256))
        repairs.request(ask("v", left))
        await until(lambda: "v" in studio.answers())
        studio.taken += 1  # finished, not taken by the worker yet
        repairs.request(ask("w", left | right))
        await asyncio.sleep(0.1)
        assert "w" not in studio.answers()
        repairs.note_frame(1, studio.message([(0, 0, 8, 8)], wire.FRAME, 0, 1))
        await until(lambda: "w" in studio.answers())
        assert studio.answers()["w"].number == 1 and studio.answers()["w"].covers == right


async def test_what_is_kept_is_bounded_in_bytes_and_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(repairs_module, "MOST_BYTES", 500)
    monkeypatch.setattr(repairs_module, "KEEP_S", 0.1)
    async with serving() as (studio, repairs):
        repairs.request(ask("v", GRID.all))
        await until(lambda: "v" in studio.answers())
        assert studio.answers()["v"].covers == GRID.all
        assert 0 < repairs._bytes <= 500 and len(repairs._pieces) < 20
        await until(lambda: not repairs._pieces)
        assert repairs._bytes == 0


async def test_who_asks_of_another_size_is_told_the_size() -> None:
    async with serving() as (studio, repairs):
        studio.size = (800, 600)
        repairs.request(ask("v", GRID.all))
        await until(studio.answers)
        answer = studio.answers()["v"]
        assert answer.grid == (800, 600) and answer.covers == 0


async def test_many_who_ask_one_after_another_cost_a_bounded_number_of_encodes() -> None:
    async with serving() as (studio, repairs):
        loop = asyncio.get_running_loop()
        start = loop.time()
        for number in range(60):
            draw(studio, repairs, (0, 0, *SIZE))  # nothing that is kept lives
            repairs.request(ask(f"v{number}", GRID.all))
            await asyncio.sleep(0.005)
        await until(lambda: len(studio.answers()) == 60)
        assert len(studio.calls) <= (loop.time() - start) / repairs_module.BATCH_S[1] + 2


async def test_thin_links_share_encodes_though_they_ask_at_different_times() -> None:
    async with serving() as (studio, repairs):
        loop = asyncio.get_running_loop()
        start = loop.time()
        for number in range(40):
            draw(studio, repairs, (0, 0, *SIZE))
            repairs.request(ask(f"v{number % 10}", GRID.all, shrink=4, quality=60))
            if number == 20:
                repairs.request(ask("fast", 1))  # nobody waits for another kind
                before = loop.time()
                await until(lambda: "fast" in studio.answers())
                assert loop.time() - before < 0.3
            await asyncio.sleep(0.02)
        await until(lambda: len(studio.answers()) == 11)
        encodes = [shrink for _, shrink, _ in studio.calls if shrink == 4]
        assert len(encodes) <= (loop.time() - start) / repairs_module.BATCH_S[4] + 2


# ---- who looks, and key frames -----------------------------------------------------------------------------------


async def test_the_engine_rests_while_nobody_looks_and_goes_on_at_once() -> None:
    watchers, said = Watchers(grace_s=0.1, lost_s=0.3), list[bool]()
    task = asyncio.create_task(watchers.run(said.append))
    watchers.told("a", 2)
    await asyncio.sleep(0.15)
    assert said == [] and watchers.count == 2
    watchers.told("b", 1)
    watchers.told("a", 0)
    watchers.told("b", 0)
    await until(lambda: said == [True])
    watchers.seen("c")
    assert said == [True, False] and watchers.count == 1
    await until(lambda: said == [True, False, True])  # that bus was never heard of again
    task.cancel()
    await asyncio.wait([task])


async def test_key_frames_come_at_most_once_in_an_interval() -> None:
    clock, made = KeyClock(), list[float]()
    loop = asyncio.get_running_loop()
    for _ in range(60):
        clock.ask(0.1, lambda: made.append(loop.time()))
        await asyncio.sleep(0.01)
    assert 4 <= len(made) <= 8
    assert all(later - earlier >= 0.099 for earlier, later in zip(made, made[1:], strict=False))
