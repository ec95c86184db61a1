"""Snapshots: what is encoded and kept, and who gets fewer pixels, with an engine made of nothing."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from typing import Any

import msgpack

from sessions.tiles import Rectangle
from sessions.worker.messages import Snapshot
from sessions.worker.snapshots import LARGE, SMALL_SHRINK, Snapshots
from stripeengine import wire

SESSION = "5" * 32


class Studio:
    """Stands for the engine and for Redis."""

    def __init__(self, size: int) -> None:
        self.payload = size
        self.size = self.size_of_repairs = (640, 480)
        self.calls: list[str] = []
        self.published: list[tuple[str, set[str], wire.Message]] = []

    def snapshot(self) -> list[bytes]:
        self.calls.append("snapshot")
        return [self._message((0, 0, *self.size), self.size, 1, self.payload, 0)]

    def repair(self, rectangles: list[Rectangle], shrink: int, quality: int) -> list[bytes]:
        self.calls.append(f"repair {shrink}")
        upper, lower = (0, 0, 640, 240), (0, 240, 640, 240)
        assert rectangles == [(0, 0, 640, 480)]
        return [self._message(half, self.size_of_repairs, shrink, 1000, wire.PARTIAL) for half in (upper, lower)]

    def _message(self, place: Rectangle, size: tuple[int, int], shrink: int, payload: int, flags: int) -> bytes:
        op = wire.Op(wire.JPEG, 0, 0, *place, 0, 0, 0, payload, place[2] // shrink, place[3] // shrink, 0)
        return wire.pack_message(
            epoch=7,
            frame_id=3,
            width=size[0],
            height=size[1],
            ops=(op,),
            payloads=bytes(payload),
            kind=wire.SNAPSHOT,
            flags=flags,
        )

    async def publish_frames(self, group: str, head: bytes, data: bytes) -> int:
        message = msgpack.unpackb(head + msgpack.packb(data))
        self.published.append((group.rpartition(".")[2], set(message["viewers"]), wire.parse_message(message["data"])))
        return 1

    def shrinks(self) -> dict[str, set[int]]:
        """By how much what each viewer got is shrunk."""
        found: dict[str, set[int]] = {}
        for _, viewers, message in self.published:
            for viewer in viewers:
                found.setdefault(viewer, set()).update(op.w // op.pw for op in message.ops)
        return found


@asynccontextmanager
async def serving(size: int) -> AsyncIterator[tuple[Studio, Snapshots]]:
    studio: Any = Studio(size)
    with ThreadPoolExecutor(1) as thread:
        snapshots = Snapshots(SESSION, studio, studio.snapshot, studio.repair, thread, asyncio.Lock())
        snapshots.note_frame(3)
        task = asyncio.create_task(snapshots.run())
        yield studio, snapshots
        task.cancel()
        await asyncio.wait([task])


async def got(studio: Studio, *viewers: str) -> dict[str, set[int]]:
    """Wait until these viewers have something whole."""
    async with asyncio.timeout(5):
        while not set(viewers) <= studio.shrinks().keys() or studio.published[-1][2].header.more:
            await asyncio.sleep(0.005)
    return studio.shrinks()


async def test_of_a_large_picture_who_asks_for_a_small_one_gets_few_pixels_as_a_whole_snapshot() -> None:
    async with serving(LARGE) as (studio, snapshots):
        for viewer, small in (("a", True), ("b", True), ("c", False)):
            snapshots.request(Snapshot(viewer, "bus", small))
        assert await got(studio, "a", "b", "c") == {"a": {SMALL_SHRINK}, "b": {SMALL_SHRINK}, "c": {1}}
        first, second, whole = (message.header for _, _, message in studio.published)
        assert not first.partial and first.more and not second.partial and not second.more and not whole.more
        assert studio.calls == ["snapshot", "repair 4"]
        snapshots.request(Snapshot("a", "bus", False))  # his link is wide
        await got(studio, "a")
        async with asyncio.timeout(5):
            while studio.shrinks()["a"] != {1, SMALL_SHRINK}:
                await asyncio.sleep(0.005)
        assert len(studio.calls) == 2, "both are kept until a frame makes them old"
        snapshots.note_frame(4)
        snapshots.request(Snapshot("d", "bus", False))
        await got(studio, "d")
        assert len(studio.calls) == 3


async def test_of_a_picture_that_is_not_much_everybody_gets_all_pixels() -> None:
    async with serving(LARGE // 2) as (studio, snapshots):
        snapshots.request(Snapshot("a", "bus", True))
        assert await got(studio, "a") == {"a": {1}} and studio.calls == ["snapshot"]


async def test_a_picture_that_was_resized_between_the_two_encodes_is_sent_with_all_pixels() -> None:
    async with serving(LARGE) as (studio, snapshots):
        studio.size_of_repairs = (800, 600)
        snapshots.request(Snapshot("a", "bus", True))
        assert await got(studio, "a") == {"a": {1}}
