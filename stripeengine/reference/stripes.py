"""Stripes: how a picture is cut into rows, and what is remembered of each. Pure functions and plain data."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from ..colour import Colour
from ..settings import EngineSettings
from ..wire import MAX_STREAMS
from .encoders import VideoEncoder

Pixels = npt.NDArray[np.uint8]
Rectangle = tuple[int, int, int, int]

MACROBLOCK: Final = 16
_JPEG_HEIGHT: Final = 64
_VIDEO_STRIPES: Final = 8  # each is a decoder in the browser


@dataclass(slots=True)
class Stripe:
    """Full-width rows ``y … y + height`` of the picture and how they were last sent."""

    index: int
    y: int
    height: int
    digest: int
    """XXH3 of the source's rows as last sent."""
    changed_at: float = 0.0
    """When it last changed, seconds on the clock of `step`."""
    unrefined: Rectangle | None = None
    """What was sent since it was last painted over."""
    encoder: VideoEncoder | None = None
    """The stripe's H.264 stream; None: the next picture must be a key frame."""
    encoder_settings: tuple[int, str, Colour] | None = None
    """Rate factor, chroma and colour ``encoder`` was opened with."""
    key_due: bool = False
    painted: str = "same"
    """Mode h264: in which colours all of it was painted over since it last changed: a `paint_over_colour`."""


def stripe_height(settings: EngineSettings, picture_height: int) -> int:
    """Return the height of the stripes, a multiple of 16; the last one may be less."""
    if settings.mode != "h264":
        return settings.stripe_height or _JPEG_HEIGHT
    if settings.stripe_height == 0:
        return _aligned_share(picture_height, _VIDEO_STRIPES)
    # A stripe is an H.264 stream and the wire has 16 of them: a smaller height than that allows gives way.
    return max(settings.stripe_height, _aligned_share(picture_height, MAX_STREAMS))


def _aligned_share(height: int, parts: int) -> int:
    """Return the smallest multiple of 16 of which at most ``parts`` cover ``height``."""
    share = -(-height // parts)
    return -(-share // MACROBLOCK) * MACROBLOCK


def changed_rectangle(before: Pixels, after: Pixels) -> Rectangle | None:
    """Return the smallest ``(x, y, w, h)`` that holds every difference of two equally large pictures, or None."""
    different = (before != after).any(axis=2)
    rows = np.flatnonzero(different.any(axis=1))
    if rows.size == 0:
        return None
    columns = np.flatnonzero(different.any(axis=0))
    x, y = int(columns[0]), int(rows[0])
    return (x, y, int(columns[-1]) + 1 - x, int(rows[-1]) + 1 - y)


def union(a: Rectangle | None, b: Rectangle) -> Rectangle:
    """Return the smallest rectangle that holds both."""
    if a is None:
        return b
    x, y = min(a[0], b[0]), min(a[1], b[1])
    return (x, y, max(a[0] + a[2], b[0] + b[2]) - x, max(a[1] + a[3], b[1] + b[3]) - y)


def rows_of(rectangle: Rectangle, y: int, height: int) -> Rectangle | None:
    """Return the part of ``rectangle`` within rows ``y … y + height``, or None."""
    top, bottom = max(rectangle[1], y), min(rectangle[1] + rectangle[3], y + height)
    return (rectangle[0], top, rectangle[2], bottom - top) if top < bottom else None
