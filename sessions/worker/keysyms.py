"""Characters and named keys as X keysyms.

Data and pure functions. Numbers from X11/keysymdef.h: Latin-1 stands for itself, every other character is
0x01000000 plus its code point, and a keymap may use the older name of the same character.
"""

from __future__ import annotations

UNICODE = 0x01000000

SHIFTS = frozenset({0xFFE1, 0xFFE2})
LEVEL3 = 0xFE03  # ISO_Level3_Shift: what AltGr is where a layout has it
MODE_SWITCH = 0xFF7E
LOCKS = frozenset({0xFFE5, 0xFF7F, 0xFFE6})
SHORTCUT_MODIFIERS = frozenset({0xFFE3, 0xFFE4, 0xFFE7, 0xFFE8, 0xFFE9, 0xFFEA, 0xFFEB, 0xFFEC, 0xFFED, 0xFFEE})
MODIFIERS = SHIFTS | SHORTCUT_MODIFIERS | LOCKS | {LEVEL3, MODE_SWITCH, 0xFE11, 0xFE13}

# Older names that keymaps use for characters outside Latin-1.
_LEGACY = {
    "€": 0x20AC,
    "œ": 0x13BD,
    "Œ": 0x13BC,
    "Ÿ": 0x13BE,
    "ł": 0x1B3,
    "Ł": 0x1A3,
    "ą": 0x1B1,
    "Ą": 0x1A1,
    "ś": 0x1B6,
    "Ś": 0x1A6,
    "š": 0x1B9,
    "Š": 0x1A9,
    "ź": 0x1BC,
    "ž": 0x1BE,
    "Ž": 0x1AE,
    "ż": 0x1BF,
    "ć": 0x1E6,
    "č": 0x1E8,
    "Č": 0x1C8,
    "ę": 0x1EA,
    "ě": 0x1EC,
    "ń": 0x1F1,
    "ő": 0x1F5,
    "ř": 0x1F8,
    "ů": 0x1F9,
    "ű": 0x1FB,
    "ğ": 0x2BB,
    "ı": 0x2B9,
    "ş": 0x1BA,
}

_KEYPAD = {
    "0": 0xFFB0, "1": 0xFFB1, "2": 0xFFB2, "3": 0xFFB3, "4": 0xFFB4, "5": 0xFFB5, "6": 0xFFB6, "7": 0xFFB7,
    "8": 0xFFB8, "9": 0xFFB9, "*": 0xFFAA, "+": 0xFFAB, ",": 0xFFAC, "-": 0xFFAD, ".": 0xFFAE, "/": 0xFFAF, "=": 0xFFBD,
}  # fmt: skip

NAMED: dict[str, int] = {
    "Backspace": 0xFF08, "Tab": 0xFF09, "Enter": 0xFF0D, "Pause": 0xFF13, "ScrollLock": 0xFF14, "Escape": 0xFF1B,
    "Home": 0xFF50, "ArrowLeft": 0xFF51, "ArrowUp": 0xFF52, "ArrowRight": 0xFF53, "ArrowDown": 0xFF54,
    "PageUp": 0xFF55, "PageDown": 0xFF56, "End": 0xFF57, "PrintScreen": 0xFF61, "Insert": 0xFF63, "Undo": 0xFF65,
    "ContextMenu": 0xFF67, "Find": 0xFF68, "Cancel": 0xFF69, "Help": 0xFF6A, "Delete": 0xFFFF,
    "Shift": 0xFFE1, "Control": 0xFFE3, "Alt": 0xFFE9, "Meta": 0xFFEB, "OS": 0xFFEB, "Super": 0xFFEB,
    "AltGraph": LEVEL3,
    **{f"F{n}": 0xFFBD + n for n in range(1, 25)},
    "AudioVolumeDown": 0x1008FF11, "AudioVolumeMute": 0x1008FF12, "AudioVolumeUp": 0x1008FF13,
    "MediaPlayPause": 0x1008FF14, "MediaStop": 0x1008FF15, "MediaTrackPrevious": 0x1008FF16,
    "MediaTrackNext": 0x1008FF17, "BrowserHome": 0x1008FF18, "LaunchMail": 0x1008FF19, "BrowserSearch": 0x1008FF1B,
    "BrowserBack": 0x1008FF26, "BrowserForward": 0x1008FF27, "BrowserRefresh": 0x1008FF29,
    "BrowserFavorites": 0x1008FF30, "Copy": 0x1008FF57, "Cut": 0x1008FF58, "Paste": 0x1008FF6D,
}  # fmt: skip
"""`KeyboardEvent.key` of keys that do not print → keysym."""


def of_character(character: str) -> int | None:
    """Return the keysym of one character; None for what no key types (control characters, surrogates)."""
    if character in ("\n", "\r"):
        return NAMED["Enter"]
    if character == "\t":
        return NAMED["Tab"]
    point = ord(character)
    if 0x20 <= point <= 0x7E or 0xA0 <= point <= 0xFF:
        return point
    if point < 0xA0 or 0xD800 <= point <= 0xDFFF:
        return None
    return UNICODE + point


def spellings(character: str) -> tuple[int, ...]:
    """Return every keysym that a keymap may use for ``character``, the preferred one first."""
    keysym = of_character(character)
    if keysym is None:
        return ()
    legacy = _LEGACY.get(character)
    names = (keysym,) if legacy is None else (legacy, keysym)
    return names if keysym >= UNICODE else (*names, UNICODE + keysym)


def of_keypad(character: str) -> int | None:
    """Return the keypad's own keysym of ``character``, if it has one."""
    return _KEYPAD.get(character)
