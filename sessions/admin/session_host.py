"""Hosts in the admin: to look at. Their agents write them."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.db.models import Count, Q, QuerySet
from django.http import HttpRequest

from ..actions.presets import FINAL_STATES
from ..models import SessionHost
from .bases import ModelAdmin


@admin.register(SessionHost)
class SessionHostAdmin(ModelAdmin[SessionHost]):
    """Heartbeat, capacity and what an agent is missing."""

    list_display = ("name", "is_alive", "heartbeat", "load", "sandboxed", "problem")
    search_fields = ("name", "problem")
    fields = ("name", "is_alive", "heartbeat", "load", "sandboxed", "problem")

    def get_queryset(self, request: HttpRequest) -> QuerySet[SessionHost]:
        """Hosts with the number of their living sessions."""
        living = Count("sessions", filter=~Q(sessions__state__in=FINAL_STATES))
        return super().get_queryset(request).annotate(living=living)

    def has_add_permission(self, request: HttpRequest) -> bool:
        """Hosts appear when an agent starts."""
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Nothing here is edited by hand."""
        return False

    def has_delete_permission(self, request: HttpRequest, obj: SessionHost | None = None) -> bool:
        """A host that is gone may be forgotten; one that lives would only come back."""
        return super().has_delete_permission(request, obj) and (obj is None or not obj.alive)

    @admin.display(description="alive", boolean=True)
    def is_alive(self, host: SessionHost) -> bool:
        """Whether its agent has been heard of lately."""
        return host.alive

    @admin.display(description="sessions")
    def load(self, host: SessionHost) -> str:
        """Living sessions of its capacity."""
        return f"{getattr(host, 'living', 0)} of {host.capacity}"
