"""When a session is ended by itself: nobody has used it for long, or it has reached its age. Pure.

Idle is only what is quiet in every respect: nobody types or points, the picture rests, the programs use no processor
time, nothing is heard. What is not known is not quiet. Times are seconds of the clock that counts from the machine's
boot: no clock that is set, and no restart of the agent, moves an end.
"""

from __future__ import annotations

from dataclasses import dataclass

from ..states import Reason
from .messages import WorkerStatus

WARNING_S = 300.0
"""How long before its end a session says so, at most; half of the limit if that is shorter."""

KEEP_S = 2 * 3600.0
"""What one wish to keep a session adds."""


@dataclass(frozen=True)
class Ending:
    """A session is ended for ``reason`` in ``left_s`` seconds; now, if that is not positive."""

    reason: Reason
    left_s: float


@dataclass
class Policy:
    """The limits of one session, in seconds; 0 for none. ``since``: when its owner got it."""

    idle_s: float
    age_s: float
    since: float
    kept_until: float = 0.0
    quiet_since: float | None = None
    """Since when everything is quiet, as far as is known."""

    def look(self, now: float, status: WorkerStatus | None, busy_at: float) -> Ending | None:
        """Return the end that is near enough to be announced, or None. ``busy_at``: when its programs last worked."""
        endings = []
        self.quiet_since = last_use(now, status, busy_at)
        if self.idle_s and self.quiet_since is not None:
            due = max(self.quiet_since + self.idle_s, self.kept_until)
            if due - now <= min(WARNING_S, self.idle_s / 2):
                endings.append(Ending(Reason.IDLE, due - now))
        if self.age_s:
            due = self.since + self.age_s
            if due - now <= min(WARNING_S, self.age_s / 2):
                endings.append(Ending(Reason.TOO_OLD, due - now))
        return min(endings, key=lambda ending: ending.left_s, default=None)

    def keep(self, now: float) -> None:
        """Somebody wants to keep it although nobody uses it."""
        self.kept_until = now + KEEP_S


def last_use(now: float, status: WorkerStatus | None, busy_at: float) -> float | None:
    """Return when the session was last used in any respect; None if one of them is not known.

    Audio counts where a worker reports it (``audio_s``); one that streams none says nothing of it.
    """
    if status is None or status.input_s is None or status.picture_s is None:
        return None
    ages = [status.input_s, status.picture_s, *([] if status.audio_s is None else [status.audio_s])]
    return max(busy_at, *(now - age for age in ages))
