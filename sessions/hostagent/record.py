"""What becomes of one supervised desktop is written here: to its session's row, or to the spare's it is for now.

On the agent's event loop; `Writes` makes the changes, so that a database that is away holds up nothing.
"""

from __future__ import annotations

import asyncio
import logging
from typing import Any, Protocol
from uuid import UUID

from asgiref.sync import sync_to_async
from django.db import Error as DatabaseTrouble

from stripeengine.errors import SettingsError
from stripeengine.settings import EngineSettings

from ..models import DesktopSession, SpareDesktop
from ..states import Reason, Stage, State
from .lifecycle import Lifecycle
from .writes import Writes

logger = logging.getLogger(__name__)
db = sync_to_async

SETTINGS_WITHIN = 1.0
"""Seconds the database has to tell a worker's settings."""

Done = asyncio.Future[None]


class Record(Protocol):
    """Where a supervisor writes. Each method returns at once; a `Done` is done when nothing is to be waited for."""

    def stage(self, stage: Stage) -> None: ...
    def state(self, new: State, reason: Reason | None = None) -> Done | None: ...
    def recovering(self, message: str) -> None: ...
    def note(self, message: str) -> None: ...
    def remember(self, spawner_state: dict[str, Any]) -> None: ...
    def finish(self, new: State, reason: Reason, message: str, log_tail: str) -> Done: ...
    async def settings(self) -> dict[str, Any]: ...


class SessionRecord:
    """A session's row. What is written of one kind while the database is away is replaced by what is newer."""

    def __init__(self, lifecycle: Lifecycle, session: DesktopSession, writes: Writes) -> None:
        self._lifecycle = lifecycle
        self._id: UUID = session.pk
        self._sid = session.sid
        self._writes = writes
        self.known_settings = settings_of(session)

    def stage(self, stage: Stage) -> None:
        self._writes.soon("stage", self._lifecycle.stage, self._id, stage)

    def state(self, new: State, reason: Reason | None = None) -> Done:
        return self._writes.soon("state", self._lifecycle.move, self._id, new, reason=reason)

    def recovering(self, message: str) -> None:
        self._writes.soon("state", self._lifecycle.recovering, self._id, message)

    def note(self, message: str) -> None:
        self._writes.soon("note", self._lifecycle.note, self._id, message)

    def remember(self, spawner_state: dict[str, Any]) -> None:
        self._writes.soon("spawner", self._lifecycle.remember, self._id, spawner_state)

    def finish(self, new: State, reason: Reason, message: str, log_tail: str) -> Done:
        return self._writes.soon("state", self._lifecycle.finish, self._id, new, reason, message, log_tail)

    def say(self, message: str) -> None:
        """Tell who waits for the session's start something."""
        self._writes.soon("say", self._lifecycle.say, self._id, State.STARTING, message)

    def again(self, reason: Reason, message: str) -> Done:
        """Put a session whose start failed back into the line."""
        return self._writes.soon("state", self._lifecycle.again, self._id, reason, message)

    def used(self, cpu_seconds: float, last: bool = False) -> Done:
        """Account processor time to the session and its owner. One write at a time, but for the ``last``."""
        return self._writes.soon("used at last" if last else "used", self._lifecycle.used, self._id, cpu_seconds)

    def stored(self, size: int) -> Done:
        """Note how much the owner's persistent home holds."""
        return self._writes.soon("stored", self._lifecycle.stored, self._id, size)

    async def settings(self) -> dict[str, Any]:
        """The session's settings as they are now, or as last known."""
        try:
            async with asyncio.timeout(SETTINGS_WITHIN):
                session = await db(DesktopSession.objects.select_related("preset").get)(pk=self._id)
            self.known_settings = settings_of(session)
        except (DatabaseTrouble, TimeoutError, DesktopSession.DoesNotExist) as error:
            logger.warning("session %s: streamed with the settings last known: %s", self._sid, error)
        return self.known_settings


class SpareRecord:
    """A spare's row: ready or not, and how to find it again."""

    def __init__(self, spare: SpareDesktop, writes: Writes) -> None:
        self._rows = SpareDesktop.objects.filter(pk=spare.pk)
        self._writes = writes

    def stage(self, stage: Stage) -> None:
        """Nobody waits for a spare."""

    def state(self, new: State, reason: Reason | None = None) -> Done | None:
        return self._writes.soon("state", self._rows.update, ready=new is State.RUNNING)

    def recovering(self, message: str) -> None:
        self._writes.soon("state", self._rows.update, ready=False)

    def note(self, message: str) -> None:
        """Nobody watches a spare."""

    def remember(self, spawner_state: dict[str, Any]) -> None:
        self._writes.soon("spawner", self._rows.update, spawner_state=spawner_state)

    def finish(self, new: State, reason: Reason, message: str, log_tail: str) -> Done:
        return self._writes.soon("state", self._rows.delete)

    async def settings(self) -> dict[str, Any]:
        """The defaults: nobody's preset applies yet."""
        return EngineSettings().as_dict()


def settings_of(session: DesktopSession) -> dict[str, Any]:
    """Return the engine's settings of a session whose preset is loaded; defaults where what is stored does not fit."""
    try:
        return session.engine_settings().as_dict()
    except SettingsError as error:
        logger.warning("session %s: streamed with default settings: %s", session.sid, error)
        return EngineSettings().as_dict()
