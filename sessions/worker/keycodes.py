"""Physical keys: the browser's `KeyboardEvent.code` to X keycodes (evdev's, shifted by eight as X does).

Data only. The codes are those of the W3C's "UI Events KeyboardEvent code Values", the numbers those of
linux/input-event-codes.h.
"""

from __future__ import annotations

_ROWS = {
    1: "Escape Digit1 Digit2 Digit3 Digit4 Digit5 Digit6 Digit7 Digit8 Digit9 Digit0 Minus Equal Backspace",
    15: "Tab KeyQ KeyW KeyE KeyR KeyT KeyY KeyU KeyI KeyO KeyP BracketLeft BracketRight Enter ControlLeft",
    30: "KeyA KeyS KeyD KeyF KeyG KeyH KeyJ KeyK KeyL Semicolon Quote Backquote ShiftLeft Backslash",
    44: "KeyZ KeyX KeyC KeyV KeyB KeyN KeyM Comma Period Slash ShiftRight NumpadMultiply AltLeft Space CapsLock",
    59: "F1 F2 F3 F4 F5 F6 F7 F8 F9 F10 NumLock ScrollLock Numpad7 Numpad8 Numpad9 NumpadSubtract",
    75: "Numpad4 Numpad5 Numpad6 NumpadAdd Numpad1 Numpad2 Numpad3 Numpad0 NumpadDecimal",
    86: "IntlBackslash F11 F12 IntlRo",
    96: "NumpadEnter ControlRight NumpadDivide PrintScreen AltRight",
    102: "Home ArrowUp PageUp ArrowLeft ArrowRight End ArrowDown PageDown Insert Delete",
    183: "F13 F14 F15 F16 F17 F18 F19 F20 F21 F22 F23 F24",
}
_SINGLE = {
    "KanaMode": 93,
    "Convert": 92,
    "NonConvert": 94,
    "AudioVolumeMute": 113,
    "AudioVolumeDown": 114,
    "AudioVolumeUp": 115,
    "NumpadEqual": 117,
    "Pause": 119,
    "NumpadComma": 121,
    "Lang1": 122,
    "Lang2": 123,
    "IntlYen": 124,
    "MetaLeft": 125,
    "MetaRight": 126,
    "OSLeft": 125,  # Firefox before 118
    "OSRight": 126,
    "ContextMenu": 127,
    "Again": 129,
    "Undo": 131,
    "Copy": 133,
    "Open": 134,
    "Paste": 135,
    "Find": 136,
    "Cut": 137,
    "Help": 138,
    "LaunchApp2": 140,
    "LaunchMail": 155,
    "BrowserFavorites": 156,
    "BrowserBack": 158,
    "BrowserForward": 159,
    "MediaTrackNext": 163,
    "MediaPlayPause": 164,
    "MediaTrackPrevious": 165,
    "MediaStop": 166,
    "BrowserRefresh": 173,
    "BrowserHome": 172,
    "BrowserSearch": 217,
}
_X_OFFSET = 8

KEYCODES: dict[str, int] = {
    code: first + index + _X_OFFSET for first, row in _ROWS.items() for index, code in enumerate(row.split())
} | {code: number + _X_OFFSET for code, number in _SINGLE.items()}
"""`KeyboardEvent.code` → X keycode."""
