"""The agent's side of Redis: announcements out, wake-ups in, workers' status. All in the agent's event loop.

Redis may be down at any time: announcements are then lost (viewers read the database when they connect), wake-ups are
replaced by polling, and nothing here raises.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import redis
from channels.layers import get_channel_layer

from ..redis_client import answer_within, connect_async
from ..status import ending_key
from ..tasks import end_tasks
from ..worker.messages import CONTROL_PREFIX, group_channel

logger = logging.getLogger(__name__)

QUEUE_LIMIT = 1000
TIMEOUT_S = 2.0
RETRY_S = 2.0
SILENT_S = 60.0
"""Seconds without a wake-up after which is listened anew: a link that was cut says nothing of it."""
STATUS_BYTES = 8192
ENDING_EXPIRY_S = 15
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


async def listen_for_wake(wake: Callable[[], None], url: str) -> None:
    """Call ``wake`` for every message to the group ``hosts``, for ever.

    Without the channel layer, which looks for messages ten times a second where nobody sends any.
    """
    client = connect_async(url, decode_responses=False)
    try:
        while True:
            try:
                async with client.pubsub() as heard:
                    await heard.subscribe(group_channel(CONTROL_PREFIX, "hosts"))
                    async with asyncio.timeout(SILENT_S) as patience:
                        async for _ in heard.listen():
                            wake()  # for the answer to the subscription too: what was sent before it was missed
                            patience.reschedule(asyncio.get_running_loop().time() + SILENT_S)
            except Unavailable:
                logger.debug("no wake-ups: Redis cannot be reached", exc_info=True)
            except Exception:
                logger.exception("listening for wake-ups failed")
            await asyncio.sleep(RETRY_S)
    finally:
        await client.aclose()


@dataclass(frozen=True)
class WorkerStatus:
    """What of a worker's status concerns the agent. Empty or None where it says nothing, or nonsense.

    ``input_s``, ``picture_s`` and ``audio_s`` are the seconds since somebody typed or pointed, since the picture moved,
    and since something was heard.
    """

    state: str = ""
    error: str = ""
    input_s: float | None = None
    picture_s: float | None = None
    audio_s: float | None = None


def parse_status(raw: bytes | None) -> WorkerStatus:
    """Read a status key's value; anything that is not as agreed is left out."""
    try:
        status = json.loads(raw) if raw else {}
    except (ValueError, RecursionError):
        return WorkerStatus()
    if not isinstance(status, dict):
        return WorkerStatus()

    def text(name: str) -> str:
        value = status.get(name, "")
        return value if isinstance(value, str) else ""

    def age(name: str) -> float | None:
        value = status.get(name)
        if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < 1e9:
            return None
        return float(value) if math.isfinite(value) else None

    return WorkerStatus(text("state"), text("error"), age("input_s"), age("picture_s"), age("audio_s"))


class StatusReader:
    """Reads and removes the status keys of workers. What a worker says is hostile input.

    What is asked for in one turn of the event loop is one question to Redis.
    """

    def __init__(self, url: str) -> None:
        self._client = connect_async(url, decode_responses=False)
        self._wanted: dict[str, asyncio.Future[bytes]] = {}
        self._asking: set[asyncio.Task[None]] = set()

    async def read(self, sid: str) -> WorkerStatus:
        """Return the worker's newest status; raise `Unavailable`."""
        if (answer := self._wanted.get(sid)) is None:
            answer = self._wanted[sid] = asyncio.get_running_loop().create_future()
            if len(self._wanted) == 1:
                task = asyncio.create_task(self._ask())  # its turn comes when all who are awake now have asked
                self._asking.add(task)
                task.add_done_callback(self._asking.discard)
        async with answer_within(TIMEOUT_S):
            return parse_status(await asyncio.shield(answer))

    async def _ask(self) -> None:
        wanted, self._wanted = self._wanted, {}
        try:
            questions = self._client.pipeline(transaction=False)
            for sid in wanted:
                questions.getrange(status_key(sid), 0, STATUS_BYTES)
            async with answer_within(TIMEOUT_S):
                found = await questions.execute(raise_on_error=False)
        except Unavailable as error:
            found = [error] * len(wanted)
        for answer, value in zip(wanted.values(), found, strict=True):
            if isinstance(value, Exception):
                answer.set_exception(value)
                answer.exception()  # who asked may have been cancelled: then nobody takes it
            else:
                answer.set_result(value)

    async def tell_ending(self, sid: str, value: dict[str, Any] | None) -> None:
        """Say for pages that the session is about to be ended, or with None that it is not."""
        try:
            async with answer_within(TIMEOUT_S):
                if value is None:
                    await self._client.delete(ending_key(sid))
                else:
                    await self._client.set(ending_key(sid), json.dumps(value), ex=ENDING_EXPIRY_S)
        except Unavailable:
            logger.debug("pages are not told when %s ends: Redis cannot be reached", sid)

    async def forget(self, sid: str) -> None:
        """Remove the status, so that a dead worker's is not taken for its successor's."""
        try:
            async with answer_within(TIMEOUT_S):
                await self._client.delete(status_key(sid))
        except Unavailable:
            logger.debug("status of %s stays: Redis cannot be reached", sid)

    async def close(self) -> None:
        """Close the connections. What is asked for now is not answered."""
        await end_tasks(*self._asking)
        await self._client.aclose()


def status_key(sid: str) -> str:
    """Return the Redis key of a worker's status."""
    return f"stripedesk:session:{sid}:status"
