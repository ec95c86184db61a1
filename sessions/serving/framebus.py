"""The FrameBus: the frames of one session, received once in this process and handed to all its viewers here.

One layer channel and one reader task per (event loop, session), from the first viewer to the last. Each frame is
parsed once (the worker is not trusted) and given to the viewers' windows directly: no queue per viewer in the channel
layer, which would have neither bound nor drop policy. Runs on the event loop; nothing here blocks it.
"""

from __future__ import annotations

import asyncio
import logging
import uuid
from collections.abc import Callable
from typing import Any, Protocol
from weakref import WeakKeyDictionary

from channels.layers import get_channel_layer

from stripeengine import wire
from stripeengine.errors import WireError

from ..worker.messages import frames_group, snapshots_group, worker_group

logger = logging.getLogger(__name__)

FRAMES_ALIAS = "frames"
MOST_BACKLOG = 128
"""Messages that may wait in the layer's own queue, which has no bound, before they are all dropped."""
MOST_SNAPSHOT_PARTS = 256
MOST_SNAPSHOT_BYTES = 32 * 1024 * 1024
RETRY_S = 1.0
COMMAND_S = 5.0
KEY_FRAMES_INTERVAL_S = 1.0


class Sink(Protocol):
    """A viewer, as the bus sees him."""

    id: str

    def on_frame(self, message: wire.Message) -> None:
        """Take one frame."""

    def on_snapshot(self, parts: list[wire.Message]) -> None:
        """Take a snapshot that was asked for him."""

    def on_gap(self) -> None:
        """Frames were lost on their way."""


class FrameBus:
    """One session's pictures in this process. Made by `join`, ended by the last `leave`."""

    def __init__(self, session: str) -> None:
        self.session = session
        self.id = uuid.uuid4().hex
        self.epoch = 0
        self.last_frame = 0
        self.invalid = 0
        self.overflows = 0
        self._sinks: dict[str, Sink] = {}
        self._parts: list[wire.Message] = []
        self._key_frames_at = float("-inf")
        self._subscribed = asyncio.Event()
        self._errands: set[asyncio.Task[None]] = set()
        self._reader = asyncio.create_task(self._read(), name=f"framebus {session}")

    # ---- viewers -------------------------------------------------------------------------------------------------

    def attach(self, sink: Sink) -> None:
        """Hand every further frame to ``sink``."""
        self._sinks[sink.id] = sink

    def detach(self, sink: Sink) -> bool:
        """Hand nothing more to ``sink``; return whether nobody is left."""
        if self._sinks.get(sink.id) is sink:
            del self._sinks[sink.id]
        return not self._sinks

    def request_snapshot(self, viewer: str) -> None:
        """Ask the worker for a snapshot for one viewer."""
        self._ask({"type": "worker.snapshot", "viewer": viewer, "bus": self.id}, answered=True)

    def request_key_frames(self) -> None:
        """Ask the worker for key frames, at most once in a second for all viewers here."""
        now = asyncio.get_running_loop().time()
        if now >= self._key_frames_at + KEY_FRAMES_INTERVAL_S:
            self._key_frames_at = now
            self._ask({"type": "worker.key_frames"})

    def stop(self) -> None:
        """End the reader; the channel is given back in the background."""
        for task in (self._reader, *self._errands):
            task.cancel()

    # ---- receiving -----------------------------------------------------------------------------------------------

    async def _read(self) -> None:
        """Subscribe and receive until cancelled; a Redis that is down is tried again."""
        layer: Any = get_channel_layer(FRAMES_ALIAS)
        groups = (frames_group(self.session), snapshots_group(self.session, self.id))
        while True:
            channel = ""
            try:
                channel = await layer.new_channel()
                for group in groups:
                    await layer.group_add(group, channel)
                self._subscribed.set()
                await self._receive(layer, channel)
            except asyncio.CancelledError:
                raise
            except Exception as error:  # whatever the layer raises, the viewers must not be left without a reader
                logger.warning("frames of session %s: %s", self.session, error or type(error).__name__)
            finally:
                self._subscribed.clear()
                if channel:
                    await self._unsubscribe(layer, groups, channel)
            self._lose()
            await asyncio.sleep(RETRY_S)

    async def _receive(self, layer: Any, channel: str) -> None:
        handled = 0
        while True:
            try:
                message = await layer.receive(channel)
            except (ValueError, TypeError, RecursionError) as error:  # not msgpack: a worker may publish anything
                self._refuse(error)
                continue
            self._deliver(message)
            handled += 1
            if handled % 16 == 0:
                # A flood never makes `receive` wait, and would keep the loop from everybody else.
                await asyncio.sleep(0)
                self._bound_backlog(layer, channel)

    def _bound_backlog(self, layer: Any, channel: str) -> None:
        queue = layer.channels.get(channel)
        if queue is not None and queue.qsize() > MOST_BACKLOG:
            while not queue.empty():
                queue.get_nowait()
            self.overflows += 1
            logger.warning("frames of session %s come faster than they can be relayed; dropped", self.session)
            self._lose()

    def _deliver(self, message: Any) -> None:
        kind = message.get("type") if isinstance(message, dict) else None
        try:
            if kind == "frame":
                self._frame(wire.parse_message(_data(message)))
            elif kind == "snapshot":
                self._snapshot(message.get("viewers"), wire.parse_message(_data(message)))
            elif kind == "head":
                self._head(message.get("epoch"), message.get("frame"))
            else:
                raise WireError(f"unknown message {kind!r:.40}")
        except WireError as error:
            self._refuse(error)

    def _frame(self, message: wire.Message) -> None:
        header = message.header
        if header.kind != wire.FRAME:
            raise WireError("a snapshot among the frames")
        if header.epoch == self.epoch:
            if header.frame_id <= self.last_frame:
                raise WireError(f"frame {header.frame_id} after {self.last_frame}")
            if header.frame_id != self.last_frame + 1:
                self._lose()
        self.epoch, self.last_frame = header.epoch, header.frame_id
        for sink in tuple(self._sinks.values()):
            sink.on_frame(message)

    def _snapshot(self, viewers: Any, message: wire.Message) -> None:
        if message.header.kind != wire.SNAPSHOT or not isinstance(viewers, list):
            self._parts = []
            raise WireError("a frame among the snapshots")
        header = message.header
        if self._parts and _identity(self._parts[0].header) != _identity(header):
            self._parts = []
        self._parts.append(message)
        size = sum(len(part.raw) for part in self._parts)
        if len(self._parts) > MOST_SNAPSHOT_PARTS or size > MOST_SNAPSHOT_BYTES:
            self._parts = []
            raise WireError(f"a snapshot of more than {MOST_SNAPSHOT_BYTES} bytes")
        if header.more:
            return
        parts, self._parts = self._parts, []
        for viewer in viewers:
            sink = self._sinks.get(viewer) if isinstance(viewer, str) else None
            if sink is not None:
                sink.on_snapshot(parts)

    def _head(self, epoch: Any, frame: Any) -> None:
        """The worker says which frame was its last: notice a lost tail, and a new life of an engine at rest."""
        if type(epoch) is not int or type(frame) is not int or not 0 < epoch < 2**32 or not 0 <= frame < 2**32:
            raise WireError("a head without epoch and frame")
        if (epoch, frame) == (self.epoch, self.last_frame):
            return
        known = self.epoch != 0
        if epoch != self.epoch or frame > self.last_frame:
            self.epoch, self.last_frame = epoch, frame
            if known:
                self._lose()

    def _lose(self) -> None:
        for sink in tuple(self._sinks.values()):
            sink.on_gap()

    def _refuse(self, error: Exception) -> None:
        self.invalid += 1
        if self.invalid & (self.invalid - 1) == 0:  # 1, 2, 4, 8 …: a hostile worker does not fill the log
            logger.warning("session %s: message refused (%d so far): %s", self.session, self.invalid, error)

    # ---- asking --------------------------------------------------------------------------------------------------

    def _ask(self, message: dict[str, Any], *, answered: bool = False) -> None:
        async def ask() -> None:
            if answered:
                await self._subscribed.wait()  # an answer before the subscription would be lost
            await send_to_worker(self.session, message)

        task = asyncio.create_task(ask())
        self._errands.add(task)
        task.add_done_callback(self._errands.discard)

    async def _unsubscribe(self, layer: Any, groups: tuple[str, ...], channel: str) -> None:
        try:
            async with asyncio.timeout(COMMAND_S):
                for group in groups:
                    await layer.group_discard(group, channel)
        except Exception as error:
            logger.debug("leaving the frames of session %s: %s", self.session, error or type(error).__name__)


async def send_to_worker(session: str, message: dict[str, Any]) -> bool:
    """Publish a worker message; return False, and log, if Redis does not take it. Nothing is tried twice."""
    layer: Any = get_channel_layer()
    try:
        async with asyncio.timeout(COMMAND_S):
            await layer.group_send(worker_group(session), message)
    except Exception as error:
        _log_loss(session, message["type"], error)
        return False
    return True


_logged_at = float("-inf")


def _log_loss(session: str, kind: str, error: Exception) -> None:
    global _logged_at
    now = asyncio.get_running_loop().time()
    if now > _logged_at + COMMAND_S:  # every key press would log while Redis is down
        _logged_at = now
        logger.warning("%s for session %s was lost: %s", kind, session, error or type(error).__name__)


def _data(message: dict[str, Any]) -> bytes:
    data = message.get("data")
    if not isinstance(data, bytes):
        raise WireError("a message without data")
    return data


def _identity(header: wire.Header) -> tuple[int, int, int, int]:
    return (header.epoch, header.frame_id, header.width, header.height)


_buses: WeakKeyDictionary[asyncio.AbstractEventLoop, dict[str, FrameBus]] = WeakKeyDictionary()


def join(session: str, sink: Sink, make: Callable[[str], FrameBus] = FrameBus) -> FrameBus:
    """Attach ``sink`` to the session's bus, which is made if he is the first."""
    buses = _buses.setdefault(asyncio.get_running_loop(), {})
    bus = buses.get(session)
    if bus is None:
        bus = buses[session] = make(session)
    bus.attach(sink)
    return bus


def leave(bus: FrameBus, sink: Sink) -> None:
    """Detach ``sink``; the last one ends the bus."""
    if bus.detach(sink):
        buses = _buses.get(asyncio.get_running_loop(), {})
        if buses.get(bus.session) is bus:
            del buses[bus.session]
        bus.stop()
