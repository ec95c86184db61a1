"""The lossy encoders of the reference pipeline: JPEG through PyTurboJPEG, H.264 through PyAV (libx264).

Synchronous and stateless but for `VideoEncoder`, which belongs to one thread. Colour is converted here, in numpy, so
that what is tagged BT.709 is what was fed.
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

from ..errors import EngineError

Pixels = npt.NDArray[np.uint8]

_SUBSAMPLING: Final = {"420": turbojpeg.TJSAMP_420, "444": turbojpeg.TJSAMP_444}
_BT709: Final = 1  # colour primaries, transfer and matrix of ITU-T H.273
_LIMITED: Final = 1  # AVCOL_RANGE_MPEG

# RGB 0…255 to BT.709 Y 16…235 and C 16…240: Kr = 0.2126, Kb = 0.0722.
_KR, _KG, _KB = 0.2126, 0.7152, 0.0722
_TO_YCC: Final = np.array(
    [
        [219 / 255 * _KR, 219 / 255 * _KG, 219 / 255 * _KB],
        [224 / 255 * -_KR / (2 - 2 * _KB), 224 / 255 * -_KG / (2 - 2 * _KB), 224 / 255 / 2],
        [224 / 255 / 2, 224 / 255 * -_KG / (2 - 2 * _KR), 224 / 255 * -_KB / (2 - 2 * _KR)],
    ],
    dtype=np.float32,
)


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

    def __init__(self, width: int, height: int, crf: int, chroma: str) -> None:
        self._chroma = chroma
        self._context = context = VideoCodecContext.create("libx264", "w")
        context.width, context.height = width, height
        context.pix_fmt = f"yuv{chroma}p"
        context.time_base = Fraction(1, 1000)
        context.thread_count = 1
        context.color_range = _LIMITED
        context.colorspace = context.color_primaries = context.color_trc = _BT709
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
        frame = self._to_frame(rgb_to_ycc(pixels))
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
        frame.colorspace, frame.color_range = _BT709, _LIMITED
        chroma = planes[:, :, 1:]
        if self._chroma == "420":
            blocks = chroma.astype(np.uint16).reshape(height // 2, 2, width // 2, 2, 2)
            chroma = ((blocks.sum(axis=(1, 3)) + 2) // 4).astype(np.uint8)
        for plane, values in zip(frame.planes, (planes[:, :, 0], chroma[:, :, 0], chroma[:, :, 1]), strict=True):
            rows = np.zeros((plane.height, plane.line_size), dtype=np.uint8)
            rows[:, : plane.width] = values
            plane.update(rows.tobytes())
        return frame


def rgb_to_ycc(pixels: Pixels) -> Pixels:
    """Return H×W×3 RGB as BT.709 limited-range Y, Cb, Cr."""
    planes = pixels.astype(np.float32) @ _TO_YCC.T + np.array((16, 128, 128), dtype=np.float32)
    converted: Pixels = np.rint(planes).astype(np.uint8)
    return converted
