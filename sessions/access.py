"""The only door to a session, a share link or a template, for HTTP, WebSocket and admin alike. One condition a line."""

from __future__ import annotations

import uuid
from dataclasses import dataclass

from django.contrib.auth.models import AbstractBaseUser, AnonymousUser
from django.core.exceptions import ValidationError

from .models import DesktopSession, SessionTemplate, ShareLink
from .permissions import ROLE_PERMISSIONS, Permission, Role, allows


class AccessError(Exception):
    """Access was refused. ``code`` is one of the protocol's error codes; the text is for people."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


@dataclass(frozen=True)
class Access:
    """What somebody may do with one session, and by which door he came."""

    session: DesktopSession
    role: Role
    link: ShareLink | None = None

    @property
    def permissions(self) -> frozenset[Permission]:
        """Everything the role carries."""
        return ROLE_PERMISSIONS[self.role]


UNKNOWN_SESSION = "There is no such session, or it is not yours."
LINK_CLOSED = "This link does not work. It may have been revoked or have expired; ask for a new one."


def access_session(
    user: AbstractBaseUser | AnonymousUser, session_id: uuid.UUID | str, permission: Permission
) -> Access:
    """Return ``user``'s access to the session, if it carries ``permission``.

    Raises `AccessError`: ``unauthenticated``, ``unknown-session`` (also when it is somebody else's: ids are not
    confirmed to strangers) or ``forbidden``. Reads the database.
    """
    if not user.is_authenticated or not user.is_active:
        raise AccessError("unauthenticated", "Log in first.")
    try:
        session = DesktopSession.objects.select_related("owner", "template", "preset", "host").get(pk=session_id)
    except (DesktopSession.DoesNotExist, ValidationError, ValueError):
        raise AccessError("unknown-session", UNKNOWN_SESSION) from None
    role = role_of(user, session)
    if role is None:
        raise AccessError("unknown-session", UNKNOWN_SESSION)
    if not allows(role, permission):
        raise AccessError("forbidden", f"As {role.label.lower()} of this session you may not do that.")
    return Access(session, role)


def access_template(user: AbstractBaseUser | AnonymousUser, slug: str) -> SessionTemplate:
    """Return the template if ``user`` may launch it; raise `AccessError` ``unknown-template``.

    The answer does not tell one that is switched off or for other groups from one that is not there.
    """
    template = SessionTemplate.objects.for_user(user).filter(slug=slug).first()
    if template is None:
        text = "There is no such template, or it is not for you, or it is switched off. Choose another one."
        raise AccessError("unknown-template", text)
    return template


def role_of(user: AbstractBaseUser | AnonymousUser, session: DesktopSession) -> Role | None:
    """Return what ``user`` is to ``session``; None for a stranger."""
    if session.owner_id == user.pk:
        return Role.OWNER
    if getattr(user, "is_staff", False) and user.has_perm("desktops.change_desktopsession"):  # type: ignore[union-attr]
        return Role.OPERATOR
    return None


def access_link(link_id: str, secret: str) -> Access:
    """Return the access a link's secret gives; raise `AccessError` ``link-closed`` for every kind of wrong.

    The answer does not tell a wrong secret from an unknown, revoked or expired link. Reads the database.
    """
    link = (
        ShareLink.objects.select_related("session__template", "session__owner", "session__preset")
        .filter(pk=link_id)
        .first()
    )
    if link is None or not link.matches(secret) or not link.open:
        raise AccessError("link-closed", LINK_CLOSED)
    return Access(link.session, Role(link.role), link)


def access_link_ticket(link_id: str) -> Access:
    """Return the access of a link whose secret a ticket has vouched for; raise `AccessError` ``link-closed``."""
    link = (
        ShareLink.objects.select_related("session__template", "session__owner", "session__preset")
        .filter(pk=link_id)
        .first()
    )
    if link is None or not link.open:
        raise AccessError("link-closed", LINK_CLOSED)
    return Access(link.session, Role(link.role), link)
