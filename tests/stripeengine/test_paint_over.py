"""Modes jpeg and auto: paint-overs in better colours than what moves, and quality that follows the damage."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

pytest.importorskip("stripeengine._stripeengine", reason="the C engine is not built: make setup")

from stripeengine import wire
from stripeengine.decode import Decoder
from tests.stripeengine.fixtures_engine import Viewer, mean, running, smooth

Pixels = npt.NDArray[np.uint8]

WIDTH, HEIGHT = 320, 192
QUICK: dict[str, Any] = {"mode": "jpeg", "paint_over_trigger_frames": 4, "verify_interval_ms": 0}


def grain(seed: int, width: int = WIDTH, height: int = HEIGHT) -> Pixels:
    """A photograph's worst: independent colours, so that 4:2:0 loses them."""
    return np.random.default_rng(seed).integers(40, 210, (height, width, 3), dtype=np.uint8)


def change(source: Any, viewer: Viewer, picture: Pixels, quiet: float = 0.3) -> list[wire.Op]:
    """Submit a picture; return the ops that came of it."""
    start = len(viewer.messages)
    source.submit(picture)
    assert viewer.wait(5)
    viewer.drain(quiet)
    return viewer.ops(start)


@pytest.mark.parametrize("quality", [50, 96])
def test_a_444_paint_over_betters_colours_whatever_the_quality(quality: int) -> None:
    """Also where what moves has the better quality: then the paint-over keeps that."""
    settings = {**QUICK, "jpeg_quality": quality, "paint_over_jpeg_quality": 90, "paint_over_colour": "444"}
    with running(WIDTH, HEIGHT, **settings) as (source, engine, viewer):
        viewer.drain()
        ops = [op for op in change(source, viewer, grain(1)) if op.kind == wire.JPEG]
        rough, final = ([op for op in ops if bool(op.flags & wire.FINAL) == last] for last in (False, True))
        assert rough and not any(op.flags & wire.CHROMA_444 for op in rough)
        assert final and all(op.flags & wire.CHROMA_444 for op in final)
        assert sum(op.w * op.h for op in final) == WIDTH * HEIGHT
        assert mean(viewer.picture, grain(1)) < 8
        assert viewer.drain(0.3) == 0, "once is enough"
        newcomer = Decoder()
        for message in engine.snapshot():
            newcomer.apply(message)
        assert mean(newcomer.picture, grain(1)) < 8


@pytest.mark.parametrize("mode", ["jpeg", "auto"])
def test_an_rgb_paint_over_is_exact(mode: str) -> None:
    settings = {**QUICK, "mode": mode, "paint_over_colour": "rgb", "lossless_when_still": False}
    with running(WIDTH, HEIGHT, **settings) as (source, engine, viewer):
        viewer.drain()
        ops = change(source, viewer, grain(2))
        assert {op.kind for op in ops} == {wire.JPEG, wire.LOSSLESS}
        assert not any(op.flags & wire.FINAL for op in ops if op.kind == wire.JPEG)
        assert np.array_equal(viewer.picture, grain(2))
        newcomer = Decoder()
        for message in engine.snapshot():
            newcomer.apply(message)
        assert np.array_equal(newcomer.picture, grain(2))


def test_better_colours_asked_for_at_rest_reach_what_is_at_rest() -> None:
    with running(WIDTH, HEIGHT, **QUICK) as (source, engine, viewer):
        viewer.drain()
        change(source, viewer, grain(3))
        for colour, form in (("444", wire.JPEG), ("rgb", wire.LOSSLESS)):
            start = len(viewer.messages)
            engine.update(paint_over_colour=colour)
            viewer.drain(0.3)
            ops = viewer.ops(start)
            assert {op.kind for op in ops} == {form} and sum(op.w * op.h for op in ops) == WIDTH * HEIGHT
        assert np.array_equal(viewer.picture, grain(3))
        engine.update(paint_over_colour="same")
        assert viewer.drain(0.3) == 0


def test_a_newcomer_has_exactly_what_everybody_has_exactly() -> None:
    """Nobody else needs it again when the mode becomes one that ends exact."""
    with running(WIDTH, HEIGHT, **QUICK) as (source, engine, viewer):
        viewer.drain()
        picture = np.full((HEIGHT, WIDTH, 3), (48, 80, 112), np.uint8)
        picture[:, :128] = grain(4)[:, :128]
        change(source, viewer, picture)
        newcomer = Decoder()
        for message in engine.snapshot():
            newcomer.apply(message)
        assert np.array_equal(newcomer.picture[:, 128:], picture[:, 128:])
        start = len(viewer.data)
        engine.update(mode="lossless")
        viewer.drain(0.3)
        for data in viewer.data[start:]:
            newcomer.apply(data)
        assert np.array_equal(newcomer.picture, picture)


def film_bytes(coarser: int) -> int:
    """Bytes of a picture of a film in a corner, as JPEG."""
    size = 0
    settings = {**QUICK, "paint_over": False, "jpeg_quality": 70}
    with running(WIDTH, HEIGHT, framerate=30, motion_coarser=coarser, **settings) as (source, _, viewer):
        picture = smooth(WIDTH, HEIGHT)
        change(source, viewer, picture, 0.1)
        for step in range(20):
            picture[:48, :48] = grain(step % 4, 48, 48)
            size = sum(op.length for op in change(source, viewer, picture, 0.0) if op.kind == wire.JPEG)
    return size


def test_what_keeps_changing_gets_less_quality() -> None:
    assert film_bytes(8) < 0.8 * film_bytes(0)
