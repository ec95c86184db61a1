"""JPEG payloads: one baseline picture in, RGB out, through PyTurboJPEG.

Each thread should own its `JpegDecoder`: it wraps one libjpeg-turbo handle. Decoding is synchronous and bounded by
the announced size, which is compared with the picture's own header before any pixel is decoded.
"""

from __future__ import annotations

import warnings

import numpy as np
import numpy.typing as npt
import turbojpeg  # type: ignore[import-untyped]

from ..errors import DecodeError

Pixels = npt.NDArray[np.uint8]

_SOF_BASELINE = 0xC0
_SOF_OTHERS = frozenset(range(0xC1, 0xD0)) - {0xC4, 0xC8, 0xCC}  # DHT, JPG and DAC are not frame headers
_SOS = 0xDA
_SUBSAMPLINGS = (turbojpeg.TJSAMP_420, turbojpeg.TJSAMP_444)


class JpegDecoder:
    """Decodes baseline YCbCr 4:2:0 and 4:4:4 pictures."""

    def __init__(self) -> None:
        self._turbo = turbojpeg.TurboJPEG()

    def decode(self, payload: bytes | memoryview, width: int, height: int) -> Pixels:
        """Return the picture as a height×width×3 uint8 array.

        Raises `DecodeError` if it is damaged, cut short, of another size, or of a form the protocol does not allow.
        """
        data = bytes(payload)
        _require_baseline(data)
        try:
            with warnings.catch_warnings():
                # libjpeg-turbo only warns of damaged data and fills the rest with grey: here that is a failure.
                warnings.simplefilter("error")
                found_width, found_height, subsampling, colourspace = self._turbo.decode_header(data)
                if (found_width, found_height) != (width, height):
                    raise DecodeError(f"jpeg: the picture is {found_width}×{found_height}, announced {width}×{height}")
                if colourspace != turbojpeg.TJCS_YCbCr or subsampling not in _SUBSAMPLINGS:
                    raise DecodeError("jpeg: the picture is not YCbCr 4:2:0 or 4:4:4")
                pixels: Pixels = self._turbo.decode(data, pixel_format=turbojpeg.TJPF_RGB)
        except (OSError, Warning, ValueError) as error:
            raise DecodeError(f"jpeg: {error}") from None
        return pixels


def _require_baseline(data: bytes) -> None:
    """Walk the segments up to the scan; raise `DecodeError` unless there is one baseline frame header."""
    position, found = 2, False
    if data[:2] != b"\xff\xd8":
        raise DecodeError("jpeg: no start of image")
    while position + 4 <= len(data) and data[position] == 0xFF:
        marker = data[position + 1]
        if marker == _SOS:
            if found:
                return
            break
        if marker in _SOF_OTHERS or (marker == _SOF_BASELINE and found):
            raise DecodeError("jpeg: only one baseline picture is allowed")
        found = found or marker == _SOF_BASELINE
        position += 2 + int.from_bytes(data[position + 2 : position + 4], "big")
    raise DecodeError("jpeg: no baseline frame before the scan")
