"""Videos of the engine in a real browser while they play: each colour space, range and resolution, in h264 and auto.

At rest pictures are exact or painted over, so only a film that is stopped in the middle tells what the browser makes of
the stream itself.
"""

from __future__ import annotations

import itertools
import time
from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

pytest.importorskip("stripeengine._stripeengine", reason="the C engine is not built: make setup")

from playwright.sync_api import Browser
from watcher import Watcher

from stripeengine import wire
from stripeengine.ffi import has_h264
from tests.static.browser.fake_server import FakeServer
from tests.stripeengine.fixtures_engine import Viewer, mean, running

pytestmark = pytest.mark.skipif(not has_h264(), reason="built without x264")

Pixels = npt.NDArray[np.uint8]
WIDTH, HEIGHT = 320, 256
FILM = (slice(64, 192), slice(64, 256))
COLOURS = tuple(itertools.product(("bt709", "bt601"), ("limited", "full")))
PATIENCE_S = 20.0
STILL: dict[str, Any] = {
    "framerate": 60, "h264_crf": 12, "motion_coarser": 0, "paint_over": False, "repair_delay_ms": 5000,
    "stripe_height": 64, "verify_interval_ms": 0,
}  # fmt: skip


@pytest.fixture
def watcher(browser: Browser) -> Iterator[Watcher]:
    """A page that shows what it is sent."""
    server = FakeServer()
    context = browser.new_context(viewport={"width": 900, "height": 640})
    yield Watcher(context.new_page(), server)
    context.close()
    server.stop()


def film(step: int) -> Pixels:
    """Light above, below stripes of one pixel, which only full colour resolution keeps; grain, so nothing is a copy."""
    height, width = 128, 192
    y, x = np.mgrid[0:height, 0:width]
    picture = np.stack((x, y * 2 % 256, x + y), axis=2) // 2 + 40 + step % 5 * 6
    picture[80:] = np.where((x[80:] + step) % 2, 1, 0)[:, :, None] * (160, -50, -160) + (60, 90, 200)
    picture += np.random.default_rng(step).integers(0, 24, (height, width, 1))
    return picture.astype(np.uint8)


def play(source: Any, viewer: Viewer) -> Pixels:
    """Play the film until it is a video; return the picture whose H.264 delta was the last that came."""
    picture = np.full((HEIGHT, WIDTH, 3), 90, np.uint8)
    deadline = time.monotonic() + PATIENCE_S
    for step in itertools.count():
        assert time.monotonic() < deadline, "the film was never a video"
        picture[FILM] = film(step)
        submitted_us = time.monotonic_ns() // 1000
        source.submit(picture)
        while not viewer.messages or viewer.messages[-1].header.capture_us < submitted_us:
            assert viewer.take() or viewer.wait(5), "the picture was not sent"
        last = viewer.ops(len(viewer.messages) - 1)
        deltas = [op for op in last if op.kind == wire.H264 and not op.flags & wire.KEY]
        # All of it, as one region or two stripes: the film begins as two regions where its stripes look like text.
        if step > 6 and sum(op.w * op.h for op in deltas) >= 128 * 192:
            return picture.copy()
    raise AssertionError


@pytest.mark.parametrize("mode", ["h264", "auto"])
def test_a_film_has_the_right_colours_while_it_plays(watcher: Watcher, mode: str) -> None:
    errors: dict[tuple[str, str, str], float] = {}
    for chroma, (space, levels) in itertools.product(("420", "444"), COLOURS):
        if chroma == "444" and "h264-444" not in watcher.codecs:
            continue
        settings = {"mode": mode, "chroma": chroma, "colour_space": space, "colour_range": levels}
        still = {"verify_interval_ms": 0, "paint_over": False, "repair_delay_ms": 5000, "stripe_height": 64}
        with running(WIDTH, HEIGHT, framerate=60, h264_crf=12, motion_coarser=0, **settings, **still) as (
            source,
            _,
            viewer,
        ):
            picture = play(source, viewer)
            videos = [op for op in viewer.ops() if op.kind == wire.H264]
            assert all(bool(op.flags & wire.CHROMA_444) == (chroma == "444") for op in videos)
            shown = watcher.show(viewer.data)
            smooth, stripes = (slice(64, 144), FILM[1]), (slice(144, 192), FILM[1])
            assert mean(shown[smooth], picture[smooth]) < 5, settings
            assert mean(shown[smooth], viewer.picture[smooth]) < 3.5, settings
            errors[chroma, space, levels] = mean(shown[stripes], picture[stripes])
    if "h264-444" in watcher.codecs:
        for colour in COLOURS:
            assert errors["444", *colour] < 0.5 * errors["420", *colour], (colour, errors)
