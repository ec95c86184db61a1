"""Stripe engine: turns what changes in a picture into small wire messages; docs/reference/engine.md describes it.

Names are looked up when they are first used, so that importing a part (``stripeengine.settings``) does not load the C
extension or numpy.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .engine import Cursor, Engine, EngineStats
    from .errors import DecodeError, EngineError, SettingsError, SourceError, WireError
    from .frame import Frame
    from .reference import ReferenceEngine
    from .settings import EngineSettings
    from .sources import FramebufferSource, TestPatternSource
    from .x11 import X11Input, X11Source

_HOMES = {
    "Cursor": "engine",
    "DecodeError": "errors",
    "Engine": "engine",
    "EngineError": "errors",
    "EngineSettings": "settings",
    "EngineStats": "engine",
    "Frame": "frame",
    "FramebufferSource": "sources",
    "ReferenceEngine": "reference",
    "SettingsError": "errors",
    "SourceError": "errors",
    "TestPatternSource": "sources",
    "WireError": "errors",
    "X11Input": "x11",
    "X11Source": "x11",
}

__all__ = [
    "Cursor",
    "DecodeError",
    "Engine",
    "EngineError",
    "EngineSettings",
    "EngineStats",
    "Frame",
    "FramebufferSource",
    "ReferenceEngine",
    "SettingsError",
    "SourceError",
    "TestPatternSource",
    "WireError",
    "X11Input",
    "X11Source",
]


def __getattr__(name: str) -> Any:
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(f".{home}", __name__), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
