"""Times that `painter` draws into the four corners of the screen, read from what a viewer sees. Pure functions."""

from __future__ import annotations

from typing import Any

from benchmarks.clocks import monotonic_us

STAMP_BLOCK, STAMP_BITS = 16, 32


def read_stamps(picture: Any) -> int:
    """Return the oldest of the times that `painter` has drawn into the four corners; ValueError if there are none.

    A stamp is `STAMP_BITS` squares from the left, the lowest bit first, black or white, then their complement below.
    """
    height, width = picture.shape[:2]
    wide = STAMP_BITS * STAMP_BLOCK
    stamps = []
    for x, y in stamp_places(width, height):
        strip = picture[y : y + 2 * STAMP_BLOCK, x : x + wide, 1]
        middle = STAMP_BLOCK // 2
        bits = strip[middle, middle::STAMP_BLOCK] > 127
        below = strip[STAMP_BLOCK + middle, middle::STAMP_BLOCK] > 127
        if (bits == below).any():
            raise ValueError("no stamp")
        stamps.append(sum(1 << number for number, bit in enumerate(bits) if bit))
    now_ms = monotonic_us() // 1000
    ages = [(now_ms - stamp) % (1 << STAMP_BITS) for stamp in stamps]
    return int((now_ms - max(ages)) * 1000)


def stamp_places(width: int, height: int) -> list[tuple[int, int]]:
    """Return the top left corners of the four stamps; aligned as macroblocks are."""
    right = (width - STAMP_BITS * STAMP_BLOCK) // 16 * 16
    bottom = (height - 2 * STAMP_BLOCK) // 16 * 16
    return [(0, 0), (right, 0), (0, bottom), (right, bottom)]
