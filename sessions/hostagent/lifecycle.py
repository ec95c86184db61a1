"""Moves sessions from state to state in the database: the only place that writes ``state`` and what follows from it.

Every move is checked against the table in `sessions.states` and done by an UPDATE that holds only if nobody else moved
the session meanwhile; who watches is told after the commit. Synchronous: the agent calls it from its database thread,
a web process from the thread that watches hosts.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any
from uuid import UUID

from django.db import transaction
from django.db.models import F
from django.utils import timezone

from ..models import CpuUse, DesktopSession, UserProfile
from ..states import InvalidTransition, Reason, Stage, State, check_transition

logger = logging.getLogger(__name__)

Announce = Callable[[str, dict[str, Any]], None]
"""Takes a group and a message; returns at once."""

MESSAGE_LENGTH = 500
LIVING = (State.STARTING, State.RUNNING, State.RECOVERING, State.STOPPING)


class Lifecycle:
    """The moves of sessions, announced through ``announce`` after each commit."""

    def __init__(self, announce: Announce) -> None:
        self._announce = announce

    def move(
        self,
        session_id: UUID,
        new: State,
        *,
        expected: State | None = None,
        stage: Stage | None = None,
        reason: Reason | None = None,
        message: str = "",
        **more: Any,
    ) -> bool:
        """Move a session on and tell its viewers; return whether it moved. ``more`` are further fields to write.

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
            **more,
        }
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

    def recovering(self, session_id: UUID, message: str, reason: Reason | None = None) -> None:
        """Say that a session's stream is away, and why; one that is known to be recovering gets the newest reason."""
        if self.move(session_id, State.RECOVERING, expected=State.RUNNING, reason=reason, message=message):
            return
        why = {"reason": reason.value if reason else "", "message": message[:MESSAGE_LENGTH]}
        with transaction.atomic():
            recovering = DesktopSession.objects.filter(pk=session_id, state=State.RECOVERING)
            if recovering.exclude(**why).update(**why):
                self._tell(session_id, {"state": State.RECOVERING.value, "stage": "", **why})

    def note(self, session_id: UUID, message: str) -> None:
        """Say something of a running session to who watches it; "" takes back what was said."""
        changes = {"state": State.RUNNING.value, "stage": "", "reason": "", "message": message[:MESSAGE_LENGTH]}
        with transaction.atomic():
            running = DesktopSession.objects.filter(pk=session_id, state=State.RUNNING)
            if running.exclude(message=changes["message"]).update(message=changes["message"]):
                self._tell(session_id, changes)

    def stage(self, session_id: UUID, stage: Stage) -> None:
        """Note how far a starting session has come."""
        with transaction.atomic():
            starting = DesktopSession.objects.filter(pk=session_id, state=State.STARTING).exclude(stage=stage.value)
            if starting.update(stage=stage.value, message=""):
                self._tell(
                    session_id, {"state": State.STARTING.value, "stage": stage.value, "reason": "", "message": ""}
                )

    def remember(self, session_id: UUID, spawner_state: dict[str, Any]) -> None:
        """Keep what a later agent needs to find the session again."""
        DesktopSession.objects.filter(pk=session_id, state__in=LIVING).update(spawner_state=spawner_state)

    def finish(self, session_id: UUID, new: State, reason: Reason, message: str, log_tail: str = "") -> None:
        """Move a session to its final state from wherever it is, by way of ``stopping`` where the table wants it.

        One that has ended meanwhile, because its host was thought lost, keeps its reason and gets its log.
        """
        current = DesktopSession.objects.filter(pk=session_id).values_list("state", flat=True).first()
        if current is not None and State(current).final:
            DesktopSession.objects.filter(pk=session_id, log_tail="").update(log_tail=log_tail)
            return
        try:
            self.move(session_id, new, reason=reason, message=message, log_tail=log_tail)
        except InvalidTransition:
            self.move(session_id, State.STOPPING, reason=reason, message=message)
            self.move(session_id, new, reason=reason, message=message, log_tail=log_tail)

    def again(self, session_id: UUID, reason: Reason, message: str) -> None:
        """Put a session whose start failed back into the line, for whichever host takes it."""
        attempts = F("attempts") + 1
        what: dict[str, Any] = {"attempts": attempts, "host": None, "spawner_state": {}}
        self.move(session_id, State.REQUESTED, expected=State.STARTING, reason=reason, message=message, **what)

    def used(self, session_id: UUID, cpu_seconds: float) -> None:
        """Add processor time to the session and to its owner's month."""
        with transaction.atomic():
            session = DesktopSession.objects.filter(pk=session_id)
            owner = session.values_list("owner_id", flat=True).first()
            if owner is None:
                return
            session.update(cpu_seconds=F("cpu_seconds") + cpu_seconds)
            use, _ = CpuUse.objects.get_or_create(user_id=owner, month=f"{timezone.now():%Y-%m}")
            CpuUse.objects.filter(pk=use.pk).update(seconds=F("seconds") + cpu_seconds)

    def stored(self, session_id: UUID, size: int) -> None:
        """Note how much the persistent home of the session's owner holds."""
        owner = DesktopSession.objects.filter(pk=session_id).values_list("owner_id", flat=True).first()
        if owner is not None:
            UserProfile.objects.update_or_create(user_id=owner, defaults={"storage_bytes": size})

    def say(self, session_id: UUID, state: State, message: str) -> bool:
        """Give a session in ``state`` another message, and tell it; return whether it had another one."""
        with transaction.atomic():
            rows = DesktopSession.objects.filter(pk=session_id, state=state).exclude(message=message[:MESSAGE_LENGTH])
            if not rows.update(message=message[:MESSAGE_LENGTH]):
                return False
            kept = DesktopSession.objects.values("stage", "reason").get(pk=session_id)
            self._tell(session_id, {"state": state.value, "message": message[:MESSAGE_LENGTH], **kept})
        return True

    def _tell(self, session_id: UUID, changes: dict[str, Any]) -> None:
        event = {"type": "state", **{name: changes[name] for name in ("state", "stage", "reason", "message")}}
        message = {"type": "session.event", "event": event}
        transaction.on_commit(lambda: self._announce(f"session.{session_id.hex}", message))
