"""The agent's side of Redis: announcements out, wake-ups in, workers' status. All in the agent's event loop.

Redis may be down at any time: announcements are then lost (viewers read the database when they connect), wake-ups are
replaced by polling, and nothing here raises.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
from collections.abc import Callable
from typing import Any

import redis
import redis.asyncio
from channels.layers import get_channel_layer

logger = logging.getLogger(__name__)

QUEUE_LIMIT = 1000
TIMEOUT_S = 2.0
RETRY_S = 2.0
STATUS_BYTES = 8192
Unavailable = (redis.RedisError, OSError, TimeoutError)


class Announcer:
    """Sends messages to groups in order, from any thread. The queue is bounded; what does not fit is dropped."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._queue: asyncio.Queue[tuple[str, dict[str, Any]]] = asyncio.Queue(QUEUE_LIMIT)
        self.dropped = 0

    def announce(self, group: str, message: dict[str, Any]) -> None:
        """Send ``message`` to ``group`` soon. Thread-safe, never blocks, never raises."""
        with contextlib.suppress(RuntimeError):  # the loop has closed: nobody is left to tell
            self._loop.call_soon_threadsafe(self._put, group, message)

    def _put(self, group: str, message: dict[str, Any]) -> None:
        try:
            self._queue.put_nowait((group, message))
        except asyncio.QueueFull:
            self.dropped += 1

    async def run(self) -> None:
        """Send what is announced, for ever."""
        complained = False
        while True:
            group, message = await self._queue.get()
            try:
                async with asyncio.timeout(TIMEOUT_S):
                    await get_channel_layer().group_send(group, message)
                complained = False
            except Unavailable as error:
                if not complained:
                    logger.warning("viewers are not told of changes: Redis cannot be reached: %s", error)
                complained = True
            except Exception:
                logger.exception("%s could not be told", group)
            finally:
                self._queue.task_done()

    async def drain(self) -> None:
        """Wait until everything announced so far is sent or lost, at most 2 s."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(TIMEOUT_S):
                await self._queue.join()


async def listen_for_wake(wake: Callable[[], None]) -> None:
    """Call ``wake`` for every ``host.wake`` of the group ``hosts``, for ever."""
    while True:
        try:
            layer = get_channel_layer()
            channel = await layer.new_channel()
            await layer.group_add("hosts", channel)
            wake()  # what was sent before now was missed
            while True:
                message = await layer.receive(channel)
                if message.get("type") == "host.wake":
                    wake()
        except Unavailable:
            logger.debug("no wake-ups: Redis cannot be reached", exc_info=True)
        except Exception:
            logger.exception("listening for wake-ups failed")
        await asyncio.sleep(RETRY_S)


class StatusReader:
    """Reads and removes the status keys of workers. What a worker says is hostile input."""

    def __init__(self, url: str) -> None:
        self._client = redis.asyncio.Redis.from_url(
            url, socket_timeout=TIMEOUT_S, socket_connect_timeout=TIMEOUT_S, decode_responses=False
        )

    async def read(self, sid: str) -> tuple[str, str]:
        """Return (state, error) of the worker's newest status, empty where it has none; raise `Unavailable`."""
        raw = await self._client.getrange(status_key(sid), 0, STATUS_BYTES)
        try:
            status = json.loads(raw) if raw else {}
            state, error = status.get("state", ""), status.get("error", "")
        except (ValueError, AttributeError):
            return "", ""
        return (state if isinstance(state, str) else ""), (error if isinstance(error, str) else "")

    async def forget(self, sid: str) -> None:
        """Remove the status, so that a dead worker's is not taken for its successor's."""
        try:
            await self._client.delete(status_key(sid))
        except Unavailable:
            logger.debug("status of %s stays: Redis cannot be reached", sid)

    async def close(self) -> None:
        """Close the connections."""
        await self._client.aclose()


def status_key(sid: str) -> str:
    """Return the Redis key of a worker's status."""
    return f"stripedesk:session:{sid}:status"
