"""The keyboard policy: what a browser's key becomes on the X server.

A printing key types the character the browser saw, whatever the two keyboard layouts are: on its own physical key if
that gives the character, else on another key with Shift and AltGr put right around the press, else on a spare keycode
that is bound to it. Other keys go by physical position. Repeating is the X server's business. Every key belongs to
the viewer who pressed it; modifiers of one viewer are lifted while another one types.

Caps Lock and Num Lock stay in the browser: characters arrive as they should appear.

Runs on the event loop's thread. X calls take microseconds, a keymap read or a binding one round trip.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from . import keysyms
from .held import Held
from .keycodes import KEYCODES
from .keymap import Keymap, Place
from .spares import Spares

_SILENT = frozenset({"Dead", "Process", "Compose", "CapsLock", "NumLock", "Fn", "FnLock", "Hyper", "Symbol"})
_ALTGRAPH_FAKES = frozenset({0xFFE3, 0xFFE4, 0xFFE9, 0xFFEA})  # Windows sends Control with AltGr, some send Alt
_NO_KEY = 0  # what a viewer holds for a key that has no counterpart on the server


class KeyDevice(Protocol):
    """What the policy needs of the X server."""

    def key(self, keycode: int, down: bool) -> None:
        """Press or release a key."""

    def keymap(self) -> Sequence[Sequence[int]]:
        """Return the keysyms of every keycode, indexed by keycode."""

    def modifiers(self) -> Sequence[Sequence[int]]:
        """Return the keycodes of each of the eight modifiers."""

    def bind(self, keycode: int, keysyms: Sequence[int]) -> None:
        """Give a keycode other keysyms."""

    def flush(self) -> None:
        """Send what is queued."""

    @property
    def keymap_serial(self) -> int:
        """Grows whenever the keymap has changed."""


class Keyboard:
    """Injects the keys of every viewer. ``untypable`` counts characters no keycode was left for."""

    def __init__(self, device: KeyDevice) -> None:
        self._device = device
        self._held = Held()
        self._down: dict[tuple[str, str], int] = {}  # (viewer, physical key) → keycode
        self._altgraph: set[tuple[str, str]] = set()
        self._serial = device.keymap_serial
        self._map = Keymap(device.keymap(), device.modifiers())
        self._spares = Spares(device, self._map)
        self.untypable = 0

    # ---- events ----------------------------------------------------------------------------------------------

    async def press(self, viewer: str, code: str, key: str) -> None:
        """A viewer's key went down; a repeat of one he holds is ignored."""
        if (viewer, code) in self._down or key in _SILENT:
            return
        self._refresh()
        if len(key) > 1 and not key.isascii():
            await self.type_text(viewer, key)  # one key, several characters: it is composed text
        elif len(key) == 1:
            await self._press_character(viewer, code, key)
        else:
            self._press_named(viewer, code, key)

    def release(self, viewer: str, code: str) -> None:
        """A viewer's key went up; one he does not hold is ignored."""
        self._altgraph.discard((viewer, code))
        keycode = self._down.pop((viewer, code), _NO_KEY)
        still = any(k == keycode and v == viewer for (v, _), k in self._down.items())
        if keycode != _NO_KEY and not still and self._held.release(keycode, viewer):
            self._device.key(keycode, False)

    def release_all(self, viewer: str) -> None:
        """Release everything ``viewer`` holds."""
        for holder, code in list(self._down):
            if holder == viewer:
                self.release(viewer, code)

    def viewers(self) -> set[str]:
        """Everybody who holds a key."""
        return {viewer for viewer, _ in self._down}

    async def type_text(self, viewer: str, text: str) -> None:
        """Type ``text`` as a whole, with everybody's modifiers lifted."""
        self._refresh()
        position = 0
        while position < len(text):
            end = await self._spares.bind_ahead(text, position, self._is_mapped, self._held.is_down)
            for character in text[position : max(end, position + 1)]:
                place = self._find(character) or self._spares.place(character)
                if place is None:
                    self.untypable += keysyms.of_character(character) is not None
                else:
                    self._tap(place, self._lifted(place, viewer, everybody=True))
            position = max(end, position + 1)
        self._device.flush()

    # ---- one key -----------------------------------------------------------------------------------------------

    def _press_named(self, viewer: str, code: str, key: str) -> None:
        if key == "AltGraph":
            self._altgraph.add((viewer, code))
            keycode = self._map.keycode(keysyms.LEVEL3)
            # Without a third level the character that follows says all; a bare Alt would turn it into a shortcut.
            self._hold(viewer, code, _NO_KEY if keycode is None else keycode)
            return
        keycode = KEYCODES.get(code)
        if keycode is None or not any(self._map.columns(keycode)):
            keysym = keysyms.NAMED.get(key)
            keycode = None if keysym is None else self._map.keycode(keysym)
        if keycode is not None:
            level3 = False if self._level3_down() else None
            self._strike(viewer, code, Place(keycode, None, level3 if keycode not in self._map.modifiers else None))

    async def _press_character(self, viewer: str, code: str, key: str) -> None:
        if self._is_shortcut(viewer) and key.isalpha():
            place = self._shortcut_place(code, key)
        else:
            place = self._place_for(code, key)
        if place is None:
            await self._spares.bind_ahead(key, 0, self._is_mapped, self._held.is_down)
            place = self._spares.place(key)
        if place is None:
            self.untypable += 1
        else:
            self._strike(viewer, code, place, character=True)

    def _place_for(self, code: str, key: str) -> Place | None:
        """Return where ``key`` is: on its own physical key if possible, in the present modifiers if possible."""
        physical = KEYCODES.get(code)
        names = keysyms.spellings(key)
        keypad = keysyms.of_keypad(key) if code.startswith("Numpad") else None
        places = self._map.places(names if keypad is None else (keypad, *names))
        own = [place for place in places if place.keycode == physical]
        fitting = [place for place in own if not self._changes(place)]
        return next(iter(fitting or own or places), None)

    def _shortcut_place(self, code: str, key: str) -> Place | None:
        """Return the key of a letter in a shortcut, whatever its case; the physical one if the letter is nowhere."""
        names = (*keysyms.spellings(key.lower()[0]), *keysyms.spellings(key.upper()[0]))
        places = self._map.places(names)
        physical = KEYCODES.get(code)
        own = [place for place in places if place.keycode == physical]
        if own or places:
            return Place((own or places)[0].keycode, None, None)
        return None if physical is None else Place(physical, None, None)

    def _strike(self, viewer: str, code: str, place: Place, *, character: bool = False) -> None:
        """Hold the key, or tap it where modifiers must be put right around it or there is no physical key to hold."""
        lifted = self._lifted(place, viewer, character=character)
        modifier = place.keycode in self._map.modifiers
        if not modifier and (lifted or self._missing(place) or not code):
            self._tap(place, lifted)
        else:
            self._hold(viewer, code, place.keycode)
        self._spares.touch(place.keycode)

    def _hold(self, viewer: str, code: str, keycode: int) -> None:
        self._down[viewer, code] = keycode
        if keycode == _NO_KEY:
            return
        if self._held.press(keycode, viewer):
            self._device.key(keycode, True)
        elif keycode not in self._map.modifiers:
            # Another viewer holds it: a new press must still type.
            self._device.key(keycode, False)
            self._device.key(keycode, True)

    def _tap(self, place: Place, lifted: list[int]) -> None:
        added = self._missing(place)
        again = self._held.is_down(place.keycode)
        for keycode in [*lifted, *([place.keycode] if again else ())]:
            self._device.key(keycode, False)
        for keycode in added:
            self._device.key(keycode, True)
        self._device.key(place.keycode, True)
        self._device.key(place.keycode, False)
        for keycode in added:
            self._device.key(keycode, False)
        for keycode in [*lifted, *([place.keycode] if again else ())]:
            self._device.key(keycode, True)
        self._spares.touch(place.keycode)

    # ---- modifiers ---------------------------------------------------------------------------------------------

    def _lifted(self, place: Place, viewer: str, *, everybody: bool = False, character: bool = False) -> list[int]:
        """Return the modifier keys that are down and must not be for ``viewer`` to strike ``place``."""
        through_altgraph = character and any(holder == viewer for holder, _ in self._altgraph)
        lifted = []
        for keycode in self._held.numbers():
            keysym = self._map.modifiers.get(keycode)
            if keysym is None:
                continue
            wanted: bool | None = None
            if keysym in keysyms.SHIFTS:
                wanted = place.shift
            elif keysym in (keysyms.LEVEL3, keysyms.MODE_SWITCH):
                wanted = False if character and place.level3 is None else place.level3
            elif everybody or (through_altgraph and keysym in _ALTGRAPH_FAKES):
                wanted = False
            foreign = wanted is None and not self._held.is_held_by(keycode, viewer)
            if wanted is False or (foreign and place.keycode not in self._map.modifiers):
                lifted.append(keycode)
        return lifted

    def _missing(self, place: Place) -> list[int]:
        """Return the modifier keys that must be pressed for ``place``."""
        missing = []
        if place.shift and not self._is_down(keysyms.SHIFTS):
            missing.append(self._map.keycode(0xFFE1) or KEYCODES["ShiftLeft"])
        if place.level3 and not self._level3_down():
            missing.append(self._map.keycode(keysyms.LEVEL3) or KEYCODES["AltRight"])
        return missing

    def _changes(self, place: Place) -> bool:
        """Whether Shift or AltGr are not as ``place`` needs them."""
        shift, level3 = self._is_down(keysyms.SHIFTS), self._level3_down()
        return place.shift not in (None, shift) or place.level3 not in (None, level3)

    def _is_down(self, names: frozenset[int]) -> bool:
        return any(self._map.modifiers.get(keycode) in names for keycode in self._held.numbers())

    def _level3_down(self) -> bool:
        return self._is_down(frozenset({keysyms.LEVEL3}))

    def _is_shortcut(self, viewer: str) -> bool:
        if any(holder == viewer for holder, _ in self._altgraph):
            return False
        held = (self._map.modifiers.get(keycode) for keycode in self._held.held_by(viewer))
        return any(keysym in keysyms.SHORTCUT_MODIFIERS for keysym in held)

    # ---- keymap ------------------------------------------------------------------------------------------------

    def _is_mapped(self, character: str) -> bool:
        return self._find(character) is not None

    def _find(self, character: str) -> Place | None:
        return next(iter(self._map.places(keysyms.spellings(character))), None)

    def _refresh(self) -> None:
        """Read the keymap again if anybody has changed it."""
        self._device.flush()
        serial = self._device.keymap_serial
        if serial != self._serial:
            self._serial = serial
            self._map = Keymap(self._device.keymap(), self._device.modifiers())
            self._spares.reset(self._map)
