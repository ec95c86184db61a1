"""How H.264 codes colours: the matrices and ranges of the settings `colour_space` and `colour_range`. Pure functions.

Formulas and code numbers are those of ITU-T H.273; the C engine's csrc/colour.c states the same in fixed point.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Final

import numpy as np
import numpy.typing as npt

from .settings import EngineSettings, setting

Pixels = npt.NDArray[np.uint8]
Matrix = npt.NDArray[np.float32]

PRIMARIES: Final = 1
"""Colour primaries and transfer as tagged: BT.709's primaries are those of a desktop (sRGB), whatever the matrix."""
_KR_KB: Final = {"bt709": (0.2126, 0.0722), "bt601": (0.299, 0.114)}
_MATRIX_CODES: Final = {"bt709": 1, "bt601": 6}
_SPACES: Final = {1: "bt709", 5: "bt601", 6: "bt601"}
_RANGES: Final = {1: "limited", 2: "full"}  # libavcodec's AVCOL_RANGE_*


@dataclass(frozen=True)
class Colour:
    """One combination of matrix and range."""

    space: str = setting("colour_space").default
    range: str = setting("colour_range").default

    @staticmethod
    def of(settings: EngineSettings) -> Colour:
        """Return what these settings ask for."""
        return Colour(settings.colour_space, settings.colour_range)

    @staticmethod
    def tagged(matrix_code: int, range_code: int) -> Colour | None:
        """Return what a stream says it is, in libavcodec's numbers, or None for what the protocol does not allow."""
        space, levels = _SPACES.get(matrix_code), _RANGES.get(range_code)
        return Colour(space, levels) if space and levels else None

    @property
    def matrix_code(self) -> int:
        """The number of the matrix in a stream's VUI."""
        return _MATRIX_CODES[self.space]

    @property
    def range_code(self) -> int:
        """libavcodec's number of the range."""
        return 2 if self.range == "full" else 1

    def to_ycc(self, pixels: Pixels) -> Pixels:
        """Return H×W×3 RGB as Y, Cb, Cr."""
        matrix, offset = _from_rgb(self)
        planes = pixels.astype(np.float32) @ matrix.T + offset
        converted: Pixels = np.clip(np.rint(planes), 0, 255).astype(np.uint8)
        return converted

    def to_rgb(self, planes: Pixels) -> Pixels:
        """Return H×W×3 Y, Cb, Cr as RGB."""
        matrix, offset = _from_rgb(self)
        values = (planes.astype(np.float32) - offset) @ np.linalg.inv(matrix).T
        pixels: Pixels = np.clip(np.rint(values), 0, 255).astype(np.uint8)
        return pixels


@cache
def _from_rgb(colour: Colour) -> tuple[Matrix, Matrix]:
    kr, kb = _KR_KB[colour.space]
    luma_steps, chroma_steps, black = (1.0, 1.0, 0) if colour.range == "full" else (219 / 255, 224 / 255, 16)
    luma = np.array((kr, 1 - kr - kb, kb))
    blue, red = (np.array((0, 0, 1)) - luma) / (2 - 2 * kb), (np.array((1, 0, 0)) - luma) / (2 - 2 * kr)
    rows = np.stack((luma_steps * luma, chroma_steps * blue, chroma_steps * red))
    return rows.astype(np.float32), np.array((black, 128, 128), dtype=np.float32)
