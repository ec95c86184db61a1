"""A named set of engine settings: site-wide, or one user's own."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.core.exceptions import ValidationError
from django.db import models
from django.db.models import Q

from stripeengine.errors import SettingsError
from stripeengine.settings import EngineSettings

from .. import bounds


def validate_engine_settings(value: Any) -> None:
    """Raise `ValidationError` that names every unknown or out-of-range engine setting in ``value``."""
    if not isinstance(value, dict):
        raise ValidationError("Settings must be a table of names and values.")
    problems = []
    for name, item in value.items():
        try:
            EngineSettings().replace({name: item})
        except SettingsError as error:
            problems.append(str(error))
    if problems:
        raise ValidationError(problems)


def validate_max_kbps(value: int) -> None:
    """Raise `ValidationError` for a bound that is none."""
    if wrong := bounds.problem(value, 0):
        raise ValidationError(wrong)


def validate_max_fps(value: int) -> None:
    """Raise `ValidationError` for a bound that is none."""
    if wrong := bounds.problem(0, value):
        raise ValidationError(wrong)


class QualityPreset(models.Model):
    """Engine settings under a name, and what each viewer gets of it. ``owner`` is empty for a site-wide preset."""

    name = models.CharField(max_length=60)
    help = models.CharField("when to use it", max_length=200, blank=True)
    owner = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.CASCADE, null=True, blank=True, related_name="quality_presets"
    )
    settings = models.JSONField(default=dict, blank=True, validators=[validate_engine_settings])
    max_kbps = models.PositiveIntegerField(
        bounds.KBPS_LABEL,
        default=0,
        blank=True,
        validators=[validate_max_kbps],
        help_text=f"What each viewer is sent at most: {bounds.LEAST_KBPS} to {bounds.MOST_KBPS}; 0 for no bound.",
    )
    max_fps = models.PositiveIntegerField(
        bounds.FPS_LABEL,
        default=0,
        blank=True,
        validators=[validate_max_fps],
        help_text=f"The same in pictures a second: 1 to {bounds.MOST_FPS}; 0 for no bound.",
    )
    position = models.PositiveSmallIntegerField(
        default=100, help_text="Lower comes first in lists. The first site-wide preset is the default."
    )

    class Meta:
        ordering = ["position", "name"]
        constraints = [
            models.UniqueConstraint(fields=["owner", "name"], name="preset_name_per_owner"),
            models.UniqueConstraint(fields=["name"], condition=Q(owner=None), name="preset_name_site_wide"),
        ]

    def __str__(self) -> str:
        return self.name

    def engine_settings(self) -> EngineSettings:
        """Return the preset as validated settings; raise `SettingsError` if the stored ones no longer fit."""
        return EngineSettings().replace(self.settings)
