"""The comparison of colours: its chart, and the RGB stream that only it makes."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("stripeengine._stripeengine", reason="the C engine is not built: make setup")

from benchmarks.colours import chart, decode_gbr, encode_gbr
from benchmarks.quality import psnr


def test_the_chart_has_every_corner_of_the_cube() -> None:
    colours = {tuple(colour) for colour in np.unique(chart().reshape(-1, 3), axis=0).tolist()}
    assert {(r, g, b) for r in (0, 255) for g in (0, 255) for b in (0, 255)} <= colours
    assert chart().shape == (144, 256, 3)


def test_an_rgb_stream_comes_back_as_it_went() -> None:
    assert psnr(decode_gbr(encode_gbr(chart(), 4)), chart()) > 45
