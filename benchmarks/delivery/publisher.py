"""A worker without a screen: frames of one size at one rate, for what the web tier costs alone.

``python -m benchmarks.delivery.publisher REDIS_URL SESSION BYTES FPS``. Answers requests for snapshots and repairs with
black. It publishes what an engine would: one message a frame through the worker's own `Bus`. Ends with its input.
"""

from __future__ import annotations

import asyncio
import os
import sys
from typing import Any

from benchmarks.clocks import monotonic_us
from sessions.worker import messages
from sessions.worker.bus import FRAME_HEAD, Bus, snapshot_head
from stripeengine import wire

SIZE = 1920, 1080
EPOCH = 7


def frame(number: int, size: int) -> bytes:
    """Return a frame with one JPEG op over a part of the picture; its payload is noise, which nobody decodes here."""
    op = wire.Op(wire.JPEG, 0, 0, 64, 64, 640, 352, 0, 0, 0, size, 640, 352, 0)
    return pack(wire.FRAME, number, (op,), os.urandom(size))


def snapshot(number: int) -> bytes:
    """Return a snapshot as of a frame."""
    return pack(wire.SNAPSHOT, number, (wire.fill_op((0, 0, *SIZE), 0),), b"")


def repair(number: int, wanted: messages.Repair) -> bytes:
    """Return a repair of the tiles that a viewer lacks."""
    columns = -(-wanted.width // messages.TILE)
    ops = []
    for bit in range(wanted.tiles.bit_length()):
        if wanted.tiles >> bit & 1:
            x, y = bit % columns * messages.TILE, bit // columns * messages.TILE
            place = x, y, min(messages.TILE, wanted.width - x), min(messages.TILE, wanted.height - y)
            ops.append(wire.fill_op(place, 0))
    return pack(wire.SNAPSHOT, number, tuple(ops), b"", wire.PARTIAL)


def pack(kind: int, number: int, ops: tuple[wire.Op, ...], payloads: bytes, flags: int = 0) -> bytes:
    """Return a message with both times stamped now."""
    now = monotonic_us()
    return wire.pack_message(
        kind=kind,
        flags=flags,
        epoch=EPOCH,
        frame_id=number,
        width=SIZE[0],
        height=SIZE[1],
        ops=ops,
        payloads=payloads,
        capture_us=now,
        publish_us=now,
    )


async def publish(url: str, session: str, size: int, fps: float) -> None:
    """Publish until the input ends."""
    loop = asyncio.get_running_loop()
    bus = Bus(url)
    up, ended = asyncio.Event(), asyncio.Event()
    bus.on_restored = up.set
    loop.add_reader(0, ended.set)
    number = 0
    errands: set[asyncio.Task[Any]] = set()

    def receive(raw: Any) -> None:
        try:
            message = messages.parse_worker_message(raw)
        except messages.MessageError:
            return
        if isinstance(message, messages.Snapshot):
            answer, token = snapshot(number), 0
        elif isinstance(message, messages.Repair):
            answer, token = repair(number, message), message.token
        else:
            return
        group, head = messages.snapshots_group(session, message.bus), snapshot_head({message.viewer: token})
        task = asyncio.create_task(bus.publish_frames(group, head, answer))
        errands.add(task)
        task.add_done_callback(errands.discard)

    tasks = [asyncio.create_task(bus.keep()), asyncio.create_task(bus.listen(messages.worker_group(session), receive))]
    await up.wait()
    print("ready", flush=True)
    due = loop.time()
    while not ended.is_set():
        number += 1
        await bus.publish_frames(messages.frames_group(session), FRAME_HEAD, frame(number, size))
        due = max(due + 1 / fps, loop.time() - 1)
        await asyncio.sleep(max(0.0, due - loop.time()))
    for task in tasks:
        task.cancel()
    await bus.close()


if __name__ == "__main__":
    asyncio.run(publish(sys.argv[1], sys.argv[2], int(sys.argv[3]), float(sys.argv[4])))
