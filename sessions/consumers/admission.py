"""Who a connection is and what he may do: read from the database, kept by the consumer, read again when told to.

Every function here blocks on the database (or awaits it in Channels' thread) and none of them runs on the frames' path.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from importlib import import_module
from types import SimpleNamespace
from typing import Any

from channels.db import database_sync_to_async
from django.conf import settings
from django.contrib import auth
from django.contrib.auth.models import AnonymousUser
from django.db import Error as DatabaseTrouble

from ..access import Access, AccessError, access_link_ticket, access_session
from ..actions.presets import do_set_session_preset, visible_presets
from ..bounds import tighter
from ..models import DesktopSession, QualityPreset
from ..permissions import Permission, Role
from ..redis_client import RedisUnavailable
from ..states import Reason, State
from ..tickets import redeem

NotNow = (*RedisUnavailable, DatabaseTrouble)
"""What is raised while Redis or the database is away: nothing is decided, and is asked again."""


@dataclass(frozen=True)
class Standing:
    """What one connection may do, as of the last look. ``door`` leads back to the database."""

    session: str
    role: Role
    permissions: frozenset[Permission]
    state: State
    stage: str
    reason: str
    message: str
    link_expires: datetime | None
    max_kbps: int
    """The tighter of what the session's preset and the link he came by allow, kbit/s; 0: no bound."""
    max_fps: int
    """The same in pictures a second."""


@dataclass(frozen=True)
class Door:
    """How a connection came in: by its login, or by a share link. ``scope`` is its ASGI scope."""

    scope: dict[str, Any]
    session_id: str = ""
    link_id: str = ""

    @database_sync_to_async  # type: ignore[untyped-decorator]
    def look(self) -> Standing:
        """Return the standing as of now; raise `AccessError`."""
        return _standing(self._access())

    @database_sync_to_async  # type: ignore[untyped-decorator]
    def welcome(self) -> tuple[Standing, dict[str, Any]]:
        """Return the standing, and the members of `welcome` that come from the database."""
        access = self._access()
        session = access.session
        if Permission.SETTINGS in access.permissions:
            presets = list(visible_presets(session.owner))
        else:
            presets = [session.preset] if session.preset else []
        members = {
            "session": {
                "id": str(session.pk),
                "name": session.name,
                "template": session.template.name,
                "state": session.state,
            },
            "preset": session.preset_id,
            "presets": [{"id": preset.pk, "name": preset.name, "help": preset.help} for preset in presets],
        }
        return _standing(access), members

    @database_sync_to_async  # type: ignore[untyped-decorator]
    def set_preset(self, preset_id: int) -> QualityPreset:
        """Give the session another preset; raise `AccessError` or `ActionError`."""
        return do_set_session_preset(self._access(), preset_id)

    def _access(self) -> Access:
        if self.link_id:
            return access_link_ticket(self.link_id)
        return access_session(_fresh_user(self.scope), self.session_id, Permission.VIEW)


async def open_link(link_id: str, ticket: str) -> None:
    """Take the ticket; raise `AccessError` unless it was given for this link, `RedisUnavailable`."""
    vouched = await redeem(ticket)
    if vouched is None or vouched != link_id:
        raise AccessError("unauthenticated", "This page was open for too long. Load it again.")


def _standing(access: Access) -> Standing:
    session: DesktopSession = access.session
    return Standing(
        session=session.sid,
        role=access.role,
        permissions=access.permissions,
        state=session.current_state,
        stage=session.stage,
        reason=session.reason,
        message=session.message,
        link_expires=access.link.expires_at if access.link else None,
        max_kbps=tighter(*(source.max_kbps for source in (access.link, session.preset) if source)),
        max_fps=tighter(*(source.max_fps for source in (access.link, session.preset) if source)),
    )


def _fresh_user(scope: dict[str, Any]) -> Any:
    """Return who is logged in *now* with the connection's cookie: logging out or deactivation ends a connection."""
    session = scope.get("session")
    if session is None:
        return scope.get("user") or AnonymousUser()
    engine = import_module(settings.SESSION_ENGINE)
    request = SimpleNamespace(session=engine.SessionStore(session.session_key), META={})
    return auth.get_user(request)  # type: ignore[arg-type]


def state_event(standing: Standing) -> dict[str, Any]:
    """Return the protocol's `state` message."""
    event: dict[str, Any] = {"type": "state", "state": standing.state.value}
    for name in ("stage", "reason", "message"):
        if value := getattr(standing, name):
            event[name] = value
    return event


def ending(standing: Standing) -> str:
    """Return, for people, why a session cannot be watched any more."""
    if standing.message:
        return standing.message
    if standing.reason in [reason.value for reason in Reason]:
        return f"This session has ended. {Reason(standing.reason).label}"
    return "This session is stopping." if standing.state is State.STOPPING else "This session has ended."
