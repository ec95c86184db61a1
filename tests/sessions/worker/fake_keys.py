"""A keyboard of the X server's, in a few lines: what a program would read for every press."""

from __future__ import annotations

from collections.abc import Sequence

from sessions.worker.keycodes import KEYCODES

SHIFT, CONTROL, ALT, SUPER, LEVEL3 = 0xFFE1, 0xFFE3, 0xFFE9, 0xFFEB, 0xFE03
_US = {
    "Backquote": "`~", "Digit1": "1!", "Digit2": "2@", "Digit3": "3#", "Digit4": "4$", "Digit5": "5%", "Digit6": "6^",
    "Digit7": "7&", "Digit8": "8*", "Digit9": "9(", "Digit0": "0)", "Minus": "-_", "Equal": "=+", "BracketLeft": "[{",
    "BracketRight": "]}", "Backslash": "\\|", "Semicolon": ";:", "Quote": "'\"", "Comma": ",<", "Period": ".>",
    "Slash": "/?", "Space": "  ", **{f"Key{c}": c.lower() + c for c in "ABCDEFGHIJKLMNOPQRSTUVWXYZ"},
}  # fmt: skip
_NAMED = {
    "Enter": 0xFF0D, "Tab": 0xFF09, "Backspace": 0xFF08, "Escape": 0xFF1B, "ArrowLeft": 0xFF51, "Delete": 0xFFFF,
    "F5": 0xFFC2, "ShiftLeft": SHIFT, "ShiftRight": 0xFFE2, "ControlLeft": CONTROL, "AltLeft": ALT, "MetaLeft": SUPER,
    "CapsLock": 0xFFE5, "NumpadEnter": 0xFF8D,
}  # fmt: skip
_NAMES = {SHIFT: "Shift", 0xFFE2: "Shift", CONTROL: "Control", ALT: "Alt", SUPER: "Super", LEVEL3: "Level3"}


class FakeKeys:
    """``typed`` lists what was pressed: the keysym's character or number, with its modifiers before it."""

    def __init__(self, *, german: bool = False, free: int = 40) -> None:
        table: list[list[int]] = [[] for _ in range(256)]
        for keycode in range(8, 256):
            table[keycode] = [0] * 6
        for code, characters in _US.items():
            low, high = (ord(c) for c in characters)
            table[KEYCODES[code]] = [low, high, low, high, 0, 0]
        for code, keysym in _NAMED.items():
            table[KEYCODES[code]] = [keysym, 0, 0, 0, 0, 0]
        table[KEYCODES["Numpad1"]] = [0xFF9C, 0xFFB1, 0, 0, 0, 0]
        table[92] = [LEVEL3, 0, 0, 0, 0, 0]
        table[KEYCODES["AltRight"]] = [LEVEL3 if german else 0xFFEA, 0, 0, 0, 0, 0]
        if german:
            table[KEYCODES["KeyQ"]] = [ord("q"), ord("Q"), ord("q"), ord("Q"), ord("@"), 0]
            table[KEYCODES["KeyE"]] = [ord("e"), ord("E"), ord("e"), ord("E"), 0x20AC, 0]
            table[KEYCODES["Minus"]] = [0xDF, ord("?"), 0xDF, ord("?"), ord("\\"), 0]
        spare = [k for k in range(8, 256) if not any(table[k])]
        for keycode in spare[: len(spare) - free]:
            table[keycode][0] = 0x1008FF00 + keycode
        self.table = table
        self.down: list[int] = []
        self.typed: list[str] = []
        self.bound = 0
        self.keymap_serial = 1

    def keymap(self) -> Sequence[Sequence[int]]:
        return [tuple(columns) for columns in self.table]

    def modifiers(self) -> Sequence[Sequence[int]]:
        return [(50, 62), (66,), (37, 105), (64,), (77,), (), (133,), (92,)]

    def bind(self, keycode: int, keysyms: Sequence[int]) -> None:
        assert keycode not in self.down, "bound while it is down"
        self.table[keycode] = [*keysyms, 0, 0, 0, 0]
        self.bound += 1
        self.keymap_serial += 1

    def flush(self) -> None:
        pass

    def key(self, keycode: int, down: bool) -> None:
        if not down:
            assert keycode in self.down, f"{keycode} released while up"
            self.down.remove(keycode)
            return
        assert keycode not in self.down, f"{keycode} pressed while down"
        modifiers = {_NAMES.get(self.table[k][0]) for k in self.down} - {None}
        self.down.append(keycode)
        columns = self.table[keycode]
        if columns[0] in _NAMES:
            return
        index = ("Shift" in modifiers) + (4 if "Level3" in modifiers and any(columns[4:]) else 0)
        keysym = columns[index] or columns[0]
        shown = chr(keysym) if keysym < 0x100 else chr(keysym & 0xFFFFFF) if keysym & 0x01000000 else f"{keysym:#x}"
        shortcut = sorted(m for m in modifiers if m in ("Control", "Alt", "Super"))
        self.typed.append("+".join([*shortcut, shown]))
