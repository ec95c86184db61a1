"""The lossless batch: what is encoded comes back, and hostile batches only raise `DecodeError`."""

from __future__ import annotations

import struct
import time
import zlib

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stripeengine.errors import DecodeError
from stripeengine.lossless import decode_batch, encode_batch

Pixels = npt.NDArray[np.uint8]


@st.composite
def pictures(draw: st.DrawFn) -> Pixels:
    """Small pictures of few or many colours, with rows that repeat."""
    width, height = draw(st.integers(1, 40)), draw(st.integers(1, 12))
    colours = draw(st.sampled_from((1, 2, 5, 300)))
    random = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    palette = random.integers(0, 256, (colours, 3), dtype=np.uint8)
    picture = palette[random.integers(0, colours, (height, width))]
    if height > 1:
        picture[random.integers(1, height)] = picture[0]
    picture[:, random.integers(0, width) :] = palette[0]
    return picture


@given(st.lists(pictures(), min_size=1, max_size=5), st.sampled_from((None, True, False)))
def test_round_trip(rectangles: list[Pixels], deflate: bool | None) -> None:
    batch = encode_batch(rectangles, deflate=deflate)
    decoded = decode_batch(batch, [(r.shape[1], r.shape[0]) for r in rectangles])
    for before, after in zip(rectangles, decoded, strict=True):
        assert np.array_equal(before, after)


def test_long_runs_and_more_colours_than_the_palette() -> None:
    flat = np.full((300, 100, 3), 7, dtype=np.uint8)
    noise = np.random.default_rng(1).integers(0, 256, (50, 60, 3), dtype=np.uint8)
    stacked = noise.repeat(3, axis=0)
    batch = encode_batch([flat, stacked], deflate=False)
    # Three times the noise costs little more than once: RGB with the escape, and a few bytes for the copies.
    assert len(batch) < 50 * 60 * 4 + 1200
    decoded = decode_batch(batch, [(100, 300), (60, 150)])
    assert np.array_equal(decoded[0], flat)
    assert np.array_equal(decoded[1], stacked)


def test_a_repeat_of_the_whole_length() -> None:
    for total in (1, 2, 32, 33, 34, 8192, 8193, 8194):
        picture = np.full((1, total, 3), 9, dtype=np.uint8)
        assert np.array_equal(decode_batch(encode_batch([picture]), [(total, 1)])[0], picture)


def test_deflate_starts_where_it_pays() -> None:
    small = np.random.default_rng(1).integers(0, 2, (8, 8, 1), dtype=np.uint8).repeat(3, 2)
    large = np.tile(np.random.default_rng(1).integers(0, 256, (16, 16, 3), dtype=np.uint8), (1, 20, 1))
    assert encode_batch([small])[0] == 0
    assert encode_batch([large])[0] == 1


def test_a_bomb_is_refused_before_it_is_inflated() -> None:
    bomb = zlib.compressobj(9, zlib.DEFLATED, -15)
    body = bomb.compress(bytes(64 << 20)) + bomb.flush()
    honest_size = b"\x01\x00" + struct.pack("<I", 64 << 20) + body
    with pytest.raises(DecodeError, match="op_bytes"):
        decode_batch(honest_size, [(64, 64)])
    lied_size = b"\x01\x00" + struct.pack("<I", 1000) + body
    start = time.perf_counter()
    with pytest.raises(DecodeError, match="early or late"):
        decode_batch(lied_size, [(64, 64)])
    assert time.perf_counter() - start < 0.5


@given(st.binary(max_size=300), st.lists(st.tuples(st.integers(1, 50), st.integers(1, 50)), max_size=3))
def test_random_bytes_raise_only_decode_errors(data: bytes, sizes: list[tuple[int, int]]) -> None:
    try:
        decode_batch(data, sizes)
    except DecodeError as error:
        assert str(error).startswith("lossless: ")


@settings(max_examples=300)
@given(pictures(), st.booleans(), st.data())
def test_mutated_batches_raise_only_decode_errors(picture: Pixels, deflate: bool, data: st.DataObject) -> None:
    batch = bytearray(encode_batch([picture], deflate=deflate))
    for _ in range(data.draw(st.integers(1, 3))):
        batch[data.draw(st.integers(0, len(batch) - 1))] = data.draw(st.integers(0, 255))
    size = (picture.shape[1], picture.shape[0])
    try:
        (decoded,) = decode_batch(bytes(batch), [size])
    except DecodeError:
        return
    assert decoded.shape == picture.shape
