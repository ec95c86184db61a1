"""Pictures and their messages: what an engine would send for them, and what a canvas must then show."""

from __future__ import annotations

import base64
import time
from fractions import Fraction
from typing import Any

import av
import numpy as np
import numpy.typing as npt
from playwright.sync_api import Page
from turbojpeg import TJPF_RGB, TJSAMP_420, TJSAMP_444, TurboJPEG

from stripeengine import wire

Pixels = npt.NDArray[np.uint8]
EPOCH = 77
_jpeg = TurboJPEG()

READ = """async ([x, y, w, h]) => {
  const pixels = await document.getElementById('screen').stripedesk.readPixels(x, y, w, h);
  let text = '';
  for (let i = 0; i < pixels.length; i += 32768) text += String.fromCharCode(...pixels.subarray(i, i + 32768));
  return btoa(text);
}"""


def now_us() -> int:
    """The host's monotonic clock."""
    return time.monotonic_ns() // 1000


def make_picture(width: int, height: int, seed: int = 0) -> Pixels:
    """A smooth picture with some edges: H×W×3."""
    y, x = np.mgrid[0:height, 0:width]
    red = 127 + 120 * np.sin((x + 7 * seed) / 37)
    green = 127 + 120 * np.sin((y + 11 * seed) / 29)
    blue = np.where((x // 32 + y // 32 + seed) % 2, 200, 60)
    return np.stack([red, green, blue], axis=-1).astype(np.uint8)


def encode_jpeg(picture: Pixels) -> bytes:
    """A JPEG of high quality in full colour resolution."""
    return bytes(_jpeg.encode(picture, quality=95, pixel_format=TJPF_RGB, jpeg_subsample=TJSAMP_444))


def jpeg_frame(frame_id: int, pictures: list[tuple[int, int, Pixels]], size: tuple[int, int], **header: Any) -> bytes:
    """A message with a JPEG for each (x, y, picture); ``size`` is (width, height) of the whole."""
    area = wire.PayloadArea()
    ops = []
    for x, y, picture in pictures:
        height, width = picture.shape[:2]
        ops.append(area.op(wire.JPEG, (x, y, width, height), encode_jpeg(picture)))
    return pack(frame_id, ops, area.getvalue(), size, **header)


def pack(frame_id: int, ops: Any = (), payloads: bytes = b"", size: tuple[int, int] = (64, 64), **header: Any) -> bytes:
    """A message of this epoch, captured now."""
    header = {"epoch": EPOCH, "capture_us": now_us()} | header
    return wire.pack_message(frame_id=frame_id, width=size[0], height=size[1], ops=ops, payloads=payloads, **header)


def decoded_jpeg(picture: Pixels, subsampling: int = TJSAMP_420) -> Pixels:
    """The picture after a JPEG of it."""
    data = _jpeg.encode(picture, quality=95, pixel_format=TJPF_RGB, jpeg_subsample=subsampling)
    return np.asarray(_jpeg.decode(data, pixel_format=TJPF_RGB))


class VideoStripe:
    """An x264 encoder of one stripe, as the engine has them. ``profile`` names the pixel format."""

    def __init__(self, width: int, height: int, pixel_format: str = "yuv420p") -> None:
        self.codec = av.CodecContext.create("libx264", "w")
        self.codec.width, self.codec.height = width, height
        self.codec.pix_fmt = pixel_format
        self.codec.time_base = Fraction(1, 60)
        self.codec.options = {
            "preset": "ultrafast",
            "tune": "zerolatency",
            "crf": "12",
            "x264-params": "keyint=infinite:colorprim=bt709:transfer=bt709:colormatrix=bt709:fullrange=off:annexb=1",
        }
        self.pixel_format = pixel_format
        self.count = 0

    def encode(self, picture: Pixels) -> bytes:
        """One access unit; the first is a key frame."""
        frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
        frame = frame.reformat(format=self.pixel_format, dst_colorspace="ITU709", dst_color_range="MPEG")
        frame.pts = self.count
        self.count += 1
        return b"".join(bytes(packet) for packet in self.codec.encode(frame))


def shown(page: Page, x: int, y: int, width: int, height: int) -> Pixels:
    """What the canvas shows: H×W×3."""
    data = base64.b64decode(page.evaluate(READ, [x, y, width, height]))
    return np.frombuffer(data, np.uint8).reshape(height, width, 4)[:, :, :3]


def difference(a: Pixels, b: Pixels) -> Any:
    """Absolute difference in levels."""
    return np.abs(a.astype(int) - b.astype(int))
