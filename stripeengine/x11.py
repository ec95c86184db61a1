"""The X11 picture source and X11 input: thin owners of the C objects in ``csrc/x11_*.c``.

Threads: an `X11Source` belongs to the engine that uses it, an `X11Input` to one thread at a time (the worker's event
loop). Opening waits for the server's handshake, `keymap`, `modifiers`, `bind` and `pointer` for one round trip; other
input only queues until `flush`, which waits only while the server's socket is full.
"""

from __future__ import annotations

import os
import weakref
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from .errors import SourceError
from .ffi import ffi, lib
from .x11_connection import Connected, NativeAddress, X11Address, error_text

if TYPE_CHECKING:
    from .engine import Engine

_KEYSYMS_MAX = 256 * 255
_MODIFIERS_MAX = 8 * 255
_RECTS_MAX = 64
_CURSOR_BYTES_MAX = 256 * 256 * 4
_COORDINATE_MAX = 32767

Rect = tuple[int, int, int, int]


@dataclass(frozen=True)
class X11Change:
    """What `X11Source.poll` found: damaged (x, y, w, h) rectangles, a new size, a new pointer image."""

    damage: tuple[Rect, ...]
    resized: bool
    cursor: bool


def _check_rect(rect: Sequence[int]) -> Rect:
    """Return the rectangle as a tuple; raise `SourceError` if it is none."""
    values = tuple(rect)
    if len(values) != 4 or any(isinstance(v, bool) or not isinstance(v, int) for v in values):
        raise SourceError(f"rect must be four whole numbers (x, y, width, height), not {rect!r:.60}")
    x, y, width, height = values
    if not (0 <= x <= _COORDINATE_MAX and 0 <= y <= _COORDINATE_MAX and width > 0 and height > 0):
        raise SourceError(
            f"rect must have x and y from 0 to {_COORDINATE_MAX} and at least one pixel, not {rect!r:.60}"
        )
    return x, y, min(width, _COORDINATE_MAX), min(height, _COORDINATE_MAX)


class X11Source(Connected):
    """The screen of an X server, or a part of it, as a picture source for `Engine`.

    ``display`` names it as usual (":0"); ``socket`` is the path of its Unix socket instead, ``auth`` the authorization
    to send there (name, cookie) and ``number`` what to call it in messages. ``rect`` is a rectangle (x, y, width,
    height) of the root window, cut to what there is of it at any time; ``monitor`` the name of a monitor of RandR 1.5,
    followed wherever it goes. ``framebuffer`` is a descriptor of the file in which the server keeps its screen (``Xvfb
    -fbdir``), sealed against shrinking: pixels are then read there, without a copy. It may be closed afterwards. Raises
    `SourceError` naming cause and remedy.
    `poll`, `read` and `cursor` are for tools and tests, while no engine uses the source.
    """

    _create = "se_x11_source_new"
    _free = "se_source_free"

    _engine: weakref.ref[Engine] | None = None

    def __init__(
        self,
        display: str | None = None,
        *,
        socket: str | os.PathLike[str] | None = None,
        number: int = 0,
        auth: tuple[str, bytes] | None = None,
        rect: Sequence[int] | None = None,
        monitor: str | None = None,
        framebuffer: int | None = None,
    ) -> None:
        self._handle = None
        if rect is not None and monitor is not None:
            raise SourceError("name either a rect or a monitor, not both")
        part = ffi.new("struct se_x11_part *")
        if rect is not None:
            part.rect = _check_rect(rect)
        if monitor is not None:
            if "\0" in monitor:
                raise SourceError("the monitor's name contains a null character")
            text = ffi.new("char[]", monitor.encode())  # named, so that it lives through the call
            part.monitor = text
        super().__init__(
            display, socket=socket, number=number, auth=auth, extra=(part, -1 if framebuffer is None else framebuffer)
        )

    @property
    def pointer(self) -> Any:
        """The ``struct se_source *`` for the engine; raises `SourceError` after `close`."""
        return self._native

    def attach(self, engine: Engine) -> None:
        """Note who uses the source; called by the engine."""
        self._engine = weakref.ref(engine)

    def close(self) -> None:
        """Close the engine that uses it, then disconnect. Idempotent."""
        engine = self._engine() if self._engine is not None else None
        if engine is not None:
            engine.close()
        super().close()

    @property
    def size(self) -> tuple[int, int]:
        """Width and height in pixels, as of the last poll."""
        width, height = self._integers(lib.se_x11_source_size, 2)
        return width, height

    @property
    def origin(self) -> tuple[int, int]:
        """Where the picture's first pixel lies on the root window: the `X11Input.offset` for this view. Any thread."""
        x, y = self._integers(lib.se_x11_source_origin, 2)
        return x, y

    @property
    def direct(self) -> bool:
        """Tell whether pixels are read from the framebuffer; if not, the server is asked."""
        return bool(lib.se_x11_source_direct(self._native))

    def fileno(self) -> int:
        """Return a descriptor that is readable when `poll` has something to say."""
        return int(lib.se_x11_source_fd(self._native))

    def poll(self) -> X11Change:
        """Return what changed since the last call, and forget it. Never waits for a change."""
        rects = ffi.new("struct se_rect[]", _RECTS_MAX)
        count = ffi.new("size_t *")
        bits = self._check(lib.se_x11_source_poll(self._native, rects, _RECTS_MAX, count))
        damage = tuple((rects[i].x, rects[i].y, rects[i].w, rects[i].h) for i in range(count[0]))
        return X11Change(damage, bool(bits & 2), bool(bits & 4))

    def read(self, y0: int = 0, y1: int | None = None) -> bytes:
        """Return rows [y0, y1) as BGRX bytes, width * 4 a row. Raises `ValueError` for rows outside the screen."""
        width, height = self.size
        stop = height if y1 is None else y1
        out = bytearray(max(0, stop - y0) * width * 4)
        memory = ffi.from_buffer("uint8_t[]", out, require_writable=True)
        self._check(lib.se_x11_source_read(self._native, y0, stop, memory, len(out)))
        return bytes(out)

    def cursor(self) -> tuple[int, int, int, int, int, bytes]:
        """Return the pointer image: serial, width, height, hotspot x and y, straight RGBA; 0 x 0 when hidden."""
        info = ffi.new("uint32_t[5]")
        rgba = ffi.new("uint8_t[]", _CURSOR_BYTES_MAX)
        self._check(lib.se_x11_source_cursor(self._native, info, rgba, _CURSOR_BYTES_MAX))
        serial, width, height, hot_x, hot_y = ffi.unpack(info, 5)
        return serial, width, height, hot_x, hot_y, bytes(ffi.buffer(rgba, width * height * 4))


class X11Input(Connected):
    """Pointer and keyboard injection by XTest, on a connection of its own; arguments as for `X11Source`.

    Coordinates count from ``offset``: the `X11Source.origin` of what is shown. Requests queue until `flush`: one flush
    a batch. `close` releases what is held. Raises `SourceError` when the server
    is gone, `ValueError` for a coordinate, button or keycode the server cannot have.
    """

    _create = "se_x11_input_new"
    _free = "se_x11_input_free"

    def __init__(
        self,
        display: str | None = None,
        *,
        socket: str | os.PathLike[str] | None = None,
        number: int = 0,
        auth: tuple[str, bytes] | None = None,
        offset: tuple[int, int] = (0, 0),
    ) -> None:
        super().__init__(display, socket=socket, number=number, auth=auth)
        self.offset = offset

    @property
    def offset(self) -> tuple[int, int]:
        """Pixel of the root window from which coordinates count; may be set at any time."""
        return self._offset

    @offset.setter
    def offset(self, value: tuple[int, int]) -> None:
        x, y = value
        self._check(lib.se_x11_input_offset(self._native, x, y))
        self._offset = (x, y)

    def move(self, x: int, y: int) -> None:
        """Move the pointer to pixel (x, y) from the offset; beyond the screen the server stops at its edge."""
        self._check(lib.se_x11_input_move(self._native, x, y))

    def button(self, number: int, down: bool) -> None:
        """Press or release an X button: 1 left, 2 middle, 3 right, 4-7 wheel, 8 back, 9 forward."""
        self._check(lib.se_x11_input_button(self._native, number, down))

    def key(self, keycode: int, down: bool) -> None:
        """Press or release the key with that X keycode (`keycodes` has the range)."""
        self._check(lib.se_x11_input_key(self._native, keycode, down))

    def flush(self) -> None:
        """Send what is queued."""
        self._check(lib.se_x11_input_flush(self._native))

    def release(self) -> None:
        """Release every key and button this object holds, and flush."""
        self._check(lib.se_x11_input_release(self._native))

    @property
    def keycodes(self) -> tuple[int, int]:
        """First and last keycode of the server."""
        first, last = self._integers(lib.se_x11_input_keycodes, 2)
        return first, last

    def keymap(self) -> list[tuple[int, ...]]:
        """Return the keysyms of every keycode, indexed by keycode; 0 means no symbol, () no such keycode."""
        per = ffi.new("int *")
        keysyms = ffi.new("uint32_t[]", _KEYSYMS_MAX)
        self._check(lib.se_x11_input_keymap(self._native, keysyms, _KEYSYMS_MAX, per))
        first, last = self.keycodes
        width = per[0]
        flat = ffi.unpack(keysyms, (last - first + 1) * width)
        rows = [tuple(flat[i * width : (i + 1) * width]) for i in range(last - first + 1)]
        return [()] * first + rows

    def modifiers(self) -> list[tuple[int, ...]]:
        """Return the keycodes of Shift, Lock, Control, Mod1, Mod2, Mod3, Mod4 and Mod5, in this order."""
        per = ffi.new("int *")
        keycodes = ffi.new("uint8_t[]", _MODIFIERS_MAX)
        self._check(lib.se_x11_input_modifiers(self._native, keycodes, _MODIFIERS_MAX, per))
        width = per[0]
        flat = ffi.unpack(keycodes, 8 * width)
        return [tuple(code for code in flat[i * width : (i + 1) * width] if code) for i in range(8)]

    def bind(self, keycode: int, keysyms: Sequence[int]) -> None:
        """Give a keycode these keysyms, for every client of the server; `key` may use it at once."""
        values = ffi.new("uint32_t[]", list(keysyms))
        self._check(lib.se_x11_input_bind(self._native, keycode, values, len(values)))

    def pointer(self) -> tuple[int, int, int]:
        """Return the pointer's x and y from the offset, negative before it, and the mask of what is down."""
        x, y, state = self._integers(lib.se_x11_input_pointer, 3)
        return x, y, state

    @property
    def keymap_serial(self) -> int:
        """Grows with every keymap change `flush` or `bind` has seen, by whomever; then read `keymap` again."""
        return int(lib.se_x11_input_keymap_serial(self._native))


@dataclass(frozen=True)
class X11Monitor:
    """A monitor of RandR 1.5: its name and its (x, y, w, h) on the root window."""

    name: str
    rect: Rect
    primary: bool


@dataclass(frozen=True)
class X11Report:
    """What a server offers: versions as "major.minor" or None where an extension is missing."""

    vendor: str
    width: int
    height: int
    depth: int
    pixels_usable: bool
    memory: str  # "passed", "sysv" or "none"
    extensions: dict[str, str | None]
    monitors: tuple[X11Monitor, ...]  # empty without RandR 1.5; at most 16


def probe(
    display: str | None = None,
    *,
    socket: str | os.PathLike[str] | None = None,
    auth: tuple[str, bytes] | None = None,
) -> X11Report:
    """Look at an X server without starting anything. Raises `SourceError` if it cannot be reached."""
    address = X11Address.of(display, socket, auth)
    out = ffi.new("struct se_x11_probe *")
    native = NativeAddress(address)  # named, so that its strings live through the call
    if lib.se_x11_probe(native.struct, out) < 0:
        raise SourceError(address.explain(error_text()))
    versions = {"MIT-SHM": out.shm, "DAMAGE": out.damage, "XFIXES": out.xfixes, "RANDR": out.randr, "XTEST": out.xtest}
    return X11Report(
        vendor=ffi.string(out.vendor).decode("utf-8", "replace"),
        width=out.width,
        height=out.height,
        depth=out.depth,
        pixels_usable=bool(out.pixels_usable),
        memory=("none", "sysv", "passed")[out.memory],
        extensions={name: f"{v.major}.{v.minor}" if v.present else None for name, v in versions.items()},
        monitors=tuple(_monitor(out.monitors[i]) for i in range(out.monitor_count)),
    )


def _monitor(native: Any) -> X11Monitor:
    name = ffi.string(native.name).decode("utf-8", "replace")
    rect = native.rect
    return X11Monitor(name, (rect.x, rect.y, rect.w, rect.h), bool(native.primary))


__all__ = ["X11Change", "X11Input", "X11Monitor", "X11Report", "X11Source", "probe"]
