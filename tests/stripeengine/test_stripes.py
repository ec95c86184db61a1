"""Mode h264: fills, a rate factor that follows the damage, and paint-overs in better colours than the stream's."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

pytest.importorskip("stripeengine._stripeengine", reason="the C engine is not built: make setup")

from stripeengine import wire
from stripeengine.decode import Decoder
from stripeengine.ffi import has_h264
from tests.stripeengine.fixtures_engine import Viewer, blocks, mean, running, smooth

Pixels = npt.NDArray[np.uint8]
pytestmark = pytest.mark.skipif(not has_h264(), reason="built without x264")

WIDTH, HEIGHT = 480, 256
STILL: dict[str, Any] = {"mode": "h264", "paint_over": False, "verify_interval_ms": 0, "stripe_height": 64}
PAINTED: dict[str, Any] = {**STILL, "paint_over": True, "paint_over_trigger_frames": 4}


def kinds(ops: list[wire.Op]) -> set[int]:
    """The forms of these ops."""
    return {op.kind for op in ops}


def red_text(seed: int) -> Pixels:
    """Thin strokes of pure red on blue: 4:2:0 has no chance."""
    picture = np.zeros((HEIGHT, WIDTH, 3), np.uint8)
    picture[:] = (0, 0, 255)
    picture[np.random.default_rng(seed).random((HEIGHT, WIDTH)) < 0.2] = (255, 0, 0)
    return picture


def change(source: Any, viewer: Viewer, picture: Pixels, quiet: float = 0.15) -> list[wire.Op]:
    """Submit a picture; return the ops that came of it."""
    start = len(viewer.messages)
    source.submit(picture)
    assert viewer.wait(5)
    viewer.drain(quiet)
    return viewer.ops(start)


# ---- fills ----


def test_a_change_of_one_colour_is_a_fill_and_the_stream_goes_on_from_it() -> None:
    with running(WIDTH, HEIGHT, h264_crf=14, **STILL) as (source, engine, viewer):
        picture = smooth(WIDTH, HEIGHT)
        change(source, viewer, picture)
        picture[10:40, 20:200] = (200, 10, 60)
        (op,) = change(source, viewer, picture)
        assert (op.kind, op.rectangle, op.value, op.length) == (wire.FILL, (20, 10, 180, 30), 0xC80A3C, 0)
        assert np.array_equal(viewer.picture[10:40, 20:200], picture[10:40, 20:200])
        # The next picture of the stream is no key frame, and has what was filled.
        picture[45:60, 20:200] = blocks(180, 15, 3)
        (op,) = change(source, viewer, picture)
        assert op.kind == wire.H264 and not op.flags & wire.KEY
        assert mean(viewer.picture[:64], picture[:64]) < 4


def test_a_blinking_caret_is_fills_and_brings_no_paint_over() -> None:
    with running(WIDTH, HEIGHT, **PAINTED) as (source, engine, viewer):
        picture = smooth(WIDTH, HEIGHT) // 2
        picture[100:120, 50:62] = 20
        change(source, viewer, picture, 0.4)
        size = engine.stats().bytes
        for step in range(6):
            picture[100:119, 51:53] = 250 if step % 2 == 0 else 20
            ops = change(source, viewer, picture, 0.2)
            assert kinds(ops) == {wire.FILL}
        assert engine.stats().bytes - size <= 6 * (48 + 32)
        assert np.array_equal(viewer.picture[100:119, 51:53], picture[100:119, 51:53])


def test_stripes_that_become_one_colour_need_no_paint_over() -> None:
    with running(WIDTH, HEIGHT, h264_crf=40, **{**PAINTED, "paint_over_trigger_frames": 60}) as (source, _, viewer):
        change(source, viewer, blocks(WIDTH, HEIGHT, 1))
        picture = np.full((HEIGHT, WIDTH, 3), 77, np.uint8)
        ops = change(source, viewer, picture, 0.8)
        assert kinds(ops) == {wire.FILL} and sum(op.w * op.h for op in ops) == WIDTH * HEIGHT
        assert np.array_equal(viewer.picture, picture)


def test_fills_and_pictures_in_turn_never_part_from_the_source() -> None:
    """Any order of both, with encoders that are closed, key frames and settings that start streams anew."""
    random = np.random.default_rng(8)
    with running(WIDTH, HEIGHT, h264_crf=12, **{**STILL, "verify_interval_ms": 1000}) as (source, engine, viewer):
        picture = smooth(WIDTH, HEIGHT)
        change(source, viewer, picture)
        for step in range(60):
            x, y = int(random.integers(0, WIDTH - 60)), int(random.integers(0, HEIGHT - 40))
            w, h = int(random.integers(1, 60)), int(random.integers(1, 40))
            flat = step % 3 != 0
            picture[y : y + h, x : x + w] = random.integers(0, 256, 3) if flat else blocks(w, h, step)
            if step % 10 == 5:
                engine.update(chroma="444" if step % 20 == 5 else "420")
            if step % 10 == 8:
                engine.request_key_frames()
            change(source, viewer, picture, 0.03)
            assert mean(viewer.picture, picture) < 5, step
        drawn = kinds(viewer.ops())
        assert drawn == {wire.FILL, wire.H264}


# ---- the rate factor follows the damage ----


def picture_bytes(coarser: int, rows: slice, gap: float = 0.0) -> int:
    """Bytes of a picture of a film in these rows, with that many seconds more between pictures."""
    size = 0
    with running(WIDTH, HEIGHT, framerate=30, motion_coarser=coarser, **STILL) as (source, _, viewer):
        picture = smooth(WIDTH, HEIGHT)
        change(source, viewer, picture)
        for step in range(4 if gap else 20):
            picture[rows] = np.random.default_rng(step % 4).integers(60, 190, picture[rows].shape, dtype=np.uint8)
            size = sum(op.length for op in change(source, viewer, picture, gap))
    return size


def test_what_keeps_changing_is_coarser_and_what_changes_seldom_is_not() -> None:
    top = slice(0, 64)
    fast, plain, seldom = picture_bytes(6, top), picture_bytes(0, top), picture_bytes(6, top, gap=0.5)
    assert fast < 0.7 * plain, "a moving stripe is not cheaper"
    assert seldom > 1.3 * fast, "a stripe that changes seldom is coarser as well"


def test_where_most_of_the_screen_moves_it_gets_what_the_preset_says() -> None:
    fast, plain = (picture_bytes(coarser, slice(0, HEIGHT)) for coarser in (6, 0))
    assert 0.9 * plain < fast < 1.1 * plain


# ---- paint-overs ----


def test_an_rgb_paint_over_ends_exact_and_begins_anew_after_a_change() -> None:
    with running(WIDTH, HEIGHT, **{**PAINTED, "paint_over_colour": "rgb"}) as (source, engine, viewer):
        viewer.drain()  # the first picture is black
        picture = red_text(1)
        ops = change(source, viewer, picture, 0.4)
        assert kinds(ops) == {wire.H264, wire.LOSSLESS}, "a key frame first, then exact pixels"
        assert np.array_equal(viewer.picture, picture)
        assert not any(op.flags & wire.FINAL for op in ops if op.kind == wire.H264)
        assert all(op.flags & wire.FINAL for op in ops if op.kind == wire.LOSSLESS)
        picture[70:90, 30:60] = blocks(30, 20, 5)
        ops = change(source, viewer, picture, 0.4)
        assert {op.y // 64 for op in ops} == {1}, "stripes that have not changed are left alone"
        assert np.array_equal(viewer.picture, picture)
        newcomer = Decoder()
        for message in engine.snapshot():
            newcomer.apply(message)
        assert np.array_equal(newcomer.picture, picture), "a newcomer has it exactly too"


def test_a_444_paint_over_is_a_jpeg_in_full_colour_resolution() -> None:
    error = {}
    for colour in ("same", "444"):
        settings = {**PAINTED, "paint_over_colour": colour, "paint_over_jpeg_quality": 95}
        with running(WIDTH, HEIGHT, **settings) as (source, _, viewer):
            ops = change(source, viewer, red_text(2), 0.4)
            jpegs = [op for op in ops if op.kind == wire.JPEG]
            assert bool(jpegs) == (colour == "444")
            assert all(op.flags & wire.CHROMA_444 and op.flags & wire.FINAL for op in jpegs)
            error[colour] = mean(viewer.picture, red_text(2))
    assert error["444"] < 0.3 * error["same"]


def test_better_colours_asked_for_at_rest_reach_what_is_at_rest() -> None:
    with running(WIDTH, HEIGHT, **PAINTED) as (source, engine, viewer):
        picture = red_text(3)
        change(source, viewer, picture, 0.4)
        for colour, form in (("444", wire.JPEG), ("rgb", wire.LOSSLESS)):
            start = len(viewer.messages)
            engine.update(paint_over_colour=colour)
            viewer.drain(0.3)
            ops = viewer.ops(start)
            assert kinds(ops) == {form} and sum(op.w * op.h for op in ops) == WIDTH * HEIGHT
        assert np.array_equal(viewer.picture, picture)
        engine.update(paint_over_colour="same")
        assert viewer.drain(0.3) == 0, "worse colours are not sent over better ones"


@pytest.mark.parametrize("after", ["auto", "jpeg"])
def test_what_was_painted_exactly_stays_so_through_other_modes(after: str) -> None:
    with running(WIDTH, HEIGHT, **{**PAINTED, "paint_over_colour": "rgb"}) as (source, engine, viewer):
        picture = red_text(4)
        change(source, viewer, picture, 0.4)
        engine.update(mode=after, repair_delay_ms=20)
        viewer.drain(0.4)
        assert np.array_equal(viewer.picture, picture)
        engine.update(mode="h264", stripe_height=32)
        assert viewer.drain(0.4) == 0, "exact already"
        picture[:10, :10] = blocks(10, 10, 1)
        ops = change(source, viewer, picture, 0.4)
        assert max(op.y + op.h for op in ops) <= 32
        assert np.array_equal(viewer.picture, picture)
