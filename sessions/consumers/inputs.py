"""One viewer's input on its way to the worker: a path of its own, so that neither pictures nor a slow Redis hold up
acknowledgements, and what somebody holds is let go when his connection, or this process, dies.

Runs on the event loop. What comes while a message is under way goes with the next one, in order. Bounded: what
overflows is dropped and counted, and then everything the viewer holds is released, for nobody knows what was lost.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Awaitable, Callable
from typing import Any

from ..tasks import end_tasks
from ..worker.messages import MAX_EVENTS, Event
from .incoming import Input

MOST_WAITING = 256
"""Messages."""
ALIVE_S = 1.0
"""While he holds something, the worker hears so often that the viewer is still there."""
MOST_TIMES = 64

Send = Callable[[dict[str, Any]], Awaitable[bool]]


class Inputs:
    """Sends for one viewer. ``send`` takes a worker message and returns whether it was taken."""

    def __init__(self, viewer: str, send: Send) -> None:
        self._viewer = viewer
        self._send = send
        self._waiting: deque[Input] = deque()
        self._wake = asyncio.Event()
        self._held: set[tuple[str, Any]] = set()
        self._received: deque[tuple[int, int]] = deque(maxlen=MOST_TIMES)
        self._last_seq = -1
        self._uncertain = False
        self.dropped = 0
        self.used = False
        """Whether anything was ever sent that has to be released."""
        self._task = asyncio.create_task(self._run(), name="inputs")

    def put(self, said: Input) -> bool:
        """Queue a message; return False if its number is not larger than the last one's."""
        if said.seq <= self._last_seq:
            return False
        self._last_seq = said.seq
        if len(self._waiting) >= MOST_WAITING:
            self.dropped += 1
            self._uncertain = True
            return True
        self._received.append((said.seq, time.monotonic_ns() // 1000))
        self._waiting.append(said)
        self._wake.set()
        return True

    def received_us(self, seq: int) -> int | None:
        """Return when that message came, if that was not long ago."""
        return next((at for number, at in self._received if number == seq), None)

    async def release(self) -> None:
        """Let go of everything; forget what waits."""
        self._waiting.clear()
        if self.used:
            self.used = False
            self._held.clear()
            await self._send({"type": "worker.release", "viewer": self._viewer})

    async def stop(self) -> None:
        """The connection is gone."""
        await end_tasks(self._task)

    async def _run(self) -> None:
        while True:
            try:
                async with asyncio.timeout(ALIVE_S if self._held else None):
                    await self._wake.wait()
            except TimeoutError:
                await self._send({"type": "worker.alive", "viewer": self._viewer})
                continue
            self._wake.clear()
            while self._waiting:
                await self._pass_on()

    async def _pass_on(self) -> None:
        if self._uncertain:
            self._held.clear()
            self._uncertain = not await self._send({"type": "worker.release", "viewer": self._viewer})
        events: list[Event] = []
        seq = 0
        while self._waiting and len(events) + len(self._waiting[0].events) <= MAX_EVENTS:
            said = self._waiting.popleft()
            events += said.events
            seq = said.seq
        self.used = True
        for event in events:
            self._follow(event)
        message = {"type": "worker.input", "viewer": self._viewer, "seq": seq, "events": events}
        if not await self._send(message):
            self.dropped += 1
            self._uncertain = True

    def _follow(self, event: Event) -> None:
        match event:
            case ("key" | "button" as kind, code, *_, down):
                if down:
                    self._held.add((kind, code))
                else:
                    self._held.discard((kind, code))
            case ("release",):
                self._held.clear()
