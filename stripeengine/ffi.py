"""The compiled engine: ``ffi`` and ``lib``, and the way from its error codes to exceptions.

Importing this module loads the extension; a missing one raises `EngineError` that says how to build it. Calls release
the GIL.
"""

from __future__ import annotations

from typing import Any

from .errors import EngineError, SettingsError, SourceError

try:
    from ._stripeengine import ffi, lib
except ImportError as error:
    raise EngineError(
        f"the C engine is not built or cannot be loaded ({error}): run 'python stripeengine/_build.py' or 'make setup'"
    ) from error

__all__ = ["check_error", "check_mode", "check_pointer", "error_of", "ffi", "has_h264", "lib"]


def error_of(code: int, text: str) -> EngineError:
    """Return the exception for a code of ``enum se_error`` and its text."""
    if code in (lib.SE_E_SOURCE, lib.SE_E_AGAIN):
        return SourceError(text)
    return EngineError(text)


def _message() -> str:
    text: bytes = ffi.string(lib.se_error_message())
    return text.decode("utf-8", "replace")


def check_error(code: int, kind: type[EngineError] | None = None) -> int:
    """Return a code that is not negative; for one that is raise ``kind``, or what fits the code."""
    if code < 0:
        raise kind(_message()) if kind is not None else error_of(code, _message())
    return code


def check_pointer(pointer: Any, kind: type[EngineError] = EngineError) -> Any:
    """Return a pointer that is not NULL; raise ``kind`` with this thread's error text for one that is."""
    if pointer == ffi.NULL:
        raise kind(_message())
    return pointer


def has_h264() -> bool:
    """Tell whether the extension was built with x264."""
    return bool(lib.se_has_h264())


def check_mode(mode: str) -> None:
    """Raise `SettingsError` for a mode this build does not have."""
    if mode == "h264" and not has_h264():
        raise SettingsError(
            "mode",
            "mode h264 is not available: this engine was built without x264. "
            "Use mode jpeg, or rebuild without STRIPEENGINE_X264=0",
        )
