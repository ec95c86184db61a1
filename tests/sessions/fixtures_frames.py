"""Wire messages as a worker would publish them, and a worker made of nothing but Redis."""

from __future__ import annotations

import asyncio
from typing import Any

import msgpack
import redis.asyncio

from sessions.worker.messages import (
    CONTROL_PREFIX,
    FRAMES_PREFIX,
    frames_group,
    group_channel,
    session_group,
    snapshots_group,
    worker_group,
)
from stripeengine import wire

EPOCH = 7
WIDTH, HEIGHT = 64, 48
WHOLE = (0, 0, WIDTH, HEIGHT)


def video(
    stream: int = 0, *, key: bool = False, chroma_444: bool = False, rect: tuple[int, int, int, int] = WHOLE
) -> Any:
    """Return an H.264 op over four bytes of payload (nobody decodes it)."""
    flags = (wire.KEY if key else 0) | (wire.CHROMA_444 if chroma_444 else 0)
    return wire.Op(wire.H264, flags, stream, *rect, 0, 0, 0, 4, rect[2], rect[3], 0)


def frame(
    number: int, *ops: wire.Op, epoch: int = EPOCH, size: int = 0, flags: int = 0, kind: int = wire.FRAME
) -> bytes:
    """Return a frame of ``ops`` (a fill of the whole picture by default) with at least ``size`` bytes of payload."""
    payloads = bytes(max(size, 4 if any(op.length for op in ops) else 0))
    return wire.pack_message(
        epoch=epoch,
        frame_id=number,
        width=WIDTH,
        height=HEIGHT,
        ops=ops or (wire.fill_op(WHOLE, number % 0xFFFFFF),),
        payloads=payloads,
        flags=flags,
        kind=kind,
    )


def parsed(number: int, *ops: wire.Op, **options: Any) -> wire.Message:
    """Return `frame` as the FrameBus hands it on."""
    return wire.parse_message(frame(number, *ops, **options))


def snapshot(number: int, **options: Any) -> bytes:
    """Return a snapshot of one fill, as of ``number``."""
    return frame(number, kind=wire.SNAPSHOT, **options)


class FakeWorker:
    """Speaks for a session's worker: publishes what a test says, hears what the web tier asks."""

    def __init__(self, url: str, session: str) -> None:
        self.session = session
        self.heard: list[dict[str, Any]] = []
        self.answers = True  # to snapshot requests
        self.last = 0
        self._client = redis.asyncio.Redis.from_url(url)
        self._pubsub = self._client.pubsub(ignore_subscribe_messages=True)
        self._task: asyncio.Task[None] | None = None

    async def __aenter__(self) -> FakeWorker:
        await self._pubsub.subscribe(group_channel(CONTROL_PREFIX, worker_group(self.session)))
        await self._pubsub.get_message(timeout=1)
        self._task = asyncio.create_task(self._listen())
        return self

    async def __aexit__(self, *error: object) -> None:
        assert self._task is not None
        self._task.cancel()
        await asyncio.wait([self._task])
        await self._pubsub.aclose()
        await self._client.aclose()

    async def publish(self, data: bytes) -> None:
        """Publish a frame message."""
        await self._frames(frames_group(self.session), {"type": "frame", "data": data})

    async def next_frame(self, *ops: wire.Op, **options: Any) -> bytes:
        """Publish the next frame and return it."""
        self.last += 1
        data = frame(self.last, *ops, **options)
        await self.publish(data)
        return data

    async def publish_raw(self, group: str, data: bytes, prefix: str = FRAMES_PREFIX) -> None:
        """Publish bytes that need not even be msgpack."""
        await self._client.publish(group_channel(prefix, group), data)

    async def event(self, event: dict[str, Any]) -> None:
        """Tell the session's consumers something."""
        data = msgpack.packb({"type": "session.event", "event": event})
        await self.publish_raw(session_group(self.session), data, CONTROL_PREFIX)

    async def snapshot(self, bus: str, viewers: list[str] | dict[str, int], data: bytes) -> None:
        """Publish a snapshot, or a repair with the token of each viewer's question, to one bus."""
        await self._frames(snapshots_group(self.session, bus), {"type": "snapshot", "viewers": viewers, "data": data})

    async def head(self, epoch: int, number: int) -> None:
        """Say which frame was the last."""
        await self._frames(frames_group(self.session), {"type": "head", "epoch": epoch, "frame": number})

    def asked(self, kind: str) -> list[dict[str, Any]]:
        """Everything of one type that was asked so far."""
        return [message for message in self.heard if message["type"] == kind]

    async def wait_for(self, kind: str, count: int = 1, timeout: float = 5) -> list[dict[str, Any]]:
        """Wait until ``count`` messages of one type have been asked."""
        async with asyncio.timeout(timeout):
            while len(self.asked(kind)) < count:
                await asyncio.sleep(0.01)
        return self.asked(kind)

    async def _frames(self, group: str, message: dict[str, Any]) -> None:
        await self.publish_raw(group, msgpack.packb(message))

    async def _listen(self) -> None:
        async for item in self._pubsub.listen():
            message = msgpack.unpackb(item["data"])
            self.heard.append(message)
            if message["type"] == "worker.snapshot" and self.answers:
                await self.snapshot(message["bus"], [message["viewer"]], snapshot(self.last))
            if message["type"] == "worker.repair" and self.answers:
                data = snapshot(self.last, flags=wire.PARTIAL)
                await self.snapshot(message["bus"], {message["viewer"]: message["token"]}, data)
