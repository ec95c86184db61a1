"""What a dictionary of tiles would save at most: ``python -m benchmarks.dictionary [--seconds 120] [--reference 0]``.

The office mix is recorded from our engine. Then every exact rectangle is cut to the grid of 16×16 tiles; a tile whose
whole content was shown before, among the last 4 MB of such tiles, is left out for ``--reference`` bytes, and what
remains of the batch is encoded anew. With 0 nobody could do better: neither the references nor the repairs of viewers
that lack an entry cost anything.
"""

from __future__ import annotations

import argparse
from collections import OrderedDict, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from benchmarks.display import Display, Stage, scratch_directory
from benchmarks.engines import Spec
from benchmarks.workloads import WORKLOADS
from stripeengine import wire
from stripeengine.decode import Decoder
from stripeengine.dump import read_dump
from stripeengine.lossless import encode_batch

Pixels = npt.NDArray[np.uint8]

TILE = 16
TILES = 4_000_000 // (TILE * TILE * 3)


@dataclass
class Saving:
    """Bytes: of the recording, of its exact batches, and of those that a dictionary would leave out."""

    total: int = 0
    exact: int = 0
    saved: float = 0.0


class Dictionary:
    """The tiles that were shown last."""

    def __init__(self, tiles: int = TILES) -> None:
        self._tiles = tiles
        self._known: OrderedDict[bytes, None] = OrderedDict()

    def knows(self, tile: Pixels) -> bool:
        """Tell whether it was there already, and note it as the newest."""
        key = tile.tobytes()
        found = key in self._known
        self._known[key] = None
        self._known.move_to_end(key)
        if len(self._known) > self._tiles:
            self._known.popitem(last=False)
        return found


def unknown(dictionary: Dictionary, picture: Pixels, rectangle: tuple[int, int, int, int]) -> tuple[list[Pixels], int]:
    """Return what of a rectangle has to be sent all the same, and how many tiles need not be."""
    x, y, width, height = rectangle
    rest: list[Pixels] = []
    hits = 0
    for top in range(y // TILE * TILE, y + height, TILE):
        begun: int | None = None  # of tiles side by side that are unknown
        rows = slice(max(y, top), min(y + height, top + TILE))
        for left in range(x // TILE * TILE, x + width, TILE):
            start = max(x, left)
            if not dictionary.knows(picture[top : top + TILE, left : left + TILE]):
                begun = start if begun is None else begun
                continue
            hits += 1
            if begun is not None:
                rest.append(picture[rows, begun:start].copy())
            begun = None
        if begun is not None:
            rest.append(picture[rows, begun : x + width].copy())
    return rest, hits


def saving(messages: Iterable[bytes], reference: int) -> Saving:
    """Play the messages and return what a dictionary would have saved of them."""
    decoder, dictionary, found = Decoder(), Dictionary(), Saving()
    for data in messages:
        decoder.apply(data)
        found.total += len(data)
        batches: defaultdict[tuple[int, int], list[wire.Op]] = defaultdict(list)
        for op in wire.parse_message(data).ops:
            if op.kind == wire.LOSSLESS:
                batches[op.offset, op.length].append(op)
        for (_, length), ops in batches.items():
            found.exact += length
            parts = [unknown(dictionary, decoder.picture, op.rectangle) for op in ops]
            hits = sum(part[1] for part in parts)
            if hits:
                whole = [decoder.picture[y : y + h, x : x + w] for x, y, w, h in (op.rectangle for op in ops)]
                rest = [pixels for part in parts for pixels in part[0]]
                share = (len(encode_batch(rest)) if rest else 0) + hits * reference
                found.saved += max(0.0, length - length * share / len(encode_batch(whole)))
    return found


def record(path: Path, seconds: float) -> None:
    """Record the office mix from our engine. Blocks for as long."""
    with Display((1920, 1080)) as display, Stage(display) as stage, WORKLOADS["office"].open(stage) as scene:
        scene.rewind()
        with Spec("stripedesk", "auto").launch(display, path) as engine:
            engine.answer()
            scene.play(seconds, lambda: None)


def main() -> None:
    """Record, count, and say what was found."""
    parser = argparse.ArgumentParser(prog="benchmarks.dictionary", description=__doc__.split("\n")[0])
    parser.add_argument("--seconds", type=float, default=120.0)
    parser.add_argument("--reference", type=int, default=0, help="bytes for a tile that is known")
    options = parser.parse_args()
    with scratch_directory() as directory:
        path = Path(directory) / "office"
        record(path, options.seconds)
        found = saving((dumped.message for dumped in read_dump(path)), options.reference)
    print(
        f"{found.total / 1e6:.2f} MB, {found.exact / 1e6:.2f} MB of it exact; a dictionary with references of "
        f"{options.reference} bytes would save {found.saved / 1e6:.2f} MB, {found.saved / found.total:.1%}"
    )


if __name__ == "__main__":
    main()
