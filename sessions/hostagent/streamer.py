"""Keeps a worker at one desktop as long as the desktop lives: starts it, watches it, replaces it.

A task of the agent's event loop, part of a `Supervisor`. Cancelling it leaves the worker alone.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import Any

from ..spawners.base import Display, Exit
from ..spawners.report import last_lines, of_os_error, printable, with_tail
from ..states import Reason, Stage, State
from ..tasks import end_tasks
from .messages import Unavailable, WorkerStatus
from .record import Record
from .rhythm import until_beat
from .tools import Tools
from .worker_process import CONFIG_REFUSED, DISPLAY_GONE, WorkerProcess

logger = logging.getLogger(__name__)

FIRST_DELAY, LAST_DELAY = 0.1, 5.0
"""Seconds before a dead worker is started again: doubled each time, up to the second."""

STEADY = 5.0
"""Seconds a worker must have lived for the delay to begin anew."""

STREAM_WITHIN = 45.0
"""Seconds a starting session has until its worker streams."""

CRASHES_AT_START = 5

UNSEEN = 3
"""Workers in a row that end while nobody listens at the display: then it is over, whoever else has not noticed."""
STATUS_INTERVAL = 0.1
REDIS_INTERVAL = 0.3
"""Seconds between two tries to reach a Redis that is away."""

LOOK_INTERVAL = 5.0
"""Seconds between two looks at the status of a worker that streams, which it renews as often."""

SILENT = 20.0
"""Seconds without a status, while Redis answers, after which a worker is taken to hang and is killed."""

NO_REDIS = "Redis does not answer."
LOST = "The stream was lost and is being started again."
NO_ANSWER = (
    "The desktop's display does not answer. It may come back by itself; if it does not, end this session and "
    "start another."
)


class Streamer:
    """The worker of one desktop. ``changed`` is called when there is something new for a later agent to find."""

    def __init__(
        self, tools: Tools, sid: str, spawner: Any, record: Record, changed: Callable[[], None], streamed: bool
    ) -> None:
        self.record = record
        self.streamed = streamed
        self.status: tuple[float, WorkerStatus] | None = None
        """When the worker was last heard, by the event loop's clock, and what it said."""
        self.worker = WorkerProcess(tools.conf, spawner.paths, spawner.sandboxed, tools.worker_command)
        self._sid = sid
        self._tools = tools
        self._spawner = spawner
        self._changed = changed

    async def keep(self, display: Display) -> Exit:
        """Keep a worker at the desktop; return only if a first stream never came, or there is no display any more."""
        self.record.stage(Stage.STREAM)
        delay, crashes, unseen = FIRST_DELAY, 0, 0
        loop = asyncio.get_running_loop()
        deadline = loop.time() + STREAM_WITHIN
        alive = self.worker.get_state() is not None and self.worker.load_state(self.worker.get_state())
        while True:
            began = loop.time()
            failure = "" if alive else await self._start(display, deadline)
            alive = False
            code, error = (None, failure) if failure else await self._watch(deadline)
            # What the desktop itself says of its end comes sooner. It may have lost whoever was to say it.
            exit: Exit | None = self._spawner.unseen()
            unseen = unseen + 1 if exit is not None else 0
            if exit is not None and unseen >= UNSEEN:
                return exit
            if not self.streamed:
                crashes += 1
                if code == CONFIG_REFUSED or crashes >= CRASHES_AT_START or loop.time() > deadline:
                    return self._no_stream(error)
            else:
                self.record.recovering(NO_ANSWER if code == DISPLAY_GONE else f"{LOST} {failure}".strip())
            if loop.time() - began > STEADY:
                delay = FIRST_DELAY
            logger.warning(
                "session %s: worker ended (%s), next in %.1f s: %s",
                self._sid,
                "not started" if failure else f"exit code {code}",
                delay,
                error or " | ".join(last_lines(self._spawner.paths.worker_log, 2)),
            )
            await asyncio.sleep(delay)
            delay = min(delay * 2, LAST_DELAY)

    async def _start(self, display: Display, deadline: float) -> str:
        """Start a worker; return "" or why that was not possible."""
        if not (url := await self._make_user(deadline)):
            return NO_REDIS
        try:
            await self._tools.status.forget(self._sid)
            settings = await self.record.settings()
            screen = await self._spawner.screen()
            await self.worker.start(display, self._spawner.identity, url, settings, screen)
        except OSError as error:
            return str(of_os_error(error))
        self._changed()
        return ""

    async def _make_user(self, deadline: float) -> str:
        """Return a URL for the worker, with a Redis user of its own. A Redis that is away is waited for.

        "" if a first stream must not be awaited any longer.
        """
        while True:
            try:
                return await self._tools.users.make(self._sid)
            except Unavailable:
                if self.streamed:
                    self.record.recovering(NO_REDIS)
                elif asyncio.get_running_loop().time() > deadline:
                    return ""
            await asyncio.sleep(REDIS_INTERVAL)

    async def _watch(self, deadline: float) -> tuple[int | None, str]:
        """Wait until the worker streams, then until it has ended; return its exit code and what it said of it."""
        ended = asyncio.create_task(self.worker.wait())
        loop = asyncio.get_running_loop()
        began, error = loop.time(), ""
        try:
            while not ended.done():
                try:
                    status = await self._tools.status.read(self._sid)
                    error = printable(status.error)
                    if status.state == "streaming":
                        await self._watch_stream(ended)
                        break
                except Unavailable as unavailable:
                    error = f"Redis does not answer: {printable(str(unavailable))}"
                if not self.streamed and loop.time() > deadline:
                    await asyncio.to_thread(self.worker.end)
                elif self.streamed and loop.time() > began + SILENT / 2:
                    self.record.recovering(error or NO_ANSWER)
                await asyncio.wait({ended}, timeout=STATUS_INTERVAL)
            return await ended, error
        finally:
            await end_tasks(ended)

    async def _watch_stream(self, ended: asyncio.Task[int | None]) -> None:
        """Watch a worker that streams until it has ended; kill one that hangs."""
        self.streamed = True
        self.record.state(State.RUNNING)
        loop = asyncio.get_running_loop()
        heard = loop.time()
        while not ended.done():
            try:
                status = await self._tools.status.read(self._sid)
                if status.state:
                    heard = loop.time()
                    self.status = heard, status
                elif loop.time() > heard + SILENT:
                    logger.warning("session %s: the worker hangs and is killed", self._sid)
                    await asyncio.to_thread(self.worker.end)
            except Unavailable:
                heard = loop.time()
            await asyncio.wait({ended}, timeout=until_beat(LOOK_INTERVAL))

    def _no_stream(self, error: str) -> Exit:
        sentence = f"{Reason.NO_STREAM.label} {error}".strip()
        message = sentence if error else with_tail(sentence, self._spawner.paths.worker_log)
        return Exit(Reason.NO_STREAM, message, failed=True)
