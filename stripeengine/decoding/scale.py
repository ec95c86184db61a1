"""Placing a payload in its rectangle: taken as it is, cropped, or stretched bilinearly. Pure functions."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Pixels = npt.NDArray[np.uint8]


def fit(payload: Pixels, width: int, height: int, *, crop: bool) -> Pixels:
    """Return ``payload`` (H×W×3) as height×width×3: its top left if ``crop``, else stretched where the sizes differ."""
    if crop:
        return payload[:height, :width]
    if payload.shape[:2] == (height, width):
        return payload
    return stretch(payload, width, height)


def stretch(pixels: Pixels, width: int, height: int) -> Pixels:
    """Scale H×W×3 to height×width×3 bilinearly, pixel centres aligned, edges repeated."""
    rows, row_next, row_weight = _taps(pixels.shape[0], height)
    columns, column_next, column_weight = _taps(pixels.shape[1], width)
    wide = pixels.astype(np.float32)
    wide = wide[:, columns] + (wide[:, column_next] - wide[:, columns]) * column_weight[None, :, None]
    wide = wide[rows] + (wide[row_next] - wide[rows]) * row_weight[:, None, None]
    scaled: Pixels = np.clip(np.rint(wide), 0, 255).astype(np.uint8)
    return scaled


def _taps(size: int, wanted: int) -> tuple[npt.NDArray[np.intp], npt.NDArray[np.intp], npt.NDArray[np.float32]]:
    """Return for each wanted sample its two neighbours along one axis and the weight of the second."""
    centres = np.clip((np.arange(wanted) + 0.5) * size / wanted - 0.5, 0, size - 1)
    first = np.floor(centres).astype(np.intp)
    return first, np.minimum(first + 1, size - 1), (centres - first).astype(np.float32)
