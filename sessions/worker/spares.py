"""Spare keycodes: keys without a keysym, bound to characters that no key types.

A program that reads a key event late sees the keymap as it is then, so a keycode is bound anew only when its last
press is a while ago. Runs on the event loop's thread; a binding takes one round trip, and binding ahead may sleep.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from typing import Protocol

from . import keysyms
from .keymap import Keymap, Place

SETTLE_S = 0.02
"""Time programs get to notice a new binding."""
REUSE_S = 0.25
"""Time they get to read the last press of a key before it is bound to something else."""
MOST = 32
"""Keycodes used at most; the rest stays free for other programs that bind keys."""


class _Binder(Protocol):
    def bind(self, keycode: int, keysyms: Sequence[int]) -> None: ...
    def flush(self) -> None: ...


class Spares:
    """A ring of spare keycodes over ``keymap``; the one used longest ago is bound next."""

    def __init__(self, device: _Binder, keymap: Keymap) -> None:
        self._device = device
        self._bound: dict[int, int] = {}  # keysym → keycode, in order of last use
        self._used: dict[int, float] = {}  # keycode → time of its last press
        self._free: list[int] = []
        self.reset(keymap)

    def reset(self, keymap: Keymap) -> None:
        """Look at a changed keymap: bindings that somebody has overwritten are forgotten."""
        self._bound = {keysym: code for keysym, code in self._bound.items() if keysym in keymap.columns(code)[:1]}
        # From the top: what other programs bind, they search for from the bottom.
        self._free = sorted(keymap.free, reverse=True)[: max(0, MOST - len(self._bound))]

    def place(self, character: str) -> Place | None:
        """Return the spare key bound to ``character``, if there is one."""
        for keysym in keysyms.spellings(character):
            if keysym in self._bound:
                return Place(self._bound[keysym], None, None)
        return None

    def touch(self, keycode: int) -> None:
        """Note that a key was pressed now."""
        if keycode in self._used:
            self._used[keycode] = time.monotonic()

    async def bind_ahead(
        self, text: str, start: int, mapped: Callable[[str], bool], held: Callable[[int], bool]
    ) -> int:
        """Bind what ``text`` needs from ``start`` on; return up to where it can be typed now."""
        needed: dict[int, None] = {}
        bound_new = False
        end = start
        for end in range(start, len(text)):  # noqa: B007 - the loop's end is the result
            character = text[end]
            keysym = keysyms.of_character(character)
            if keysym is None or keysym in needed or mapped(character):
                continue
            if self.place(character) is None:
                keycode = self._choose(needed, held)
                if keycode is None:
                    break
                await self._rest(keycode)
                self._bind(keycode, keysym)
                bound_new = True
            needed[keysym] = None
        else:
            end = len(text)
        if bound_new:
            self._device.flush()
            await asyncio.sleep(SETTLE_S)
        return end

    def _choose(self, needed: dict[int, None], held: Callable[[int], bool]) -> int | None:
        """Return a keycode to bind: a free one, else the one used longest ago that is neither needed nor held."""
        if self._free:
            return self._free.pop(0)
        candidates = [code for keysym, code in self._bound.items() if keysym not in needed and not held(code)]
        return min(candidates, key=lambda code: self._used.get(code, 0.0), default=None)

    async def _rest(self, keycode: int) -> None:
        pause = self._used.get(keycode, 0.0) + REUSE_S - time.monotonic()
        if pause > 0:
            self._device.flush()
            await asyncio.sleep(pause)

    def _bind(self, keycode: int, keysym: int) -> None:
        self._bound = {bound: code for bound, code in self._bound.items() if code != keycode}
        self._device.bind(keycode, (keysym, keysym))  # the same with Shift
        self._bound[keysym] = keycode
        self._used[keycode] = time.monotonic() - REUSE_S
