"""The X11 picture source and X11 input: thin owners of the C objects in ``csrc/x11_*.c``.

Threads: an `X11Source` belongs to the engine that uses it, an `X11Input` to one thread at a time (the worker's event
loop). Opening waits for the server's handshake, `keymap`, `modifiers`, `bind` and `pointer` for one round trip; other
input only queues until `flush`, which waits only while the server's socket is full.
"""

from __future__ import annotations

import os
import re
import socket as sockets
import weakref
from collections.abc import Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import TYPE_CHECKING, Any, ClassVar, Self

from .errors import SourceError
from .ffi import error_of, ffi, lib

if TYPE_CHECKING:
    from .engine import Engine

_LOCAL_DISPLAY = re.compile(r"^(?:unix)?:(\d+)(?:\.\d+)?$")
_KEYSYMS_MAX = 256 * 255
_MODIFIERS_MAX = 8 * 255
_RECTS_MAX = 64
_CURSOR_BYTES_MAX = 256 * 256 * 4


@dataclass(frozen=True)
class X11Address:
    """Where an X server is: a display name, or the path of its Unix socket with an optional (name, cookie bytes)."""

    display: str | None = None
    socket: str | None = None
    auth: tuple[str, bytes] | None = None

    @classmethod
    def of(
        cls,
        display: str | None,
        socket: str | os.PathLike[str] | None,
        auth: tuple[str, bytes] | None,
    ) -> X11Address:
        """Check the arguments of a constructor; raise `SourceError` if they do not name one server."""
        if (display is None) == (socket is None):
            raise SourceError("name the X server either by display=':0' or by socket='/path/X0'")
        if auth is not None and socket is None:
            raise SourceError("auth goes with socket; for a display the cookie comes from the file in XAUTHORITY")
        if display is not None and "\0" in display or socket is not None and "\0" in os.fspath(socket):
            raise SourceError("the X server's name contains a null character")
        return cls(display, None if socket is None else os.fspath(socket), auth)

    def explain(self, message: str) -> str:
        """Return ``message`` with the reason in front that a closer look at a local display's socket gives."""
        local = _LOCAL_DISPLAY.match(self.display or "")
        if local is None or "cannot be opened" not in message:
            return message
        number = local.group(1)
        path = f"/tmp/.X11-unix/X{number}"  # noqa: S108 - where X servers listen
        if _listens(path) or _listens("\0" + path):
            return (
                f"the X server {self.display} refused the connection: set XAUTHORITY to the file with its cookie "
                "and check that this user may use it"
            )
        return f"there is no X server {self.display}: nothing listens on {path}"


def _listens(path: str) -> bool:
    with sockets.socket(sockets.AF_UNIX, sockets.SOCK_STREAM) as probe:
        try:
            probe.connect(path)
        except PermissionError:
            return True
        except OSError:
            return False
        return True


class _NativeAddress:
    """An `X11Address` as C sees it; keeps the memory alive that the struct points to."""

    def __init__(self, address: X11Address) -> None:
        self._keep: list[Any] = []
        self.struct = ffi.new("struct se_x11_address *")
        if address.display is not None:
            self.struct.display = self._text(os.fsencode(address.display))
        if address.socket is not None:
            self.struct.socket = self._text(os.fsencode(address.socket))
        if address.auth is not None:
            name, data = address.auth
            self.struct.auth_name = self._text(name.encode("ascii", "replace"))
            cookie = ffi.new("uint8_t[]", bytes(data))
            self._keep.append(cookie)
            self.struct.auth_data = cookie
            self.struct.auth_size = len(data)

    def _text(self, text: bytes) -> Any:
        memory = ffi.new("char[]", text)
        self._keep.append(memory)
        return memory


def _message() -> str:
    text: bytes = ffi.string(lib.se_error_message())
    return text.decode("utf-8", "replace")


class _Connected:
    """Owner of one C object with an X connection, opened here and freed by `close`, `with` or the collector."""

    _create: ClassVar[str]
    _free: ClassVar[str]

    def __init__(
        self,
        display: str | None = None,
        *,
        socket: str | os.PathLike[str] | None = None,
        number: int = 0,
        auth: tuple[str, bytes] | None = None,
    ) -> None:
        self._handle: Any = None
        address = X11Address.of(display, socket, auth)
        self.name = display if display is not None else f":{number} at {address.socket}"
        native = _NativeAddress(address)  # named, so that its strings live through the call
        handle = getattr(lib, self._create)(native.struct)
        if handle == ffi.NULL:
            raise SourceError(address.explain(_message()))
        self._handle = ffi.gc(handle, getattr(lib, self._free))

    @property
    def _native(self) -> Any:
        if self._handle is None:
            raise SourceError(f"{self!r} is closed")
        return self._handle

    def _check(self, code: int) -> int:
        if code >= 0:
            return code
        if code == lib.SE_E_INVALID:
            raise ValueError(_message())
        raise error_of(code, _message())

    def _integers(self, function: Any, count: int) -> list[int]:
        """Call a C function that stores ``count`` ints through its last arguments, and return them."""
        out = [ffi.new("int *") for _ in range(count)]
        code = function(self._native, *out)
        if code is not None:
            self._check(code)
        return [value[0] for value in out]

    def close(self) -> None:
        """Disconnect. Idempotent."""
        handle, self._handle = self._handle, None
        if handle is not None:
            ffi.release(handle)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.name}>"


@dataclass(frozen=True)
class X11Change:
    """What `X11Source.poll` found: damaged (x, y, w, h) rectangles, a new size, a new pointer image."""

    damage: tuple[tuple[int, int, int, int], ...]
    resized: bool
    cursor: bool


class X11Source(_Connected):
    """The screen of an X server as a picture source for `Engine`.

    ``display`` names it as usual (":0"); ``socket`` is the path of its Unix socket instead, ``auth`` the authorization
    to send there (name, cookie) and ``number`` what to call it in messages. Raises `SourceError` naming cause and
    remedy.
    `poll`, `read` and `cursor` are for tools and tests, while no engine uses the source.
    """

    _create = "se_x11_source_new"
    _free = "se_source_free"

    _engine: weakref.ref[Engine] | None = None

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


class X11Input(_Connected):
    """Pointer and keyboard injection by XTest, on a connection of its own; arguments as for `X11Source`.

    Requests queue until `flush`: one flush a batch. `close` releases what is held. Raises `SourceError` when the server
    is gone, `ValueError` for a coordinate, button or keycode the server cannot have.
    """

    _create = "se_x11_input_new"
    _free = "se_x11_input_free"

    def move(self, x: int, y: int) -> None:
        """Move the pointer to pixel (x, y) of the root window; beyond the screen the server stops at its edge."""
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
        """Return the pointer's x and y on the root window and the mask of modifiers and buttons that are down."""
        x, y, state = self._integers(lib.se_x11_input_pointer, 3)
        return x, y, state

    @property
    def keymap_serial(self) -> int:
        """Grows with every keymap change `flush` or `bind` has seen, by whomever; then read `keymap` again."""
        return int(lib.se_x11_input_keymap_serial(self._native))


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


def probe(
    display: str | None = None,
    *,
    socket: str | os.PathLike[str] | None = None,
    auth: tuple[str, bytes] | None = None,
) -> X11Report:
    """Look at an X server without starting anything. Raises `SourceError` if it cannot be reached."""
    address = X11Address.of(display, socket, auth)
    out = ffi.new("struct se_x11_probe *")
    native = _NativeAddress(address)  # named, so that its strings live through the call
    if lib.se_x11_probe(native.struct, out) < 0:
        raise SourceError(address.explain(_message()))
    versions = {"MIT-SHM": out.shm, "DAMAGE": out.damage, "XFIXES": out.xfixes, "RANDR": out.randr, "XTEST": out.xtest}
    return X11Report(
        vendor=ffi.string(out.vendor).decode("utf-8", "replace"),
        width=out.width,
        height=out.height,
        depth=out.depth,
        pixels_usable=bool(out.pixels_usable),
        memory=("none", "sysv", "passed")[out.memory],
        extensions={name: f"{v.major}.{v.minor}" if v.present else None for name, v in versions.items()},
    )


__all__ = ["X11Change", "X11Input", "X11Report", "X11Source", "probe"]
