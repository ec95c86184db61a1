"""The worker's two connections to Redis: one that publishes, one that listens.

Everything runs on the event loop. A publish waits for Redis' answer, so at most one frame is on its way and a slow
Redis makes the engine merge damage instead of queueing. A lost Redis costs the message (`BusLost`); `keep` reconnects
with growing delay and gives up with `BusGone` after `GIVE_UP_S`, and of a Redis that is there and refuses this worker
after `REFUSED_S` (it knows no such user) or `CLOSED_S` (its socket does not open): only the host agent can help then.

The layers' own format is spoken by hand (docs/explanation/architecture.md): a frame is copied once, into the command.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Mapping
from typing import Any

import msgpack
from redis.asyncio.connection import Connection, ConnectionPool, UnixDomainSocketConnection
from redis.exceptions import AuthenticationError, RedisError

from .messages import CONTROL_PREFIX, FRAMES_PREFIX, MAX_WORKER_MESSAGE, group_channel

logger = logging.getLogger(__name__)

GIVE_UP_S = 60.0
REFUSED_S = 0.5
CLOSED_S = 2.0
"""A private Redis that has just started is opened to the workers' group a moment later."""
COMMAND_S = 5.0
FIRST_DELAY_S = 0.1
LONGEST_DELAY_S = 0.5
"""Between two tries: a connection refused costs little, and viewers wait."""

_LOST = (RedisError, OSError, TimeoutError)


class BusLost(Exception):
    """Redis cannot be reached now; the message is gone."""


class BusGone(Exception):
    """Redis could not be reached for `GIVE_UP_S`, or refuses this worker."""


def pack_data(head: bytes, data: bytes | memoryview) -> tuple[bytes, bytes | memoryview]:
    """Return the two pieces of a msgpack map whose last member is ``data``; ``head`` is the map before its value."""
    return head + b"\xc6" + len(data).to_bytes(4, "big"), data


FRAME_HEAD = b"\x82\xa4type\xa5frame\xa4data"
"""``{"type": "frame", "data":`` in msgpack."""


def snapshot_head(viewers: Mapping[str, int]) -> bytes:
    """Return ``{"type": "snapshot", "viewers": {…}, "data":`` in msgpack; each viewer with the token he gave."""
    names: bytes = msgpack.packb(dict(viewers))
    return b"\x83\xa4type\xa8snapshot\xa7viewers" + names + b"\xa4data"


class Bus:
    """Publishes and listens for one session.

    ``on_restored`` is called each time publishing works again and messages are heard again. Whoever publishes pictures
    waits for ``hears`` first: what viewers ask at the sight of one must not fall on deaf ears.
    """

    def __init__(self, url: str, *, give_up_s: float = GIVE_UP_S) -> None:
        self._give_up_s = give_up_s
        options: dict[str, Any] = {"socket_connect_timeout": COMMAND_S}
        if not url.startswith("unix:"):
            options["socket_keepalive"] = True  # a peer that vanished without a word is noticed in the end
        self._pool = ConnectionPool.from_url(url, **options)
        self._publisher = self._new_connection()
        self._lock = asyncio.Lock()
        self._up = asyncio.Event()
        self._lost_at = time.monotonic()
        self._lost = asyncio.Event()
        self._lost.set()  # not connected yet
        self.hears = asyncio.Event()
        self.on_restored: Callable[[], None] = lambda: None
        self.lost_messages = 0

    @property
    def is_up(self) -> bool:
        """Whether the last command was answered."""
        return self._up.is_set()

    async def publish_frames(self, group: str, head: bytes, data: bytes | memoryview) -> int:
        """Publish one message to a group of the frames layer; return how many processes received it."""
        channel = group_channel(FRAMES_PREFIX, group).encode()
        return int(await self._send(_publish_command(channel, *pack_data(head, data))))

    async def publish_head(self, group: str, epoch: int, frame: int) -> None:
        """Publish to a group of the frames layer which frame was the last."""
        packed = msgpack.packb({"type": "head", "epoch": epoch, "frame": frame})
        await self.command("PUBLISH", group_channel(FRAMES_PREFIX, group), packed)

    async def publish_control(self, group: str, message: dict[str, Any]) -> int:
        """Publish a map to a group of the control layer."""
        return int(await self.command("PUBLISH", group_channel(CONTROL_PREFIX, group), msgpack.packb(message)))

    async def command(self, *arguments: Any) -> Any:
        """Run one Redis command; raise `BusLost`."""
        return await self._send(b"".join(self._publisher.pack_command(*arguments)))

    async def keep(self) -> None:
        """Connect and reconnect until cancelled; raise `BusGone`."""
        while True:
            await self._lost.wait()
            await self._reconnect()
            self._lost.clear()
            self._up.set()
            if self.hears.is_set():  # else the listener says it
                self.on_restored()

    async def listen(self, group: str, handle: Callable[[Any], None]) -> None:
        """Call ``handle`` with every unpacked message of a control group, until cancelled. Blocks without polling."""
        channel = group_channel(CONTROL_PREFIX, group)
        while True:
            await self._up.wait()
            connection = self._new_connection()
            try:
                await connection.connect()  # type: ignore[no-untyped-call]
                await connection.send_command("SUBSCRIBE", channel)
                while True:
                    reply = await connection.read_response()
                    if not isinstance(reply, list) or len(reply) != 3:
                        continue
                    if reply[0] == b"message":
                        self._deliver(reply[2], handle)
                    elif reply[0] == b"subscribe":
                        self.hears.set()
                        self.on_restored()
            except _LOST as error:
                logger.warning("listening for messages stopped: %s", error or type(error).__name__)
                self._note_loss()
                await asyncio.sleep(FIRST_DELAY_S)
            finally:
                self.hears.clear()
                await connection.disconnect(nowait=True)

    async def close(self) -> None:
        """Disconnect."""
        await self._publisher.disconnect(nowait=True)

    def _deliver(self, data: Any, handle: Callable[[Any], None]) -> None:
        if not isinstance(data, bytes) or len(data) > MAX_WORKER_MESSAGE:
            logger.warning("a message larger than %d bytes was refused", MAX_WORKER_MESSAGE)
            return
        try:
            message = msgpack.unpackb(data)
        except (ValueError, msgpack.UnpackException) as error:
            logger.warning("a message that is not msgpack was refused: %s", error or type(error).__name__)
            return
        handle(message)

    async def _send(self, command: bytes) -> Any:
        if not self._up.is_set():
            self.lost_messages += 1
            raise BusLost
        try:
            async with self._lock, asyncio.timeout(COMMAND_S):
                await self._publisher.send_packed_command(command, check_health=False)
                return await self._publisher.read_response()
        except _LOST as error:
            self.lost_messages += 1
            logger.warning("Redis is lost: %s", error or type(error).__name__)
            self._note_loss()
            raise BusLost from error

    def _note_loss(self) -> None:
        if self._up.is_set():
            self._up.clear()
            self._lost_at = time.monotonic()
        self._lost.set()

    async def _reconnect(self) -> None:
        delay = FIRST_DELAY_S
        refused_at: float | None = None
        while True:
            try:
                async with self._lock, asyncio.timeout(COMMAND_S):
                    await self._publisher.disconnect(nowait=True)
                    await self._publisher.connect()  # type: ignore[no-untyped-call]
                    await self._publisher.send_command("PING", check_health=False)
                    await self._publisher.read_response()
                    return
            except _LOST as error:
                now, borne = time.monotonic(), _borne(error)
                refused_at = None if borne is None else refused_at or now
                if now - self._lost_at > self._give_up_s or (borne and refused_at and now - refused_at > borne):
                    raise BusGone(str(error)) from error
            await asyncio.sleep(delay)
            delay = min(delay * 2, LONGEST_DELAY_S)

    def _new_connection(self) -> Connection | UnixDomainSocketConnection:
        connection: Connection = self._pool.make_connection()  # type: ignore[no-untyped-call]
        return connection


def _borne(error: Exception) -> float | None:
    """Return for how many seconds this is borne though Redis is there; None: it is not."""
    # Of a Unix socket redis-py says only that it cannot connect, and why in the cause or the context.
    causes = (error, error.__cause__, error.__context__)
    if any(isinstance(cause, AuthenticationError) for cause in causes):
        return REFUSED_S
    return CLOSED_S if any(isinstance(cause, PermissionError) for cause in causes) else None


def _publish_command(channel: bytes, head: bytes, data: bytes | memoryview) -> bytes:
    size = len(head) + len(data)
    return b"".join(
        (b"*3\r\n$7\r\nPUBLISH\r\n$%d\r\n%b\r\n$%d\r\n%b" % (len(channel), channel, size, head), data, b"\r\n")
    )
