"""H.264 payloads: one decoder a stream, access units in, RGB out, through PyAV.

A `VideoStream` is used by one thread at a time and keeps the codec's state between access units. Decoding is
synchronous; libavcodec is told the announced size as its limit, so a hostile parameter set cannot make it allocate
more.
"""

from __future__ import annotations

from typing import Final

import av
import av.error
import numpy as np
import numpy.typing as npt
from av.video.codeccontext import VideoCodecContext
from av.video.frame import VideoFrame

from ..colour import Colour
from ..errors import DecodeError

Pixels = npt.NDArray[np.uint8]

_HALVED: Final = ("yuv420p", "yuvj420p")
_FORMATS: Final = (*_HALVED, "yuv444p", "yuvj444p")  # with j: full range


class VideoStream:
    """One H.264 stream of an epoch. `broken` until a key frame (re)starts it."""

    def __init__(self) -> None:
        self._context: VideoCodecContext | None = None

    @property
    def broken(self) -> bool:
        """Whether the stream waits for a key frame."""
        return self._context is None

    def mark_broken(self) -> None:
        """Forget the state: what follows cannot be decoded before the next key frame."""
        self._context = None

    def decode(self, payload: bytes | memoryview, width: int, height: int, *, key: bool) -> Pixels:
        """Return the picture of one access unit as a height×width×3 uint8 array.

        Raises `DecodeError`, and is `broken` from then on, if the unit is damaged, gives no picture or more than one,
        has another size than announced, or is not tagged BT.709 or BT.601 with its range.
        """
        if key:
            self._context = _open_context(width, height)
        context = self._context
        if context is None:
            raise DecodeError("h264: a delta frame without a key frame before it")
        self._context = None
        try:
            frames = context.decode(av.Packet(bytes(payload)))
        except (av.error.FFmpegError, ValueError, MemoryError) as error:
            raise DecodeError(f"h264: {error}") from None
        if len(frames) != 1:
            raise DecodeError(f"h264: an access unit gave {len(frames)} pictures instead of one")
        frame = frames[0]
        if key and not frame.key_frame:
            raise DecodeError("h264: an op marked KEY holds no key frame")
        if frame.is_corrupt:
            raise DecodeError("h264: the picture is damaged")
        if (frame.width, frame.height) != (width, height):
            raise DecodeError(f"h264: the picture is {frame.width}×{frame.height}, announced {width}×{height}")
        pixels = frame_to_rgb(frame)
        self._context = context
        return pixels


def _open_context(width: int, height: int) -> VideoCodecContext:
    context = VideoCodecContext.create("h264", "r")
    # libavcodec compares its limit with sizes aligned for its own buffers, so there must be room to spare.
    limit = (width + 128) * (height + 128)
    context.options = {"max_pixels": str(limit), "err_detect": "explode", "flags": "low_delay"}
    context.thread_count = 1
    return context


def frame_to_rgb(frame: VideoFrame) -> Pixels:
    """Return a decoded picture as RGB, by its tags. Chroma of 4:2:0 is repeated.

    Raises `DecodeError` for a colour space the protocol does not allow, or none.
    """
    colour = Colour.tagged(frame.colorspace, frame.color_range)
    if colour is None:
        raise DecodeError("h264: the stream is not tagged BT.709 or BT.601, limited or full range")
    if frame.format.name not in _FORMATS:
        raise DecodeError(f"h264: pixel format {frame.format.name} is neither 4:2:0 nor 4:4:4 with 8 bits")
    luma, cb, cr = (_plane(frame, index) for index in range(3))
    if frame.format.name in _HALVED:
        cb, cr = (plane.repeat(2, 0).repeat(2, 1)[: frame.height, : frame.width] for plane in (cb, cr))
    return colour.to_rgb(np.stack((luma, cb, cr), axis=2))


def _plane(frame: VideoFrame, index: int) -> Pixels:
    plane = frame.planes[index]
    pixels: Pixels = np.frombuffer(bytes(plane), np.uint8).reshape(plane.height, plane.line_size)[:, : plane.width]
    return pixels
