"""The host agent: one event loop that claims sessions, looks after each in a task of its own, and tells that it lives.

Wishes are read from the database every two seconds and whenever Redis says so. The database has one thread; no error
in one session, in the database or in Redis ends the loop. On SIGTERM it leaves, and leaves the sessions running.
"""

from __future__ import annotations

import asyncio
import fcntl
import logging
import os
import re
import shutil
from collections.abc import Sequence
from pathlib import Path
from uuid import UUID

from asgiref.sync import sync_to_async
from django.db import Error as DatabaseTrouble
from django.db import close_old_connections
from django.db.models import F
from django.utils import timezone

from ..conf import Conf
from ..models import DesktopSession, SessionHost, SpareDesktop
from ..models.session_host import HEARTBEAT
from ..spawners import local, sandbox
from ..spawners.bounds import hierarchy
from ..spawners.guard import guarded
from ..spawners.paths import known_sessions, remove_nameless
from ..spawners.registry import SpawnerUnusable, spawner_class
from ..states import Reason
from ..tasks import end_tasks
from .lifecycle import Lifecycle
from .load import MachineLoad
from .messages import Announcer, StatusReader, listen_for_wake
from .redis_users import RedisUsers
from .round import Round, known_ids, left_behind
from .spares import as_session
from .supervisor import Supervisor
from .tools import Tools
from .usage import SAMPLE_S
from .worker_process import COMMAND

logger = logging.getLogger(__name__)
db = sync_to_async

POLL_INTERVAL = 2.0
PROBLEM_LENGTH = 300
LEAVE_S = 5.0
"""Seconds a supervisor has to let go of its session before it is told so again."""


class AgentError(Exception):
    """The agent cannot run. The text names cause and remedy."""


class HostAgent:
    """The agent of one host. `run` returns after `leave`."""

    def __init__(self, conf: Conf, name: str, worker_command: Sequence[str] = COMMAND) -> None:
        self.name = name
        self._conf = conf
        self._worker_command = worker_command
        self._tasks: dict[UUID, asyncio.Task[None]] = {}
        self._supervisors: dict[UUID, Supervisor] = {}
        self._wake = asyncio.Event()
        self._leaving = asyncio.Event()
        self._host: SessionHost | None = None
        self._sandbox_problem = ""
        self._load = MachineLoad()
        self._lock: int | None = None

    def leave(self) -> None:
        """Let go of every session and return from `run`. Call it from the event loop."""
        self._leaving.set()
        self._wake.set()

    def give_up_spares(self) -> None:
        """End what was started ahead and start no more: the machine is about to be shut down."""
        self._round.spares_wanted = False
        self._wake.set()

    async def run(self) -> None:
        """Look after this host's sessions until told to leave. Raises `AgentError` if it cannot begin."""
        try:
            spawner_class(self._conf.spawner)
        except SpawnerUnusable as error:
            raise AgentError(str(error)) from None
        self._lock = lock(self._conf.runtime_dir / f"agent-{self.name}.lock", self.name)
        announcer = Announcer()
        self._sandbox_problem = await asyncio.to_thread(sandbox.problem)
        self._tools = Tools(
            self._conf,
            announcer,
            Lifecycle(announcer.announce),
            StatusReader(self._conf.redis_url),
            RedisUsers(self._conf.redis_url),
            self._sandbox_problem,
            self._worker_command,
        )
        self._round = Round(self._conf, self._tools.lifecycle, self.name)
        helpers = [
            asyncio.create_task(announcer.run()),
            asyncio.create_task(listen_for_wake(self._wake.set, self._conf.redis_url)),
            asyncio.create_task(self._measure()),
        ]
        try:
            await self._until_registered()
            helpers.append(asyncio.create_task(self._beat()))
            while not self._leaving.is_set():
                try:
                    await self._obey()
                except DatabaseTrouble as error:
                    logger.warning("the database cannot be reached: %s", error)
                except Exception:
                    logger.exception("a round failed; the next one follows")
                await self._pause()
        finally:
            await end_tasks(*self._tasks.values(), *helpers[1:], again=LEAVE_S)
            await announcer.drain()
            await end_tasks(helpers[0])
            await self._tools.status.close()
            await self._tools.users.close()
            os.close(self._lock)

    async def _pause(self) -> None:
        try:
            async with asyncio.timeout(POLL_INTERVAL):
                await self._wake.wait()
        except TimeoutError:
            return
        self._wake.clear()

    async def _measure(self) -> None:
        """Sample the processor time of everything that runs here, again and again, while somebody asks for it."""
        while True:
            if self._tools.usage.wanted:
                try:
                    await asyncio.to_thread(self._tools.usage.sample)
                except Exception:
                    logger.exception("processor time could not be measured")
            await asyncio.sleep(SAMPLE_S)

    # ---- the host ------------------------------------------------------------------------------------------------

    async def _until_registered(self) -> None:
        """Register the host, clear what nobody knows and adopt what runs; wait for a database that is away."""
        while not self._leaving.is_set():
            try:
                host = await db(self._register)()
                sessions, spares = await db(left_behind)(host.pk)
                for session in sessions:
                    self._look_after(session, adopt=True)
                for spare in spares:
                    self._look_after(as_session(spare), adopt=True, spare=spare)
                await self._sweep()
                return
            except DatabaseTrouble as error:
                logger.warning("the database cannot be reached: %s", error)
                await asyncio.sleep(POLL_INTERVAL)

    def _register(self) -> SessionHost:
        close_old_connections()
        host, _ = SessionHost.objects.get_or_create(name=self.name)
        values = {"capacity": self._conf.host_capacity, **self._condition()}
        SessionHost.objects.filter(pk=host.pk).update(**values)
        self._host = host
        room = self._conf.host_capacity
        logger.info("host %s, room for %d sessions, %s", self.name, room, self._problem() or "sandboxed")
        return host

    def _condition(self) -> dict[str, object]:
        cpu, memory = self._load.look()
        return {
            "beat": F("beat") + 1,
            "heartbeat": timezone.now(),
            "lost": False,
            "cpu_load": cpu,
            "memory_load": memory,
            "sandboxed": not self._sandbox_problem,
            "problem": self._problem()[:PROBLEM_LENGTH],
        }

    def _problem(self) -> str:
        """What this host lacks, in sentences; "" if nothing."""
        problems = []
        if self._sandbox_problem:
            remedy = " Sessions run WITHOUT A SANDBOX." if self._conf.allow_unsandboxed else " No session can start."
            problems.append(f"{self._sandbox_problem}{remedy}")
        if missing := local.missing_programs():
            problems.append(f"Not installed: {', '.join(missing)}.")
        if unbounded := hierarchy().problem():
            problems.append(unbounded)
        if shutil.which("slirp4netns") is None:
            problems.append("Without slirp4netns no template with internet can start.")
        return " ".join(problems)

    async def _beat(self) -> None:
        """Tell every few seconds that the agent lives."""
        while True:
            await asyncio.sleep(HEARTBEAT.total_seconds())
            try:
                if await db(self._heartbeat)():
                    for supervisor in self._supervisors.values():
                        supervisor.reassert()
            except DatabaseTrouble as error:
                logger.warning("no heartbeat: the database cannot be reached: %s", error)
            except Exception:
                logger.exception("no heartbeat")

    def _heartbeat(self) -> bool:
        """Beat once; return whether others had thought this host lost."""
        close_old_connections()
        rows = SessionHost.objects.filter(name=self.name)
        was_lost = rows.filter(lost=True).exists()
        if not rows.update(**self._condition()):
            self._register()  # somebody deleted it
        return was_lost

    async def _sweep(self) -> None:
        """Remove processes and files of sessions that the database does not know as living."""
        conf = self._conf
        known = {pk.hex for pk in await db(known_ids)()}
        for sid in await asyncio.to_thread(known_sessions, conf.runtime_dir, conf.state_dir) - known:
            if re.fullmatch("[0-9a-f]{32}", sid):
                logger.info("session %s: removing what was left of it", sid)
                await guarded(conf, sid, sandboxed=True).stop()
        await asyncio.to_thread(remove_nameless, conf.runtime_dir)

    # ---- its sessions --------------------------------------------------------------------------------------------

    async def _obey(self) -> None:
        """Do what the database wants now."""
        if self._host is None:
            return
        wishes = await db(self._round.look)(self._host.pk, dict(self._supervisors))
        for session in wishes.claimed:
            spare = self._supervisors.get(session.pk)
            if spare is not None:
                self._round.planner.started(session.template_id)
                spare.become(session)
            else:
                # With something to find: a spare that was taken while no agent was there.
                self._look_after(session, adopt=bool(session.spawner_state))
        for pk, reason in wishes.stops:
            if (supervisor := self._supervisors.get(pk)) is not None:
                supervisor.stop(Reason(reason or Reason.STOPPED_BY_USER))
        for pk, times in wishes.kept:
            if (supervisor := self._supervisors.get(pk)) is not None:
                supervisor.kept(times)
        for pk in wishes.over:
            if (supervisor := self._supervisors.get(pk)) is not None:
                supervisor.abandon()
        for pk in wishes.spares.end:
            if (supervisor := self._supervisors.get(pk)) is not None:
                supervisor.stop(Reason.HOST_SHUT_DOWN)
        for spare_row, shape in wishes.spares.start:
            self._look_after(shape, adopt=False, spare=spare_row)

    def _look_after(self, session: DesktopSession, adopt: bool, spare: SpareDesktop | None = None) -> None:
        supervisor = Supervisor(self._tools, session, adopt, spare)
        task = asyncio.create_task(supervisor.run(), name=f"session {session.sid}")
        self._supervisors[session.pk], self._tasks[session.pk] = supervisor, task

        def over(_: asyncio.Task[None]) -> None:
            del self._supervisors[session.pk], self._tasks[session.pk]
            if supervisor.failed_as_spare:
                self._round.planner.failed(session.template_id)
            self._wake.set()  # there is room again

        task.add_done_callback(over)


def lock(path: Path, name: str) -> int:
    """Hold ``path`` as long as the process lives; raise `AgentError` if another agent does."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        raise AgentError(
            f"A host agent called {name} runs already on this machine. Stop it, or give this one a name with --name."
        ) from None
    return descriptor
