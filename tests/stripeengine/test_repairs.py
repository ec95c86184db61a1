"""What repairs leave alone: places that keep changing, however close they are to what is repaired."""

from __future__ import annotations

import time

import numpy as np
import pytest

pytest.importorskip("stripeengine._stripeengine", reason="the C engine is not built: make setup")

from stripeengine import wire
from tests.stripeengine.fixtures_engine import running

BUSY = (10, 48, 40, 12)
STEP_S = 0.02
STEPS = 30


def _touches(rectangle: wire.Rectangle, other: wire.Rectangle) -> bool:
    (x, y, w, h), (ox, oy, ow, oh) = rectangle, other
    return x < ox + ow and ox < x + w and y < oy + oh and oy < y + h


def test_a_jpeg_repair_is_not_drawn_over_what_was_just_sent_exactly() -> None:
    """The common rectangle of two photographs of different height would cover letters that change below one."""
    random = np.random.default_rng(4)
    picture = np.full((128, 192, 3), 200, np.uint8)
    picture[:48, :64] = random.integers(0, 256, (48, 64, 3))
    picture[:64, 64:128] = random.integers(0, 256, (64, 64, 3))
    x, y, w, h = BUSY
    with running(192, 128, mode="jpeg", framerate=60, paint_over_trigger_frames=15) as (source, _, viewer):
        source.submit(picture)
        while not viewer.messages or viewer.picture[120, 180, 0] < 150:
            assert viewer.take() or viewer.wait(5), "no picture"
        first = len(viewer.messages)
        until = time.monotonic() + STEP_S * STEPS
        while time.monotonic() < until:
            strokes = random.random((h, w)) < 0.1
            picture[y : y + h, x : x + w] = np.where(strokes, 20, 200)[:, :, None]
            source.submit(picture, [BUSY])
            if viewer.wait(STEP_S):
                while viewer.take():
                    pass
        drawn = [op for op in viewer.ops(since=first) if op.kind == wire.JPEG and _touches(op.rectangle, BUSY)]
        assert not drawn
        assert any(op.kind == wire.JPEG and op.flags & wire.FINAL for op in viewer.ops()), "nothing was repaired"
        viewer.drain(0.3)
        assert np.array_equal(viewer.picture[y : y + h, x : x + w], picture[y : y + h, x : x + w])
