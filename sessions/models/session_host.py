"""A machine that runs sessions."""

from __future__ import annotations

from datetime import timedelta

from django.db import models
from django.utils import timezone

HEARTBEAT = timedelta(seconds=3)
LOST_AFTER = timedelta(seconds=12)


class SessionHost(models.Model):
    """Written by the machine's host agent; everybody else reads it."""

    name = models.CharField(max_length=100, unique=True)
    capacity = models.PositiveIntegerField(default=20, help_text="Most sessions at a time.")
    heartbeat = models.DateTimeField(null=True, blank=True, editable=False)
    sandboxed = models.BooleanField(default=False, editable=False, help_text="Whether desktops run in a sandbox.")
    problem = models.CharField(max_length=300, blank=True, editable=False, help_text="What the agent is missing.")

    class Meta:
        ordering = ["name"]

    def __str__(self) -> str:
        return self.name

    @property
    def alive(self) -> bool:
        """Whether the host agent has been heard of lately."""
        return self.heartbeat is not None and timezone.now() - self.heartbeat < LOST_AFTER
