"""A session as people see it: one phase, one sentence, a progress. Shared by portal, admin and JSON.

`make_cards` blocks on the database and once on Redis, for any number of sessions.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Final

from django.urls import reverse

from ..models import DesktopSession, SessionHost
from ..states import Reason, Stage, State, Wanted
from ..status import UNKNOWN, LiveStatus, read_statuses

PHASES: Final = {
    State.REQUESTED: "waiting",
    State.STARTING: "starting",
    State.RUNNING: "ready",
    State.RECOVERING: "ready",
    State.STOPPING: "stopping",
    State.ENDED: "over",
    State.FAILED: "over",
}
_STAGES: Final = tuple(Stage)
STEPS: Final = len(_STAGES) + 1
"""Steps to a picture: to be taken by a host, then every stage."""


ENDINGS: Final = {
    Reason.IDLE.value: "Nobody uses it. It will be ended in",
    Reason.TOO_OLD.value: "It is about to be as old as its template allows. It will be ended in",
}


@dataclass(frozen=True)
class Card:
    """What is shown of one session. ``step`` counts finished steps of `STEPS`."""

    session: DesktopSession
    phase: str
    label: str
    detail: str
    step: int
    live: LiveStatus

    @property
    def percent(self) -> int:
        """Progress, 0…100."""
        return round(100 * self.step / STEPS)

    @property
    def stages(self) -> list[tuple[str, str]]:
        """Every step's label with ``done``, ``current`` or ``todo``."""
        labels = ["Finding a host", *(stage.label for stage in _STAGES)]
        return [
            (label, "done" if number < self.step else "current" if number == self.step else "todo")
            for number, label in enumerate(labels)
        ]

    @property
    def ending(self) -> str:
        """The beginning of the sentence that says when it will be ended by itself; empty when it will not be."""
        return ENDINGS.get(self.live.ending, "") if self.phase == "ready" else ""

    @property
    def ending_in(self) -> str:
        """The rest of that sentence, as ``4:59``."""
        minutes, seconds = divmod(max(0, round(self.live.ending_s)), 60)
        return f"{minutes}:{seconds:02}"

    @property
    def may_keep(self) -> bool:
        """Whether that can be put off."""
        return self.live.ending == Reason.IDLE

    def as_json(self) -> dict[str, Any]:
        """The card for scripts: plain values, escaped by nobody yet."""
        session = self.session
        return {
            "id": str(session.pk),
            "name": session.name,
            "phase": self.phase,
            "state": session.state,
            "label": self.label,
            "detail": self.detail,
            "step": self.step,
            "steps": STEPS,
            "preset": session.preset.name if session.preset else "",
            "created": session.created_at.isoformat(),
            "open": reverse("viewer", args=[session.pk]),
            **self.live.as_dict(),
            "ending": self.ending,
            "ending_in": self.ending_in,
            "may_keep": self.may_keep,
        }


def make_cards(sessions: Iterable[DesktopSession]) -> tuple[list[Card], bool]:
    """Return a card for each session, and whether live numbers could be read."""
    listed = list(sessions)
    waiting = any(session.state == State.REQUESTED for session in listed)
    a_host_lives = not waiting or any(host.alive for host in SessionHost.objects.all())
    statuses = read_statuses(session.sid for session in listed if not session.current_state.final)
    cards = [make_card(session, (statuses or {}).get(session.sid, UNKNOWN), a_host_lives) for session in listed]
    return cards, statuses is not None


def make_card(session: DesktopSession, live: LiveStatus, a_host_lives: bool = True) -> Card:
    """Return the card of one session; pure."""
    state = session.current_state
    phase, label, step = PHASES[state], state.label, 0
    if session.wanted == Wanted.STOPPED and not state.final:
        phase, label = "stopping", State.STOPPING.label
    elif state is State.STARTING:
        step = 1 + (_STAGES.index(Stage(session.stage)) if session.stage else 0)
    elif phase == "ready":
        step = STEPS
    return Card(session, phase, label, _detail(session, phase, live, a_host_lives), step, live)


def _detail(session: DesktopSession, phase: str, live: LiveStatus, a_host_lives: bool) -> str:
    if phase == "over":
        return session.message or (Reason(session.reason).label if session.reason else "")
    if phase == "waiting":
        return session.message if a_host_lives else "No host is online. It starts as soon as one is."
    if phase == "starting":
        return Stage(session.stage).label if session.stage else "Preparing"
    if phase == "ready":
        if session.state == State.RECOVERING:
            return session.message or "The stream is being restarted; the desktop goes on."
        if live.stream == "failed":
            return live.error or "The stream has failed and will be restarted."
    return session.message if phase == "ready" else ""
