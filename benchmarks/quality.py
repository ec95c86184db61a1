"""How far a decoded picture is from the true one: PSNR, SSIM, and PSNR where the text is.

Pictures are height×width×3 uint8 RGB of the same size. Pure functions.
"""

from __future__ import annotations

from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

Pixels = npt.NDArray[np.uint8]
_Plane = npt.NDArray[np.float32]

EXACT_DB: Final = 100.0  # stands for infinity, so that medians and JSON have a number
EDGE_STEP: Final = 32.0  # a neighbour that differs by this much in luma makes an edge
_LUMA: Final = np.array((0.2126, 0.7152, 0.0722), dtype=np.float32)


class Quality(NamedTuple):
    """Of one picture. ``edge_psnr`` is None where the true picture has no edges."""

    exact: bool
    psnr: float
    ssim: float
    edge_psnr: float | None


def compare(picture: Pixels, truth: Pixels) -> Quality:
    """Return all measures; raises `ValueError` if the sizes differ."""
    _check(picture, truth)
    edges = edge_mask(truth)
    if np.array_equal(picture, truth):
        return Quality(True, EXACT_DB, 1.0, EXACT_DB if edges.any() else None)
    error = _squared_error(picture, truth)
    edge_psnr = _decibel(float(error[edges].mean())) if edges.any() else None
    return Quality(False, _decibel(float(error.mean())), ssim(picture, truth), edge_psnr)


def psnr(picture: Pixels, truth: Pixels) -> float:
    """Return the PSNR over all three channels in dB, `EXACT_DB` at most."""
    _check(picture, truth)
    return _decibel(float(_squared_error(picture, truth).mean()))


def edge_mask(truth: Pixels) -> npt.NDArray[np.bool_]:
    """Return where a pixel differs much from its right or lower neighbour: outlines of glyphs and windows."""
    luma = _luma(truth)
    edges = np.zeros(luma.shape, dtype=bool)
    edges[:, :-1] |= np.abs(np.diff(luma, axis=1)) >= EDGE_STEP
    edges[:-1, :] |= np.abs(np.diff(luma, axis=0)) >= EDGE_STEP
    return edges


def ssim(picture: Pixels, truth: Pixels) -> float:
    """Return the mean SSIM of the luma over windows of 8×8 pixels, 4 apart (Wang and others, 2004; flat windows)."""
    _check(picture, truth)
    x, y = _luma(picture), _luma(truth)
    c1, c2 = (0.01 * 255) ** 2, (0.03 * 255) ** 2
    mean_x, mean_y = _window_means(x), _window_means(y)
    var_x, var_y = _window_means(x * x) - mean_x**2, _window_means(y * y) - mean_y**2
    covariance = _window_means(x * y) - mean_x * mean_y
    similarity = ((2 * mean_x * mean_y + c1) * (2 * covariance + c2)) / (
        (mean_x**2 + mean_y**2 + c1) * (var_x + var_y + c2)
    )
    return float(similarity.mean())


def _check(picture: Pixels, truth: Pixels) -> None:
    if picture.shape != truth.shape:
        raise ValueError(f"the pictures differ in size: {picture.shape} and {truth.shape}")


def _squared_error(picture: Pixels, truth: Pixels) -> _Plane:
    """Return the squared error of each pixel, its channels' mean, height×width."""
    difference = picture.astype(np.float32) - truth
    error: _Plane = np.einsum("ijk,ijk->ij", difference, difference) / 3
    return error


def _decibel(mean_squared_error: float) -> float:
    if mean_squared_error <= 0:
        return EXACT_DB
    return min(EXACT_DB, float(10 * np.log10(255**2 / mean_squared_error)))


def _luma(picture: Pixels) -> _Plane:
    return picture.astype(np.float32) @ _LUMA


def _window_means(plane: _Plane) -> npt.NDArray[np.float64]:
    """Return the means of 8×8 windows 4 pixels apart: four neighbouring 4×4 sums each."""
    rows, columns = plane.shape[0] // 4, plane.shape[1] // 4
    if rows < 2 or columns < 2:
        raise ValueError(f"a picture of {plane.shape[1]}×{plane.shape[0]} is smaller than a window of 8×8")
    sums = plane[: rows * 4, : columns * 4].astype(np.float64).reshape(rows, 4, columns, 4).sum(axis=(1, 3))
    means: npt.NDArray[np.float64] = (sums[:-1, :-1] + sums[1:, :-1] + sums[:-1, 1:] + sums[1:, 1:]) / 64
    return means
