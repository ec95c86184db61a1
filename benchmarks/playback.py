"""Recordings of the engines turned back into pictures, after the run: nothing here happens while one is measured.

`load` returns the frames of a recording; a `Player` shows them one after the other. Synchronous, one thread a player.
"""

from __future__ import annotations

import bisect
import io
import struct
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Protocol, TypeVar

import av
import numpy as np
import numpy.typing as npt
import turbojpeg  # type: ignore[import-untyped]
from av.video.codeccontext import VideoCodecContext
from av.video.frame import VideoFrame

from benchmarks.engine_process import STRIPE
from stripeengine.decode import Decoder
from stripeengine.decoding.h264 import frame_to_rgb
from stripeengine.dump import DumpedMessage, read_dump
from stripeengine.wire import peek

Pixels = npt.NDArray[np.uint8]
T = TypeVar("T")

# A change that the witness noted this long after a grab had begun may still be in it: engine and witness are told at
# the same time, and both need a moment to wake.
SLACK_US: Final = 300
# ffmpeg stamps its pictures with the time of day.
_REALTIME_OFFSET_US: Final = (time.time_ns() - time.monotonic_ns()) // 1000


@dataclass
class Frame:
    """What an engine made of one moment. Times are monotonic µs."""

    time_us: int
    """When its last message was there."""
    covers_us: int
    """When it was grabbed: changes up to then are in it."""
    size: int = 0
    latency_ms: float | None = None
    """What the engine itself says from capture to message, if it does."""
    parts: list[bytes] = field(default_factory=list)


class Player(Protocol):
    """Shows frames in order."""

    def show(self, frame: Frame) -> None:
        """Apply the next frame."""

    def picture(self) -> Pixels:
        """Return the picture now, height×width×3 uint8 RGB; valid until the next `show`."""


def load(engine: str, path: Path) -> list[Frame]:
    """Return the frames of a recording in order of arrival."""
    messages = list(read_dump(path))
    return {"stripedesk": _our_frames, "pixelflux": _stripe_frames, "ffmpeg": _video_frames}[engine](messages)


def player(engine: str, mode: str, size: tuple[int, int]) -> Player:
    """Return what shows an engine's frames on a screen of ``size``."""
    if engine == "stripedesk":
        return _OurPlayer()
    if engine == "pixelflux":
        return _StripePlayer(size)
    return _VideoPlayer()


def covering(frames: Sequence[Frame], time_us: int) -> Frame | None:
    """Return the first frame that was there after ``time_us`` and contains what changed then."""
    first = bisect.bisect_left(frames, time_us, key=lambda frame: frame.time_us)
    return next((frame for frame in frames[first:] if frame.covers_us + SLACK_US >= time_us), None)


def _our_frames(messages: Iterable[DumpedMessage]) -> list[Frame]:
    """Messages with one capture time are one frame. It was grabbed when its encoding began."""
    frames: list[Frame] = []
    previous = -1
    for time_us, message in messages:
        header = peek(message)
        if header.capture_us != previous or not frames:
            frames.append(Frame(time_us, time_us - header.encode_us))
        previous = header.capture_us
        frame = frames[-1]
        frame.time_us, frame.latency_ms = time_us, (time_us - header.capture_us) / 1000
        frame.size += len(message)
        frame.parts.append(message)
    return frames


def _stripe_frames(messages: Iterable[DumpedMessage]) -> list[Frame]:
    """Stripes of one grab are one frame, which holds what was on the screen when it was grabbed."""
    frames: list[Frame] = []
    previous = None
    for time_us, message in messages:
        capture_ns, _, frame_id = STRIPE.unpack_from(message)
        if (capture_ns, frame_id) != previous:
            frames.append(Frame(time_us, capture_ns // 1000))
        previous = (capture_ns, frame_id)
        frame = frames[-1]
        frame.time_us, frame.latency_ms = time_us, time_us / 1000 - capture_ns / 1e6
        frame.size += len(message) - STRIPE.size
        frame.parts.append(message[STRIPE.size :])
    return frames


def _video_frames(messages: Sequence[DumpedMessage]) -> list[Frame]:
    """Packets of a NUT file that came in pieces; a packet is there with the piece that has its last byte."""
    ends = np.cumsum([len(message) for _, message in messages])
    frames: list[Frame] = []
    with av.open(io.BytesIO(b"".join(message for _, message in messages)), mode="r", format="nut") as container:
        stream = container.streams.video[0]
        head = bytes(stream.codec_context.extradata or b"")
        packets = [packet for packet in container.demux(stream) if packet.size]
    starts = [_known(packet.pos, "position") for packet in packets]
    # What stands between two packets belongs to the file, not to the picture, but is sent as well.
    stops = [*starts[1:], int(ends[-1])]
    for packet, start, stop in zip(packets, starts, stops, strict=True):
        time_us = messages[min(int(np.searchsorted(ends, stop)), len(messages) - 1)].time_us
        seconds = _known(packet.pts, "time") * _known(packet.time_base, "time base")
        grabbed = int(seconds * 1_000_000) - _REALTIME_OFFSET_US
        parts = [bytes(packet) if frames else head + bytes(packet)]
        frames.append(Frame(time_us, grabbed, stop - start, (time_us - grabbed) / 1000, parts))
    return frames


def _known(value: T | None, what: str) -> T:
    if value is None:
        raise ValueError(f"ffmpeg's recording has a packet without {what}")
    return value


class _OurPlayer:
    def __init__(self) -> None:
        self._decoder = Decoder()

    def show(self, frame: Frame) -> None:
        for message in frame.parts:
            self._decoder.apply(message)

    def picture(self) -> Pixels:
        return self._decoder.picture


class _StripePlayer:
    """pixelflux: full-width stripes, each a JPEG or the next picture of a decoder of its own."""

    _VIDEO = struct.Struct(">BBHHHHH")  # tag, codec and kind, frame, y, width, height, reference

    def __init__(self, size: tuple[int, int]) -> None:
        self._picture: Pixels = np.zeros((size[1], size[0], 3), dtype=np.uint8)
        self._jpeg = turbojpeg.TurboJPEG()
        self._decoders: dict[int, VideoCodecContext] = {}
        self._waiting: dict[int, VideoFrame] = {}  # decoded, not yet converted: most are never looked at

    def show(self, frame: Frame) -> None:
        for message in frame.parts:
            if message[0] == 3:
                y = int.from_bytes(message[4:6], "big")
                self._put(y, self._jpeg.decode(message[6:], pixel_format=turbojpeg.TJPF_RGB))
            else:
                self._show_video(message)

    def _show_video(self, message: bytes) -> None:
        _, kind, _, y, *_ = self._VIDEO.unpack_from(message)
        unit = message[self._VIDEO.size :]
        if not unit.startswith((b"\0\0\1", b"\0\0\0\1")):
            raise ValueError("this pixelflux frames its video in a way unknown here; 2.1 to 2.2 are known")
        if kind & 0xF == 1 or y not in self._decoders:
            self._decoders[y] = video_decoder()
        pictures = self._decoders[y].decode(av.Packet(unit))
        if pictures:
            self._waiting[y] = pictures[-1]

    def picture(self) -> Pixels:
        for y, picture in self._waiting.items():
            self._put(y, frame_to_rgb(picture))
        self._waiting.clear()
        return self._picture

    def _put(self, y: int, pixels: Pixels) -> None:
        rows = min(pixels.shape[0], self._picture.shape[0] - y)
        columns = min(pixels.shape[1], self._picture.shape[1])
        self._picture[y : y + rows, :columns] = pixels[:rows, :columns]


class _VideoPlayer:
    """One picture as large as the screen."""

    def __init__(self) -> None:
        self._decoder = video_decoder()
        self._newest: VideoFrame | None = None

    def show(self, frame: Frame) -> None:
        for part in frame.parts:
            for picture in self._decoder.decode(av.Packet(part)):
                self._newest = picture

    def picture(self) -> Pixels:
        if self._newest is None:
            raise ValueError("there is no picture before the first frame")
        return frame_to_rgb(self._newest)


def video_decoder() -> VideoCodecContext:
    """Return an H.264 decoder that gives each picture at once."""
    context = VideoCodecContext.create("h264", "r")
    context.options = {"flags": "low_delay"}
    context.thread_count = 1
    return context
