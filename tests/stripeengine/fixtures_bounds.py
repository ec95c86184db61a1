"""How far a decoded rectangle may be from its source: derived for JPEG, measured on the oracle's encoder for H.264.

JPEG. The DCT is orthonormal, so by Parseval the mean square error of an 8×8 block of Y, Cb or Cr is the mean square
error of its coefficients, and rounding a coefficient to its quantiser step Q leaves at most Q/2. Partial blocks at the
right and bottom edges may hold all of the error in their visible part, hence the factor √(coded area / visible area).
Converting to RGB is linear, clamping moves a value only nearer to a source that lies in range, and 4:2:0 adds what
averaging and libjpeg's triangle filter do to the source's own chroma, which is computed here. One level each way is
left for rounding between the steps.

H.264. A rate factor promises no quantiser: x264 chooses it by the complexity of this picture and of those before it.
So the bound is relative: the error of the same pixels encoded alone by the reference pipeline, times 5 for another
history of the rate control (4.1 is the most seen), and at most 90 levels, which is more than the coarsest quantiser
costs noise (74, as grey). It is tight enough for what it is to catch: noise in the wrong place is 104 levels off, and
smooth pictures in the wrong place or with the wrong colours pass it many times.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from stripeengine import wire
from stripeengine.colour import Colour
from stripeengine.decoding.h264 import VideoStream
from stripeengine.reference.encoders import VideoEncoder
from stripeengine.settings import EngineSettings

Pixels = npt.NDArray[np.uint8]
Plane = npt.NDArray[np.float64]

# ITU-T T.81, Annex K.
_LUMA = (
    "16 11 10 16 24 40 51 61 12 12 14 19 26 58 60 55 14 13 16 24 40 57 69 56 14 17 22 29 51 87 80 62 "
    "18 22 37 56 68 109 103 77 24 35 55 64 81 104 113 92 49 64 78 87 103 121 120 101 72 92 95 98 112 100 103 99"
)
_CHROMA = (
    "17 18 24 47 99 99 99 99 18 21 26 66 99 99 99 99 24 26 56 99 99 99 99 99 47 66 99 99 99 99 99 99 "
    "99 99 99 99 99 99 99 99 99 99 99 99 99 99 99 99 99 99 99 99 99 99 99 99 99 99 99 99 99 99 99 99"
)


def rms(a: npt.ArrayLike, b: npt.ArrayLike) -> float:
    """Return the root mean square difference."""
    difference = np.asarray(a, dtype=np.float64) - np.asarray(b, dtype=np.float64)
    return float(np.sqrt(np.mean(difference**2))) if difference.size else 0.0


def jpeg_bound(source: Pixels, quality: int, chroma: str) -> float:
    """Return the largest RMS error in RGB that a JPEG of ``source`` (H×W×3) of that quality can have."""
    height, width = source.shape[:2]
    luma = _quantisation_error(_LUMA, quality) * _edge_factor(width, height) + 1
    if chroma == "444":
        colour = _quantisation_error(_CHROMA, quality) * _edge_factor(width, height) + 1
        lost = 0.0
    else:
        small = (-(-width // 2), -(-height // 2))
        colour = _quantisation_error(_CHROMA, quality) * _edge_factor(*small) + 1
        # Repeating or interpolating an odd edge can at most double the weight of its last sample.
        colour *= 2**0.5 if width % 2 or height % 2 else 1
        lost = _subsampling_loss(source)
    channels = (luma + 1.402 * colour, luma + (0.344 + 0.714) * colour, luma + 1.772 * colour)
    return float(np.sqrt(np.mean(np.square(channels)))) + lost + 1


def _quantisation_error(table: str, quality: int) -> float:
    scale = 5000 // quality if quality < 50 else 200 - 2 * quality
    steps = [min(max((int(entry) * scale + 50) // 100, 1), 255) for entry in table.split()]
    return float(np.sqrt(np.mean(np.square(steps)))) / 2


def _edge_factor(width: int, height: int) -> float:
    return float(np.sqrt(-(-width // 8) * 8 * (-(-height // 8) * 8) / (width * height)))


def _subsampling_loss(source: Pixels) -> float:
    red, green, blue = (source[:, :, channel].astype(np.float64) for channel in range(3))
    cb = -0.168736 * red - 0.331264 * green + 0.5 * blue
    cr = 0.5 * red - 0.418688 * green - 0.081312 * blue
    cb_lost, cr_lost = (_triangle(_halve(plane), plane.shape) - plane for plane in (cb, cr))
    lost = np.stack((1.402 * cr_lost, -0.344 * cb_lost - 0.714 * cr_lost, 1.772 * cb_lost))
    return float(np.sqrt(np.mean(lost**2)))


def _halve(plane: Plane) -> Plane:
    even = np.pad(plane, ((0, plane.shape[0] % 2), (0, plane.shape[1] % 2)), mode="edge")
    half: Plane = even.reshape(even.shape[0] // 2, 2, even.shape[1] // 2, 2).mean(axis=(1, 3))
    return half


def _triangle(plane: Plane, shape: tuple[int, ...]) -> Plane:
    """Double a plane both ways, each sample three parts its own and one part its neighbour's."""
    for axis in (0, 1):
        size = plane.shape[axis]
        before = plane.take(np.maximum(np.arange(size) - 1, 0), axis)
        after = plane.take(np.minimum(np.arange(size) + 1, size - 1), axis)
        pair = np.stack(((3 * plane + before) / 4, (3 * plane + after) / 4), axis + 1)
        plane = pair.reshape([length * (2 if place == axis else 1) for place, length in enumerate(plane.shape)])
    cut: Plane = plane[: shape[0], : shape[1]]
    return cut


def h264_bound(source: Pixels, crf: int, chroma: str, colour: Colour) -> float:
    """Return the largest RMS error in RGB allowed for ``source`` at that rate factor."""
    height, width = source.shape[:2]
    padded = np.pad(source, ((0, -height % 16), (0, -width % 16), (0, 0)), mode="edge")
    size = (padded.shape[1], padded.shape[0])
    payload = VideoEncoder(*size, crf, chroma, colour).encode(padded, key=True)
    decoded = VideoStream().decode(payload, *size, key=True)[:height, :width]
    return min(5 * rms(decoded, source) + 6, 90.0)


def op_bound(op: wire.Op, source: Pixels, values: EngineSettings) -> float:
    """Return the bound for one op of an engine with these settings; ``source`` is the op's rectangle of the picture."""
    final = bool(op.flags & wire.FINAL) and values.paint_over
    if op.kind in (wire.FILL, wire.LOSSLESS):
        return 0.0
    if op.kind == wire.JPEG:
        moving = values.jpeg_quality - values.motion_coarser * 15 // 4
        moving = min(max(moving, 10), values.jpeg_quality)
        quality = max(values.jpeg_quality, values.paint_over_jpeg_quality) if final else moving
        return jpeg_bound(source, quality, values.rest_chroma if final else values.chroma)
    crf = min(values.h264_crf, values.paint_over_crf) if final else values.h264_crf + values.motion_coarser
    if not op.flags & wire.KEY:
        crf += 8  # by so much a delta may be coarser than the rate factor, where a lot changes
    return h264_bound(source, min(crf, 50), values.chroma, Colour.of(values))
