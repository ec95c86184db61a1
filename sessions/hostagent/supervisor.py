"""Looks after one session from claim to end: starts the desktop, keeps a worker at it, stops both, tells the database.

A task of the agent's event loop. Cancelling it lets go of the session without touching it: that is how the agent
leaves. The database is reached through `db`, one thread for the whole agent; changes go through `Writes`, so that a
database that is away holds up no stream.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from asgiref.sync import sync_to_async
from django.db import Error as DatabaseTrouble

from stripeengine.errors import SettingsError
from stripeengine.settings import EngineSettings

from ..conf import Conf
from ..models import DesktopSession
from ..spawners.base import DesktopSpec, Display, Exit, SpawnError
from ..spawners.local import LocalSpawner
from ..spawners.report import last_lines, of_os_error, printable, with_tail
from ..states import Reason, Stage, State
from ..tasks import end_tasks
from .lifecycle import Lifecycle
from .messages import StatusReader, Unavailable
from .redis_users import RedisUsers
from .worker_process import COMMAND, CONFIG_REFUSED, DISPLAY_GONE, WorkerProcess
from .writes import Writes

logger = logging.getLogger(__name__)
db = sync_to_async

LEAST_MAXIMUM = (1920, 1080)
"""Pixels that every display can be enlarged to while it runs."""

FIRST_DELAY, LAST_DELAY = 0.1, 5.0
"""Seconds before a dead worker is started again: doubled each time, up to the second."""

STEADY = 5.0
"""Seconds a worker must have lived for the delay to begin anew."""

STREAM_WITHIN = 45.0
"""Seconds a starting session has until its worker streams."""

CRASHES_AT_START = 5
STATUS_INTERVAL = 0.1
SETTINGS_WITHIN = 1.0
"""Seconds the database has to tell a worker's settings."""

LOOK_INTERVAL = 2.0
"""Seconds between two looks at the status of a worker that streams."""

SILENT = 20.0
"""Seconds without a status, while Redis answers, after which a worker is taken to hang and is killed."""

LIFE_S = 2.0
"""Seconds a session's tasks have to end their own before they are cancelled again."""

LOST = "The stream was lost and is being started again."
NO_ANSWER = (
    "The desktop's display does not answer. It may come back by itself; if it does not, end this session and "
    "start another."
)
LOG_LIMIT = 1 << 20
LOG_KEPT = 64 << 10
LOG_INTERVAL = 2.0


@dataclass(frozen=True)
class Tools:
    """What all supervisors of an agent share."""

    conf: Conf
    lifecycle: Lifecycle
    status: StatusReader
    users: RedisUsers
    problem: str
    worker_command: Sequence[str] = COMMAND


class Supervisor:
    """One session. ``adopt`` tells one that an earlier agent left from one just claimed."""

    def __init__(self, tools: Tools, session: DesktopSession, adopt: bool, spawner: LocalSpawner | None = None) -> None:
        self.session_id = session.pk
        self._session = session
        self._tools = tools
        self._adopt = adopt
        sandboxed = not (tools.problem and tools.conf.allow_unsandboxed)
        self._spawner = spawner or LocalSpawner(tools.conf, session.sid, sandboxed)
        self._worker = self._new_worker()
        self._writes = Writes(session.sid)
        self._settings = _settings_of(session)
        self._stop = asyncio.Event()
        self._stop_reason = Reason.STOPPED_BY_USER
        self._streamed = State(session.state) in (State.RUNNING, State.RECOVERING)

    def _new_worker(self) -> WorkerProcess:
        return WorkerProcess(self._tools.conf, self._spawner.paths, self._spawner.sandboxed, self._tools.worker_command)

    def stop(self, reason: Reason) -> None:
        """Ask for the session's end. The first reason counts."""
        if not self._stop.is_set():
            self._stop_reason = reason
            self._stop.set()

    async def run(self) -> None:
        """Look after the session until it has ended. Raises nothing but CancelledError."""
        life = asyncio.create_task(self._live())
        stop = asyncio.create_task(self._stop.wait())
        try:
            await asyncio.wait({life, stop}, return_when=asyncio.FIRST_COMPLETED)
            if self._stop.is_set():
                await self._obey(life)
            else:
                await self._end(life.result())
        except Exception:
            logger.exception("session %s: looking after it failed", self._session.sid)
            await self._end(Exit(Reason.OUT_OF_RESOURCES, "The host agent met an unexpected error; see its log.", True))
        finally:
            # Let go of file descriptors before the loop closes; nothing of the session is touched.
            await end_tasks(life, stop, again=LIFE_S)
            await self._writes.close()

    async def _obey(self, life: asyncio.Task[Exit]) -> None:
        """End the session because that is wanted."""
        await self._write_state(State.STOPPING, self._stop_reason)
        await end_tasks(life, again=LIFE_S)
        await self._clean()
        await self._finish(State.ENDED, self._stop_reason, self._stop_reason.label)

    async def _end(self, exit: Exit) -> None:
        """Clean up after a session that ended by itself, then say so."""
        await self._clean()
        await self._finish(State.FAILED if exit.failed else State.ENDED, exit.reason, exit.message)

    async def _clean(self) -> None:
        await asyncio.to_thread(self._worker.end)
        await self._spawner.stop()
        await self._tools.status.forget(self._session.sid)
        await self._tools.users.remove(self._session.sid)

    async def _live(self) -> Exit:
        """Start or find the desktop, keep a worker at it, return why it ended."""
        if State(self._session.state) is State.STOPPING:
            # An earlier agent was about to end it.
            self.stop(Reason(self._session.reason or self._session.stop_reason or Reason.STOPPED_BY_USER))
            await asyncio.Event().wait()
        try:
            display = await self._find() if self._adopt else None
            if display is None:
                display = await self._start()
        except SpawnError as error:
            return Exit(error.reason, str(error), failed=True)
        except _Gone as gone:
            return gone.exit
        streaming = asyncio.create_task(self._keep_streaming(display))
        ended = asyncio.create_task(self._spawner.wait())
        logs = asyncio.create_task(self._bound_logs())
        try:
            await asyncio.wait({streaming, ended}, return_when=asyncio.FIRST_COMPLETED)
            if ended.done():
                return ended.result()
            return streaming.result()
        finally:
            await end_tasks(streaming, ended, logs)

    async def _start(self) -> Display:
        if self._tools.problem and not self._tools.conf.allow_unsandboxed:
            raise SpawnError(Reason.NO_SANDBOX, f"{Reason.NO_SANDBOX.label} {self._tools.problem}")
        try:
            return await self._spawner.start(spec_of(self._session), self._stage)
        finally:
            # Also when cancelled: what exists must be found by whoever comes next.
            await self._remember()

    async def _find(self) -> Display | None:
        """Return the display of a desktop an earlier agent left; None if it is to be started from the beginning."""
        state = self._session.spawner_state if isinstance(self._session.spawner_state, dict) else {}
        display = self._spawner.load_state(state)
        self._worker = self._new_worker()
        adopted = self._worker.load_state(state.get("worker"))
        if display is not None:
            logger.info("session %s: found again%s", self._session.sid, "" if adopted else ", without a worker")
            return display
        if State(self._session.state) is State.STARTING:
            await self._clean()  # it had hardly begun
            return None
        exit = await self._spawner.poll()
        if exit is not None and exit.reason is Reason.DESKTOP_EXITED and not exit.failed:
            raise _Gone(exit)
        raise _Gone(Exit(Reason.HOST_LOST, "The desktop is gone: its host was restarted or it was ended there.", True))

    async def _keep_streaming(self, display: Display) -> Exit:
        """Keep a worker at the desktop as long as it lives; return only if a first stream never came."""
        self._stage(Stage.STREAM)
        delay, crashes = FIRST_DELAY, 0
        loop = asyncio.get_running_loop()
        deadline = loop.time() + STREAM_WITHIN
        alive = self._worker.get_state() is not None and self._worker.load_state(self._worker.get_state())
        while True:
            began = loop.time()
            failure = "" if alive else await self._start_worker(display)
            alive = False
            code, error = (None, failure) if failure else await self._watch_worker(deadline)
            if not self._streamed:
                crashes += 1
                if code == CONFIG_REFUSED or crashes >= CRASHES_AT_START or loop.time() > deadline:
                    return self._no_stream(error)
            else:
                self._recovering(NO_ANSWER if code == DISPLAY_GONE else f"{LOST} {failure}".strip())
            if loop.time() - began > STEADY:
                delay = FIRST_DELAY
            logger.warning(
                "session %s: worker ended (%s), next in %.1f s: %s",
                self._session.sid,
                "not started" if failure else f"exit code {code}",
                delay,
                error or " | ".join(last_lines(self._spawner.paths.worker_log, 2)),
            )
            await asyncio.sleep(delay)
            delay = min(delay * 2, LAST_DELAY)

    async def _start_worker(self, display: Display) -> str:
        """Start a worker; return "" or why that was not possible."""
        try:
            await self._tools.status.forget(self._session.sid)
            url = await self._tools.users.make(self._session.sid)
            await self._worker.start(display, self._spawner.identity, url, await self._engine_settings())
        except OSError as error:
            return str(of_os_error(error))
        self._remember()
        return ""

    async def _watch_worker(self, deadline: float) -> tuple[int | None, str]:
        """Wait until the worker streams, then until it has ended; return its exit code and what it said of it."""
        ended = asyncio.create_task(self._worker.wait())
        loop = asyncio.get_running_loop()
        began, error = loop.time(), ""
        try:
            while not ended.done():
                try:
                    state, said = await self._tools.status.read(self._session.sid)
                    error = printable(said)
                    if state == "streaming":
                        await self._watch_stream(ended)
                        break
                except Unavailable as unavailable:
                    error = f"Redis does not answer: {printable(str(unavailable))}"
                if not self._streamed and loop.time() > deadline:
                    await asyncio.to_thread(self._worker.end)
                elif self._streamed and loop.time() > began + SILENT / 2:
                    self._recovering(error or NO_ANSWER)
                await asyncio.wait({ended}, timeout=STATUS_INTERVAL)
            return await ended, error
        finally:
            await end_tasks(ended)

    async def _watch_stream(self, ended: asyncio.Task[int | None]) -> None:
        """Watch a worker that streams until it has ended; kill one that hangs."""
        self._streamed = True
        self._write_state(State.RUNNING)
        loop = asyncio.get_running_loop()
        heard = loop.time()
        while not ended.done():
            try:
                state, _ = await self._tools.status.read(self._session.sid)
            except Unavailable:
                state = "unknown"
            if state:
                heard = loop.time()
            elif loop.time() > heard + SILENT:
                logger.warning("session %s: the worker hangs and is killed", self._session.sid)
                await asyncio.to_thread(self._worker.end)
            await asyncio.wait({ended}, timeout=LOOK_INTERVAL)

    def _no_stream(self, error: str) -> Exit:
        sentence = f"{Reason.NO_STREAM.label} {error}".strip()
        message = sentence if error else with_tail(sentence, self._spawner.paths.worker_log)
        return Exit(Reason.NO_STREAM, message, failed=True)

    async def _engine_settings(self) -> dict[str, Any]:
        """The session's settings as they are now, or as last known."""
        try:
            async with asyncio.timeout(SETTINGS_WITHIN):
                session = await db(DesktopSession.objects.select_related("preset").get)(pk=self.session_id)
            self._settings = _settings_of(session)
        except (DatabaseTrouble, TimeoutError, DesktopSession.DoesNotExist) as error:
            logger.warning("session %s: streamed with the settings last known: %s", self._session.sid, error)
        return self._settings

    async def _bound_logs(self) -> None:
        """Keep the session's logs below their limit: programs inside may print without end."""
        paths = self._spawner.paths
        while True:
            await asyncio.sleep(LOG_INTERVAL)
            for log in (paths.desktop_log, paths.worker_log, paths.network_log):
                with contextlib.suppress(OSError):
                    await asyncio.to_thread(shorten, log)

    def _remember(self) -> asyncio.Future[None]:
        state = {**self._spawner.get_state(), "worker": self._worker.get_state()}
        return self._writes.soon("spawner", self._tools.lifecycle.remember, self.session_id, state)

    def _stage(self, stage: Stage) -> None:
        self._writes.soon("stage", self._tools.lifecycle.stage, self.session_id, stage)

    def _write_state(self, new: State, reason: Reason | None = None, message: str = "") -> asyncio.Future[None]:
        move = self._tools.lifecycle.move
        return self._writes.soon("state", move, self.session_id, new, reason=reason, message=message)

    def _finish(self, new: State, reason: Reason, message: str) -> asyncio.Future[None]:
        return self._writes.soon("state", self._tools.lifecycle.finish, self.session_id, new, reason, message)

    def _recovering(self, message: str) -> None:
        self._writes.soon("state", self._tools.lifecycle.recovering, self.session_id, message)


class _Gone(Exception):
    """A desktop that should be there is not."""

    def __init__(self, exit: Exit) -> None:
        super().__init__(exit.message)
        self.exit = exit


def _settings_of(session: DesktopSession) -> dict[str, Any]:
    """Return the engine's settings of a session whose preset is loaded; defaults where what is stored does not fit."""
    try:
        return session.engine_settings().as_dict()
    except SettingsError as error:
        logger.warning("session %s: streamed with default settings: %s", session.sid, error)
        return EngineSettings().as_dict()


def spec_of(session: DesktopSession) -> DesktopSpec:
    """Return what is to be started for ``session``; its template must be loaded."""
    template = session.template
    return DesktopSpec(
        sid=session.sid,
        kind=template.kind,
        command=template.command,
        width=session.width,
        height=session.height,
        maximum_width=max(template.width, session.width, LEAST_MAXIMUM[0]),
        maximum_height=max(template.height, session.height, LEAST_MAXIMUM[1]),
        network=template.network,
        needs_gl=template.needs_gl,
    )


def shorten(log: Path) -> None:
    """Cut a log that is too long down to its end. Its writers append, so they go on behind that. Blocks."""
    if log.stat().st_size <= LOG_LIMIT:
        return
    with log.open("r+b") as file:
        file.seek(-LOG_KEPT, os.SEEK_END)
        kept = file.read(LOG_KEPT)
        file.truncate(0)
        file.seek(0)
        file.write(kept)
