"""Quotas: what a user may use, what he uses, and whether he may launch one more session.

Of each bound the narrowest quota that says something counts: the user's own, else the most generous of his groups',
else everybody's. Sessions at a time are bounded by ``STRIPEDESK_SESSIONS_PER_USER`` where no quota says anything.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from django.conf import settings
from django.contrib.auth.models import AbstractBaseUser
from django.db.models import Q
from django.utils import timezone

from ..models import CpuUse, DesktopSession, Quota, SessionTemplate, UserProfile
from .errors import ActionError
from .presets import FINAL_STATES


@dataclass(frozen=True)
class Bound:
    """One quota as a person meets it. ``most`` is None where there is none; ``whose`` names the quota."""

    name: str
    used: float
    most: float | None
    unit: str
    whose: str

    @property
    def text(self) -> str:
        """As ``2 of 5 sessions``."""
        if self.most is None:
            return f"{_plain(self.used)} {self.unit}"
        return f"{_plain(self.used)} of {_plain(self.most)} {self.unit}"

    @property
    def percent(self) -> int:
        """How full it is, 0…100; a bound of nothing is full."""
        if self.most is None:
            return 0
        return 100 if self.most <= 0 else min(100, round(100 * self.used / self.most))

    @property
    def reached(self) -> bool:
        """Whether there is no more."""
        return self.most is not None and self.used >= self.most


FIELDS: Final = ("sessions", "cpu_hours", "storage_mb")


def bounds_of(user: AbstractBaseUser) -> dict[str, Bound]:
    """Return the user's bounds by the names of `Quota`'s fields. Four queries."""
    quotas = list(_quotas_of(user))
    sessions, sessions_of = _bound(quotas, "sessions")
    if sessions is None:
        sessions, sessions_of = int(settings.STRIPEDESK["SESSIONS_PER_USER"]), "the site's"
    cpu, cpu_of = _bound(quotas, "cpu_hours")
    storage, storage_of = _bound(quotas, "storage_mb")
    alive = DesktopSession.objects.filter(owner_id=user.pk).exclude(state__in=FINAL_STATES).count()
    month = f"{timezone.now():%Y-%m}"
    seconds = CpuUse.objects.filter(user_id=user.pk, month=month).values_list("seconds", flat=True).first() or 0.0
    stored = UserProfile.objects.filter(user_id=user.pk).values_list("storage_bytes", flat=True).first() or 0
    return {
        "sessions": Bound("Sessions", alive, sessions, "sessions", sessions_of),
        "cpu_hours": Bound("CPU this month", round(seconds / 3600, 2), cpu, "CPU hours", cpu_of),
        "storage_mb": Bound("Storage", round(stored / (1 << 20), 1), storage, "MiB", storage_of),
    }


def check_quota(user: AbstractBaseUser, template: SessionTemplate) -> None:
    """Raise `ActionError` ``quota`` if ``user`` may not have one session more, saying which quota and what to do."""
    bounds = bounds_of(user)
    if (bound := bounds["sessions"]).reached:
        have = "no session" if not bound.used else f"already {_plain(bound.used)} session{'s' * (bound.used != 1)}"
        _refuse(
            f"You have {have}, and {_plain(bound.most)} are allowed by {bound.whose} quota.", "Stop one first.", bound
        )
    if (bound := bounds["cpu_hours"]).reached:
        remedy = "It starts anew with the next month; an administrator can raise it."
        _refuse(f"You have used {bound.text} this month, which is {bound.whose} quota.", remedy, bound)
    if template.home == SessionTemplate.Home.PERSISTENT and (bound := bounds["storage_mb"]).reached:
        remedy = "Remove files in a session of a template with a home of its own, or ask an administrator for more."
        _refuse(f"Your home holds {bound.text}, which is {bound.whose} quota.", remedy, bound)


def _refuse(what: str, remedy: str, bound: Bound) -> None:
    if bound.most == 0:
        remedy = "Ask an administrator for some."
    raise ActionError("quota", f"{what} {remedy}")


def _quotas_of(user: AbstractBaseUser) -> Sequence[Quota]:
    mine = Q(user_id=user.pk) | Q(group__user=user.pk) | Q(user=None, group=None)
    return list(Quota.objects.filter(mine).select_related("group").distinct())


def _bound(quotas: Sequence[Quota], name: str) -> tuple[float | None, str]:
    """Return the bound that counts, and whose quota it is; None and "" without one."""
    said = [quota for quota in quotas if getattr(quota, name) is not None]
    own = [quota for quota in said if quota.user_id]
    if own:
        return getattr(own[0], name), "your own"
    of_groups = [quota for quota in said if quota.group_id]
    if of_groups:
        best = max(of_groups, key=lambda quota: (getattr(quota, name), str(quota.group)))
        return getattr(best, name), f"the group {best.group}'s"
    return (getattr(said[0], name), "everybody's") if said else (None, "")


def _plain(value: float | None) -> str:
    """Return a number without a needless fraction."""
    return f"{value:g}" if value is None or value < 100_000 else f"{value:.0f}"
