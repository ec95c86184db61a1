"""Share links: made once, shown once, revoked at any time."""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from datetime import datetime

from django.contrib.auth.models import AbstractBaseUser
from django.db import transaction
from django.urls import reverse
from django.utils import timezone

from .. import bounds
from ..access import Access
from ..models import ShareLink
from ..models.share_link import SECRET_BYTES, hash_secret
from ..permissions import LINK_ROLES, ROLE_PERMISSIONS, Permission, Role
from .errors import ActionError
from .publish import tell_access_changed

LABEL_LENGTH = 80
OPEN_LINKS_PER_SESSION = 50


@dataclass(frozen=True)
class NewLink:
    """A link and, this once, its secret."""

    link: ShareLink
    secret: str

    @property
    def path(self) -> str:
        """Path and fragment; browsers do not send the fragment, so the secret stays out of logs."""
        return f"{reverse('link', args=[self.link.pk])}#{self.secret}"

    def __repr__(self) -> str:
        return f"<NewLink {self.link.pk}>"  # a secret must not reach a log by way of a traceback


def roles_to_give(access: Access) -> tuple[Role, ...]:
    """Return the link roles that carry no more than ``access`` itself: nobody hands out what he may not do."""
    return tuple(role for role in LINK_ROLES if ROLE_PERMISSIONS[role] <= access.permissions)


def check_share(
    access: Access, role: str, label: str, expires_at: datetime | None, max_kbps: int = 0, max_fps: int = 0
) -> Role:
    """Return the checked role.

    Raises `ActionError`: ``forbidden``, ``session-ended``, ``unknown-role``, ``invalid-label``, ``invalid-expiry``,
    ``invalid-bound`` or ``too-many-links``.
    """
    if Permission.SHARE not in access.permissions:
        raise ActionError("forbidden", "You may not share this session.")
    if access.session.current_state.final:
        raise ActionError("session-ended", "This session has ended; there is nothing left to share.")
    if role not in tuple(LINK_ROLES):
        raise ActionError("unknown-role", "A link can be for a viewer or for a collaborator.")
    if role not in roles_to_give(access):
        raise ActionError("forbidden", "Only the owner may let others type and click in this session.")
    if len(label) > LABEL_LENGTH:
        raise ActionError("invalid-label", f"A label may have up to {LABEL_LENGTH} characters.")
    now = timezone.now()
    if expires_at is not None and expires_at <= now:
        raise ActionError("invalid-expiry", "The link would have expired already. Choose a later time.")
    if wrong := bounds.problem(max_kbps, max_fps):
        raise ActionError("invalid-bound", wrong)
    open_links = sum(link.open_at(now) for link in access.session.share_links.all())
    if open_links >= OPEN_LINKS_PER_SESSION:
        raise ActionError(
            "too-many-links", f"A session can have {OPEN_LINKS_PER_SESSION} open links. Revoke some of them first."
        )
    return Role(role)


def do_share(
    access: Access,
    user: AbstractBaseUser,
    role: str,
    label: str = "",
    expires_at: datetime | None = None,
    *,
    max_kbps: int = 0,
    max_fps: int = 0,
) -> NewLink:
    """Create a link; its secret exists only in the result. Raises what `check_share` raises.

    ``max_kbps`` and ``max_fps`` bound what each of its viewers is sent; 0 for no bound.
    """
    checked = check_share(access, role, label, expires_at, max_kbps, max_fps)
    secret = secrets.token_urlsafe(SECRET_BYTES)
    link = ShareLink.objects.create(
        session=access.session,
        secret_hash=hash_secret(secret),
        role=checked.value,
        label=label.strip(),
        created_by_id=user.pk,
        expires_at=expires_at,
        max_kbps=max_kbps,
        max_fps=max_fps,
    )
    return NewLink(link, secret)


def do_revoke(access: Access, link_id: str) -> ShareLink:
    """Close a link of the session for good and make consumers look; raise `ActionError`.

    Codes: ``forbidden``, ``unknown-link`` or ``already-revoked``.
    """
    if Permission.SHARE not in access.permissions:
        raise ActionError("forbidden", "You may not revoke links of this session.")
    with transaction.atomic():
        changed = ShareLink.objects.filter(pk=link_id, session=access.session, revoked_at=None).update(
            revoked_at=timezone.now()
        )
        link = ShareLink.objects.filter(pk=link_id, session=access.session).first()
        if link is None:
            raise ActionError("unknown-link", "This session has no such link.")
        if not changed:
            raise ActionError("already-revoked", "This link has already been revoked.")
        tell_access_changed(access.session)
    return link
