"""Masks of tiles: bounds of what is asked for, held against a look at every tile."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from sessions.tiles import Grid, Rectangle, bits, bounds


def bounds_tile_by_tile(grid: Grid, mask: int, across: int, down: int) -> dict[int, Rectangle]:
    places: dict[int, list[tuple[int, int]]] = {}
    for tile in bits(mask):
        row, column = divmod(tile, grid.columns)
        places.setdefault(row // down * grid.columns + column // across, []).append((column, row))
    found = {}
    for cell, inside in places.items():
        x, y = (min(place[axis] for place in inside) for axis in (0, 1))
        right, bottom = (max(place[axis] for place in inside) + 1 for axis in (0, 1))
        found[cell] = (x, y, right - x, bottom - y)
    return found


@given(st.data(), st.integers(1, 2000), st.integers(1, 1200), st.sampled_from([(8, 4), (8, 8), (32, 16), (3, 1)]))
def test_bounds_are_those_of_every_tile(data: st.DataObject, width: int, height: int, cell: tuple[int, int]) -> None:
    grid = Grid(width, height)
    mask = data.draw(st.one_of(st.integers(0, grid.all), st.just(grid.all)))
    found = bounds(grid, mask, *cell)
    assert len(dict(found)) == len(found)
    assert dict(found) == bounds_tile_by_tile(grid, mask, *cell)
