"""The engine's exceptions.

EngineError
├── SourceError      a picture source could not be opened or died
├── SettingsError    a setting is unknown or out of range
├── WireError        a message breaks docs/protocol.md
└── DecodeError      a payload could not be decoded
"""

from __future__ import annotations


class EngineError(Exception):
    """Anything the engine reports. The text names the cause and, where there is one, the remedy."""


class SourceError(EngineError):
    """A picture source could not be opened, or went away."""


class SettingsError(EngineError):
    """A setting is unknown or out of range. ``name`` is the setting."""

    def __init__(self, name: str, message: str) -> None:
        super().__init__(message)
        self.name = name


class WireError(EngineError):
    """A message breaks the protocol."""


class DecodeError(EngineError):
    """A payload could not be decoded."""
