"""The predicted form of docs/protocol.md section 4: residuals of a photograph, and its pixels again.

Pure functions on numpy arrays, safe from any thread.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Pixels = npt.NDArray[np.uint8]


def predict(pixels: Pixels) -> Pixels:
    """Return the residuals of H×W×3 ``pixels`` as 3×H×W: green, red less green, blue less green."""
    red, green, blue = pixels[..., 0], pixels[..., 1], pixels[..., 2]
    planes = np.stack((green, red - green, blue - green))
    # A border of zeros: what lies outside the rectangle.
    padded = np.pad(planes, ((0, 0), (1, 0), (1, 0)))
    residuals: Pixels = planes - _foretell(padded[:, 1:, :-1], padded[:, :-1, 1:], padded[:, :-1, :-1])
    return residuals


def restore(residuals: Pixels) -> Pixels:
    """Return the H×W×3 pixels of 3×H×W ``residuals``."""
    _, height, width = residuals.shape
    padded = np.zeros((3, height + 1, width + 1), dtype=np.uint8)
    # A pixel needs those to its left and above: all of a diagonal can be had at once, after the diagonals before it.
    for diagonal in range(height + width - 1):
        rows = np.arange(max(0, diagonal - width + 1), min(height, diagonal + 1))
        columns = diagonal - rows
        foretold = _foretell(padded[:, rows + 1, columns], padded[:, rows, columns + 1], padded[:, rows, columns])
        padded[:, rows + 1, columns + 1] = residuals[:, rows, columns] + foretold
    green, red, blue = padded[:, 1:, 1:]
    pixels: Pixels = np.stack((red + green, green, blue + green), axis=2)
    return pixels


def _foretell(left: Pixels, above: Pixels, corner: Pixels) -> Pixels:
    """Return what is expected of pixels by their neighbours, modulo 256."""
    foretold: Pixels = left + above - np.clip(corner, np.minimum(left, above), np.maximum(left, above))
    return foretold
