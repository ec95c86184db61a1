"""What users may use, and what they have used."""

from __future__ import annotations

from django.conf import settings
from django.contrib.auth.models import Group
from django.core.exceptions import ValidationError
from django.core.validators import MinValueValidator
from django.db import models
from django.db.models import Q

NOTHING_SAID = "Empty: this quota does not say."


class Quota(models.Model):
    """Bounds of one user, of each member of a group, or of everybody. What is empty is left to the wider quota."""

    user = models.OneToOneField(
        settings.AUTH_USER_MODEL, models.CASCADE, null=True, blank=True, related_name="stripedesk_quota"
    )
    group = models.OneToOneField(
        Group,
        models.CASCADE,
        null=True,
        blank=True,
        related_name="stripedesk_quota",
        help_text="Each of its members may use so much. Neither user nor group: everybody.",
    )
    sessions = models.PositiveIntegerField("sessions at a time", null=True, blank=True, help_text=NOTHING_SAID)
    cpu_hours = models.FloatField(
        "CPU hours a month",
        null=True,
        blank=True,
        validators=[MinValueValidator(0)],
        help_text=f"{NOTHING_SAID} A month is a calendar month in UTC.",
    )
    storage_mb = models.PositiveIntegerField("storage (MB)", null=True, blank=True, help_text=NOTHING_SAID)

    class Meta:
        constraints = [
            models.CheckConstraint(condition=Q(user=None) | Q(group=None), name="quota_of_one"),
            models.UniqueConstraint(
                models.Value(1), condition=Q(user=None, group=None), name="quota_of_everybody_is_one"
            ),
        ]

    def __str__(self) -> str:
        if self.user_id:
            return f"Quota of {self.user}"
        return f"Quota of the group {self.group}" if self.group_id else "Everybody's quota"

    def clean(self) -> None:
        """Refuse one that is of two."""
        if self.user_id and self.group_id:
            raise ValidationError("Choose a user or a group, not both. Make a second quota for the other.")


class CpuUse(models.Model):
    """Processor time of one user's sessions in one month. Host agents add to it."""

    user = models.ForeignKey(settings.AUTH_USER_MODEL, models.CASCADE, related_name="stripedesk_cpu_use")
    month = models.CharField(max_length=7, help_text="As 2026-11, in UTC.")
    seconds = models.FloatField(default=0.0)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["user", "month"], name="cpu_use_of_month")]

    def __str__(self) -> str:
        return f"{self.seconds / 3600:.1f} CPU hours of {self.user} in {self.month}"
