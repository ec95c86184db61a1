"""What a user prefers."""

from __future__ import annotations

from django.conf import settings
from django.db import models


class UserProfile(models.Model):
    """Made on first use; a user without one has the site's defaults."""

    user = models.OneToOneField(settings.AUTH_USER_MODEL, models.CASCADE, related_name="stripedesk_profile")
    default_preset = models.ForeignKey(
        "desktops.QualityPreset",
        models.SET_NULL,
        null=True,
        blank=True,
        related_name="+",
        help_text="New sessions start with it.",
    )

    storage_bytes = models.BigIntegerField(
        default=0, editable=False, help_text="What the persistent home holds, as a host last measured it."
    )

    def __str__(self) -> str:
        return f"Preferences of {self.user}"
