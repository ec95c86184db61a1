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
from stripeengine.lossless import FORMS, decode_batch, encode_batch
from stripeengine.prediction import predict, restore

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


@given(st.lists(pictures(), min_size=1, max_size=5), st.sampled_from((None, True, False)), st.sets(st.integers(0, 4)))
def test_round_trip(rectangles: list[Pixels], deflate: bool | None, photos: set[int]) -> None:
    predicted = {index for index in photos if index < len(rectangles)}
    batch = encode_batch(rectangles, deflate=deflate, predicted=predicted)
    assert bool(batch[0] & FORMS) == bool(predicted)
    decoded = decode_batch(batch, [(r.shape[1], r.shape[0]) for r in rectangles])
    for before, after in zip(rectangles, decoded, strict=True):
        assert np.array_equal(before, after)


def foretell(left: int, above: int, corner: int) -> int:
    """The rule in the words of LOCO-I."""
    if corner >= max(left, above):
        return min(left, above)
    return max(left, above) if corner <= min(left, above) else left + above - corner


def test_residuals_are_what_the_protocol_says() -> None:
    picture = np.random.default_rng(3).integers(0, 256, (7, 9, 3), dtype=np.uint8)
    red, green, blue = (picture[..., channel].astype(int) for channel in range(3))
    residuals = predict(picture)
    for plane, values in enumerate((green, (red - green) % 256, (blue - green) % 256)):
        for y in range(7):
            for x in range(9):
                left = int(values[y, x - 1]) if x else 0
                above = int(values[y - 1, x]) if y else 0
                corner = int(values[y - 1, x - 1]) if x and y else 0
                assert residuals[plane, y, x] == (values[y, x] - foretell(left, above, corner)) % 256
    assert np.array_equal(restore(residuals), picture)


def test_a_photograph_is_smaller_predicted() -> None:
    smooth = np.add.outer(np.arange(60), np.arange(80))[..., np.newaxis] + np.array([10, 30, 60])
    photo = (smooth + np.random.default_rng(4).integers(0, 8, smooth.shape)).astype(np.uint8)
    assert len(encode_batch([photo], predicted={0})) < len(encode_batch([photo])) * 0.7


@pytest.mark.parametrize(
    ("batch", "words"),
    [
        (b"\4\0\1\0\0\0\0", "flags 0x4 are not known"),
        (b"\2\0\1\0\0\0\2", "form 2 is not known"),
        (b"\2\0\0\0\0\0", "inside the forms"),
        (b"\2\0\6\0\0\0\1\0\0\0\0\0", "inside the planes"),
        (b"\2\0\10\0\0\0\1\0\0\0\0\0\0\0", "1 bytes follow"),
    ],
)
def test_flags_forms_and_planes_are_checked(batch: bytes, words: str) -> None:
    with pytest.raises(DecodeError, match=words):
        decode_batch(batch, [(2, 1)])


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
    predicted = data.draw(st.sampled_from(((), (0,))))
    batch = bytearray(encode_batch([picture], deflate=deflate, predicted=predicted))
    for _ in range(data.draw(st.integers(1, 3))):
        batch[data.draw(st.integers(0, len(batch) - 1))] = data.draw(st.integers(0, 255))
    size = (picture.shape[1], picture.shape[0])
    try:
        (decoded,) = decode_batch(bytes(batch), [size])
    except DecodeError:
        return
    assert decoded.shape == picture.shape
