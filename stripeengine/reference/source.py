"""Where the reference pipeline's pictures come from: a protocol, and a framebuffer filled by `submit`.

A source and its engine belong to one thread; nothing blocks.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, Protocol

import numpy as np
import numpy.typing as npt

from ..errors import SourceError
from ..wire import MAX_DIMENSION, Buffer

Pixels = npt.NDArray[np.uint8]
Rectangle = tuple[int, int, int, int]

_MAX_DAMAGE: Final = 1024  # rectangles kept apart; beyond that everything is compared
_CHANNELS: Final = {"RGB": (3, (0, 1, 2)), "RGBX": (4, (0, 1, 2)), "BGRX": (4, (2, 1, 0))}


class Source(Protocol):
    """Anything that yields a picture and says where it may have changed."""

    def picture(self) -> Pixels:
        """Return the newest picture, H×W×3 uint8 RGB, not to be changed. Raises `SourceError` when the source died."""

    def take_damage(self) -> list[Rectangle] | None:
        """Return where it may have changed since last asked, as ``(x, y, w, h)``; None: anywhere."""


class ReferenceSource:
    """A framebuffer that its owner fills, with the calls of `FramebufferSource`. Black at first."""

    def __init__(self, width: int, height: int) -> None:
        self._damage: list[Rectangle] | None = None
        self._failure: str | None = None
        self.resize(width, height)

    def submit(
        self, pixels: Buffer | Pixels, damage: Sequence[Rectangle] | None = None, *, format: str = "RGB"
    ) -> None:
        """Take over a picture of the source's size: H×W×3 for RGB, H×W×4 for RGBX and BGRX, uint8.

        Only the ``damage`` rectangles are looked at, or everything if it is None. Raises `SourceError` if the format
        is unknown, the buffer has another size or a rectangle leaves the picture.
        """
        if format not in _CHANNELS:
            raise SourceError(f"format must be one of {', '.join(_CHANNELS)}, not {format!r:.20}")
        channels, order = _CHANNELS[format]
        height, width = self._picture.shape[:2]
        flat = (
            np.ascontiguousarray(pixels if isinstance(pixels, np.ndarray) else memoryview(pixels))
            .reshape(-1)
            .view(np.uint8)
        )
        if flat.size != height * width * channels:
            raise SourceError(
                f"a {format} picture of {width}×{height} has {height * width * channels} bytes, not {flat.size}"
            )
        rgb = flat.reshape(height, width, channels)[:, :, list(order)]
        for x, y, w, h in damage or ():
            if x < 0 or y < 0 or w < 1 or h < 1 or x + w > width or y + h > height:
                raise SourceError(f"damage {w}×{h} at ({x}, {y}) leaves the {width}×{height} picture")
        for x, y, w, h in [(0, 0, width, height)] if damage is None else damage:
            self._picture[y : y + h, x : x + w] = rgb[y : y + h, x : x + w]
        if damage is None or self._damage is None or len(self._damage) + len(damage) > _MAX_DAMAGE:
            self._damage = None
        else:
            self._damage += damage

    def resize(self, width: int, height: int) -> None:
        """Become another size, black until the next `submit`. Raises `SourceError` for an impossible size."""
        if not (1 <= width <= MAX_DIMENSION and 1 <= height <= MAX_DIMENSION):
            raise SourceError(f"a picture is 1…{MAX_DIMENSION} pixels wide and high, not {width}×{height}")
        self._picture = np.zeros((height, width, 3), dtype=np.uint8)
        self._damage = None

    def fail(self, text: str) -> None:
        """Be dead from now on, as a server that went away would be."""
        self._failure = text

    def picture(self) -> Pixels:
        """Return the framebuffer itself. Raises `SourceError` after `fail`."""
        if self._failure is not None:
            raise SourceError(self._failure)
        return self._picture

    def take_damage(self) -> list[Rectangle] | None:
        """Return what was submitted since last asked."""
        damage, self._damage = self._damage, []
        return damage
