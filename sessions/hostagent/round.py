"""One look at the database: what this host shall start, stop, keep and give up. Synchronous, in the database thread."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from uuid import UUID

from django.db import close_old_connections

from ..conf import Conf
from ..hosts import HostWatch
from ..models import DesktopSession, SessionHost, SpareDesktop
from ..states import State, Wanted
from .lifecycle import LIVING, Lifecycle
from .queue import Queue
from .spares import Plan, SparePlanner
from .supervisor import Supervisor


@dataclass
class Wishes:
    """What is to be done. The event loop does it."""

    claimed: list[DesktopSession] = field(default_factory=list)
    stops: list[tuple[UUID, str]] = field(default_factory=list)
    kept: list[tuple[UUID, int]] = field(default_factory=list)
    over: list[UUID] = field(default_factory=list)
    """Sessions looked after here that have ended in the database, or are in it no more."""
    spares: Plan = field(default_factory=Plan)


class Round:
    """Everything of an agent that reads wishes. One round at a time."""

    def __init__(self, conf: Conf, lifecycle: Lifecycle, own_name: str) -> None:
        self._conf = conf
        self._queue = Queue(lifecycle, timedelta(minutes=conf.queue_minutes))
        self._watch = HostWatch(lifecycle, own_name)
        self.planner = SparePlanner()
        self.spares_wanted = True

    def look(self, host_id: int, mine: Mapping[UUID, Supervisor]) -> Wishes:
        """Claim what is for this host and say what else is to be done. ``mine``: what it looks after now."""
        close_old_connections()
        host = SessionHost.objects.get(pk=host_id)
        self._watch.look()
        spares = [pk for pk, supervisor in mine.items() if supervisor.spare is not None and supervisor.usable]
        sessions = [pk for pk, supervisor in mine.items() if supervisor.spare is None]
        starting = sum(supervisor.starting for supervisor in mine.values())
        room = host.capacity - len(sessions)
        wishes = Wishes()
        taken: list[UUID] = []
        if not self._queue.empty():
            starts = self._conf.starts_at_once - starting
            taken = self._queue.take(host, room, starts, spares, busy=mine.keys() - set(spares))
            self._queue.close_unwanted()
            self._queue.tell_places()
        if taken:
            rows = DesktopSession.objects.filter(pk__in=taken)
            wishes.claimed += rows.select_related("template", "preset", "owner")
        found = set()
        looked_after = DesktopSession.objects.filter(pk__in=[*sessions, *taken])
        # Every two seconds, of all sessions here: not as models, which would cost most of what an idle agent uses.
        for pk, state, where, kept, wanted, stop_reason in looked_after.values_list(
            "pk", "state", "host_id", "kept", "wanted", "stop_reason"
        ):
            found.add(pk)
            if pk not in taken:
                if State(state).final or where != host.pk:
                    wishes.over.append(pk)
                else:
                    wishes.kept.append((pk, kept))
            if wanted == Wanted.STOPPED:
                wishes.stops.append((pk, stop_reason))
        # One that is put back into the line is let go of by its supervisor itself.
        wishes.over += [pk for pk in sessions if pk not in found]
        living = [pk for pk, supervisor in mine.items() if supervisor.spare is not None and pk not in taken]
        if self.spares_wanted or living:
            if not self.spares_wanted:
                host.draining = True
            may_start = not starting and not taken
            wishes.spares = self.planner.plan(host, room - len(taken), living, may_start)
        return wishes


def left_behind(host_id: int) -> tuple[list[DesktopSession], list[SpareDesktop]]:
    """Return what an earlier agent of this host looked after."""
    sessions = DesktopSession.objects.filter(host=host_id, state__in=LIVING)
    spares = SpareDesktop.objects.filter(host=host_id)
    return list(sessions.select_related("template", "preset", "owner")), list(spares.select_related("template"))


def known_ids() -> list[UUID]:
    """Return the ids of everything that may have processes and files on some host."""
    sessions = DesktopSession.objects.filter(state__in=[*LIVING, State.REQUESTED])
    return [*sessions.values_list("pk", flat=True), *SpareDesktop.objects.values_list("pk", flat=True)]
