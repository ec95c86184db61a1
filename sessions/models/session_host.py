"""A machine that runs sessions."""

from __future__ import annotations

from datetime import timedelta

from django.db import models

HEARTBEAT = timedelta(seconds=2)
LOST_AFTER = timedelta(seconds=6)
"""Without a new beat for so long, by the clock of whoever watches, a host is lost (`sessions.hosts`).

Who looks every two seconds sees the last beat up to two late, and its absence again: ten at most.
"""


class SessionHost(models.Model):
    """Written by the machine's host agent; ``draining`` by administrators, ``lost`` by whoever watches it."""

    name = models.CharField(max_length=100, unique=True)
    capacity = models.PositiveIntegerField(default=20, help_text="Most sessions at a time.")
    draining = models.BooleanField(default=False, help_text="Takes no new sessions; those it has go on.")
    beat = models.BigIntegerField(
        default=0, editable=False, help_text="Grows with every heartbeat: who watches compares no clocks."
    )
    heartbeat = models.DateTimeField(null=True, blank=True, editable=False, help_text="By the host's own clock.")
    lost = models.BooleanField(default=False, editable=False, help_text="Whether others miss its heartbeat.")
    cpu_load = models.FloatField(default=0.0, editable=False, help_text="Share of all cores in use, 0…1.")
    memory_load = models.FloatField(default=0.0, editable=False, help_text="Share of memory in use, 0…1.")
    sandboxed = models.BooleanField(default=False, editable=False, help_text="Whether desktops run in a sandbox.")
    problem = models.CharField(max_length=300, blank=True, editable=False, help_text="What the agent is missing.")

    class Meta:
        ordering = ["name"]

    def __str__(self) -> str:
        return self.name

    @property
    def alive(self) -> bool:
        """Whether the host agent has been heard of lately."""
        return self.heartbeat is not None and not self.lost
