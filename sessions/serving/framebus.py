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
from typing import Any
from weakref import WeakKeyDictionary

from channels.layers import get_channel_layer

from ..tasks import end_soon
from ..worker.messages import frames_group, pack_tiles, snapshots_group, worker_group
from .asks import Ask
from .intake import Intake, Sink

logger = logging.getLogger(__name__)

FRAMES_ALIAS = "frames"
MOST_BACKLOG = 128
"""Messages that may wait in the layer's own queue, which has no bound, before they are all dropped."""
WATCH_S = 5.0
"""The worker is told so often that somebody looks."""
RETRY_S = 1.0
DEAF_S = 12.0
"""A worker says at least every 5 s which frame was its last: if nothing is heard for so long, the subscription is
made anew, whatever the layer thinks of it."""
ASK_AGAIN_S = 0.25
ASKS = 8
"""Times that a question is put to a Redis that does not take it."""
COMMAND_S = 5.0
KEY_FRAMES_INTERVAL_S = 1.0


class FrameBus(Intake):
    """One session's pictures in this process. Made by `join`, ended by the last `leave`."""

    def __init__(self, session: str) -> None:
        super().__init__(session)
        self.id = uuid.uuid4().hex
        self.overflows = 0
        self._watched = -1  # how many look, as the worker was told last
        self._watched_at = float("-inf")
        self._key_frames_at = float("-inf")
        self._subscribed = asyncio.Event()
        self._errands: dict[asyncio.Task[None], bool] = {}  # → it waits for an answer
        self._reader = asyncio.create_task(self._read(), name=f"framebus {session}")

    # ---- viewers -------------------------------------------------------------------------------------------------

    def attach(self, sink: Sink) -> None:
        """Hand every further frame to ``sink``."""
        super().attach(sink)
        self.tell_watchers()

    def detach(self, sink: Sink) -> bool:
        """Hand nothing more to ``sink``; return whether nobody is left."""
        nobody = super().detach(sink)
        self.tell_watchers()
        return nobody

    def request_snapshot(self, viewer: str, small: bool = False) -> None:
        """Ask the worker for a snapshot for one viewer; ``small``: of fewer pixels, if it is large."""
        message = {"type": "worker.snapshot", "viewer": viewer, "bus": self.id}
        self._ask({**message, "small": True} if small else message, answered=True)

    def request_repair(self, viewer: str, ask: Ask) -> None:
        """Ask the worker for the newest state of some tiles, for one viewer."""
        width, height = ask.grid
        message = {
            "type": "worker.repair",
            "viewer": viewer,
            "bus": self.id,
            "token": ask.token,
            "width": width,
            "height": height,
            "tiles": pack_tiles(ask.tiles, width, height),
            "shrink": ask.shrink,
            "quality": ask.quality,
        }
        self._ask(message, answered=True)

    def tell_watchers(self) -> None:
        """Tell the worker how many viewers here look, if it does not know or might have forgotten."""
        now = asyncio.get_running_loop().time()
        count = sum(sink.watches for sink in self._sinks.values())
        if count != self._watched or (count and now >= self._watched_at + WATCH_S):
            self._watched, self._watched_at = count, now
            self._ask({"type": "worker.watch", "bus": self.id, "viewers": count})

    def request_key_frames(self) -> None:
        """Ask the worker for key frames, at most once in a second for all viewers here."""
        now = asyncio.get_running_loop().time()
        if now >= self._key_frames_at + KEY_FRAMES_INTERVAL_S:
            self._key_frames_at = now
            self._ask({"type": "worker.key_frames"})

    def stop(self) -> None:
        """End the reader; the channel is given back in the background, and what is being told is told."""
        end_soon(*(task for task, waits in self._errands.items() if waits))
        # Cut short, it would leave the layer with subscriptions that are none.
        end_soon(self._reader, again=2 * COMMAND_S)

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
            except TimeoutError:
                logger.info("session %s: nothing was heard for %g s; listening anew", self.session, DEAF_S)
            except Exception as error:  # whatever the layer raises, the viewers must not be left without a reader
                logger.warning("frames of session %s: %s", self.session, error or type(error).__name__)
            finally:
                self._subscribed.clear()
                if channel:
                    await self._unsubscribe(layer, groups, channel)
            self.lose()
            await asyncio.sleep(RETRY_S)

    async def _receive(self, layer: Any, channel: str) -> None:
        """Hand on what comes; raise `TimeoutError` when nothing has come for `DEAF_S`."""
        loop = asyncio.get_running_loop()
        handled = 0
        async with asyncio.timeout(DEAF_S) as patience:
            while True:
                try:
                    message = await layer.receive(channel)
                except (ValueError, TypeError, RecursionError) as error:  # not msgpack: a worker may publish anything
                    self.refuse(error)
                    continue
                now = loop.time()
                patience.reschedule(now + DEAF_S)
                self.deliver(message, now)
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
            self.lose()

    # ---- asking --------------------------------------------------------------------------------------------------

    def _ask(self, message: dict[str, Any], *, answered: bool = False) -> None:
        async def ask() -> None:
            for _ in range(ASKS if answered else 1):
                if answered:
                    await self._subscribed.wait()  # an answer before the subscription would be lost
                if await send_to_worker(self.session, message):
                    return
                await asyncio.sleep(ASK_AGAIN_S)

        task = asyncio.create_task(ask())
        self._errands[task] = answered
        task.add_done_callback(lambda done: self._errands.pop(done, None))

    async def _unsubscribe(self, layer: Any, groups: tuple[str, ...], channel: str) -> None:
        try:
            async with asyncio.timeout(COMMAND_S):
                for group in groups:
                    await layer.group_discard(group, channel)
        except Exception as error:
            logger.debug("leaving the frames of session %s: %s", self.session, error or type(error).__name__)


async def send_to_worker(session: str, message: dict[str, Any]) -> bool:
    """Publish a worker message; return False, and log, if Redis does not take it. It is not tried twice."""
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
