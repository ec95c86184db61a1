"""What is asked of the worker for one viewer, and how good: as good as everybody's, coarser, or with fewer pixels.

Latency comes first: what he lacks is asked for so coarsely that his link carries it in `AIM_S`. Costs are learned from
what came. Pure state; nothing blocks.
"""

from __future__ import annotations

from typing import NamedTuple

from ..tiles import Grid, first

AIM_S = 0.3
REFINE_S = 0.2
LEAST_REFINE = 16384
"""Bytes of a picture's better part, at least: less is not worth a message."""
LEAST_REFINED = 8
"""Tiles of it, at least."""
GROWTH = 8
LEAST_TILES = 4
"""From so many tiles on an answer tells what they cost."""


class Tier(NamedTuple):
    """How a repair is encoded; ``quality`` 0 is the best that anybody has. ``cost``: bytes of a tile, about."""

    shrink: int
    quality: int
    cost: float


EXACT, COARSE, HALF, QUARTER, LEAST = range(5)
TIERS = (Tier(1, 0, 1500), Tier(1, 70, 800), Tier(2, 70, 250), Tier(4, 60, 60), Tier(4, 25, 25))


class Ask(NamedTuple):
    """One question to the worker, for all (``whole``) or some of the picture."""

    token: int
    whole: bool
    grid: Grid
    tiles: int
    tier: int
    since: int
    """The newest frame that had come when it was asked: the answer is at least as new."""
    at: float

    @property
    def shrink(self) -> int:
        """How many times fewer pixels each way."""
        return TIERS[self.tier].shrink

    @property
    def quality(self) -> int:
        """Of JPEG; 0: the best anybody has."""
        return TIERS[self.tier].quality


class Costs:
    """What tiles cost this viewer, by tier."""

    def __init__(self) -> None:
        self._cost = [tier.cost for tier in TIERS]

    def learn(self, tier: int, tiles: int, size: int) -> None:
        """Note that ``tiles`` tiles took ``size`` bytes."""
        if tiles >= LEAST_TILES:
            self._cost[tier] = (self._cost[tier] + size / tiles) / 2

    def choose(self, tiles: int, bytes_per_s: float, moving: bool) -> int:
        """Return the best tier that so many tiles may have; ``moving``: they change again at once."""
        count = tiles.bit_count()
        for tier in range(COARSE if moving else EXACT, LEAST):
            if count * self._cost[tier] <= bytes_per_s * AIM_S:
                return tier
        return LEAST

    def refine(self, tiles: int, bytes_per_s: float, in_time: int) -> int:
        """Return which of ``tiles`` to ask for as good as everybody's.

        ``in_time``: bytes that were last acknowledged in time; a link that has recovered carries more.
        """
        if bytes_per_s == float("inf"):
            return tiles
        size = max(LEAST_REFINE, bytes_per_s * REFINE_S, GROWTH * in_time)
        return first(tiles, max(LEAST_REFINED, int(size / self._cost[EXACT])))
