"""`FramebufferSource` and `TestPatternSource`: every way to hand over pixels, and every wrong one."""

from __future__ import annotations

import threading
from typing import Any

import numpy as np
import pytest

from stripeengine import FramebufferSource, SourceError, TestPatternSource
from tests.stripeengine.fixtures_engine import Pixels, running, worst

QUALITY = {"jpeg_quality": 98, "chroma": "444", "paint_over": False}


@pytest.fixture
def blocks() -> Pixels:
    """A picture of 96 × 64 in which red, green, blue and place are all told apart."""
    picture = np.zeros((64, 96, 3), np.uint8)
    picture[:32, :48] = (220, 30, 40)
    picture[:32, 48:] = (30, 200, 60)
    picture[32:, :48] = (20, 50, 210)
    picture[32:, 48:] = (200, 200, 90)
    return picture


def bgrx(picture: Pixels) -> Pixels:
    return np.ascontiguousarray(np.dstack([picture[:, :, ::-1], np.full(picture.shape[:2], 9, np.uint8)]))


@pytest.mark.parametrize(
    ("convert", "format"),
    [
        (lambda p: p, "RGB"),
        (lambda p: p.tobytes(), "RGB"),
        (lambda p: bytearray(p.tobytes()), "RGB"),
        (lambda p: memoryview(p), "RGB"),
        (lambda p: p.reshape(-1), "RGB"),
        (lambda p: p.reshape(64, -1), "RGB"),
        (lambda p: np.dstack([p, p[:, :, :1]]), "RGBX"),
        (lambda p: bgrx(p), "BGRX"),
        (lambda p: bgrx(p).tobytes(), "BGRX"),
        (lambda p: np.asfortranarray(p), "RGB"),
        (lambda p: np.repeat(p, 2, axis=1)[:, ::2], "RGB"),
    ],
)
def test_any_buffer_in_any_format(blocks: Pixels, convert: Any, format: str) -> None:
    with running(96, 64, **QUALITY) as (source, _, viewer):
        source.submit(convert(blocks), format=format)
        viewer.drain()
        assert worst(viewer.picture, blocks) < 40
        assert worst(viewer.picture[4:28, 4:44], blocks[4:28, 4:44]) <= 3


def test_only_the_damage_is_taken_over(blocks: Pixels) -> None:
    with running(96, 64, **QUALITY) as (source, _, viewer):
        viewer.drain()
        source.submit(blocks, [(48, 0, 48, 32)])
        viewer.drain()
        assert worst(viewer.picture[:32, 48:], blocks[:32, 48:]) <= 3
        assert not viewer.picture[:, :48].any()
        source.submit(blocks, [])
        assert viewer.drain() == 0


def test_the_callers_buffer_is_free_after_submit(blocks: Pixels) -> None:
    with running(96, 64, **QUALITY) as (source, _, viewer):
        viewer.drain()
        mine = blocks.copy()
        source.submit(mine)
        mine[:] = 0
        viewer.drain()
        assert worst(viewer.picture[4:28, 4:44], blocks[4:28, 4:44]) <= 3


@pytest.mark.parametrize(
    ("pixels", "options", "message"),
    [
        (np.zeros((64, 96, 4), np.uint8), {}, "not 64×96×4: name the format"),
        (np.zeros((64, 96, 3), np.uint8), {"format": "RGBX"}, "RGBX picture of this source is 64×96×4"),
        (np.zeros((96, 64, 3), np.uint8), {}, "not 96×64×3"),
        (np.zeros((64, 96, 3), np.float32), {}, "8 bits a channel"),
        (np.zeros((64, 96, 3), np.uint16), {}, "8 bits a channel"),
        (b"short", {}, "not 5 bytes"),
        ([1, 2, 3], {}, "must be an array or bytes, not list"),
        (None, {}, "not NoneType"),
        (np.zeros((64, 96, 3), np.uint8), {"format": "YUV"}, "format must be one of RGB, RGBX, BGRX"),
        (np.zeros((64, 96, 3), np.uint8), {"damage": [(90, 0, 7, 1)]}, "not inside the picture of 96x64"),
        (np.zeros((64, 96, 3), np.uint8), {"damage": [(0, 0, 0, 5)]}, "not inside"),
        (np.zeros((64, 96, 3), np.uint8), {"damage": [(-1, 0, 5, 5)]}, "not inside"),
        (np.zeros((64, 96, 3), np.uint8), {"damage": [(0, 2**31 - 1, 5, 5)]}, "not inside"),
        (np.zeros((64, 96, 3), np.uint8), {"damage": [(0, 0, 2**40, 5)]}, "list of"),
        (np.zeros((64, 96, 3), np.uint8), {"damage": [(0, 0, 5)]}, "list of"),
        (np.zeros((64, 96, 3), np.uint8), {"damage": [(0, 0, 5, 5, 5)]}, "list of"),
        (np.zeros((64, 96, 3), np.uint8), {"damage": 5}, "list of"),
        (np.zeros((64, 96, 3), np.uint8), {"damage": ["abcd"]}, "list of"),
    ],
)
def test_a_bad_submit_says_what_is_wrong_and_changes_nothing(pixels: Any, options: Any, message: str) -> None:
    with running(96, 64) as (source, engine, viewer):
        viewer.drain(0.05)
        with pytest.raises(SourceError, match=message):
            source.submit(pixels, **options)
        assert viewer.drain(0.05) == 0 or all(op.flags & 4 for op in viewer.ops(1))
        assert engine.failure is None


@pytest.mark.parametrize("size", [(0, 5), (5, 0), (-1, 5), (16385, 5), (5, 99999), (2.5, 5), ("5", 5), (True, 5)])
@pytest.mark.parametrize("kind", [FramebufferSource, TestPatternSource])
def test_an_impossible_size_is_refused(kind: Any, size: Any) -> None:
    with pytest.raises(SourceError, match="between 1 and 16384"):
        kind(*size)


def test_an_impossible_resize_changes_nothing() -> None:
    source = FramebufferSource(32, 32)
    with pytest.raises(SourceError, match="between 1 and 16384"):
        source.resize(0, 32)
    assert source.size == (32, 32)
    source.submit(bytes(32 * 32 * 3))


def test_a_bad_pattern_is_refused() -> None:
    with pytest.raises(SourceError, match="still, scroll, bounce, noise"):
        TestPatternSource(64, 64, "waltz")
    with pytest.raises(SourceError, match="between 1 and 240"):
        TestPatternSource(64, 64, framerate=0)


def test_a_closed_source_says_so() -> None:
    source = FramebufferSource(32, 32)
    with source:
        pass
    source.close()
    with pytest.raises(SourceError, match="closed"):
        source.submit(bytes(32 * 32 * 3))


def test_submit_and_resize_on_many_threads() -> None:
    """A picture of the wrong size is refused, never read beyond its end."""
    with running(64, 64, framerate=240) as (source, engine, viewer):
        stop = threading.Event()
        unexpected: list[BaseException] = []

        def draw(seed: int) -> None:
            random = np.random.default_rng(seed)
            while not stop.is_set():
                width, height = source.size
                try:
                    source.submit(random.integers(0, 256, (height, width, 3), dtype=np.uint8))
                except SourceError:
                    pass
                except BaseException as error:  # noqa: BLE001
                    unexpected.append(error)
                    return

        threads = [threading.Thread(target=draw, args=(seed,)) for seed in range(3)]
        for thread in threads:
            thread.start()
        for step in range(40):
            source.resize(32 + step * 7 % 200, 16 + step * 11 % 150)
            viewer.wait(0.02)
            viewer.take()
        stop.set()
        for thread in threads:
            thread.join()
        assert not unexpected and engine.failure is None
        width, height = source.size
        final = np.full((height, width, 3), 120, np.uint8)
        source.submit(final)
        viewer.drain(0.3)
        assert worst(viewer.picture, final) <= 2
