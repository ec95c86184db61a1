"""A worker, a bus and viewers in a test's hands: every message between them may be dropped, delayed or overtaken.

The picture is a grid of cells of 8×8 pixels with a number as colour. Payloads are the cells' numbers, packed; nobody
decodes anything real, but every op is applied as the protocol has it, and a client that is sent something it cannot
apply fails the test.
"""

from __future__ import annotations

import random
import struct
from collections import deque
from typing import Any

import numpy as np
import numpy.typing as npt

from sessions.serving.asks import QUARTER, Ask
from sessions.serving.frames import Answer, Frame
from sessions.serving.intake import Intake
from sessions.serving.window import FrameWindow, Phase
from sessions.tiles import Grid, Rectangle, bits
from sessions.worker.messages import TILE
from stripeengine import wire

CELL = 8
Cells = npt.NDArray[np.uint32]
H264 = frozenset({"h264"})


def slices(rectangle: Rectangle) -> tuple[slice, slice]:
    """The cells of a rectangle of pixels."""
    x, y, w, h = (number // CELL for number in rectangle)
    return (slice(y, y + h), slice(x, x + w))


class Worker:
    """Draws, and answers. What it publishes is taken from ``frames`` and ``answers``."""

    def __init__(self, seed: int, width: int, height: int) -> None:
        self.random = random.Random(seed)
        self.epoch = 1
        self.size = (width, height)
        self.cells: Cells = np.zeros((height // CELL, width // CELL), np.uint32)
        self.number = 0
        self.video: Rectangle | None = None
        self.coded = 0  # pictures of the video since the start
        self.base: Rectangle | None = None  # where the last picture of it was
        self.key_wanted = False
        self.finds_all_large = False
        """Who asks for a small snapshot gets one."""
        self.frames: deque[dict[str, Any]] = deque()
        self.answers: deque[dict[str, Any]] = deque()
        self.asked: list[tuple[str, Ask]] = []
        self.last_ops: list[wire.Op] = []

    # ---- drawing -------------------------------------------------------------------------------------------------

    def rectangle(self) -> Rectangle:
        """Some rectangle of whole cells."""
        rows, columns = self.cells.shape
        w, h = self.random.randint(1, columns), self.random.randint(1, rows)
        x, y = self.random.randint(0, columns - w), self.random.randint(0, rows - h)
        return (x * CELL, y * CELL, w * CELL, h * CELL)

    def paint(self, rectangle: Rectangle) -> bytes:
        """Draw something there; return the cells as a payload."""
        part = self.cells[slices(rectangle)]
        part[:] = np.frombuffer(self.random.randbytes(part.size * 4), np.uint32).reshape(part.shape) & 0xFFFFFF
        return part.astype("<u4").tobytes()

    def draw(self, kinds: str) -> None:
        """Publish a frame of ops: (f)ill, (l)ossless, (j)peg, (c)opy, (v)ideo, in that order."""
        ops: list[wire.Op] = []
        area = wire.PayloadArea()
        for kind in kinds:
            rectangle = self.rectangle()
            match kind:
                case "f":
                    colour = self.random.randrange(1 << 24)
                    self.cells[slices(rectangle)] = colour
                    ops.append(wire.fill_op(rectangle, colour))
                case "l" if not any(op.kind == wire.LOSSLESS for op in ops):
                    ops += self._batch(area)
                case "j":
                    ops.append(area.op(wire.JPEG, rectangle, self.paint(rectangle)))
                case "c":
                    ops += self._copy(rectangle)
                case "v":
                    ops.append(self._picture(area))
        if ops:
            self._publish(ops, area)

    def _batch(self, area: wire.PayloadArea) -> list[wire.Op]:
        width, height = self.size
        halves = [(0, 0, width // 2 // CELL * CELL, 16), (width - 64, height - 40, 64, 40)]
        return area.lossless(halves, b"".join(self.paint(half) for half in halves))

    def _copy(self, rectangle: Rectangle) -> list[wire.Op]:
        x, y, w, h = rectangle
        rows, columns = self.cells.shape
        sx = self.random.randint(0, columns - w // CELL) * CELL
        sy = self.random.randint(0, rows - h // CELL) * CELL
        source = (sx, sy, w, h)
        if self.base is not None and _meet(source, self.base):
            return []  # pixels of a video are no source
        self.cells[slices(rectangle)] = self.cells[slices(source)].copy()
        return [wire.copy_op(rectangle, sx, sy)]

    def _picture(self, area: wire.PayloadArea) -> wire.Op:
        if self.video is None:
            self.video, self.key_wanted = self.rectangle(), True
        key = self.key_wanted or self.base != self.video
        self.key_wanted = False
        self.coded, before = self.coded + 1, self.coded
        self.base = self.video
        payload = struct.pack("<II", self.coded, 0 if key else before) + self.paint(self.video)
        return area.op(wire.H264, self.video, payload, flags=wire.KEY if key else 0)

    def stop_video(self) -> None:
        """The video ends: its region is sent once more in a form that can be copied."""
        if self.base is not None:
            area = wire.PayloadArea()
            payload = self.cells[slices(self.base)].astype("<u4").tobytes()
            ops = [area.op(wire.JPEG, self.base, payload)]
            self.base = self.video = None
            self._publish(ops, area)

    def resize(self, width: int, height: int) -> None:
        """Another size, from black."""
        self.size = (width, height)
        self.cells = np.zeros((height // CELL, width // CELL), np.uint32)
        self.video = self.base = None
        area, whole = wire.PayloadArea(), (0, 0, width, height)
        self._publish([area.op(wire.JPEG, whole, self.paint(whole))], area, wire.RESIZED)

    def restart(self) -> None:
        """Another life of the engine."""
        self.epoch += 1
        self.number = 0
        self.asked.clear()
        self.resize(*self.size)

    def head(self) -> None:
        """Tell which frame was the last."""
        self.frames.append({"type": "head", "epoch": self.epoch, "frame": self.number})

    def _publish(self, ops: list[wire.Op], area: wire.PayloadArea, flags: int = 0) -> None:
        self.number += 1
        self.frames.append({"type": "frame", "data": self._pack(ops, area, self.number, wire.FRAME, flags)})

    def _pack(self, ops: list[wire.Op], area: wire.PayloadArea, number: int, kind: int, flags: int) -> bytes:
        width, height = self.size
        return wire.pack_message(
            epoch=self.epoch,
            frame_id=number,
            width=width,
            height=height,
            ops=ops,
            payloads=area.getvalue(),
            kind=kind,
            flags=flags,
        )

    # ---- answering -----------------------------------------------------------------------------------------------

    def reply(self) -> None:
        """Answer the oldest question with the picture as it is."""
        if not self.asked:
            return
        viewer, ask = self.asked.pop(0)
        grid = Grid(*self.size)
        if ask.whole:
            if ask.small and self.finds_all_large:
                ask = ask._replace(tier=QUARTER)
            rectangles = [(0, 0, *self.size)]
            flags = 0
        else:
            flags = wire.PARTIAL
            rectangles = []
            for tile in bits(ask.tiles) if ask.grid == grid else ():
                x, y = tile % grid.columns * TILE, tile // grid.columns * TILE
                rectangles.append((x, y, min(TILE, grid.width - x), min(TILE, grid.height - y)))
        parts = [self._newest(rectangles[at : at + 32], ask) for at in range(0, len(rectangles), 32)]
        if not parts:
            parts.append(([], wire.PayloadArea()))
        for at, (ops, area) in enumerate(parts):
            more = wire.MORE if at + 1 < len(parts) else 0
            data = self._pack(ops, area, self.number, wire.SNAPSHOT, flags | more)
            self.answers.append({"type": "snapshot", "viewers": {viewer: ask.token}, "data": data})

    def _newest(self, rectangles: list[Rectangle], ask: Ask) -> tuple[list[wire.Op], wire.PayloadArea]:
        area = wire.PayloadArea()
        if ask.shrink == 1 and not ask.quality:
            cells = b"".join(self.cells[slices(rectangle)].astype("<u4").tobytes() for rectangle in rectangles)
            return area.lossless(rectangles, cells), area
        ops = []
        for rectangle in rectangles:
            cells = self.cells[slices(rectangle)]
            if ask.shrink > 1:
                blurred = cells[:: ask.shrink, :: ask.shrink].astype("<u4").tobytes()
                ops.append(area.op(wire.JPEG, rectangle, blurred, (1, 1)))
            else:
                ops.append(area.op(wire.JPEG, rectangle, (cells ^ 1).astype("<u4").tobytes()))
        return ops, area


def _meet(a: Rectangle, b: Rectangle) -> bool:
    return a[0] < b[0] + b[2] and b[0] < a[0] + a[2] and a[1] < b[1] + b[3] and b[1] < a[1] + a[3]


class Client:
    """A browser: strict, and as slow as the test wants."""

    def __init__(self) -> None:
        self.inbox: deque[bytes] = deque()
        self.epoch = 0
        self.last = 0
        self.serial = 0
        self.cells: Cells = np.zeros((1, 1), np.uint32)
        self.size = (0, 0)
        self.decoder = 0  # the picture that the decoder has; 0: none
        self.shown: Rectangle | None = None
        self.waiting = True
        self.failed: list[Rectangle] = []

    def take(self, fail: bool = False) -> None:
        """Commit the oldest message; with ``fail`` one of its pictures cannot be decoded."""
        message = wire.parse_message(self.inbox.popleft())
        header = message.header
        if header.epoch != self.epoch:
            self.epoch, self.last, self.waiting, self.decoder = header.epoch, 0, True, 0
        if header.kind == wire.FRAME:
            assert not self.waiting, "a frame before a snapshot"
            assert header.frame_id > self.last, "an old frame"
        elif header.partial:
            assert not self.waiting, "a repair before a snapshot"
        if header.kind == wire.SNAPSHOT:
            assert header.serial == self.serial + 1
            self.serial += not header.more
        whole = header.kind == wire.SNAPSHOT and not header.partial
        if header.resized or (whole and (self.waiting or (header.width, header.height) != self.size)):
            self._black(header)
        assert (header.width, header.height) == self.size, "a missed resize"
        self.waiting = self.waiting and header.more
        self.last = max(self.last, header.frame_id)
        victim = None
        if fail and message.ops:
            victim = random.Random(header.frame_id).choice(message.ops)
        for op in message.ops:
            self._apply(op, message, op is victim)

    def _black(self, header: wire.Header) -> None:
        self.size = (header.width, header.height)
        self.cells = np.zeros((header.height // CELL, header.width // CELL), np.uint32)
        self.decoder = 0

    def _apply(self, op: wire.Op, message: wire.Message, fail: bool) -> None:
        if op.kind == wire.H264:
            coded, before = struct.unpack("<II", message.payload(op)[:8])
            assert op.flags & wire.KEY or before == self.decoder, "a delta without its base"
            self.decoder = coded
        if fail and op.kind not in (wire.FILL, wire.COPY):
            self.failed.append(op.rectangle)
            return
        target = self.cells[slices(op.rectangle)]
        match op.kind:
            case wire.FILL:
                target[:] = op.value
            case wire.COPY:
                target[:] = self.cells[slices((op.sx, op.sy, op.w, op.h))].copy()
            case wire.LOSSLESS:
                others = [other for other in message.ops if other.kind == wire.LOSSLESS and other.value < op.value]
                start = sum(other.w * other.h for other in others) // CELL**2 * 4
                target[:] = self._read(message.payload(op)[start:], target.shape)
            case wire.JPEG if (op.pw, op.ph) != (op.w, op.h):
                target[:] = struct.unpack_from("<I", message.payload(op))[0]
            case wire.JPEG:
                target[:] = self._read(message.payload(op), target.shape)
            case wire.H264:
                target[:] = self._read(message.payload(op)[8:], target.shape)

    def _read(self, payload: memoryview, shape: tuple[int, ...]) -> Cells:
        count = shape[0] * shape[1]
        return np.frombuffer(payload[: count * 4], "<u4").reshape(shape)


class Viewer:
    """A viewer: his window in the web process, the wire, his client, and the acknowledgements on their way back."""

    rank = 0
    watches = True

    def __init__(self, name: str, world: World, codecs: frozenset[str] = H264) -> None:
        self.id = name
        self.world = world
        self.window = FrameWindow(codecs)
        self.client = Client()
        self.acks: deque[tuple[int, int, int]] = deque()
        self.sent: list[bytes] = []

    def on_frame(self, frame: Frame) -> None:
        self.window.frame(frame, frame.received)

    def on_answer(self, answer: Answer) -> None:
        self.window.answer(answer, self.world.now)

    def on_gap(self, epoch: int, number: int) -> None:
        self.window.gap(epoch, number)

    def pump(self) -> None:
        """What the pump does: ask, and send while there is room."""
        while True:
            for request in self.window.poll(self.world.now):
                if isinstance(request, Ask):
                    self.world.worker.asked.append((self.id, request))
                else:
                    self.world.worker.key_wanted |= self.world.serves_keys
            unit = [bytes(data) for data in self.window.next_unit(self.world.now)]
            if not unit:
                return
            self.client.inbox.extend(unit)
            self.sent += unit

    def commit(self, fail: bool = False) -> None:
        """The client takes one message and reports it."""
        client = self.client
        if client.inbox:
            client.take(fail)
            if client.failed:
                areas, client.failed = client.failed[:64], []
                self.window.missed(client.epoch, client.last, areas, ())
            if not client.waiting:
                self.acks.append((client.epoch, client.last, client.serial))

    def acknowledge(self) -> None:
        """An acknowledgement arrives, the newest of what is on its way."""
        if self.acks:
            epoch, frame, serial = self.acks.pop()
            self.acks.clear()
            assert self.window.ack(epoch, frame, self.world.now, serial)


class World:
    """One session with its viewers."""

    def __init__(
        self, seed: int, viewers: int = 3, serves_keys: bool = True, size: tuple[int, int] = (200, 136)
    ) -> None:
        self.now = 100.0
        self.serves_keys = serves_keys
        self.worker = Worker(seed, *size)
        self.intake = Intake("5" * 32)
        self.viewers: list[Viewer] = []
        for at in range(viewers):
            self.join(f"v{at}", frozenset() if at == 2 else H264)

    def join(self, name: str, codecs: frozenset[str] = H264) -> None:
        viewer = Viewer(name, self, codecs)
        self.viewers.append(viewer)
        self.intake.attach(viewer)

    def deliver(self, answers: bool, drop: bool = False) -> None:
        """The oldest message of one of the two channels arrives, or is lost."""
        queue = self.worker.answers if answers else self.worker.frames
        if queue:
            message = queue.popleft()
            if not drop:
                self.intake.deliver(message, self.now)

    def restart(self, lost: bool) -> None:
        """The worker dies, and with it what is on its way is lost or not; nothing of it comes after its successor's."""
        for answers in (False, True):
            while self.worker.answers if answers else self.worker.frames:
                self.deliver(answers, lost)
        self.worker.restart()

    def pass_time(self, seconds: float) -> None:
        self.now += seconds

    def settle(self, rounds: int = 400) -> None:
        """Nothing changes and nothing is lost any more, until every viewer has the picture as it is."""
        self.worker.stop_video()
        for at in range(rounds):
            if at % 50 == 0:
                self.worker.head()
            self.worker.reply()
            for answers in (False, True):
                while self.worker.answers if answers else self.worker.frames:
                    self.deliver(answers)
            for viewer in self.viewers:
                viewer.pump()
                while viewer.client.inbox:
                    viewer.commit()
                viewer.acknowledge()
            self.pass_time(0.1)
            if all(self.has_all(viewer) for viewer in self.viewers):
                return
        behind = [viewer.id for viewer in self.viewers if not self.has_all(viewer)]
        raise AssertionError(f"{behind} never got the picture as it is")

    def has_all(self, viewer: Viewer) -> bool:
        """Whether a viewer's picture is the screen, and nothing is on its way to him."""
        client = viewer.client
        return (
            not client.inbox
            and client.epoch == self.worker.epoch
            and client.size == self.worker.size
            and np.array_equal(client.cells, self.worker.cells)
            and viewer.window.phase is Phase.PUSH
            and not viewer.window.references.missed
            and not viewer.window.references.inexact
        )
