"""Stopping: the wish that a session end. A host agent makes it true."""

from __future__ import annotations

from django.db import transaction

from ..access import Access
from ..models import DesktopSession
from ..permissions import Permission, Role
from ..states import Reason, State, Wanted
from .errors import ActionError
from .presets import FINAL_STATES
from .publish import wake_hosts


def check_stop(access: Access) -> None:
    """Raise `ActionError` (``forbidden``, ``already-ended``, ``already-stopping``) if it cannot be stopped."""
    session = access.session
    if Permission.STOP not in access.permissions:
        raise ActionError("forbidden", "You may not stop this session.")
    if session.current_state.final:
        raise ActionError("already-ended", f"“{session.name}” has already ended.")
    if session.wanted == Wanted.STOPPED or session.current_state is State.STOPPING:
        raise ActionError("already-stopping", f"“{session.name}” is already being stopped.")


def do_stop(access: Access) -> None:
    """Ask for the session's end and wake the hosts; raises what `check_stop` raises.

    The update is conditional, so of two stops at once exactly one succeeds.
    """
    check_stop(access)
    reason = Reason.STOPPED_BY_USER if access.role is Role.OWNER else Reason.STOPPED_BY_OPERATOR
    with transaction.atomic():
        changed = (
            DesktopSession.objects.filter(pk=access.session.pk, wanted=Wanted.RUNNING.value)
            .exclude(state__in=[*FINAL_STATES, State.STOPPING.value])
            .update(wanted=Wanted.STOPPED.value, stop_reason=reason.value)
        )
        access.session.refresh_from_db(fields=["wanted", "state", "stop_reason"])
        if not changed:
            check_stop(access)
            raise ActionError("conflict", "The session has just changed. Try again.")
        wake_hosts()
