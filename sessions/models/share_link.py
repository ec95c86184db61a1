"""A link that lets somebody without an account see a session."""

from __future__ import annotations

import hashlib
import secrets
from datetime import datetime

from django.conf import settings
from django.db import models
from django.utils import timezone
from django.utils.crypto import constant_time_compare

from ..bounds import FPS_LABEL, KBPS_LABEL
from ..permissions import LINK_ROLES, Role

SECRET_BYTES = 32
"""256 bits of randomness: a plain SHA-256 of the secret cannot be searched, so no slow hash is needed."""


def make_link_id() -> str:
    """Return a short public id: it names the link and opens nothing."""
    return secrets.token_urlsafe(9)


def hash_secret(secret: str) -> str:
    """Return the SHA-256 of ``secret`` in hex, which is all the database keeps of it."""
    return hashlib.sha256(secret.encode()).hexdigest()


class ShareLink(models.Model):
    """``/v/<id>#<secret>``. The secret is shown once, when the link is made."""

    id = models.CharField(primary_key=True, max_length=16, default=make_link_id, editable=False)
    session = models.ForeignKey("desktops.DesktopSession", models.CASCADE, related_name="share_links")
    secret_hash = models.CharField(max_length=64, editable=False)
    role = models.CharField(
        max_length=20, choices=[(role.value, role.label) for role in LINK_ROLES], default=Role.VIEWER.value
    )
    label = models.CharField(max_length=80, blank=True, help_text="Who it is for.")
    max_kbps = models.PositiveIntegerField(
        KBPS_LABEL, default=0, help_text="What each viewer by this link is sent at most; 0 for no bound."
    )
    max_fps = models.PositiveIntegerField(
        FPS_LABEL, default=0, help_text="The same in pictures a second; 0 for no bound."
    )
    created_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.SET_NULL, null=True, related_name="+", editable=False
    )
    created_at = models.DateTimeField(auto_now_add=True)
    expires_at = models.DateTimeField(null=True, blank=True)
    revoked_at = models.DateTimeField(null=True, blank=True, editable=False)
    last_used_at = models.DateTimeField(null=True, blank=True, editable=False)

    class Meta:
        ordering = ["-created_at"]

    def __str__(self) -> str:
        return self.label or f"Link {self.id}"

    def matches(self, secret: str) -> bool:
        """Whether ``secret`` is this link's, in constant time."""
        return constant_time_compare(hash_secret(secret), self.secret_hash)

    def open_at(self, when: datetime) -> bool:
        """Whether the link is neither revoked nor expired at ``when``."""
        return self.revoked_at is None and (self.expires_at is None or when < self.expires_at)

    @property
    def open(self) -> bool:
        """Whether the link works now."""
        return self.open_at(timezone.now())
