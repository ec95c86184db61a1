"""Decides which desktops this host starts ahead, and which of them it gives up. Synchronous, in the database thread.

As many a template as its ``prewarm`` says, where there is room that no session needs. A spare that was started from
what its template no longer says is given up; one that cannot start is not tried again at once.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from uuid import UUID

from ..models import DesktopSession, SessionHost, SessionTemplate, SpareDesktop
from ..models.spare_desktop import digest_of
from ..states import State

logger = logging.getLogger(__name__)

FIRST_PAUSE_S, LAST_PAUSE_S = 10.0, 600.0
"""How long a template whose spare could not start is left alone: doubled each time, up to the second."""


@dataclass
class Plan:
    """What the agent shall do: start these, give up those."""

    start: list[tuple[SpareDesktop, DesktopSession]] = field(default_factory=list)
    end: list[UUID] = field(default_factory=list)


class SparePlanner:
    """Remembers failures. Call `failed` when a spare ended without being taken."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._pauses: dict[int, tuple[float, float]] = {}

    def failed(self, template_id: int) -> None:
        """A spare of the template ended by itself."""
        _, pause = self._pauses.get(template_id, (0.0, FIRST_PAUSE_S / 2))
        pause = min(pause * 2, LAST_PAUSE_S)
        self._pauses[template_id] = self._clock() + pause, pause

    def started(self, template_id: int) -> None:
        """A spare of the template streams."""
        self._pauses.pop(template_id, None)

    def plan(self, host: SessionHost, room: int, living: Collection[UUID], may_start: bool) -> Plan:
        """Compare what is there with what should be. ``room``: places that no session has; ``living``: spares run."""
        plan = Plan()
        rows = list(SpareDesktop.objects.filter(host=host).select_related("template").order_by("pk"))
        known = {row.pk for row in rows}
        taken = set(DesktopSession.objects.filter(pk__in=[pk for pk in living if pk not in known]).values_list("pk"))
        plan.end += [pk for pk in living if pk not in known and (pk,) not in taken]
        wanted = {} if host.draining else _wanted()
        kept: dict[int, int] = {}
        for row in rows:
            template = wanted.get(row.template_id)
            have = kept.get(row.template_id, 0)
            fits = template is not None and row.made_from == digest_of(template) and have < template.prewarm
            if row.pk in living and fits and sum(kept.values()) < room:
                kept[row.template_id] = have + 1
            elif row.pk not in living:
                SpareDesktop.objects.filter(pk=row.pk).delete()
            elif SpareDesktop.objects.filter(pk=row.pk).update(ready=False):
                plan.end.append(row.pk)  # no launch can take it any more; its row goes when it is cleared away
        if may_start and sum(kept.values()) < room:
            for template in wanted.values():
                until, _ = self._pauses.get(template.pk, (0.0, 0.0))
                if kept.get(template.pk, 0) < template.prewarm and self._clock() >= until:
                    plan.start.append(self._make(host, template))
                    break  # one at a time: sessions go first
        return plan

    @staticmethod
    def _make(host: SessionHost, template: SessionTemplate) -> tuple[SpareDesktop, DesktopSession]:
        size = {"width": template.width, "height": template.height}
        spare = SpareDesktop.objects.create(host=host, template=template, made_from=digest_of(template), **size)
        return spare, as_session(spare)


def as_session(spare: SpareDesktop) -> DesktopSession:
    """Return the spare in the shape of a session, for its supervisor; it is in no database and nobody's."""
    return DesktopSession(
        id=spare.pk,
        template=spare.template,
        name=f"Spare of {spare.template.name}",
        width=spare.width,
        height=spare.height,
        state=(State.RUNNING if spare.ready else State.STARTING).value,
        spawner_state=spare.spawner_state,
    )


def _wanted() -> dict[int, SessionTemplate]:
    """Return the templates of which something is to be ready. A home that is somebody's cannot be made ahead."""
    templates = SessionTemplate.objects.filter(enabled=True, prewarm__gt=0, home=SessionTemplate.Home.EPHEMERAL)
    return {template.pk: template for template in templates}
