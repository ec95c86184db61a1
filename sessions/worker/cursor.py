"""The pointer image as the protocol's `cursor` event: a PNG in base64.

Pure functions over the standard library's zlib: an imaging library would cost the worker more memory than the engine.
"""

from __future__ import annotations

import base64
import struct
import zlib
from typing import Any

from .messages import MAX_CURSOR_PNG, MAX_CURSOR_SIDE

_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_RGBA, _DEFLATE, _ADAPTIVE, _PLAIN = 6, 0, 0, 0


def png(width: int, height: int, rgba: bytes) -> bytes:
    """Return ``width × height`` pixels of 8-bit RGBA, row by row, as a PNG; raise `ValueError` if sizes differ."""
    if width < 1 or height < 1 or len(rgba) != width * height * 4:
        raise ValueError(f"{len(rgba)} bytes are not {width}×{height} RGBA pixels")
    stride = width * 4
    rows = b"".join(b"\0" + rgba[y * stride : (y + 1) * stride] for y in range(height))  # filter 0: none
    header = struct.pack(">IIBBBBB", width, height, 8, _RGBA, _DEFLATE, _ADAPTIVE, _PLAIN)
    return b"".join(
        (_SIGNATURE, _chunk(b"IHDR", header), _chunk(b"IDAT", zlib.compress(rows, 6)), _chunk(b"IEND", b""))
    )


def _chunk(name: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))


def event(serial: int, width: int, height: int, hot_x: int, hot_y: int, rgba: bytes) -> dict[str, Any]:
    """Return the protocol's `cursor` message for an image of straight RGBA.

    An empty or fully transparent image hides the pointer. One beyond 256 pixels or 64 kB is cut to its top left, which
    holds the hotspot of every cursor theme.
    """
    if not width or not height or not any(rgba[3::4]):
        return {"type": "cursor", "serial": serial, "hidden": True}
    side_x, side_y = min(width, MAX_CURSOR_SIDE), min(height, MAX_CURSOR_SIDE)
    while True:
        cut = _cut(rgba, width, side_x, side_y)
        image = png(side_x, side_y, cut)
        if len(image) <= MAX_CURSOR_PNG:
            break
        side_x, side_y = max(1, side_x * 3 // 4), max(1, side_y * 3 // 4)
    return {
        "type": "cursor",
        "serial": serial,
        "width": side_x,
        "height": side_y,
        "hot_x": min(hot_x, side_x - 1),
        "hot_y": min(hot_y, side_y - 1),
        "png": base64.b64encode(image).decode("ascii"),
    }


def _cut(rgba: bytes, width: int, side_x: int, side_y: int) -> bytes:
    if side_x == width:
        return rgba[: width * side_y * 4]
    return b"".join(rgba[y * width * 4 : (y * width + side_x) * 4] for y in range(side_y))
