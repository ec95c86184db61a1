"""A desktop that a host has started ahead: a launch takes it, and its id becomes the session's."""

from __future__ import annotations

import hashlib
import json
import uuid
from typing import TYPE_CHECKING

from django.db import models

if TYPE_CHECKING:
    from .session_template import SessionTemplate

NOT_STARTED_FROM = frozenset(
    {"id", "name", "slug", "description", "icon", "enabled", "position", "idle_minutes", "maximum_age_hours", "prewarm"}
)
"""Fields of a template that change nothing in a desktop that is started from it."""


def digest_of(template: SessionTemplate) -> str:
    """Return a digest of everything a desktop is started from: a spare of another one is no good."""
    fields = [field.attname for field in template._meta.concrete_fields if field.name not in NOT_STARTED_FROM]
    values = json.dumps({name: getattr(template, name) for name in fields}, sort_keys=True, default=str)
    return hashlib.sha256(values.encode()).hexdigest()


class SpareDesktop(models.Model):
    """Made and removed by its host's agent; `sessions.actions.launch` removes the one it takes. Nobody's until then."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    host = models.ForeignKey("desktops.SessionHost", models.CASCADE, related_name="spares")
    template = models.ForeignKey("desktops.SessionTemplate", models.CASCADE, related_name="spares")
    made_from = models.CharField(max_length=64, help_text="Digest of what it was started from.")
    width = models.PositiveIntegerField()
    height = models.PositiveIntegerField()
    ready = models.BooleanField(default=False, help_text="Whether it streams and may be taken.")
    spawner_state = models.JSONField(default=dict, blank=True, help_text="What the host agent needs to find it again.")

    def __str__(self) -> str:
        return f"Spare {self.template_id} on {self.host_id}"

    @property
    def sid(self) -> str:
        """The id as 32 hex digits, as a session's."""
        return self.id.hex
