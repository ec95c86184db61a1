"""PSNR, SSIM and edge PSNR on pictures whose values are known."""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks.quality import EXACT_DB, Pixels, compare, edge_mask, psnr, ssim


def grey(value: int, height: int = 64, width: int = 96) -> Pixels:
    return np.full((height, width, 3), value, dtype=np.uint8)


def noise(seed: int = 1) -> Pixels:
    return np.random.default_rng(seed).integers(0, 256, (64, 96, 3), dtype=np.uint8)


def test_the_same_picture_is_exact() -> None:
    quality = compare(noise(), noise())
    assert quality == (True, EXACT_DB, 1.0, EXACT_DB)


def test_one_wrong_pixel_is_not_exact() -> None:
    wrong = noise()
    wrong[10, 10, 0] ^= 1
    quality = compare(wrong, noise())
    assert not quality.exact
    assert 80 < quality.psnr < EXACT_DB


def test_psnr_of_a_known_error() -> None:
    # An error of 10 everywhere: 10·log10(255² / 100) dB.
    assert psnr(grey(110), grey(100)) == pytest.approx(28.1308, abs=1e-4)
    # In one channel of three: 10·log10(3) dB more.
    tinted = grey(100)
    tinted[:, :, 1] = 110
    assert psnr(tinted, grey(100)) == pytest.approx(28.1308 + 4.7712, abs=1e-4)
    assert psnr(grey(0), grey(255)) == pytest.approx(0)


def test_ssim_of_flat_pictures_is_its_luminance_term() -> None:
    constant = (0.01 * 255) ** 2
    assert ssim(grey(110), grey(100)) == pytest.approx(
        (2 * 110 * 100 + constant) / (110**2 + 100**2 + constant), abs=1e-6
    )


def test_ssim_tells_structure_from_brightness() -> None:
    picture = noise()
    darker = (picture * 0.9).astype(np.uint8)
    assert ssim(picture, picture) == pytest.approx(1)
    assert ssim(darker, picture) > 0.95
    assert ssim(noise(2), picture) < 0.1
    assert ssim(255 - picture, picture) < -0.5


def test_edges_are_where_glyphs_are() -> None:
    picture = grey(0)
    picture[20:40, 30:50] = 255
    edges = edge_mask(picture)
    # The pixel above or left of each step: 20 a side, one of which, the inner corner, is at two.
    assert edges.sum() == 4 * 20 - 1
    assert edges[25, 29] and edges[25, 49] and edges[19, 35] and edges[39, 35]
    assert not edges[30, 40] and not edges[0, 0]


def test_edge_psnr_sees_only_errors_at_edges() -> None:
    truth = grey(0)
    truth[:, 48:] = 255
    away, at = truth.copy(), truth.copy()
    away[:, 10] = 60
    at[:, 47] = 60
    assert compare(away, truth).edge_psnr == EXACT_DB
    assert compare(at, truth).edge_psnr == pytest.approx(10 * np.log10(255**2 / 60**2), abs=1e-3)
    assert compare(grey(1), grey(2)).edge_psnr is None


def test_pictures_of_different_size_are_refused() -> None:
    with pytest.raises(ValueError, match="differ in size"):
        psnr(grey(0, 64), grey(0, 32))
    with pytest.raises(ValueError, match="smaller than a window"):
        ssim(grey(0, 4, 4), grey(0, 4, 4))
