"""The lossy encoders of the reference pipeline: JPEG through PyTurboJPEG, H.264 through PyAV (libx264).

Synchronous and stateless but for `VideoEncoder`, which belongs to one thread. Colour is converted here, in numpy, so
that what a stream is tagged with is what was fed.
"""

from __future__ import annotations

from fractions import Fraction
from functools import cache
from typing import Final

import numpy as np
import numpy.typing as npt
import turbojpeg  # type: ignore[import-untyped]
from av.video.codeccontext import VideoCodecContext
from av.video.frame import PictureType, VideoFrame

from ..colour import PRIMARIES, Colour
from ..errors import EngineError

Pixels = npt.NDArray[np.uint8]

DEFAULT_COLOUR: Final = Colour()
_SUBSAMPLING: Final = {"420": turbojpeg.TJSAMP_420, "444": turbojpeg.TJSAMP_444}


@cache
def _turbojpeg() -> turbojpeg.TurboJPEG:
    return turbojpeg.TurboJPEG()


def encode_jpeg(pixels: Pixels, quality: int, chroma: str) -> bytes:
    """Return H×W×3 RGB as a baseline JPEG; ``chroma`` is ``"420"`` or ``"444"``."""
    picture = np.ascontiguousarray(pixels)
    data = _turbojpeg().encode(picture, quality, turbojpeg.TJPF_RGB, _SUBSAMPLING[chroma])
    return bytes(data)


class VideoEncoder:
    """One H.264 stream of pictures of one even size: infinite GOP, key frames only on demand, no delay."""

    def __init__(self, width: int, height: int, crf: int, chroma: str, colour: Colour = DEFAULT_COLOUR) -> None:
        self._chroma = chroma
        self._colour = colour
        self._context = context = VideoCodecContext.create("libx264", "w")
        context.width, context.height = width, height
        context.pix_fmt = f"yuv{chroma}p"
        context.time_base = Fraction(1, 1000)
        context.thread_count = 1
        context.color_range, context.colorspace = colour.range_code, colour.matrix_code
        context.color_primaries = context.color_trc = PRIMARIES
        context.options = {
            "preset": "ultrafast",
            "tune": "zerolatency",
            "crf": str(crf),
            "forced-idr": "1",
            "x264-params": "keyint=infinite:scenecut=0:sliced-threads=0:qpmax=51",
        }
        self._pts = 0

    def encode(self, pixels: Pixels, *, key: bool) -> bytes:
        """Return one access unit, Annex B; a key frame carries SPS and PPS. Raises `EngineError` if x264 keeps it."""
        frame = self._to_frame(self._colour.to_ycc(pixels))
        frame.pict_type = PictureType.I if key else PictureType.NONE
        frame.pts = self._pts
        self._pts += 1
        packets = self._context.encode(frame)
        if len(packets) != 1:
            raise EngineError(f"libx264 gave {len(packets)} pictures for one: it must run without delay")
        return bytes(packets[0])

    def _to_frame(self, planes: Pixels) -> VideoFrame:
        height, width = planes.shape[:2]
        frame = VideoFrame(width, height, f"yuv{self._chroma}p")
        frame.colorspace, frame.color_range = self._colour.matrix_code, self._colour.range_code
        chroma = planes[:, :, 1:]
        if self._chroma == "420":
            blocks = chroma.astype(np.uint16).reshape(height // 2, 2, width // 2, 2, 2)
            chroma = ((blocks.sum(axis=(1, 3)) + 2) // 4).astype(np.uint8)
        for plane, values in zip(frame.planes, (planes[:, :, 0], chroma[:, :, 0], chroma[:, :, 1]), strict=True):
            rows = np.zeros((plane.height, plane.line_size), dtype=np.uint8)
            rows[:, : plane.width] = values
            plane.update(rows.tobytes())
        return frame
