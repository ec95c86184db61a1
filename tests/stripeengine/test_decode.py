"""The decoder: what it applies, what it ignores, what it refuses, and that it never does anything by halves."""

from __future__ import annotations

import json
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from av.video.codeccontext import VideoCodecContext
from av.video.frame import VideoFrame
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from stripeengine import wire
from stripeengine.colour import Colour
from stripeengine.decode import Decoder
from stripeengine.decoding.h264 import VideoStream
from stripeengine.decoding.scale import stretch
from stripeengine.errors import DecodeError, WireError
from stripeengine.lossless import encode_batch
from stripeengine.reference.encoders import VideoEncoder, encode_jpeg

Pixels = npt.NDArray[np.uint8]
VECTORS = Path(__file__).resolve().parent.parent / "vectors"
MANIFEST = json.loads((VECTORS / "manifest.json").read_text(encoding="utf-8"))["vectors"]

WIDTH, HEIGHT = 64, 48
WHOLE = (0, 0, WIDTH, HEIGHT)


def gradient() -> Pixels:
    y, x = np.mgrid[0:HEIGHT, 0:WIDTH]
    return np.stack((x * 3 + 20, y * 4 + 20, x + y + 60), 2).astype(np.uint8)


def pack(frame_id: int, ops: list[wire.Op], area: wire.PayloadArea | None = None, **changes: Any) -> bytes:
    values: dict[str, Any] = {"epoch": 7, "width": WIDTH, "height": HEIGHT}
    values.update(changes)
    return wire.pack_message(frame_id=frame_id, ops=ops, payloads=area.getvalue() if area else b"", **values)


def snapshot(as_of: int, colour: int = 0x101010, **changes: Any) -> bytes:
    place = (0, 0, changes.get("width", WIDTH), changes.get("height", HEIGHT))
    return pack(as_of, [wire.fill_op(place, colour)], kind=wire.SNAPSHOT, **changes)


def fill(frame_id: int, colour: int, place: tuple[int, int, int, int] = WHOLE, **changes: Any) -> bytes:
    return pack(frame_id, [wire.fill_op(place, colour)], **changes)


def video_frames(count: int, chroma: str = "420") -> list[bytes]:
    """A key frame and delta frames of a moving gradient on stream 2, as messages 1, 2, …"""
    encoder = VideoEncoder(WIDTH, HEIGHT, 12, chroma)
    frames = []
    for index in range(count):
        area = wire.PayloadArea()
        payload = encoder.encode(np.roll(gradient(), 2 * index, axis=0), key=index == 0)
        flags = wire.KEY if index == 0 else 0
        frames.append(pack(index + 1, [area.op(wire.H264, WHOLE, payload, flags=flags, stream=2)], area))
    return frames


def started(colour: int = 0x101010) -> Decoder:
    decoder = Decoder()
    decoder.apply(snapshot(0, colour))
    return decoder


def pixel(decoder: Decoder, x: int = 0, y: int = 0) -> tuple[int, ...]:
    return tuple(int(value) for value in decoder.picture[y, x])


# ---- ids, epochs, snapshots ----


def test_frames_of_an_unknown_epoch_wait_for_its_snapshot() -> None:
    decoder = Decoder()
    decoder.apply(fill(5, 0xFF0000))
    assert decoder.picture.size == 0 and decoder.ignored == 1 and decoder.needs_snapshot
    decoder.apply(snapshot(5, 0x00FF00))
    decoder.apply(fill(6, 0x0000FF, (0, 0, 2, 2)))
    assert (pixel(decoder), pixel(decoder, 3, 3)) == ((0, 0, 255), (0, 255, 0))
    assert not decoder.needs_snapshot


@pytest.mark.parametrize(("frame_id", "flags"), [(1, 0), (5, wire.RESIZED)])
def test_a_frame_that_starts_from_black_needs_no_snapshot(frame_id: int, flags: int) -> None:
    decoder = Decoder()
    decoder.apply(fill(frame_id, 0xFF0000, (1, 1, 2, 2), flags=flags))
    assert decoder.picture.sum() == 4 * 255
    assert (decoder.epoch, decoder.frame_id) == (7, frame_id)


def test_old_frames_and_snapshots_are_ignored() -> None:
    decoder = started()
    decoder.apply(fill(3, 0xFF0000))
    for stale in (fill(3, 1), fill(2, 2), snapshot(2, 3)):
        decoder.apply(stale)
        assert pixel(decoder) == (255, 0, 0)
    assert decoder.ignored == 3 and decoder.frame_id == 3
    decoder.apply(snapshot(3, 0x00FF00))
    assert pixel(decoder) == (0, 255, 0)


def test_ids_may_have_gaps() -> None:
    decoder = started()
    decoder.apply(fill(1, 1))
    decoder.apply(fill(0xFFFFFFFF, 2))
    assert decoder.frame_id == 0xFFFFFFFF and pixel(decoder) == (0, 0, 2)


def test_snapshot_parts_are_applied_together() -> None:
    decoder = started()
    top = pack(4, [wire.fill_op((0, 0, WIDTH, 9), 0xFF)], kind=wire.SNAPSHOT, flags=wire.MORE)
    bottom = pack(4, [wire.fill_op((0, 9, WIDTH, HEIGHT - 9), 0xFF00)], kind=wire.SNAPSHOT)
    # A part outlives the call, so its buffer may be used again.
    buffer = bytearray(top)
    decoder.apply(buffer)
    buffer[:] = bytes(len(buffer))
    assert pixel(decoder) == (16, 16, 16) and decoder.frame_id == 0
    decoder.apply(bottom)
    assert pixel(decoder) == (0, 0, 255) and pixel(decoder, 0, 40) == (0, 255, 0)
    assert decoder.frame_id == 4


def test_an_unfinished_snapshot_gives_way_to_the_next() -> None:
    decoder = started()
    decoder.apply(pack(4, [wire.fill_op(WHOLE, 0xFF)], kind=wire.SNAPSHOT, flags=wire.MORE))
    decoder.apply(snapshot(5, 0xFF00))
    assert pixel(decoder) == (0, 255, 0)


def test_a_frame_overtakes_an_unfinished_snapshot_which_is_then_old() -> None:
    decoder = started()
    decoder.apply(pack(4, [wire.fill_op(WHOLE, 0xFF)], kind=wire.SNAPSHOT, flags=wire.MORE))
    decoder.apply(fill(5, 0xAA))
    decoder.apply(snapshot(4, 0xFF00))
    assert pixel(decoder) == (0, 0, 0xAA) and decoder.ignored == 1


def test_snapshot_parts_of_different_sizes_are_refused() -> None:
    decoder = started()
    decoder.apply(pack(4, [], kind=wire.SNAPSHOT, flags=wire.MORE))
    with pytest.raises(DecodeError, match="^snapshot: its parts differ in size"):
        decoder.apply(snapshot(4, width=8, height=8))


def test_endless_snapshots_are_bounded() -> None:
    decoder = Decoder(max_pixels=10_000)
    part = pack(4, [wire.fill_op(WHOLE, 0xFF)] * 100, kind=wire.SNAPSHOT, flags=wire.MORE)
    with pytest.raises(DecodeError, match="^snapshot: its parts pass 40000 bytes"):
        for _ in range(20):
            decoder.apply(part)


def test_a_new_epoch_forgets_streams_and_misses() -> None:
    decoder = started()
    key, delta = video_frames(2)
    decoder.apply(key)
    decoder.apply(snapshot(1, 0x222222, epoch=8))
    op = wire.parse_message(delta).ops[0]
    area = wire.PayloadArea()
    area.add(bytes(wire.parse_message(delta).payloads))
    decoder.apply(pack(2, [op], area, epoch=8))
    assert decoder.missed == [WHOLE] and pixel(decoder) == (0x22, 0x22, 0x22)


# ---- size ----


def test_resized_starts_from_black() -> None:
    decoder = started(0xFFFFFF)
    decoder.apply(fill(1, 0x00FF00, (0, 0, 1, 1), width=33, height=17, flags=wire.RESIZED))
    assert decoder.picture.shape == (17, 33, 3) and decoder.picture.sum() == 255
    decoder.apply(fill(2, 0xFF, (0, 0, 1, 1), width=33, height=17, flags=wire.RESIZED))
    assert decoder.picture.sum() == 255


def test_a_missed_resize_is_an_error_until_a_snapshot() -> None:
    decoder = started(0xFFFFFF)
    with pytest.raises(DecodeError, match="^width: .*a resize was missed"):
        decoder.apply(fill(1, 1, (0, 0, 1, 1), width=33))
    assert decoder.needs_snapshot and pixel(decoder) == (255, 255, 255)
    decoder.apply(snapshot(1, 0xAB, width=33, height=17))
    assert not decoder.needs_snapshot and decoder.picture.shape == (17, 33, 3)


# ---- ops ----


@given(st.data())
def test_copies_read_their_source_whole_before_they_write(data: st.DataObject) -> None:
    picture = np.random.default_rng(3).integers(0, 256, (HEIGHT, WIDTH, 3), dtype=np.uint8)
    area = wire.PayloadArea()
    first = pack(1, area.lossless([WHOLE], encode_batch([picture])), area)
    w, h = data.draw(st.integers(1, WIDTH)), data.draw(st.integers(1, HEIGHT))
    x, sx = (data.draw(st.integers(0, WIDTH - w)) for _ in range(2))
    y, sy = (data.draw(st.integers(0, HEIGHT - h)) for _ in range(2))
    decoder = Decoder()
    decoder.apply(first)
    decoder.apply(pack(2, [wire.copy_op((x, y, w, h), sx, sy)]))
    expected = picture.copy()
    expected[y : y + h, x : x + w] = picture[sy : sy + h, sx : sx + w]
    assert np.array_equal(decoder.picture, expected)


@pytest.mark.parametrize("chroma", ["420", "444"])
def test_video_follows_its_source(chroma: str) -> None:
    decoder = started()
    for index, frame in enumerate(video_frames(4, chroma)):
        decoder.apply(frame)
        error = np.abs(decoder.picture.astype(int) - np.roll(gradient(), 2 * index, axis=0))
        assert error.mean() < 3
    assert not decoder.missed


@pytest.mark.parametrize("size", [(2, 2), (144, 96), (1376, 768), (1936, 16)])
def test_video_of_any_size_decodes(size: tuple[int, int]) -> None:
    picture = np.full((size[1], size[0], 3), 77, dtype=np.uint8)
    area = wire.PayloadArea()
    payload = VideoEncoder(*size, 20, "444").encode(picture, key=True)
    op = area.op(wire.H264, (0, 0, *size), payload, flags=wire.KEY)
    decoder = Decoder()
    decoder.apply(pack(1, [op], area, width=size[0], height=size[1]))
    assert np.abs(decoder.picture.astype(int) - picture).max() <= 2


def test_delta_without_key_leaves_its_rectangle_and_says_so() -> None:
    decoder = started()
    key, *deltas = video_frames(4)
    decoder.apply(deltas[0])
    assert decoder.missed == [WHOLE] and pixel(decoder) == (16, 16, 16) and decoder.needs_snapshot
    decoder.apply(deltas[1])
    assert decoder.missed == [WHOLE]
    late_key = wire.parse_message(key)
    area = wire.PayloadArea()
    area.add(bytes(late_key.payloads))
    decoder.apply(pack(9, list(late_key.ops), area))
    assert decoder.missed == [] and pixel(decoder) != (16, 16, 16)


def test_the_rest_of_a_frame_with_a_delta_without_key_applies() -> None:
    decoder = started()
    delta = wire.parse_message(video_frames(2)[1])
    area = wire.PayloadArea()
    area.add(bytes(delta.payloads))
    op = delta.ops[0]._replace(w=8, h=8)
    decoder.apply(pack(1, [wire.fill_op((8, 8, 8, 8), 0xFF), op, wire.copy_op((20, 20, 8, 8), 4, 4)], area))
    assert pixel(decoder, 9, 9) == (0, 0, 255)
    # What was copied out of a missed area is missed as well.
    assert decoder.missed == [(0, 0, 8, 8), (20, 20, 8, 8)]
    decoder.apply(fill(2, 0, (0, 0, 9, 9)))
    assert decoder.missed == [(20, 20, 8, 8)]
    decoder.apply(snapshot(2))
    assert decoder.missed == []


def test_a_damaged_payload_leaves_the_whole_picture_and_breaks_its_streams() -> None:
    decoder = started()
    key, delta, last = video_frames(3)
    decoder.apply(key)
    before = decoder.picture.copy()
    area = wire.PayloadArea()
    video = area.op(wire.H264, WHOLE, bytes(wire.parse_message(delta).payloads), stream=2)
    jpeg = area.op(wire.JPEG, (0, 0, 16, 16), b"\xff\xd8not a picture")
    with pytest.raises(DecodeError, match="^jpeg:"):
        decoder.apply(pack(2, [wire.fill_op((0, 0, 4, 4), 0xFF), video, jpeg], area))
    assert np.array_equal(decoder.picture, before)
    assert decoder.missed == [(0, 0, 4, 4), WHOLE, (0, 0, 16, 16)] and decoder.frame_id == 2
    decoder.apply(last)
    assert np.array_equal(decoder.picture, before)


def test_misses_do_not_grow_without_end() -> None:
    decoder = started()
    delta = wire.parse_message(video_frames(2)[1])
    area = wire.PayloadArea()
    area.add(bytes(delta.payloads))
    for frame_id in range(1, 5):
        ops = [delta.ops[0]._replace(x=i % 60, y=i // 60, w=frame_id, h=1) for i in range(2000)]
        decoder.apply(pack(frame_id, ops, area))
    assert len(decoder.missed) <= wire.MAX_OPS + 1
    decoder.apply(snapshot(4))
    assert decoder.missed == []


@pytest.mark.parametrize(
    ("payload", "flags", "text"),
    [
        (lambda: encode_jpeg(gradient(), 80, "420")[:-200], 0, "jpeg: "),
        (lambda: encode_jpeg(gradient()[:32], 80, "420"), 0, "jpeg: the picture is 64×32, announced 64×48"),
        (lambda: b"\0\0\0\1\x65garbage", wire.KEY, "h264: "),
        (lambda: wire.parse_message(video_frames(2)[1]).payloads, wire.KEY, "h264: "),
    ],
    ids=["jpeg-cut", "jpeg-size", "h264-garbage", "h264-delta-marked-key"],
)
def test_damaged_payloads_are_refused(payload: Any, flags: int, text: str) -> None:
    area = wire.PayloadArea()
    kind = wire.H264 if text.startswith("h264") else wire.JPEG
    data = pack(1, [area.op(kind, WHOLE, bytes(payload()), flags=flags)], area)
    with pytest.raises(DecodeError, match=f"^{text}"):
        started().apply(data)


def test_video_of_another_size_is_refused() -> None:
    small = VideoEncoder(32, 32, 20, "420").encode(gradient()[:32, :32], key=True)
    area = wire.PayloadArea()
    with pytest.raises(DecodeError, match="^h264: the picture is 32×32, announced 64×48"):
        started().apply(pack(1, [area.op(wire.H264, WHOLE, small, flags=wire.KEY)], area))


@pytest.mark.parametrize("tag", [{}, {"colorspace": 9, "color_range": 1}, {"colorspace": 4, "color_range": 2}])
def test_video_with_another_tag_or_none_is_refused(tag: dict[str, int]) -> None:
    context = VideoCodecContext.create("libx264", "w")
    context.width, context.height, context.pix_fmt, context.time_base = WIDTH, HEIGHT, "yuv420p", Fraction(1, 60)
    context.options = {"preset": "ultrafast", "tune": "zerolatency"}
    for name, value in tag.items():
        setattr(context, name, value)
    (packet,) = context.encode(VideoFrame(WIDTH, HEIGHT, "yuv420p"))
    area = wire.PayloadArea()
    with pytest.raises(DecodeError, match="^h264: the stream is not tagged BT.709 or BT.601"):
        started().apply(pack(1, [area.op(wire.H264, WHOLE, bytes(packet), flags=wire.KEY)], area))


def test_large_video_cannot_hide_behind_a_small_announcement() -> None:
    large = VideoEncoder(1024, 1024, 40, "420").encode(np.zeros((1024, 1024, 3), dtype=np.uint8), key=True)
    area = wire.PayloadArea()
    with pytest.raises(DecodeError, match="^h264:"):
        started().apply(pack(1, [area.op(wire.H264, WHOLE, large, flags=wire.KEY)], area))


# ---- limits ----


def test_pictures_and_payloads_are_bounded() -> None:
    decoder = Decoder(max_pixels=WIDTH * HEIGHT)
    decoder.apply(snapshot(0))
    with pytest.raises(DecodeError, match="^width: 65×48 is more than 3072 pixels"):
        decoder.apply(fill(1, 0, (0, 0, 1, 1), width=65, flags=wire.RESIZED))
    area = wire.PayloadArea()
    op = area.op(wire.JPEG, WHOLE, encode_jpeg(gradient(), 50, "420"))
    with pytest.raises(DecodeError, match="^ops: the payloads hold more than 6144 pixels"):
        decoder.apply(pack(2, [op] * 3, area))
    assert decoder.picture.shape == (HEIGHT, WIDTH, 3)


def test_work_in_one_frame_is_bounded() -> None:
    decoder = Decoder()
    decoder.apply(snapshot(0, width=4000, height=1000))
    many = [wire.copy_op((0, 0, 3999, 1000), 1, 0)] * 4096
    with pytest.raises(DecodeError, match="^ops: the rectangles of one message cover"):
        decoder.apply(pack(1, many, width=4000, height=1000))


# ---- colour and scaling, against independent statements of the standards ----


PRIMARIES = ((0, 0, 0), (255, 255, 255), (255, 0, 0), (0, 255, 0), (0, 0, 255))
CODES = {
    ("bt709", "limited"): ((16, 128, 128), (235, 128, 128), (63, 102, 240), (173, 42, 26), (32, 240, 118)),
    ("bt601", "limited"): ((16, 128, 128), (235, 128, 128), (81, 90, 240), (145, 54, 34), (41, 240, 110)),
    ("bt709", "full"): ((0, 128, 128), (255, 128, 128), (54, 99, 255), (182, 30, 12), (18, 255, 116)),
    ("bt601", "full"): ((0, 128, 128), (255, 128, 128), (76, 85, 255), (150, 44, 21), (29, 255, 107)),
}
"""The code values of ITU-R BT.709 and BT.601 with 8 bits; of full range those of JFIF, which is BT.601."""


@pytest.mark.parametrize("colour", CODES)
def test_colours_have_the_code_values_of_their_standard(colour: tuple[str, str]) -> None:
    pixels = np.array(PRIMARIES, dtype=np.uint8).reshape(1, -1, 3)
    planes = np.array(CODES[colour], dtype=np.uint8).reshape(1, -1, 3)
    assert np.array_equal(Colour(*colour).to_ycc(pixels), planes)
    assert np.abs(Colour(*colour).to_rgb(planes).astype(int) - pixels).max() <= 2


@pytest.mark.parametrize("chroma", ["420", "444"])
@pytest.mark.parametrize("colour", CODES)
def test_video_is_decoded_as_it_is_tagged(chroma: str, colour: tuple[str, str]) -> None:
    picture = np.repeat(np.array(PRIMARIES, dtype=np.uint8).reshape(1, -1, 3), 16, axis=1).repeat(16, axis=0)
    payload = VideoEncoder(80, 16, 12, chroma, Colour(*colour)).encode(picture, key=True)
    pixels = VideoStream().decode(payload, 80, 16, key=True)
    assert np.abs(pixels.astype(int) - picture).max() <= 6


def test_stretch_is_bilinear() -> None:
    ramp = np.array([[0, 100]], dtype=np.uint8)[:, :, None].repeat(3, 2)
    assert stretch(ramp, 4, 1)[0, :, 0].tolist() == [0, 25, 75, 100]
    assert stretch(ramp, 4, 3)[2, :, 1].tolist() == [0, 25, 75, 100]
    assert stretch(ramp, 1, 1)[0, 0, 2] == 50


# ---- hostile input ----


def _sequences() -> list[list[bytes]]:
    return [[(VECTORS / name).read_bytes() for name in vector["messages"]] for vector in MANIFEST if vector["valid"]]


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.sampled_from(_sequences()), st.data())
def test_mutated_sequences_raise_only_engine_errors_and_are_atomic(sequence: list[bytes], data: st.DataObject) -> None:
    decoder = Decoder(max_pixels=1 << 16)
    for message in sequence:
        mutated = bytearray(message)
        for _ in range(data.draw(st.integers(0, 2))):
            place = data.draw(st.integers(0, len(mutated) - 1))
            mutated[place] = data.draw(st.integers(0, 255))
        before = decoder.picture.copy()
        try:
            decoder.apply(mutated)
        except (WireError, DecodeError):
            assert np.array_equal(decoder.picture, before)
        assert decoder.picture.size <= 3 << 16


@settings(max_examples=150, deadline=None)
@given(
    st.sampled_from((wire.LOSSLESS, wire.JPEG, wire.H264)),
    st.sampled_from((b"", b"\xff\xd8\xff\xc0", b"\0\0\0\1\x67\x42", b"\0\0\0\1\x65")),
    st.binary(min_size=1, max_size=300),
)
def test_random_payloads_raise_only_decode_errors(kind: int, start: bytes, payload: bytes) -> None:
    area = wire.PayloadArea()
    decoder = started()
    try:
        decoder.apply(pack(1, [area.op(kind, WHOLE, start + payload, flags=wire.KEY)], area))
    except DecodeError:
        assert pixel(decoder) == (16, 16, 16)
