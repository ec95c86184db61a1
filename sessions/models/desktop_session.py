"""A desktop session: what is wanted, and what is."""

from __future__ import annotations

import uuid
from typing import Any

from django.conf import settings
from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models
from django.db.models import Q

from stripeengine.settings import EngineSettings

from ..states import Reason, Stage, State, Wanted
from .quality_preset import validate_engine_settings
from .session_template import MAXIMUM_SIDE, MINIMUM_SIDE


class DesktopSession(models.Model):
    """One desktop of one owner. The host agent alone writes ``state`` and what follows from it."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    owner = models.ForeignKey(settings.AUTH_USER_MODEL, models.CASCADE, related_name="desktop_sessions")
    template = models.ForeignKey("desktops.SessionTemplate", models.PROTECT, related_name="sessions")
    name = models.CharField(max_length=80)
    width = models.PositiveIntegerField(validators=[MinValueValidator(MINIMUM_SIDE), MaxValueValidator(MAXIMUM_SIDE)])
    height = models.PositiveIntegerField(validators=[MinValueValidator(MINIMUM_SIDE), MaxValueValidator(MAXIMUM_SIDE)])
    preset = models.ForeignKey(
        "desktops.QualityPreset", models.SET_NULL, null=True, blank=True, related_name="sessions"
    )
    overrides = models.JSONField(default=dict, blank=True, validators=[validate_engine_settings])

    wanted = models.CharField(max_length=20, choices=[(w.value, w.value) for w in Wanted], default=Wanted.RUNNING.value)
    stop_reason = models.CharField(
        max_length=30, choices=[(r.value, r.label) for r in Reason], blank=True, help_text="Why it should stop."
    )
    state = models.CharField(
        max_length=20, choices=[(s.value, s.label) for s in State], default=State.REQUESTED.value, editable=False
    )
    stage = models.CharField(max_length=20, choices=[(s.value, s.label) for s in Stage], blank=True, editable=False)
    reason = models.CharField(max_length=30, choices=[(r.value, r.label) for r in Reason], blank=True, editable=False)
    message = models.CharField(max_length=500, blank=True, editable=False, help_text="What happened, for people.")
    log_tail = models.TextField(
        blank=True, editable=False, help_text="The last lines of its logs, for its owner and the staff."
    )
    attempts = models.PositiveSmallIntegerField(default=0, editable=False, help_text="Starts that failed so far.")
    kept = models.PositiveIntegerField(
        default=0, editable=False, help_text="How often somebody asked to keep it although nobody uses it."
    )
    cpu_seconds = models.FloatField(default=0.0, editable=False, help_text="Processor time of its programs so far.")
    host = models.ForeignKey(
        "desktops.SessionHost", models.SET_NULL, null=True, blank=True, related_name="sessions", editable=False
    )
    spawner_state = models.JSONField(
        default=dict, blank=True, editable=False, help_text="What the host agent needs to find it again."
    )

    number = models.PositiveBigIntegerField(
        default=0, db_index=True, editable=False, help_text="Counts launches: the order of the line, without a clock."
    )
    created_at = models.DateTimeField(auto_now_add=True)
    started_at = models.DateTimeField(null=True, blank=True, editable=False)
    ended_at = models.DateTimeField(null=True, blank=True, editable=False)

    class Meta:
        ordering = ["-created_at"]
        indexes = [
            models.Index(fields=["owner", "-created_at"], name="session_by_owner"),
            models.Index(
                fields=["host", "state"],
                name="session_alive",
                condition=~Q(state__in=[State.ENDED.value, State.FAILED.value]),
            ),
        ]

    def __str__(self) -> str:
        return self.name

    def save(self, **options: Any) -> None:
        """Save; a new row gets the next number. Of two that are made at the same moment neither comes first."""
        if self._state.adding and not self.number:
            rows = DesktopSession.objects.using(options.get("using"))
            newest = rows.aggregate(newest=models.Max("number"))["newest"]
            self.number = (newest or 0) + 1
        super().save(**options)

    @property
    def current_state(self) -> State:
        """``state`` as the enum."""
        return State(self.state)

    @property
    def sid(self) -> str:
        """The id as 32 hex digits: names of Redis groups and keys, and of directories."""
        return self.id.hex

    def engine_settings(self) -> EngineSettings:
        """Resolve the preset and the session's own overrides; raise `SettingsError` if they no longer fit."""
        values: dict[str, Any] = dict(self.preset.settings) if self.preset else {}
        return EngineSettings().replace({**values, **self.overrides})
