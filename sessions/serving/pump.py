"""The pump: the only sender of one connection.

One task sends text before pictures, one message at a time, waiting whenever the server's buffer is full. Nobody else
waits for the socket, so acknowledgements, input and disconnects are handled however slow the viewer reads. Text is
bounded too: of what is only ever interesting in its newest form, the newest is kept.

Where the server has a way for it (`direct`), a frame that comes while the task rests is sent without a turn of it: with
fifty viewers these turns cost more than the sending.
"""

from __future__ import annotations

import asyncio
import json
import logging
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from stripeengine import wire

from ..tasks import end_tasks
from .asks import Ask
from .direct import Direct
from .window import FrameWindow, KeyFrames

logger = logging.getLogger(__name__)

MOST_TEXTS = 128
MOST_TEXT_BYTES = 512 * 1024
CLOSE_S = 3.0
MOST_RELAYS = 256
INTERNAL = 1011
LONGEST_RELAY_S = 60.0
"""A longer one tells that the session is on another machine, whose clock is another."""


class Pump:
    """Sends for one viewer.

    ``requests`` is called with what his window needs of the worker, ``sent`` with the size of every picture.
    """

    def __init__(
        self,
        send: Callable[[dict[str, Any]], Awaitable[None]],
        window: FrameWindow,
        requests: Callable[[Ask | KeyFrames], None],
        sent: Callable[[int], None],
        direct: Direct | None = None,
    ) -> None:
        self._send = send
        self._sent = sent
        self._direct = direct
        self._window = window
        self._requests = requests
        self._texts: OrderedDict[object, str] = OrderedDict()
        self._text_bytes = 0
        self._wake = asyncio.Event()
        self._streaming = False
        self._rests = False
        self._failure: Exception | None = None
        self._close: int | None = None
        self.relays: list[float] = []
        """From a frame's publication to its being handed to the socket, in seconds, since somebody took them."""
        self._task = asyncio.create_task(self._run(), name="pump")
        self._task.add_done_callback(self._ended)

    def start_pictures(self) -> None:
        """From now on the window's frames are sent as well."""
        self._streaming = True
        self._wake.set()

    def wake(self) -> None:
        """Look at the window again."""
        self._wake.set()

    def push(self) -> None:
        """Look at the window again, where frames may wait: they are sent at once if nothing else is."""
        if self._direct is None or not self._rests or not self._streaming or self._texts or self._close is not None:
            self._wake.set()
            return
        try:
            if not self._push(self._direct, asyncio.get_running_loop().time()):
                self._wake.set()
        except Exception as error:  # it is this connection's alone, and ends as if it had happened in the task
            self._failure = error
            self._wake.set()

    def _push(self, direct: Direct, now: float) -> bool:
        """Send the frames that wait; return whether nothing is left for the task."""
        self._ask(now)
        while self._window.frames_wait and direct.writable:
            unit = self._window.next_unit(now)
            if not unit:
                break
            for data in unit:
                direct.write(data)
            self._note(unit)
        return self._window.rests

    def text(self, message: dict[str, Any], *, newest: str = "") -> None:
        """Queue a text message; one with the same ``newest`` that still waits is replaced."""
        if self._close is not None:
            return
        data = json.dumps(message, ensure_ascii=False, allow_nan=False)
        key: object = newest or object()
        self._text_bytes += len(data) - len(self._texts.pop(key, ""))
        self._texts[key] = data
        self._wake.set()
        if len(self._texts) > MOST_TEXTS or self._text_bytes > MOST_TEXT_BYTES:
            self._texts.clear()
            self._text_bytes = 0
            self.close(1013)  # a viewer who reads nothing, or asks faster than he reads

    def close(self, code: int, error: dict[str, Any] | None = None) -> None:
        """Send ``error`` and what is queued before it, then close with ``code``; the first call counts."""
        if self._close is not None:
            return
        if error is not None:
            self.text(error)
        if self._close is None:
            self._close = code
        self._wake.set()
        asyncio.get_running_loop().call_later(CLOSE_S, self._task.cancel)

    @property
    def closing(self) -> bool:
        """Whether `close` was called."""
        return self._close is not None

    async def stop(self) -> None:
        """The connection is gone: end the task."""
        await end_tasks(self._task)

    async def _run(self) -> None:
        loop = asyncio.get_running_loop()
        try:
            while True:
                self._wake.clear()
                if self._failure is not None:
                    raise self._failure
                if self._direct is not None and not self._direct.writable:
                    await self._direct.wait()
                if self._texts:
                    _, data = self._texts.popitem(last=False)
                    self._text_bytes -= len(data)
                    await self._send({"type": "websocket.send", "text": data})
                elif self._close is not None:
                    return
                elif not await self._send_pictures(loop.time()):
                    await self._rest(loop)
        except Exception as error:
            if self._close is None and not isinstance(error, OSError):
                self._close = INTERNAL  # a connection that nobody sends on would stand still for ever
            raise
        finally:
            if self._close is not None:
                await self._send({"type": "websocket.close", "code": self._close})

    async def _send_pictures(self, now: float) -> bool:
        """Send one unit of the window; return whether there was one."""
        if not self._streaming:
            return False
        self._ask(now)
        unit = self._window.next_unit(now)
        for data in unit:
            await self._send({"type": "websocket.send", "bytes": bytes(data)})
        self._note(unit)
        return bool(unit)

    def _ask(self, now: float) -> None:
        for request in self._window.poll(now):
            self._requests(request)

    def _note(self, unit: Sequence[wire.Buffer]) -> None:
        for data in unit:
            self._sent(len(data))
        if len(unit) != 1:
            return
        published = wire.published_us(unit[0])
        passed = time.monotonic_ns() / 1e9 - published / 1e6
        if published and 0 <= passed < LONGEST_RELAY_S and len(self.relays) < MOST_RELAYS:
            self.relays.append(passed)

    async def _rest(self, loop: asyncio.AbstractEventLoop) -> None:
        seconds = self._window.due(loop.time()) if self._streaming else None
        self._rests = True
        try:
            if seconds is None:
                await self._wake.wait()
            else:
                async with asyncio.timeout(seconds):
                    await self._wake.wait()
        except TimeoutError:
            pass
        finally:
            self._rests = False

    def _ended(self, task: asyncio.Task[None]) -> None:
        if not task.cancelled() and (error := task.exception()) is not None:
            # The server's own disconnect follows; a defect of ours must not go unseen.
            level = logging.DEBUG if isinstance(error, OSError) else logging.ERROR
            logger.log(level, "sending to a viewer ended: %s", error or type(error).__name__, exc_info=error)
