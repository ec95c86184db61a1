"""The X server's access cookie, and the file that carries it (Xauthority, Xau(3))."""

from __future__ import annotations

import secrets
import struct

AUTH_NAME = "MIT-MAGIC-COOKIE-1"
FAMILY_WILD = 0xFFFF
"""Matches every address: the file serves one display, whatever the sandbox's host name is."""


def make_cookie() -> bytes:
    """Return a new cookie: 128 random bits."""
    return secrets.token_bytes(16)


def pack(cookie: bytes, display: int | None) -> bytes:
    """Return the contents of an Xauthority file with one entry: ``cookie`` opens ``display``, or any if None."""
    number = b"" if display is None else str(display).encode()
    return struct.pack(">H", FAMILY_WILD) + b"".join(
        struct.pack(">H", len(part)) + part for part in (b"", number, AUTH_NAME.encode(), cookie)
    )


def unpack(data: bytes) -> bytes:
    """Return the cookie of a file that `pack` wrote; raise ValueError if it is none."""
    try:
        parts, position = [], 2
        for _ in range(4):
            (length,) = struct.unpack_from(">H", data, position)
            parts.append(data[position + 2 : position + 2 + length])
            position += 2 + length
    except struct.error:
        raise ValueError("the Xauthority file is cut short") from None
    if position != len(data) or parts[2] != AUTH_NAME.encode() or len(parts[3]) != 16:
        raise ValueError("the Xauthority file does not hold one MIT-MAGIC-COOKIE-1")
    return parts[3]
