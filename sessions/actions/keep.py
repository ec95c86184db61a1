"""Keeping: the wish that a session nobody uses go on for a while. Its host agent grants it."""

from __future__ import annotations

from django.db import transaction
from django.db.models import F

from ..access import Access
from ..models import DesktopSession
from ..permissions import Permission
from .errors import ActionError
from .presets import FINAL_STATES
from .publish import wake_hosts

KEPT_FOR = "2 hours"


def do_keep(access: Access) -> None:
    """Ask that the session be kept although nobody uses it.

    Raises `ActionError`: ``forbidden``, ``session-ended`` or ``never-idle``. Its age is another matter: nobody can
    make a session older than its template allows.
    """
    session = access.session
    if Permission.KEEP not in access.permissions:
        raise ActionError("forbidden", "Only the session's owner or an administrator may keep it.")
    if not session.template.idle_minutes:
        raise ActionError("never-idle", f"“{session.name}” is not ended for being idle; there is nothing to put off.")
    with transaction.atomic():
        living = DesktopSession.objects.filter(pk=session.pk).exclude(state__in=FINAL_STATES)
        if not living.update(kept=F("kept") + 1):
            raise ActionError("session-ended", f"“{session.name}” has already ended. Launch it again.")
        wake_hosts()
