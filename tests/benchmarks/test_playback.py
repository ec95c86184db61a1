"""Recordings into frames and pictures: grouping, what a frame contains, and each engine's way of sending."""

from __future__ import annotations

from pathlib import Path

import av
import numpy as np
import pytest
import turbojpeg  # type: ignore[import-untyped]

from benchmarks import playback
from benchmarks.engine_process import STRIPE, Recorder
from benchmarks.playback import SLACK_US, Frame, covering
from benchmarks.quality import Pixels, psnr
from stripeengine import wire
from stripeengine.dump import DumpWriter, read_dump

WIDTH, HEIGHT = 64, 48


def picture(seed: int) -> Pixels:
    """Something smooth, so that lossy codecs keep it well."""
    rows, columns = np.mgrid[0:HEIGHT, 0:WIDTH]
    planes = [(rows * 2 + columns * part + seed * 40) % 256 // 2 + 60 for part in (1, 0, 2)]
    smooth: Pixels = np.stack(planes, axis=2).astype(np.uint8)
    return smooth


def record(path: Path, messages: list[tuple[int, bytes]]) -> Path:
    with DumpWriter(path) as dump:
        for time_us, message in messages:
            dump.write(time_us, message)
    return path


def h264(pictures: list[Pixels]) -> list[bytes]:
    """Encode as ffmpeg is told to: BT.709, limited range, each picture at once."""
    codec = av.CodecContext.create("libx264", "w")
    codec.width, codec.height, codec.pix_fmt = pictures[0].shape[1], pictures[0].shape[0], "yuv420p"
    codec.options = {"preset": "ultrafast", "tune": "zerolatency", "crf": "5"}
    codec.colorspace, codec.color_range = 1, 1
    units = []
    for number, pixels in enumerate(pictures):
        frame = av.VideoFrame.from_ndarray(pixels, format="rgb24").reformat(format="yuv420p", dst_colorspace=1)
        frame.pts = number
        units += [bytes(packet) for packet in codec.encode(frame)]
    return units


def fill(frame_id: int, capture_us: int, y: int, colour: int) -> bytes:
    op = wire.Op(wire.FILL, 0, 0, 0, y, WIDTH, HEIGHT // 2, 0, 0, 0, 0, 0, 0, colour)
    flags = wire.RESIZED if frame_id == 1 else 0
    return wire.pack_message(
        epoch=7,
        frame_id=frame_id,
        width=WIDTH,
        height=HEIGHT,
        ops=[op],
        flags=flags,
        capture_us=capture_us,
        encode_us=20,
    )


def stripe(capture_us: int, frame_id: int, message: bytes) -> bytes:
    return STRIPE.pack(capture_us * 1000, capture_us * 1000 + 500, frame_id) + message


def test_a_frame_contains_what_changed_before_it_was_grabbed() -> None:
    frames = [Frame(10_000, 8_000), Frame(20_000, 18_000), Frame(30_000, 28_000)]
    assert covering(frames, 5_000) is frames[0]
    assert covering(frames, 8_000 + SLACK_US) is frames[0]
    # Changed while the first was being encoded: there later, but in the second only.
    assert covering(frames, 8_001 + SLACK_US) is frames[1]
    assert covering(frames, 10_001) is frames[1]  # the first was there before the change
    assert covering(frames, 30_001) is None


def test_messages_of_one_change_are_one_frame(tmp_path: Path) -> None:
    one, two, three = fill(1, 100, 0, 0xFF0000), fill(2, 100, HEIGHT // 2, 0x00FF00), fill(3, 900, 0, 0x0000FF)
    frames = playback.load("stripedesk", record(tmp_path / "dump", [(150, one), (170, two), (950, three)]))
    assert [(frame.time_us, frame.covers_us, frame.latency_ms) for frame in frames] == [
        (170, 130, 0.07),
        (950, 930, 0.05),
    ]
    assert frames[0].size == len(one) + len(two)
    screen = playback.player("stripedesk", "jpeg", (WIDTH, HEIGHT))
    screen.show(frames[0])
    assert screen.picture()[0, 0].tolist() == [255, 0, 0]
    assert screen.picture()[-1, -1].tolist() == [0, 255, 0]
    screen.show(frames[1])
    assert screen.picture()[0, 0].tolist() == [0, 0, 255]


def test_jpeg_stripes_go_where_they_say(tmp_path: Path) -> None:
    codec, whole = turbojpeg.TurboJPEG(), picture(1)
    half = HEIGHT // 2

    def part(y: int) -> bytes:
        data = codec.encode(
            np.ascontiguousarray(whole[y : y + half]), quality=98, pixel_format=turbojpeg.TJPF_RGB, jpeg_subsample=0
        )
        return b"\x03\0\0\1" + y.to_bytes(2, "big") + data

    upper, lower = part(0), part(half)
    path = record(tmp_path / "dump", [(150, stripe(100, 1, upper)), (160, stripe(100, 1, lower))])
    (frame,) = playback.load("pixelflux", path)
    assert (frame.time_us, frame.covers_us, frame.size) == (160, 100, len(upper) + len(lower))
    screen = playback.player("pixelflux", "jpeg", (WIDTH, HEIGHT))
    screen.show(frame)
    assert psnr(screen.picture(), whole) > 40


def test_video_stripes_have_a_decoder_each() -> None:
    half = HEIGHT // 2
    wholes = [picture(1), picture(2)]
    upper, lower = (h264([whole[y : y + half] for whole in wholes]) for y in (0, half))
    screen = playback.player("pixelflux", "h264", (WIDTH, HEIGHT))
    for number, whole in enumerate(wholes):
        parts = [
            bytes([4, 0x11 if number == 0 else 0x10, 0, number])
            + b"".join(value.to_bytes(2, "big") for value in (y, WIDTH, half, 0))
            + units[number]
            for y, units in ((0, upper), (half, lower))
        ]
        screen.show(Frame(number, number, parts=parts))
        assert psnr(screen.picture(), whole) > 32


def test_a_version_that_frames_its_video_otherwise_is_refused() -> None:
    screen = playback.player("pixelflux", "h264", (WIDTH, HEIGHT))
    with pytest.raises(ValueError, match="unknown here"):
        screen.show(Frame(0, 0, parts=[b"\x04\x11\0\0\0\0\0\x40\0\x30\0\0\x12\x34\x56\x78"]))


def test_a_packet_is_there_with_the_piece_that_has_its_end(tmp_path: Path) -> None:
    wholes = [picture(number) for number in range(3)]
    path = tmp_path / "clip.nut"
    with av.open(str(path), "w", format="nut") as container:
        stream = container.add_stream("libx264", rate=60, options={"preset": "ultrafast", "tune": "zerolatency"})
        stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        stream.codec_context.colorspace, stream.codec_context.color_range = 1, 1
        for whole in wholes:
            frame = av.VideoFrame.from_ndarray(whole, format="rgb24").reformat(format="yuv420p", dst_colorspace=1)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    data = path.read_bytes()
    pieces = [(1000 + at, data[at : at + 100]) for at in range(0, len(data), 100)]
    frames = playback.load("ffmpeg", record(tmp_path / "dump", pieces))
    assert len(frames) == 3
    assert frames[0].time_us < frames[1].time_us <= frames[2].time_us == pieces[-1][0]
    assert 0 < len(data) - sum(frame.size for frame in frames) < 1000  # what stands before the first packet
    screen = playback.player("ffmpeg", "x264", (WIDTH, HEIGHT))
    for frame, whole in zip(frames, wholes, strict=True):
        screen.show(frame)
        assert psnr(screen.picture(), whole) > 25


def test_no_picture_before_the_first_frame() -> None:
    with pytest.raises(ValueError, match="before the first"):
        playback.player("ffmpeg", "x264", (WIDTH, HEIGHT)).picture()


def test_recording_is_counted(tmp_path: Path) -> None:
    recorder = Recorder(str(tmp_path / "dump"))
    recorder.write(b"x" * 4_000_000)
    recorder.write(memoryview(b"message"), b"prefix-")
    assert 0 < recorder.seconds < 1
    messages = [message for _, message in read_dump(tmp_path / "dump")]
    assert (len(messages[0]), messages[1]) == (4_000_000, b"prefix-message")
