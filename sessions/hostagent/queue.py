"""The line of sessions that wait for a host: who is taken, who stands where, who has waited too long.

Every agent looks at the same line and takes what is for it: the host with most left takes at once, the others only
what nobody has taken for a while. Nobody assigns, so no agent is needed by the others. Waiting is measured by this
agent's own clock since it first saw the session. Synchronous: runs in the agent's database thread.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection
from datetime import timedelta
from uuid import UUID

from django.db.models import Count, Q

from ..models import DesktopSession, SessionHost
from ..states import Reason, Stage, State, Wanted
from .lifecycle import LIVING, Lifecycle
from .load import score

COURTESY_S = 1.0
"""How long a session is left to each host that has more left than this one."""

PLACES_TOLD = 100
"""Sessions at the head of the line that are told their place; the others hear that it is long."""

NO_ROOM = "Stop another session, or try again later."


class Queue:
    """The line as this agent's ``host`` sees it."""

    def __init__(self, lifecycle: Lifecycle, patience: timedelta, clock: Callable[[], float] = time.monotonic) -> None:
        self._lifecycle = lifecycle
        self._patience = patience
        self._clock = clock
        self._seen: dict[UUID, float] = {}

    def empty(self) -> bool:
        """Return whether nobody waits: then nothing else here has to be asked."""
        if DesktopSession.objects.filter(state=State.REQUESTED).exists():
            return False
        self._seen = {}
        return True

    def take(
        self,
        host: SessionHost,
        room: int,
        starts: int,
        spares: Collection[UUID] = (),
        busy: Collection[UUID] = (),
    ) -> list[UUID]:
        """Claim what is for ``host`` and return it: at most ``room`` sessions, of which ``starts`` begin to start.

        ``spares`` are this host's desktops started ahead; a session with the id of one takes it, out of turn. ``busy``
        are being cleared away here and cannot be claimed yet.
        """
        waiting = {pk: bound for pk, bound in self._waiting(host) if pk not in busy}
        spared = [pk for pk in waiting if pk in spares]
        taken = [pk for pk in spared if self._claim(pk, host, Stage.STREAM)]
        room -= len(taken)
        others = [pk for pk in waiting if pk not in spares]
        left = min(room, starts) if not host.draining else 0
        better = self._ahead_of(host) if left > 0 and others else 0
        now = self._clock()
        for pk in others:
            if left <= 0:
                break
            if not waiting[pk] and now - self._seen[pk] < better * COURTESY_S:
                continue
            if self._claim(pk, host, Stage.SANDBOX):
                taken.append(pk)
                left -= 1
                better = self._ahead_of(host)
        return taken

    def close_unwanted(self) -> None:
        """End waiting sessions that are no longer wanted, and fail those that waited too long for room."""
        waiting = DesktopSession.objects.filter(state=State.REQUESTED)
        for pk, stop_reason in waiting.filter(wanted=Wanted.STOPPED).values_list("pk", "stop_reason"):
            reason = Reason(stop_reason or Reason.STOPPED_BY_USER)
            self._lifecycle.move(pk, State.ENDED, expected=State.REQUESTED, reason=reason, message=reason.label)
        oldest = self._clock() - self._patience.total_seconds()
        for pk in [pk for pk, seen in self._seen.items() if seen < oldest]:
            minutes = int(self._patience.total_seconds() // 60)
            message = f"No host had room for it within {minutes} minutes. {NO_ROOM}"
            self._lifecycle.move(pk, State.FAILED, expected=State.REQUESTED, reason=Reason.NO_HOST, message=message)

    def tell_places(self) -> None:
        """Tell those who wait where they stand; only who has moved hears of it."""
        waiting = DesktopSession.objects.filter(state=State.REQUESTED, wanted=Wanted.RUNNING)
        line = list(waiting.order_by("number", "pk").values_list("pk", "message", "reason")[: PLACES_TOLD + 100])
        for number, (pk, message, reason) in enumerate(line, 1):
            text = place(number)
            if reason:
                text = f"Its first start failed: {Reason(reason).label} {text}"
            if message != text:
                self._lifecycle.say(pk, State.REQUESTED, text)

    def _waiting(self, host: SessionHost) -> list[tuple[UUID, bool]]:
        """Return who waits and may come here, the oldest first, and whether nowhere else; note when each came."""
        rows = DesktopSession.objects.filter(state=State.REQUESTED, wanted=Wanted.RUNNING)
        line = list(rows.order_by("number", "pk").values_list("pk", "host"))
        now = self._clock()
        self._seen = {pk: self._seen.get(pk, now) for pk, _ in line}
        return [(pk, bound is not None) for pk, bound in line if bound in (None, host.pk)]

    def _ahead_of(self, host: SessionHost) -> int:
        """Return how many living hosts have room and more left than ``host``."""
        living = Count("sessions", filter=Q(sessions__state__in=LIVING))
        others = SessionHost.objects.filter(lost=False, draining=False, heartbeat__isnull=False).annotate(living=living)
        mine, scores = 1.0, []
        for other in others:
            value = score(other.cpu_load, other.memory_load, other.living, other.capacity)
            if other.pk == host.pk:
                mine = value
            elif other.living < other.capacity:
                scores.append((value, other.name))
        return sum(1 for value in scores if value < (mine, host.name))

    def _claim(self, pk: UUID, host: SessionHost, stage: Stage) -> bool:
        return self._lifecycle.move(pk, State.STARTING, expected=State.REQUESTED, stage=stage, host=host)


def place(number: int) -> str:
    """Return what the session at ``number`` of the line is told."""
    if number > PLACES_TOLD:
        return f"More than {PLACES_TOLD} sessions are before it in the line. It starts by itself when there is room."
    return f"Number {number} in the line. It starts by itself when there is room."
