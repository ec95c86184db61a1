"""Looks after one session from claim to end: starts the desktop, keeps a worker at it, stops both, tells the database.

A task of the agent's event loop. Cancelling it lets go of the session without touching it: that is how the agent
leaves. What it writes goes through a `Record`, so that a database that is away holds up no stream; and so that a spare
desktop, which is nobody's, is looked after alike until a session takes it.
"""

from __future__ import annotations

import asyncio
import logging

from ..models import DesktopSession, SpareDesktop
from ..spawners.base import DesktopSpec, Display, Exit, SpawnError
from ..spawners.guard import guarded
from ..spawners.processes import ProcessId
from ..states import Reason, State
from ..tasks import end_tasks
from .bounds_watch import watch_bounds
from .logs import bound_logs, tail_of
from .oversight import Oversight
from .record import SessionRecord, SpareRecord
from .streamer import Streamer
from .tools import Tools
from .writes import Writes

logger = logging.getLogger(__name__)


LIFE_S = 2.0
"""Seconds a session's tasks have to end their own before they are cancelled again."""

MOST_ATTEMPTS = 2
"""Starts of one session, where the reason of the first failure may pass."""

AGAIN_S = 2.0
"""Seconds that such a reason has to pass."""


class Supervisor:
    """One desktop: ``session``'s, or a ``spare`` in the shape of a session that is in no database.

    ``adopt`` tells one that an earlier agent left from one just claimed.
    """

    def __init__(self, tools: Tools, session: DesktopSession, adopt: bool, spare: SpareDesktop | None = None) -> None:
        self.session_id = session.pk
        self.spare = spare
        self._session = session
        self._tools = tools
        self._adopt = adopt
        sandboxed = not (tools.problem and tools.conf.allow_unsandboxed)
        self._spawner = guarded(tools.conf, session.sid, sandboxed)
        self._writes = Writes(session.sid)
        self._record: SessionRecord | SpareRecord = (
            SpareRecord(spare, self._writes) if spare else SessionRecord(tools.lifecycle, session, self._writes)
        )
        self._streamer = self._new_streamer(State(session.state) in (State.RUNNING, State.RECOVERING))
        self._oversight = Oversight(tools, session, self.stop, self._remember, self._spawner.bounds, fresh=not adopt)
        self._stop = asyncio.Event()
        self._stop_reason = Reason.STOPPED_BY_USER
        self._abandoned = False
        self.failed_as_spare = False
        """Whether it ended by itself before a session took it."""

    def _new_streamer(self, streamed: bool) -> Streamer:
        return Streamer(self._tools, self._session.sid, self._spawner, self._record, self._remember, streamed)

    @property
    def starting(self) -> bool:
        """Whether it does not stream yet."""
        return not self._streamer.streamed

    @property
    def usable(self) -> bool:
        """Whether a session may take it, if it is a spare."""
        return not self.starting and not self._stop.is_set()

    def stop(self, reason: Reason) -> None:
        """Ask for the session's end. The first reason counts."""
        if not self._stop.is_set():
            self._stop_reason = reason
            self._stop.set()

    def abandon(self) -> None:
        """The session has ended in the database, while this host was thought lost: clear what is left of it."""
        self._abandoned = True
        self.stop(Reason.HOST_LOST)

    def kept(self, times: int) -> None:
        """Somebody has asked so often to keep the session although nobody uses it."""
        self._oversight.kept(times)

    def become(self, session: DesktopSession) -> None:
        """A spare is now ``session``, which has been claimed: same id, an owner, his settings."""
        self.spare = None
        self._session = session
        self._record = self._streamer.record = SessionRecord(self._tools.lifecycle, session, self._writes)
        self._oversight.begin(session)
        if not self.starting:
            self._record.state(State.RUNNING)
        self._remember()
        self._tell_settings()

    def _tell_settings(self) -> None:
        """The worker may have begun with others: as a spare's, or before a preset was changed."""
        if isinstance(self._record, SessionRecord):
            message = {"type": "worker.settings", "settings": self._record.known_settings}
            self._tools.announcer.announce(f"session.{self._session.sid}.worker", message)

    def reassert(self) -> None:
        """Others may have written that the host is lost: say again what the session is."""
        if not self.starting and self.spare is None and not self._stop.is_set():
            self._record.state(State.RUNNING)

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
        if not self._abandoned and (written := self._record.state(State.STOPPING, self._stop_reason)) is not None:
            await written
        await end_tasks(life, again=LIFE_S)
        tail = await self._clean()
        message = f"{self._stop_reason.label} {self._spawner.left_behind}".strip()
        await self._record.finish(State.ENDED, self._stop_reason, message, tail)

    async def _end(self, exit: Exit) -> None:
        """Clean up after a session that ended by itself, then say so; or have it started once more."""
        tail = await self._clean(with_worker=exit.reason is Reason.NO_STREAM)
        if self.spare is not None:
            self.failed_as_spare = True
            logger.warning("spare %s: %s", self._session.sid, exit.message)
        state = State.FAILED if exit.failed else State.ENDED
        if isinstance(self._record, SessionRecord) and exit.failed and self._may_try_again(exit.reason):
            logger.info("session %s: its start failed and is tried once more: %s", self._session.sid, exit.message)
            message = f"Its start failed and is tried once more. {exit.message}"
            self._record.say(message)
            stop = asyncio.create_task(self._stop.wait())
            await asyncio.wait({stop}, timeout=AGAIN_S)
            await end_tasks(stop)
            if not self._stop.is_set():
                await self._record.again(exit.reason, message)
                return
            state, exit = State.ENDED, Exit(self._stop_reason, self._stop_reason.label, failed=False)
        await self._record.finish(state, exit.reason, f"{exit.message} {self._spawner.left_behind}".strip(), tail)

    def _may_try_again(self, reason: Reason) -> bool:
        return self.starting and reason.transient and self._session.attempts + 1 < MOST_ATTEMPTS

    async def _clean(self, with_worker: bool = False) -> str:
        """Remove everything of the desktop; return the last lines of its logs."""
        await asyncio.to_thread(self._streamer.worker.end)
        tail = await asyncio.to_thread(tail_of, self._spawner.paths, with_worker)
        await self._oversight.close(self._record, self._root())
        await self._spawner.stop()
        await self._tools.status.forget(self._session.sid)
        await self._tools.users.remove(self._session.sid)
        return tail

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
            else:
                self._tell_settings()
        except SpawnError as error:
            return Exit(error.reason, str(error), failed=True)
        except _Gone as gone:
            return gone.exit
        streaming = asyncio.create_task(self._streamer.keep(display))
        ended = asyncio.create_task(self._spawner.wait())
        others = [
            asyncio.create_task(bound_logs(self._spawner.paths)),
            asyncio.create_task(self._oversight.run(lambda: self._record, lambda: self._streamer.status, self._root)),
            asyncio.create_task(
                watch_bounds(
                    self._session.sid,
                    self._spawner.bounds,
                    say=lambda said: self._record.note(said),
                    heard=lambda: not self.starting,
                )
            ),
        ]
        try:
            await asyncio.wait({streaming, ended}, return_when=asyncio.FIRST_COMPLETED)
            if ended.done():
                return ended.result()
            return streaming.result()
        finally:
            await end_tasks(streaming, ended, *others)

    async def _start(self) -> Display:
        if self._tools.problem and not self._tools.conf.allow_unsandboxed:
            raise SpawnError(Reason.NO_SANDBOX, f"{Reason.NO_SANDBOX.label} {self._tools.problem}")
        try:
            return await self._spawner.start(spec_of(self._session), lambda stage: self._record.stage(stage))
        finally:
            # Also when cancelled: what exists must be found by whoever comes next.
            self._remember()

    async def _find(self) -> Display | None:
        """Return the display of a desktop an earlier agent left; None if it is to be started from the beginning."""
        state = self._session.spawner_state if isinstance(self._session.spawner_state, dict) else {}
        display = self._spawner.load_state(state)
        self._oversight.load_state(state.get("life"))
        self._streamer = self._new_streamer(self._streamer.streamed)
        adopted = self._streamer.worker.load_state(state.get("worker"))
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

    def _root(self) -> int | None:
        """The process all of the desktop's descend from."""
        process = ProcessId.from_state(self._spawner.get_state().get("init"))
        return process.pid if process is not None else None

    def _remember(self) -> None:
        state = {**self._spawner.get_state(), "worker": self._streamer.worker.get_state()}
        self._record.remember({**state, "life": self._oversight.get_state()})


class _Gone(Exception):
    """A desktop that should be there is not."""

    def __init__(self, exit: Exit) -> None:
        super().__init__(exit.message)
        self.exit = exit


def spec_of(session: DesktopSession) -> DesktopSpec:
    """Return what is to be started for ``session``; its template must be loaded."""
    template = session.template
    return DesktopSpec(
        sid=session.sid,
        kind=template.kind,
        command=template.command,
        width=session.width,
        height=session.height,
        maximum_width=max(template.maximum_width, session.width),
        maximum_height=max(template.maximum_height, session.height),
        network=template.network,
        needs_gl=template.needs_gl,
        limits=template.limits(),
        home=template.home,
        owner=str(session.owner_id),
        gpu=template.gpu,
        environment=_environment_of(session),
        locale=template.locale,
        keyboard_layout=template.keyboard_layout,
        dpi=template.dpi,
    )


def _environment_of(session: DesktopSession) -> dict[str, str]:
    try:
        return session.template.variables()
    except ValueError as error:
        raise SpawnError(
            Reason.COMMAND_NOT_FOUND, f"The template's environment cannot be read. {error} Correct it in the admin."
        ) from None
