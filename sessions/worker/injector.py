"""Input of all viewers, applied to the X server one message after the other.

Owns the XTEST connection. `put` never blocks: a bounded queue feeds one task, because typing text may have to wait
for programs to notice a new key binding, and nothing may overtake it. What overflows is dropped and counted; a
release never is.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable

from stripeengine.x11 import X11Input

from .keyboard import Keyboard
from .messages import Event, Input, Release
from .pointer import Pointer

logger = logging.getLogger(__name__)

MOST_WAITING = 512
MOST_VIEWERS = 1024
SILENT_S = 3.0
"""Whoever holds something is heard once a second."""


class Injector:
    """Applies input to ``device``."""

    def __init__(self, device: X11Input, injected: Callable[[str, int], None] = lambda viewer, seq: None) -> None:
        self._device = device
        self._keyboard = Keyboard(device)
        self._pointer = Pointer(device)
        self._queue: deque[Input | Release] = deque()
        self._wake = asyncio.Event()
        self._seqs: dict[str, int] = {}
        self._heard: dict[str, float] = {}  # viewers that hold something → when they were heard last
        self._injected = injected
        self.dropped = 0

    def put(self, message: Input | Release) -> None:
        """Queue one message."""
        if isinstance(message, Input) and len(self._queue) >= MOST_WAITING:
            self.dropped += 1
            return
        self._queue.append(message)
        self._wake.set()

    def resize(self, width: int, height: int) -> None:
        """Keep the pointer inside a picture of this size."""
        self._pointer.size = (width, height)

    def viewers(self) -> set[str]:
        """Everybody who holds a key or a button."""
        return self._keyboard.viewers() | self._pointer.viewers()

    def alive(self, viewer: str) -> None:
        """A viewer who holds something is still connected."""
        if viewer in self._heard:
            self._heard[viewer] = asyncio.get_running_loop().time()

    def release_silent(self) -> bool:
        """Release what viewers hold who have not been heard for `SILENT_S`; return whether anybody holds anything."""
        now = asyncio.get_running_loop().time()
        holders = self.viewers()
        self._heard = {viewer: self._heard.get(viewer, now) for viewer in holders}
        for viewer, heard in self._heard.items():
            if now > heard + SILENT_S:
                logger.warning("viewer %s went without letting go of what he held: released", viewer)
                self.put(Release(viewer))
        return bool(holders)

    async def run(self) -> None:
        """Apply what is queued until cancelled; raise `SourceError` when the X server has gone."""
        while True:
            await self._wake.wait()
            self._wake.clear()
            while self._queue:
                message = self._queue.popleft()
                await self._apply(message)
                self._device.flush()
                if isinstance(message, Input):
                    self._heard[message.viewer] = asyncio.get_running_loop().time()
                    self._injected(message.viewer, message.seq)

    def close(self) -> None:
        """Release everything and disconnect."""
        self._device.close()

    async def _apply(self, message: Input | Release) -> None:
        if isinstance(message, Release):
            self._seqs.pop(message.viewer, None)
            self._release(message.viewer)
            return
        # Redis may deliver nothing twice, but a hostile peer may: an old number is an old message.
        if message.seq <= self._seqs.get(message.viewer, -1):
            self.dropped += 1
            return
        if len(self._seqs) >= MOST_VIEWERS:
            self._seqs.pop(next(iter(self._seqs)))
        self._seqs[message.viewer] = message.seq
        for event in message.events:
            try:
                await self._event(message.viewer, event)
            except ValueError as error:
                self.dropped += 1
                logger.warning("input event %s refused: %s", event[0], error)

    async def _event(self, viewer: str, event: Event) -> None:
        match event:
            case ("move", x, y):
                self._pointer.move(x, y)
            case ("button", number, down):
                self._pointer.button(viewer, number, down)
            case ("wheel", dx, dy):
                self._pointer.wheel(viewer, dx, dy)
            case ("key", code, key, True):
                await self._keyboard.press(viewer, code, key)
            case ("key", code, _, False):
                self._keyboard.release(viewer, code)
            case ("text", text):
                await self._keyboard.type_text(viewer, text)
            case ("release",):
                self._release(viewer)

    def _release(self, viewer: str) -> None:
        self._keyboard.release_all(viewer)
        self._pointer.release_all(viewer)
