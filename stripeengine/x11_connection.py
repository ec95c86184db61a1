"""Connections to an X server as Python sees them: where the server is, and the owner of a C object that talks to it.

Used by `stripeengine.x11`. Opening waits for the server's handshake; nothing else in here blocks.
"""

from __future__ import annotations

import os
import re
import socket as sockets
from dataclasses import dataclass
from types import TracebackType
from typing import Any, ClassVar, Self

from .errors import SourceError
from .ffi import error_of, ffi, lib

_LOCAL_DISPLAY = re.compile(r"^(?:unix)?:(\d+)(?:\.\d+)?$")


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


class NativeAddress:
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


def error_text() -> str:
    text: bytes = ffi.string(lib.se_error_message())
    return text.decode("utf-8", "replace")


class Connected:
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
        extra: tuple[Any, ...] = (),
    ) -> None:
        self._handle: Any = None
        address = X11Address.of(display, socket, auth)
        self.name = display if display is not None else f":{number} at {address.socket}"
        native = NativeAddress(address)  # named, so that its strings live through the call
        handle = getattr(lib, self._create)(native.struct, *extra)
        if handle == ffi.NULL:
            raise SourceError(address.explain(error_text()))
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
            raise ValueError(error_text())
        raise error_of(code, error_text())

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
