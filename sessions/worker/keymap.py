"""The X server's keymap as lookups: which key gives a keysym, at which level, and which keys are free.

Rebuilt whenever the server reports a change. Plain data; used on the event loop's thread only.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from . import keysyms

# Columns of the core keymap that one group of an XKB layout appears in: level → (Shift, AltGr).
_LEVELS = ((0, False, False), (1, True, False), (4, False, True), (5, True, True))


class Place(NamedTuple):
    """Where a keysym is: a keycode, and whether Shift and AltGr must be down (None: they make no difference)."""

    keycode: int
    shift: bool | None
    level3: bool | None


class Keymap:
    """Lookups over ``table``, the keysyms of each keycode; ``modifiers`` holds the keycodes of the eight modifiers."""

    def __init__(self, table: Sequence[Sequence[int]], modifiers: Sequence[Sequence[int]] = ()) -> None:
        self._table = table
        self._by_keysym: dict[int, list[Place]] = {}
        self.free: list[int] = []
        self.modifiers: dict[int, int] = {}  # keycode → keysym
        mapped = frozenset(keycode for group in modifiers for keycode in group)
        for keycode, columns in enumerate(table):
            if not columns:
                continue
            if not any(columns):
                if keycode not in mapped:
                    self.free.append(keycode)
                continue
            if columns[0] in keysyms.MODIFIERS:
                self.modifiers[keycode] = columns[0]
            for place, keysym in _places(keycode, columns):
                self._by_keysym.setdefault(keysym, []).append(place)

    def places(self, spellings: Iterable[int]) -> list[Place]:
        """Return every place of the keysyms, those needing fewer modifiers first."""
        found = [place for keysym in spellings for place in self._by_keysym.get(keysym, ())]
        found.sort(key=lambda place: bool(place.shift) + 2 * bool(place.level3))
        return found

    def keycode(self, keysym: int) -> int | None:
        """Return a keycode whose first level is ``keysym``."""
        return next((p.keycode for p in self._by_keysym.get(keysym, ()) if not p.shift and not p.level3), None)

    def columns(self, keycode: int) -> Sequence[int]:
        """Return the keysyms of one keycode; empty when the server has no such key."""
        return self._table[keycode] if keycode < len(self._table) else ()


def _places(keycode: int, columns: Sequence[int]) -> list[tuple[Place, int]]:
    levels = [(columns[i], shift, level3) for i, shift, level3 in _LEVELS if i < len(columns) and columns[i]]
    if len({keysym for keysym, _, _ in levels}) == 1:
        return [(Place(keycode, None, None), levels[0][0])]
    plain = len(levels) == 1 or not any(level3 for _, _, level3 in levels)
    return [(Place(keycode, shift, None if plain else level3), keysym) for keysym, shift, level3 in levels]
