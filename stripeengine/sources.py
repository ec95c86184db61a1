"""Picture sources that need no server: a framebuffer that its owner fills, and a test pattern.

A source serves one engine at a time; `submit`, `resize` and `fail` may be called on any thread and never wait for an
encode. numpy is not needed: any object with the buffer protocol will do.
"""

from __future__ import annotations

import weakref
from collections.abc import Sequence
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from .errors import SourceError
from .ffi import check_error, check_pointer, ffi, lib

if TYPE_CHECKING:
    from .engine import Engine

Rectangle = tuple[int, int, int, int]
Pixels = Any  # whatever has the buffer protocol, which has no name before Python 3.12

_FORMATS = {"RGB": (0, 3), "RGBX": (1, 4), "BGRX": (2, 4)}  # name: enum se_format, bytes a pixel
_PATTERNS = {"still": 0, "scroll": 1, "bounce": 2, "noise": 3}  # enum se_pattern


class Source:
    """Owner of a C source. `close` is idempotent and closes the engine that uses the source first."""

    def __init__(self, native: Any) -> None:
        self._native: Any = ffi.gc(check_pointer(native, SourceError), lib.se_source_free)
        self._engine: weakref.ref[Engine] | None = None

    @property
    def pointer(self) -> Any:
        """The ``struct se_source *`` for the engine; raises `SourceError` after `close`."""
        if self._native is None:
            raise SourceError("this source is closed")
        return self._native

    def attach(self, engine: Engine) -> None:
        """Note who uses the source; called by the engine."""
        self._engine = weakref.ref(engine)

    def close(self) -> None:
        """Close the engine that uses it, then free the source."""
        engine = self._engine() if self._engine is not None else None
        if engine is not None:
            engine.close()
        self._native = None  # freed with its last reference: a submit may be under way on another thread

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _check_size(width: int, height: int) -> None:
    for name, value in (("width", width), ("height", height)):
        if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= 16384:
            raise SourceError(f"{name} must be a whole number between 1 and 16384, not {value!r:.40}")


class FramebufferSource(Source):
    """A picture of ``width`` × ``height`` pixels, black at first, that `submit` fills.

    Raises `SourceError` for an impossible size.
    """

    def __init__(self, width: int, height: int) -> None:
        _check_size(width, height)
        super().__init__(lib.se_framebuffer_source_new(width, height))
        self._size = (width, height)

    @property
    def size(self) -> tuple[int, int]:
        """Width and height in pixels."""
        return self._size

    def submit(self, pixels: Pixels, damage: Sequence[Rectangle] | None = None, *, format: str = "RGB") -> None:
        """Copy a picture of the source's size and tell the engine.

        ``pixels`` is an H×W×3 (RGB) or H×W×4 (RGBX, BGRX) array of uint8, or its bytes. Only what lies inside the
        ``damage`` rectangles ``(x, y, w, h)`` is taken over; everything if it is None. Raises `SourceError` if the
        format is unknown, the picture has another size, or a rectangle leaves it.
        """
        if format not in _FORMATS:
            raise SourceError(f"format must be one of {', '.join(_FORMATS)}, not {format!r:.20}")
        code, channels = _FORMATS[format]
        data = self._bytes(pixels, channels, format)
        rects, count = self._rectangles(damage)
        memory = ffi.from_buffer("uint8_t[]", data)
        check_error(
            lib.se_framebuffer_source_submit(self.pointer, memory, len(memory), code, rects, count), SourceError
        )

    def resize(self, width: int, height: int) -> None:
        """Become another size, black until the next `submit`. Raises `SourceError` for an impossible size."""
        _check_size(width, height)
        check_error(lib.se_framebuffer_source_resize(self.pointer, width, height), SourceError)
        self._size = (width, height)

    def fail(self, text: str) -> None:
        """Be dead from now on, as a server that went away would be: the engine fails with ``text``."""
        lib.se_framebuffer_source_fail(self.pointer, text.encode("utf-8").replace(b"\0", b" "))

    def _bytes(self, pixels: Pixels, channels: int, format: str) -> memoryview | bytes:
        try:
            view = memoryview(pixels)
        except TypeError:
            raise SourceError(f"pixels must be an array or bytes, not {type(pixels).__name__}") from None
        width, height = self._size
        if view.itemsize != 1:
            raise SourceError(f"pixels must be of 8 bits a channel (uint8), not of {view.itemsize} bytes an item")
        if view.nbytes != width * height * channels or view.ndim == 3 and view.shape != (height, width, channels):
            got = "×".join(map(str, view.shape or ())) if view.ndim > 1 else f"{view.nbytes} bytes"
            raise SourceError(
                f"a {format} picture of this source is {height}×{width}×{channels} "
                f"({width * height * channels} bytes), not {got}: name the format, or resize() first"
            )
        return view if view.c_contiguous else view.tobytes()

    def _rectangles(self, damage: Sequence[Rectangle] | None) -> tuple[Any, int]:
        if damage is None:
            return ffi.NULL, 0
        try:
            rects = ffi.new("struct se_rect[]", [(int(x), int(y), int(w), int(h)) for x, y, w, h in damage])
        except (TypeError, ValueError, OverflowError) as error:
            raise SourceError(f"damage must be a list of (x, y, w, h): {error}") from None
        return rects, len(rects)


class TestPatternSource(Source):
    """A picture that draws itself ``framerate`` times a second.

    ``motion`` is ``still`` (a page of text that never changes), ``scroll`` (that page, scrolling), ``bounce`` (a box on
    a gradient) or ``noise`` (every pixel, every time). Raises `SourceError` for anything else.
    """

    __test__ = False  # pytest takes it for a test case otherwise

    def __init__(self, width: int, height: int, motion: str = "scroll", *, framerate: int = 60) -> None:
        _check_size(width, height)
        if motion not in _PATTERNS:
            raise SourceError(f"motion must be one of {', '.join(_PATTERNS)}, not {motion!r:.20}")
        if isinstance(framerate, bool) or not isinstance(framerate, int) or not 1 <= framerate <= 240:
            raise SourceError(f"framerate must be a whole number between 1 and 240, not {framerate!r:.40}")
        super().__init__(lib.se_pattern_source_new(width, height, _PATTERNS[motion], framerate))
