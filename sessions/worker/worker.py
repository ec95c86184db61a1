"""The engine worker: capture to Redis, input to X, for one session.

One event loop owns everything but the engine's own threads and the thread that encodes snapshots. The engine signals an
eventfd; one finished frame is taken, published and answered by Redis before the next is taken, so lateness merges
damage. Nothing polls: an idle session wakes once in `REPORT_S` to renew its status key.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import signal
import time
from collections.abc import Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from stripeengine.engine import Engine
from stripeengine.errors import EngineError, SettingsError
from stripeengine.settings import EngineSettings
from stripeengine.x11 import X11Input, X11Source

from ..tasks import end_tasks
from . import cursor, messages, status
from .bus import FRAME_HEAD, Bus, BusGone, BusLost
from .config import Config
from .injector import Injector
from .keyclock import KeyClock
from .links import Links
from .receipts import Receipts
from .repairs import Repairs
from .snapshots import Snapshots
from .stages import Stages
from .watchers import GRACE_S, LOST_S, Watchers

logger = logging.getLogger(__name__)

EXIT_OK, EXIT_DISPLAY, EXIT_CONFIG, EXIT_REDIS = 0, 3, 4, 5
REPORT_S = 5.0
STATS_S = 2.0
REST_S = 0.25
"""After so much rest the last frame's id is published, so that whoever missed it notices."""
VIEWER_LOST_S = 30
HOLD_S = 1.0
_SIZE_AT = 12  # offset of width and height in a frame's header


class Worker:
    """Runs until told to stop; `run` returns the exit code."""

    def __init__(self, config: Config) -> None:
        self._config = config
        self._session = config.session
        self._bus = Bus(config.redis_url)
        self._status = status.Status(mode=config.settings.mode)
        self._meter = status.Meter()
        self._stages = Stages()
        self._stop = asyncio.Event()
        self._report = asyncio.Event()
        self._ready = asyncio.Event()
        self._published = 0
        self._last_move = 0.0
        self._rest: asyncio.TimerHandle | None = None
        self._cursor: dict[str, Any] | None = None
        self._errands: set[asyncio.Task[None]] = set()
        self._links = Links(config.settings)
        self._typed = asyncio.Event()
        self._seen: dict[str, tuple[Any, float]] = {}  # viewer → his score in the set of viewers, since when
        self._watchers = Watchers(GRACE_S, LOST_S)
        self._key_frames = KeyClock()
        self.refused = 0

    async def run(self) -> int:
        """Capture, publish and inject until something ends it; return the exit code of the process."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._stop.set)
        self._bus.on_restored = self._restored
        tasks = [asyncio.create_task(self._bus.keep(), name="keep")]
        try:
            with contextlib.ExitStack() as stack:
                self._open(stack, loop)
                tasks += [
                    asyncio.create_task(self._frames(), name="frames"),
                    asyncio.create_task(self._reports(), name="reports"),
                    asyncio.create_task(self._snapshots.run(), name="snapshots"),
                    asyncio.create_task(self._repairs.run(), name="repairs"),
                    asyncio.create_task(self._watchers.run(self._engine.pause), name="watchers"),
                    asyncio.create_task(self._injector.run(), name="input"),
                    asyncio.create_task(self._hold(), name="hold"),
                    asyncio.create_task(
                        self._bus.listen(messages.worker_group(self._session), self._receive), name="listen"
                    ),
                    asyncio.create_task(self._stop.wait(), name="stop"),  # type: ignore[arg-type]
                ]
                return await self._first_end(tasks)
        except SettingsError as error:
            logger.error("configuration refused: %s", error)
            return EXIT_CONFIG
        except EngineError as error:
            return await self._failed(str(error))
        finally:
            await end_tasks(*tasks, *self._errands)
            await self._bus.close()

    def _open(self, stack: contextlib.ExitStack, loop: asyncio.AbstractEventLoop) -> None:
        """Open display and engine; raises `SourceError`. What ``stack`` closes, it closes in reverse."""
        config = self._config
        address: dict[str, Any] = {
            "socket": config.display_socket,
            "number": config.display_number,
            "auth": (config.auth_name, config.auth_data) if config.auth_name else None,
        }
        source = stack.enter_context(self._source(address))
        receipts = Receipts(lambda event: self._errand(self._tell(event)))

        def injected(viewer: str, seq: int) -> None:
            receipts.note(viewer, seq)
            self._stages.injected(time.monotonic_ns() // 1000)

        self._injector = Injector(X11Input(**address), injected)
        stack.callback(self._injector.close)
        self._engine = stack.enter_context(Engine(source, config.settings))
        thread = ThreadPoolExecutor(1, "snapshot")
        stack.callback(thread.shutdown)  # waits for an encode under way
        publishing = asyncio.Lock()
        self._snapshots = Snapshots(self._session, self._bus, self._engine.snapshot, self._repair, thread, publishing)
        self._repairs = Repairs(self._session, self._bus, self._repair, thread, publishing)
        descriptor = self._engine.fileno()
        loop.add_reader(descriptor, self._signalled, descriptor)
        stack.callback(loop.remove_reader, descriptor)
        self._engine.start()
        self._status.epoch = self._engine.epoch
        self._status.state = status.STREAMING

    def _source(self, address: dict[str, Any]) -> X11Source:
        framebuffer = self._config.framebuffer
        try:
            source = X11Source(**address, framebuffer=framebuffer)
        finally:
            if framebuffer is not None:
                with contextlib.suppress(OSError):  # the engine has said what is wrong with it
                    os.close(framebuffer)
        if framebuffer is not None and not source.direct:
            logger.info("the X server's framebuffer cannot be read; the server is asked for the picture")
        return source

    async def _first_end(self, tasks: list[asyncio.Task[None]]) -> int:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            error = task.exception()
            if isinstance(error, BusGone):
                logger.error("Redis could not be reached for a minute, or refuses this worker: %s", error)
                return EXIT_REDIS
            if isinstance(error, EngineError):
                return await self._failed(str(error))
            if error is not None:
                raise error
        with contextlib.suppress(BusLost):
            await self._bus.command("DEL", messages.status_key(self._session))
        return EXIT_OK

    async def _failed(self, text: str) -> int:
        logger.error("%s", text)
        self._status.state, self._status.error = status.FAILED, text
        with contextlib.suppress(BusLost):
            await self._write_status()
        return EXIT_DISPLAY

    # ---- pictures ------------------------------------------------------------------------------------------------

    def _signalled(self, descriptor: int) -> None:
        with contextlib.suppress(BlockingIOError):
            os.read(descriptor, 8)
        self._ready.set()

    async def _frames(self) -> None:
        """Publish finished frames one at a time; raise the engine's error when it fails."""
        group = messages.frames_group(self._session)
        while True:
            await self._ready.wait()
            self._ready.clear()
            if (failure := self._engine.failure) is not None:
                raise failure
            self._look_at_cursor()
            await self._bus.hears.wait()  # meanwhile the engine merges; nothing is lost
            while (frame := self._engine.take()) is not None:
                with frame:
                    self._note_frame(frame.frame_id, frame.buffer)
                    with contextlib.suppress(BusLost):  # the head after the reconnect tells who missed it
                        await self._bus.publish_frames(group, FRAME_HEAD, frame.buffer)

    def _repair(self, rectangles: list[tuple[int, int, int, int]], shrink: int, quality: int) -> list[bytes]:
        return self._engine.repair(rectangles, shrink=shrink, quality=quality or None)

    def _note_frame(self, frame_id: int, buffer: memoryview) -> None:
        self._published = frame_id
        self._snapshots.note_frame(frame_id)
        self._repairs.note_frame(frame_id, buffer)
        self._meter.add(len(buffer))
        self._stages.frame(buffer)
        self._last_move = time.monotonic()
        width, height = (int.from_bytes(buffer[at : at + 2], "little") for at in (_SIZE_AT, _SIZE_AT + 2))
        if (width, height) != (self._status.width, self._status.height):
            self._status.width, self._status.height = width, height
            self._injector.resize(width, height)
        if self._rest is None:
            self._rest = asyncio.get_running_loop().call_later(REST_S, self._rested)
            self._report.set()

    def _rested(self) -> None:
        """Called once in `REST_S` while frames flow; announces the last one when they have stopped."""
        remaining = self._last_move + REST_S - time.monotonic()
        if remaining > 0:
            self._rest = asyncio.get_running_loop().call_later(remaining, self._rested)
        else:
            self._rest = None
            self._errand(self._announce_head())

    async def _announce_head(self) -> None:
        """Tell every FrameBus which frame is the last, so that a lost tail, or a new epoch, is noticed."""
        await self._bus.publish_head(messages.frames_group(self._session), self._engine.epoch, self._published)

    def _look_at_cursor(self) -> None:
        image = self._engine.cursor()
        if image is not None:
            self._cursor = cursor.event(image.serial, image.width, image.height, image.hot_x, image.hot_y, image.rgba)
            self._errand(self._tell(self._cursor))

    # ---- reports -------------------------------------------------------------------------------------------------

    async def _reports(self) -> None:
        """Renew the status key and tell statistics: every `STATS_S` while something moves, else every `REPORT_S`."""
        told_fps = 0.0
        while True:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(REPORT_S):
                    await self._report.wait()
            self._report.clear()
            moving = time.monotonic() - self._last_move < STATS_S
            if moving:
                await asyncio.sleep(STATS_S if told_fps else REST_S)
                self._report.set()
            self._status.note_rate(self._meter.tick())
            with contextlib.suppress(BusLost):
                await self._write_status()
                if moving or told_fps:  # once more when it has come to rest, so that nobody shows old numbers
                    await self._tell_stats()
                    told_fps = self._meter.rates.fps
                await self._announce_head()
                await self._release_lost_viewers()

    async def _write_status(self) -> None:
        if self._status.state == status.STREAMING:
            self._status.mode = self._engine.settings.mode
            counters = self._engine.stats()
            self._status.latency_ms, self._status.dropped = counters.latency_p50_ms, counters.dropped
            self._status.stages = self._stages.samples.quantiles()
        key = messages.status_key(self._session)
        await self._bus.command("SET", key, self._status.as_json(self._meter), "EX", status.EXPIRY_S)

    async def _tell_stats(self) -> None:
        oldest = time.time() - VIEWER_LOST_S
        viewers = await self._bus.command("ZCOUNT", messages.viewers_key(self._session), oldest, "+inf")
        rates = self._meter.rates
        mode = self._engine.settings.mode
        counters = self._engine.stats()
        latency = [round(counters.latency_p50_ms, 2), round(counters.latency_p95_ms, 2)]
        engine = {"latency_ms": latency, "dropped": counters.dropped}
        stats = {"type": "stats", "fps": rates.fps, "kbps": rates.kbps, "viewers": viewers, "mode": mode}
        await self._tell({**stats, "engine": engine})

    async def _release_lost_viewers(self) -> None:
        """Release what viewers hold, and what bounds them, whose web process died without saying so."""
        viewers = {*self._injector.viewers(), *self._links.viewers()}
        self._seen = {viewer: seen for viewer, seen in self._seen.items() if viewer in viewers}
        for viewer in viewers:
            score = await self._bus.command("ZSCORE", messages.viewers_key(self._session), viewer)
            before, at = self._seen.get(viewer, (None, 0.0))
            # By our own clock, whatever the one on the wall does: who is there changes his score every few seconds.
            if score not in (None, before):
                self._seen[viewer] = (score, time.monotonic())
            elif before is None or time.monotonic() > at + VIEWER_LOST_S:
                self._injector.put(messages.Release(viewer))
                self._apply(self._links.set(viewer, 0))

    async def _tell(self, event: dict[str, Any]) -> None:
        """Send a protocol message to every consumer of the session."""
        await self._bus.publish_control(
            messages.session_group(self._session), {"type": "session.event", "event": event}
        )

    def _errand(self, work: Coroutine[Any, Any, None]) -> None:
        """Run a short publish beside the frames; a lost Redis costs only this message."""

        async def run() -> None:
            with contextlib.suppress(BusLost):
                await work

        task = asyncio.create_task(run())
        self._errands.add(task)
        task.add_done_callback(self._errands.discard)

    def _restored(self) -> None:
        """Redis is (again) there: frames may have been lost meanwhile, and the status has run out."""
        self._report.set()

    # ---- messages ------------------------------------------------------------------------------------------------

    def _receive(self, raw: Any) -> None:
        try:
            message = messages.parse_worker_message(raw)
        except messages.MessageError as error:
            self.refused += 1
            logger.warning("message refused (%d so far): %s", self.refused, error)
            return
        self._handlers[type(message)](self, message)

    def _settings(self, message: messages.Settings) -> None:
        try:
            settings = EngineSettings().replace(message.settings)
        except SettingsError as error:
            self.refused += 1
            logger.warning("settings refused: %s", error)
            return
        self._apply(self._links.use(settings))
        self._report.set()

    def _apply(self, settings: EngineSettings) -> None:
        """Give the engine these settings if it has others."""
        if settings != self._engine.settings:
            self._engine.update(**settings.as_dict())

    async def _hold(self) -> None:
        """While anybody holds a key or a button: release those whose web process died without saying so."""
        while True:
            await self._typed.wait()
            await asyncio.sleep(HOLD_S)
            if not self._injector.release_silent():
                self._typed.clear()

    def _input(self, message: messages.Input) -> None:
        self._status.input_at = time.monotonic()
        self._injector.put(message)
        self._typed.set()
        if self._links.controlled_by(message.viewer):
            self._apply(self._links.settings)

    def _cursor_again(self) -> None:
        if self._cursor is not None:
            self._errand(self._tell(self._cursor))

    def _picture(self, message: messages.Snapshot | messages.Repair) -> None:
        """Whoever asks for a picture looks; what has changed while nobody did is in the answer."""
        self._watchers.seen(message.bus)
        if isinstance(message, messages.Snapshot):
            self._snapshots.request(message)
        else:
            self._repairs.request(message)

    def _watch(self, message: messages.Watch) -> None:
        self._watchers.told(message.bus, message.viewers)
        self._apply(self._links.watched_by(self._watchers.count))

    def _lacks_key_frames(self) -> None:
        interval = self._engine.settings.keyframe_interval_ms / 1000
        self._key_frames.ask(interval, self._engine.request_key_frames)

    _handlers: dict[type[Any], Callable[[Worker, Any], None]] = {
        messages.Input: lambda self, message: self._input(message),
        messages.Alive: lambda self, message: self._injector.alive(message.viewer),
        messages.Release: lambda self, message: self._injector.put(message),
        messages.Settings: lambda self, message: self._settings(message),
        messages.Link: lambda self, message: self._apply(self._links.set(message.viewer, message.kbps)),
        messages.Snapshot: lambda self, message: self._picture(message),
        messages.Repair: lambda self, message: self._picture(message),
        messages.Watch: lambda self, message: self._watch(message),
        messages.KeyFrames: lambda self, message: self._lacks_key_frames(),
        messages.Cursor: lambda self, message: self._cursor_again(),
        messages.Stop: lambda self, message: self._stop.set(),
    }
