"""The 64×64 tiles of a picture, as bit masks: what of it a viewer lacks, what a frame changes, what a repair brings.

A mask is a whole number, bit ``row × columns + column`` for each tile, so that thousands of tiles are combined in one
operation. What is asked about a rectangle is remembered, for ops come in the same few rectangles. Pure functions and
plain state; nothing blocks.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache
from typing import NamedTuple

from stripeengine import wire

from .worker.messages import TILE

Rectangle = tuple[int, int, int, int]


class Grid(NamedTuple):
    """The tiles of a picture of ``width`` × ``height`` pixels."""

    width: int
    height: int

    @property
    def columns(self) -> int:
        """Tiles in a row."""
        return -(-self.width // TILE)

    @property
    def rows(self) -> int:
        """Rows of tiles."""
        return -(-self.height // TILE)

    @property
    def all(self) -> int:
        """Every tile."""
        return (1 << self.columns * self.rows) - 1


@lru_cache(4096)
def touched(grid: Grid, rectangle: Rectangle) -> int:
    """Return the tiles of which ``rectangle`` holds at least a pixel."""
    x, y, w, h = rectangle
    if w < 1 or h < 1:
        return 0
    return _block(grid, x // TILE, y // TILE, (x + w - 1) // TILE + 1, (y + h - 1) // TILE + 1)


@lru_cache(4096)
def covered(grid: Grid, rectangle: Rectangle) -> int:
    """Return the tiles of which ``rectangle`` holds every pixel; those at the edge are cut to the picture."""
    x, y, w, h = rectangle
    right = grid.columns if x + w >= grid.width else (x + w) // TILE
    bottom = grid.rows if y + h >= grid.height else (y + h) // TILE
    return _block(grid, -(-x // TILE), -(-y // TILE), right, bottom)


def _block(grid: Grid, left: int, top: int, right: int, bottom: int) -> int:
    """Return the tiles of columns ``left``…``right`` and rows ``top``…``bottom``, ends excluded."""
    right, bottom = min(right, grid.columns), min(bottom, grid.rows)
    if left >= right or top >= bottom:
        return 0
    row = ((1 << right - left) - 1) << left
    mask = 0
    for at in range(top, bottom):
        mask |= row << at * grid.columns
    return mask


@lru_cache(256)
def _columns(grid: Grid, left: int, right: int) -> int:
    return _block(grid, max(0, left), 0, right, grid.rows)


def moved(grid: Grid, mask: int, op: wire.Op) -> int:
    """Return where the tiles of ``mask`` are touched by what the copy ``op`` reads of them."""
    mask &= touched(grid, (op.sx, op.sy, op.w, op.h))
    if not mask:
        return 0
    result = 0
    # A tile of the destination reads of at most two by two tiles of the source.
    for across in {(op.sx - op.x) // TILE, -((op.x - op.sx) // TILE)}:
        source = mask & _columns(grid, across, grid.columns + across)
        for down in {(op.sy - op.y) // TILE, -((op.y - op.sy) // TILE)}:
            steps = down * grid.columns + across
            result |= source >> steps if steps >= 0 else source << -steps
    return result & touched(grid, op.rectangle)


def whole(grid: Grid, rectangles: Iterable[Rectangle]) -> int:
    """Return the tiles that rectangles, which do not overlap, cover together."""
    area: dict[int, int] = {}
    mask = 0
    for rectangle in rectangles:
        inside = covered(grid, rectangle)
        mask |= inside
        for tile in bits(touched(grid, rectangle) & ~inside):
            area[tile] = area.get(tile, 0) + _overlap(grid, tile, rectangle)
    for tile, pixels in area.items():
        if pixels == _overlap(grid, tile, (0, 0, grid.width, grid.height)):
            mask |= 1 << tile
    return mask


@lru_cache(1024)
def bounds(grid: Grid, mask: int, across: int, down: int) -> tuple[tuple[int, Rectangle], ...]:
    """Return, for each cell of ``across`` by ``down`` tiles, the rectangle that holds its tiles of ``mask``.

    As (number of the cell, rectangle in tiles); a cell without tiles is left out. Row by row, not tile by tile: every
    request for a repair comes here.
    """
    columns, rows = grid.columns, grid.rows
    line, found = (1 << columns) - 1, []
    for top in range(0, rows, down):
        lines = [mask >> row * columns & line for row in range(top, min(rows, top + down))]
        for left in range(0, columns, across):
            cell = ((1 << across) - 1) << left
            inside = [(row, part) for row, tiles in enumerate(lines, top) if (part := tiles & cell)]
            if inside:
                every = 0
                for _, part in inside:
                    every |= part
                x, y = (every & -every).bit_length() - 1, inside[0][0]
                rectangle = (x, y, every.bit_length() - x, inside[-1][0] + 1 - y)
                found.append((top // down * columns + left // across, rectangle))
    return tuple(found)


def bits(mask: int) -> Iterable[int]:
    """Return the numbers of the tiles of ``mask``, from the top left on."""
    while mask:
        lowest = mask & -mask
        yield lowest.bit_length() - 1
        mask ^= lowest


def first(mask: int, count: int) -> int:
    """Return the first ``count`` tiles of ``mask``."""
    if mask.bit_count() <= count:
        return mask
    taken = 0
    for tile, _ in zip(bits(mask), range(count), strict=False):
        taken |= 1 << tile
    return taken


def _overlap(grid: Grid, tile: int, rectangle: Rectangle) -> int:
    x, y, w, h = rectangle
    left, top = tile % grid.columns * TILE, tile // grid.columns * TILE
    across = min(x + w, left + TILE, grid.width) - max(x, left)
    down = min(y + h, top + TILE, grid.height) - max(y, top)
    return max(0, across) * max(0, down)
