"""Repairs: the newest state of some tiles for viewers who do not keep up, encoded once for all who ask together.

Runs on the event loop; the encode blocks in the snapshots' thread. What is asked for is cut along a fixed grid of
cells, so that viewers who lack nearly the same share pieces; a piece is kept for a while and serves until a frame
touches it. Batches are `BATCH_S` apart, so any number of slow viewers costs a bounded number of encodes.
"""

from __future__ import annotations

import asyncio
import logging
from collections import OrderedDict, deque
from collections.abc import Callable, Iterable
from concurrent.futures import Executor
from typing import NamedTuple

from stripeengine import wire
from stripeengine.errors import EngineError

from ..pictures import empty_repair
from ..tiles import Grid, Rectangle, bounds, touched
from .bus import Bus, BusLost, snapshot_head
from .messages import TILE, Repair, snapshots_group

logger = logging.getLogger(__name__)

MOST_WAITING = 512
MOST_BYTES = 8 * 1024 * 1024
"""Of pieces that are kept."""
KEEP_S = 3.0
BATCH_S = {1: 0.05, 2: 0.2, 4: 0.4}
"""Between two batches, by how much is shrunk: who asks for few pixels waits for seconds anyway, on thin links."""
OVERTAKES_S = 0.5
"""A repair that has overtaken a frame waits so long for it."""
MOST_LOGGED = 256
CELLS = {1: (8, 4), 2: (8, 8), 4: (32, 16)}
"""Tiles of a cell, across and down, by how much is shrunk: a JPEG of few pixels is mostly its header."""

Encode = Callable[[list[Rectangle], int, int], list[bytes]]
"""Rectangles, shrink and quality (0: the best anybody has) → messages. Blocks."""
Key = tuple[Rectangle, int, int]


class _Piece(NamedTuple):
    """One rectangle, encoded."""

    tiles: int
    as_of: int
    at: float
    messages: tuple[bytes, ...]
    size: int


class Repairs:
    """Answers requests for repairs."""

    def __init__(self, session: str, bus: Bus, encode: Encode, thread: Executor, publishing: asyncio.Lock) -> None:
        self._session = session
        self._bus = bus
        self._encode = encode
        self._thread = thread
        self._publishing = publishing
        self._waiting: dict[tuple[str, str], Repair] = {}  # bus, viewer → his newest request
        self._wake = asyncio.Event()
        self._noted = asyncio.Event()
        self._pieces: OrderedDict[Key, _Piece] = OrderedDict()
        self._bytes = 0
        self._grid = Grid(1, 1)
        self._last = 0  # newest frame that was noted
        self._log: deque[tuple[int, int]] = deque(maxlen=MOST_LOGGED)
        self._encoding = False
        self.encodes = 0
        self.hits = 0

    def request(self, wanted: Repair) -> None:
        """Queue a request; it replaces the viewer's last one."""
        if len(self._waiting) < MOST_WAITING:
            self._waiting[wanted.bus, wanted.viewer] = wanted
            self._wake.set()

    def note_frame(self, number: int, data: wire.Buffer) -> None:
        """Drop the pieces that a frame, about to be published, touches."""
        self._last = number
        self._noted.set()
        if not self._pieces and not self._encoding:
            return
        message = wire.parse_message(data)
        grid = Grid(message.header.width, message.header.height)
        if message.header.resized or grid != self._grid:
            self._clear()
            return
        mask = 0
        for op in message.ops:
            mask |= touched(grid, op.rectangle)
        self._log.append((number, mask))
        for key in [key for key, piece in self._pieces.items() if piece.as_of < number and piece.tiles & mask]:
            self._drop(key)

    async def run(self) -> None:
        """Serve requests until cancelled."""
        loop = asyncio.get_running_loop()
        free_at = dict.fromkeys(BATCH_S, 0.0)
        while True:
            waits = [free_at[wanted.shrink] for wanted in self._waiting.values()]
            until = min(waits) if waits else loop.time() + KEEP_S if self._pieces else None
            try:
                async with asyncio.timeout_at(until):
                    await self._wake.wait()
            except TimeoutError:
                pass
            self._wake.clear()
            now = loop.time()
            self._expire(now)
            due = [wanted for wanted in self._waiting.values() if free_at[wanted.shrink] <= now]
            for group in _alike(due):
                for wanted in group:
                    del self._waiting[wanted.bus, wanted.viewer]
                free_at[group[0].shrink] = now + BATCH_S[group[0].shrink]
                try:
                    await self._serve(group)
                except BusLost:
                    pass  # who asked will ask again
                except EngineError as error:
                    logger.warning("no repair could be made: %s", error)

    async def _serve(self, group: list[Repair]) -> None:
        """Answer requests that are alike but for their tiles."""
        first = group[0]
        grid = Grid(first.width, first.height)
        if grid != self._grid:
            self._clear()
            self._grid = grid
        wanted = _share(grid, group)
        every = {key for keys in wanted for key in keys}
        lacking = sorted(key for key in every if key not in self._pieces)
        as_of = self._last
        fresh: dict[Key, _Piece] = {}
        if lacking:
            messages = await self._run([key[0] for key in lacking], first.shrink, first.quality)
            header = messages[0].header
            as_of = header.frame_id
            if (header.width, header.height) != grid:
                await self._refuse(group, header)
                return
            fresh = self._store(grid, lacking, messages)
        if len(lacking) < len(every):
            self.hits += len(every) - len(lacking)
            await self._wait_for(as_of)
        pieces = {**self._pieces, **fresh}
        answers: dict[tuple[str, tuple[Key, ...]], dict[str, int]] = {}
        for repair, keys in zip(group, wanted, strict=True):
            held = tuple(key for key in keys if key in pieces)
            answers.setdefault((repair.bus, held), {})[repair.viewer] = repair.token
        for (bus, held), viewers in answers.items():
            await self._publish(bus, viewers, [part for key in held for part in pieces[key].messages], as_of)

    async def _run(self, rectangles: list[Rectangle], shrink: int, quality: int) -> list[wire.Message]:
        loop = asyncio.get_running_loop()
        self.encodes += 1
        self._encoding = True
        try:
            messages = await loop.run_in_executor(self._thread, self._encode, rectangles, shrink, quality)
        finally:
            self._encoding = False
        return [wire.parse_message(message) for message in messages]

    def _store(self, grid: Grid, keys: list[Key], messages: Iterable[wire.Message]) -> dict[Key, _Piece]:
        """Keep what was encoded, piece by piece; return it."""
        now = asyncio.get_running_loop().time()
        parts: dict[Key, list[wire.Message]] = {}
        at = 0
        for message in messages:
            if not message.ops:
                continue
            while not _inside(message.ops[0].rectangle, keys[at][0]):
                at += 1
            parts.setdefault(keys[at], []).append(message)
        fresh = {}
        for key, found in parts.items():
            raw = tuple(bytes(message.raw) for message in found)
            as_of = found[0].header.frame_id
            fresh[key] = piece = _Piece(touched(grid, key[0]), as_of, now, raw, sum(map(len, raw)))
            if grid == self._grid and not any(number > as_of and mask & piece.tiles for number, mask in self._log):
                self._pieces[key] = piece
                self._bytes += piece.size
        while self._bytes > MOST_BYTES:
            self._drop(next(iter(self._pieces)))
        return fresh

    async def _wait_for(self, as_of: int) -> None:
        """Wait until the frames up to ``as_of`` are noted: until then nobody knows what they leave of what is kept."""
        try:
            async with asyncio.timeout(OVERTAKES_S):
                while self._last < as_of:
                    self._noted.clear()
                    await self._noted.wait()
        except TimeoutError:
            self._clear()

    async def _publish(self, bus: str, viewers: dict[str, int], parts: list[bytes], as_of: int) -> None:
        if not parts:
            return
        head = snapshot_head(viewers)
        async with self._publishing:
            for number, part in enumerate(parts, 1):
                message = wire.address(part, as_of, 0, number < len(parts))
                await self._bus.publish_frames(snapshots_group(self._session, bus), head, message)

    async def _refuse(self, group: list[Repair], header: wire.Header) -> None:
        """The picture has another size: tell it, so that who asked begins anew."""
        data = empty_repair(header.epoch, header.frame_id, header.width, header.height)
        for repair in group:
            await self._publish(repair.bus, {repair.viewer: repair.token}, [data], header.frame_id)

    def _expire(self, now: float) -> None:
        for key in [key for key, piece in self._pieces.items() if now - piece.at > KEEP_S]:
            self._drop(key)
        if not self._pieces:
            self._log.clear()

    def _drop(self, key: Key) -> None:
        self._bytes -= self._pieces.pop(key).size

    def _clear(self) -> None:
        self._pieces.clear()
        self._log.clear()
        self._bytes = 0
        self._grid = Grid(1, 1)


def _alike(requests: Iterable[Repair]) -> Iterable[list[Repair]]:
    """Return the requests in groups that differ in tiles and viewers alone."""
    groups: dict[tuple[int, int, int, int], list[Repair]] = {}
    for wanted in requests:
        groups.setdefault((wanted.width, wanted.height, wanted.shrink, wanted.quality), []).append(wanted)
    return groups.values()


def _share(grid: Grid, group: list[Repair]) -> list[list[Key]]:
    """Return the pieces of each request: of those in one cell, the large ones share their common rectangle."""
    boxes = [bounds(grid, repair.tiles, *CELLS[repair.shrink]) for repair in group]
    common: dict[int, Rectangle] = {}
    for box in set(boxes):
        for cell, rectangle in box:
            common[cell] = _union(common[cell], rectangle) if cell in common else rectangle
    keys: list[list[Key]] = []
    for repair, box in zip(group, boxes, strict=True):
        chosen = [common[cell] if 2 * _area(own) >= _area(common[cell]) else own for cell, own in box]
        keys.append([(_cut(grid, rectangle), repair.shrink, repair.quality) for rectangle in chosen])
    return keys


def _cut(grid: Grid, tiles: Rectangle) -> Rectangle:
    """Return the pixels of a rectangle of tiles."""
    x, y = tiles[0] * TILE, tiles[1] * TILE
    return (x, y, min(grid.width - x, tiles[2] * TILE), min(grid.height - y, tiles[3] * TILE))


def _union(a: Rectangle, b: Rectangle) -> Rectangle:
    x, y = min(a[0], b[0]), min(a[1], b[1])
    return (x, y, max(a[0] + a[2], b[0] + b[2]) - x, max(a[1] + a[3], b[1] + b[3]) - y)


def _area(rectangle: Rectangle) -> int:
    return rectangle[2] * rectangle[3]


def _inside(inner: Rectangle, outer: Rectangle) -> bool:
    return _union(inner, outer) == outer
