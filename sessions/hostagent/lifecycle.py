"""Moves sessions from state to state in the database: the only place that writes ``state`` and what follows from it.

Every move is checked against the table in `sessions.states` and done by an UPDATE that holds only if nobody else moved
the session meanwhile; who watches is told after the commit. Synchronous: the agent calls it from its database thread.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from datetime import timedelta
from typing import Any
from uuid import UUID

from django.db import transaction
from django.utils import timezone

from ..models import DesktopSession, SessionHost
from ..states import InvalidTransition, Reason, Stage, State, Wanted, check_transition

logger = logging.getLogger(__name__)

Announce = Callable[[str, dict[str, Any]], None]
"""Takes a group and a message; returns at once."""

MESSAGE_LENGTH = 500
QUEUE_PATIENCE = timedelta(minutes=2)
"""How long a session waits for a host with room."""

LIVING = (State.STARTING, State.RUNNING, State.RECOVERING, State.STOPPING)


class Lifecycle:
    """The moves of sessions, announced through ``announce`` after each commit."""

    def __init__(self, announce: Announce) -> None:
        self._announce = announce

    def claim(self, host: SessionHost, room: int) -> list[UUID]:
        """Take up to ``room`` waiting sessions, oldest first, for ``host``; return their ids.

        Of two agents that reach for the same session exactly one gets it.
        """
        waiting = DesktopSession.objects.filter(state=State.REQUESTED, wanted=Wanted.RUNNING).order_by("created_at")
        taken: list[UUID] = []
        # Look a little further than there is room: other agents take some of them meanwhile.
        for pk in waiting.values_list("pk", flat=True)[: room * 2] if room > 0 else ():
            if len(taken) < room and self.move(
                pk, State.STARTING, expected=State.REQUESTED, stage=Stage.SANDBOX, host=host
            ):
                taken.append(pk)
        return taken

    def close_unclaimed(self) -> None:
        """End waiting sessions that are no longer wanted, and fail those that waited too long for room."""
        waiting = DesktopSession.objects.filter(state=State.REQUESTED)
        for pk, stop_reason in waiting.filter(wanted=Wanted.STOPPED).values_list("pk", "stop_reason"):
            reason = Reason(stop_reason or Reason.STOPPED_BY_USER)
            self.move(pk, State.ENDED, expected=State.REQUESTED, reason=reason, message=reason.label)
        overdue = waiting.filter(wanted=Wanted.RUNNING, created_at__lt=timezone.now() - QUEUE_PATIENCE)
        for pk in overdue.values_list("pk", flat=True):
            minutes = int(QUEUE_PATIENCE.total_seconds() // 60)
            message = f"No host had room for it within {minutes} minutes. Stop another session, or try again later."
            self.move(pk, State.FAILED, expected=State.REQUESTED, reason=Reason.NO_HOST, message=message)

    def move(
        self,
        session_id: UUID,
        new: State,
        *,
        expected: State | None = None,
        stage: Stage | None = None,
        reason: Reason | None = None,
        message: str = "",
        host: SessionHost | None = None,
    ) -> bool:
        """Move a session on and tell its viewers; return whether it moved.

        False if it is gone, already there, or somebody else was quicker. Raises `InvalidTransition` for a move that
        the table does not allow from where the session is.
        """
        current = DesktopSession.objects.filter(pk=session_id).values_list("state", flat=True).first()
        if current is None or current == new or (expected is not None and current != expected):
            return False
        check_transition(State(current), new)
        changes: dict[str, Any] = {
            "state": new.value,
            "stage": stage.value if stage else "",
            "reason": reason.value if reason else "",
            "message": message[:MESSAGE_LENGTH],
        }
        if host is not None:
            changes["host"] = host
        if new.final:
            changes |= {"ended_at": timezone.now(), "spawner_state": {}}
        with transaction.atomic():
            if not DesktopSession.objects.filter(pk=session_id, state=current).update(**changes):
                return False
            if new is State.RUNNING:
                DesktopSession.objects.filter(pk=session_id, started_at=None).update(started_at=timezone.now())
            self._tell(session_id, changes)
        logger.info("session %s: %s → %s %s", session_id.hex, current, new.value, changes["reason"] or changes["stage"])
        return True

    def recovering(self, session_id: UUID, message: str) -> None:
        """Say that a session's stream is away, and why; one that is known to be recovering gets the newest reason."""
        if self.move(session_id, State.RECOVERING, expected=State.RUNNING, message=message):
            return
        changes = {"state": State.RECOVERING.value, "stage": "", "reason": "", "message": message[:MESSAGE_LENGTH]}
        with transaction.atomic():
            recovering = DesktopSession.objects.filter(pk=session_id, state=State.RECOVERING)
            if recovering.exclude(message=changes["message"]).update(message=changes["message"]):
                self._tell(session_id, changes)

    def stage(self, session_id: UUID, stage: Stage) -> None:
        """Note how far a starting session has come."""
        with transaction.atomic():
            starting = DesktopSession.objects.filter(pk=session_id, state=State.STARTING).exclude(stage=stage.value)
            if starting.update(stage=stage.value):
                self._tell(
                    session_id, {"state": State.STARTING.value, "stage": stage.value, "reason": "", "message": ""}
                )

    def remember(self, session_id: UUID, spawner_state: dict[str, Any]) -> None:
        """Keep what a later agent needs to find the session again."""
        DesktopSession.objects.filter(pk=session_id, state__in=LIVING).update(spawner_state=spawner_state)

    def finish(self, session_id: UUID, new: State, reason: Reason, message: str) -> None:
        """Move a session to its final state from wherever it is, by way of ``stopping`` where the table wants it."""
        try:
            self.move(session_id, new, reason=reason, message=message)
        except InvalidTransition:
            self.move(session_id, State.STOPPING, reason=reason, message=message)
            self.move(session_id, new, reason=reason, message=message)

    def _tell(self, session_id: UUID, changes: dict[str, Any]) -> None:
        event = {"type": "state", **{name: changes[name] for name in ("state", "stage", "reason", "message")}}
        message = {"type": "session.event", "event": event}
        transaction.on_commit(lambda: self._announce(f"session.{session_id.hex}", message))
