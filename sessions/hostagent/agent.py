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
from django.utils import timezone

from ..conf import Conf
from ..models import DesktopSession, SessionHost
from ..models.session_host import HEARTBEAT
from ..spawners import local, sandbox
from ..spawners.local import LocalSpawner
from ..spawners.paths import known_sessions, remove_nameless
from ..states import Reason, Wanted
from ..tasks import end_tasks
from .lifecycle import LIVING, Lifecycle
from .messages import Announcer, StatusReader, listen_for_wake
from .redis_users import RedisUsers
from .supervisor import Supervisor, Tools
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
        self._supervisors: dict[UUID, asyncio.Task[None]] = {}
        self._by_id: dict[UUID, Supervisor] = {}
        self._wake = asyncio.Event()
        self._leaving = asyncio.Event()
        self._host: SessionHost | None = None
        self._sandbox_problem = ""
        self._lock: int | None = None

    def leave(self) -> None:
        """Let go of every session and return from `run`. Call it from the event loop."""
        self._leaving.set()
        self._wake.set()

    async def run(self) -> None:
        """Look after this host's sessions until told to leave. Raises `AgentError` if it cannot begin."""
        self._lock = lock(self._conf.runtime_dir / f"agent-{self.name}.lock", self.name)
        announcer = Announcer()
        self._sandbox_problem = await asyncio.to_thread(sandbox.problem)
        self._tools = Tools(
            self._conf,
            Lifecycle(announcer.announce),
            StatusReader(self._conf.redis_url),
            RedisUsers(self._conf.redis_url),
            self._sandbox_problem,
            self._worker_command,
        )
        helpers = [asyncio.create_task(announcer.run()), asyncio.create_task(listen_for_wake(self._wake.set))]
        try:
            await self._until_registered()
            helpers.append(asyncio.create_task(self._beat()))
            while not self._leaving.is_set():
                try:
                    await self._round()
                except DatabaseTrouble as error:
                    logger.warning("the database cannot be reached: %s", error)
                except Exception:
                    logger.exception("a round failed; the next one follows")
                await self._pause()
        finally:
            await end_tasks(*self._supervisors.values(), *helpers[1:], again=LEAVE_S)
            await announcer.drain()
            helpers[0].cancel()
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

    async def _until_registered(self) -> None:
        """Register the host, clear what nobody knows and adopt what runs; wait for a database that is away."""
        while not self._leaving.is_set():
            try:
                await db(self._register)()
                for session in await db(self._left_behind)():
                    self._look_after(session, adopt=True)
                await self._sweep()
                return
            except DatabaseTrouble as error:
                logger.warning("the database cannot be reached: %s", error)
                await asyncio.sleep(POLL_INTERVAL)

    def _register(self) -> None:
        close_old_connections()
        self._host, _ = SessionHost.objects.update_or_create(
            name=self.name, defaults={"capacity": self._conf.host_capacity, **self._condition()}
        )
        logger.info("host %s, room for %d sessions, %s", self.name, self._host.capacity, self._problem() or "sandboxed")

    def _condition(self) -> dict[str, object]:
        return {
            "heartbeat": timezone.now(),
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
        if shutil.which("slirp4netns") is None:
            problems.append("Without slirp4netns no template with internet can start.")
        return " ".join(problems)

    async def _beat(self) -> None:
        """Tell every few seconds that the agent lives."""
        while True:
            await asyncio.sleep(HEARTBEAT.total_seconds())
            try:
                await db(self._heartbeat)()
            except DatabaseTrouble as error:
                logger.warning("no heartbeat: the database cannot be reached: %s", error)
            except Exception:
                logger.exception("no heartbeat")

    def _heartbeat(self) -> None:
        close_old_connections()
        if not SessionHost.objects.filter(name=self.name).update(**self._condition()):
            self._register()  # somebody deleted it

    def _left_behind(self) -> list[DesktopSession]:
        mine = DesktopSession.objects.filter(host=self._host, state__in=LIVING)
        return list(mine.select_related("template", "preset"))

    async def _sweep(self) -> None:
        """Remove processes and files of sessions that the database does not know as living."""
        conf = self._conf
        living = {pk.hex for pk in await db(_living_ids)()}
        for sid in await asyncio.to_thread(known_sessions, conf.runtime_dir, conf.state_dir) - living:
            if re.fullmatch("[0-9a-f]{32}", sid):
                logger.info("session %s: removing what was left of it", sid)
                await LocalSpawner(conf, sid, sandboxed=True).stop()
        await asyncio.to_thread(remove_nameless, conf.runtime_dir)

    async def _round(self) -> None:
        """Obey what the database wants now."""
        sessions, stops = await db(self._wishes)()
        for session in sessions:
            self._look_after(session, adopt=False)
        for pk, reason in stops:
            if (supervisor := self._by_id.get(pk)) is not None:
                supervisor.stop(Reason(reason or Reason.STOPPED_BY_USER))

    def _wishes(self) -> tuple[list[DesktopSession], list[tuple[UUID, str]]]:
        """Claim what there is room for; return the claimed sessions and what is to be stopped."""
        close_old_connections()
        host = self._host
        if host is None:
            return [], []
        lifecycle = self._tools.lifecycle
        room = SessionHost.objects.values_list("capacity", flat=True).get(pk=host.pk) - len(self._by_id)
        taken = lifecycle.claim(host, room)
        lifecycle.close_unclaimed()
        mine = DesktopSession.objects.filter(pk__in=[*self._by_id, *taken])
        claimed = list(mine.filter(pk__in=taken).select_related("template", "preset"))
        stops = list(mine.filter(wanted=Wanted.STOPPED).values_list("pk", "stop_reason"))
        return claimed, stops

    def _look_after(self, session: DesktopSession, adopt: bool) -> None:
        supervisor = Supervisor(self._tools, session, adopt)
        task = asyncio.create_task(supervisor.run(), name=f"session {session.sid}")
        self._by_id[session.pk], self._supervisors[session.pk] = supervisor, task

        def over(_: asyncio.Task[None]) -> None:
            del self._by_id[session.pk], self._supervisors[session.pk]
            self._wake.set()  # there is room again

        task.add_done_callback(over)


def _living_ids() -> list[UUID]:
    return list(DesktopSession.objects.filter(state__in=LIVING).values_list("pk", flat=True))


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
