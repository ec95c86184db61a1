"""What is asked of the worker for one viewer, and how good: as good as everybody's, coarser, or with fewer pixels.

Latency comes first: what he lacks is asked for so coarsely that his link carries it in `AIM_S`. Costs are learned from
what came. Pure state; nothing blocks.
"""

from __future__ import annotations

from typing import NamedTuple

from ..tiles import Grid, first
from .rate import PLENTY, Rate

AIM_S = 0.3
REFINE_S = 0.2
TRIED_S = 1.0
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
    small: bool = False
    """Of a whole picture: with fewer pixels, if it is large."""

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
        self._guessed = set(range(len(TIERS)))

    def learn(self, tier: int, tiles: int, size: int) -> None:
        """Note that ``tiles`` tiles took ``size`` bytes; the first that were counted replace the guess."""
        if tiles >= LEAST_TILES:
            before = size / tiles if tier in self._guessed else self._cost[tier]
            self._guessed.discard(tier)
            self._cost[tier] = (before + size / tiles) / 2

    def choose(self, tiles: int, bytes_per_s: float, moving: bool) -> int:
        """Return the best tier that so many tiles may have; ``moving``: they change again at once."""
        count = tiles.bit_count()
        for tier in range(COARSE if moving else EXACT, LEAST):
            if count * self._cost[tier] <= bytes_per_s * AIM_S:
                return tier
        return LEAST

    def refine(self, tiles: int, bytes_per_s: float, rate: Rate) -> int:
        """Return which of ``tiles`` to ask for as good as everybody's.

        A link that has recovered carries more than its rate: from what was last acknowledged in time on it is tried
        out; in smaller steps from what was late but soon, for then it may be the browser that is. So is one of which
        nothing is known yet, within what it takes in `TRIED_S` at worst.
        """
        if bytes_per_s < float("inf"):
            size = max(LEAST_REFINE, bytes_per_s * REFINE_S, GROWTH * rate.in_time, 2 * rate.soon)
        elif rate.proven < PLENTY:
            size = max(LEAST_REFINE, min(GROWTH * rate.in_time, rate.proven * TRIED_S))
        else:
            return tiles
        return first(tiles, max(LEAST_REFINED, int(size / self._cost[EXACT])))
