"""Frames: finished wire messages in the engine's memory, seen from Python without a copy.

A frame belongs to whoever took it and stays valid beyond the engine's end. Its memory is freed when the frame and every
view of its buffer are gone; nothing blocks.
"""

from __future__ import annotations

import struct
from types import TracebackType
from typing import Any, Self

from .ffi import ffi, lib

_IDS = struct.Struct("<II")
_TIMES = struct.Struct("<QQIHHI")


class Frame:
    """One wire message (docs/protocol.md, section 2).

    ``buffer`` is a read-only view; it ends with `release` or the ``with`` block, views taken of it keep the memory
    alive. ``frame_id``, ``epoch``, ``ops`` (their number), ``capture_us`` and ``encode_us`` are read from the header.
    """

    __slots__ = ("_view", "capture_us", "encode_us", "epoch", "frame_id", "ops")

    def __init__(self, native: Any) -> None:
        """Take over one reference to a ``struct se_frame *``."""
        # The view keeps `data` alive, and `data` the reference.
        data = ffi.gc(lib.se_frame_data(native), lambda _data: lib.se_frame_unref(native))
        view = memoryview(ffi.buffer(data, lib.se_frame_size(native))).toreadonly()
        self.epoch, self.frame_id = _IDS.unpack_from(view, 4)
        self.capture_us, _, _, self.ops, _, self.encode_us = _TIMES.unpack_from(view, 16)
        self._view: memoryview | None = view

    @property
    def buffer(self) -> memoryview:
        """The message. Raises `ValueError` after `release`."""
        if self._view is None:
            raise ValueError("this frame has been released")
        return self._view

    def release(self) -> None:
        """Give the memory back as soon as nobody has a view of it. Idempotent."""
        # Not view.release(): that would fail while somebody holds a part of it.
        self._view = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.release()

    def __len__(self) -> int:
        return len(self.buffer)

    def __repr__(self) -> str:
        size = "released" if self._view is None else f"{len(self._view)} bytes"
        return f"<Frame {self.frame_id} of {self.epoch:#010x}, {self.ops} ops, {size}>"
