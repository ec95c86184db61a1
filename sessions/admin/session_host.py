"""Hosts in the admin: to look at, and to drain. Their agents write them."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.db.models import Count, Q, QuerySet
from django.http import HttpRequest

from ..actions.presets import FINAL_STATES
from ..actions.publish import wake_hosts
from ..models import SessionHost
from .bases import ModelAdmin


@admin.register(SessionHost)
class SessionHostAdmin(ModelAdmin[SessionHost]):
    """Heartbeat, capacity and what an agent is missing."""

    list_display = ("name", "is_alive", "takes", "load", "spare_desktops", "cpu", "memory", "sandboxed", "problem")
    search_fields = ("name", "problem")
    fields = (
        "name",
        "is_alive",
        "takes",
        "heartbeat",
        "load",
        "spare_desktops",
        "cpu",
        "memory",
        "sandboxed",
        "problem",
    )
    actions = ("drain", "fill")

    def get_queryset(self, request: HttpRequest) -> QuerySet[SessionHost]:
        """Hosts with the number of their living sessions."""
        living = Count("sessions", distinct=True, filter=~Q(sessions__state__in=FINAL_STATES))
        return super().get_queryset(request).annotate(living=living, ahead=Count("spares", distinct=True))

    def has_add_permission(self, request: HttpRequest) -> bool:
        """Hosts appear when an agent starts."""
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Nothing here is edited by hand."""
        return False

    def has_delete_permission(self, request: HttpRequest, obj: SessionHost | None = None) -> bool:
        """A host that is gone may be forgotten; one that lives would only come back."""
        return super().has_delete_permission(request, obj) and (obj is None or not obj.alive)

    def has_drain_permission(self, request: HttpRequest) -> bool:
        """Whether the actions are offered: to who may change hosts, though no field of one is edited by hand."""
        return request.user.has_perm("desktops.change_sessionhost")

    @admin.action(description="Drain: take no new sessions", permissions=["drain"])
    def drain(self, request: HttpRequest, queryset: QuerySet[SessionHost]) -> None:
        """Running sessions go on; what was started ahead is given up."""
        self._set(request, queryset, draining=True, text="takes no new sessions. Those it has go on.")

    @admin.action(description="Take sessions again", permissions=["drain"])
    def fill(self, request: HttpRequest, queryset: QuerySet[SessionHost]) -> None:
        """The end of draining."""
        self._set(request, queryset, draining=False, text="takes new sessions.")

    def _set(self, request: HttpRequest, queryset: QuerySet[SessionHost], draining: bool, text: str) -> None:
        for host in queryset:
            SessionHost.objects.filter(pk=host.pk).update(draining=draining)
            self.message_user(request, f"{host} {text}")
        wake_hosts()

    @admin.display(description="takes sessions", boolean=True)
    def takes(self, host: SessionHost) -> bool:
        """Whether it is not drained."""
        return not host.draining

    @admin.display(description="started ahead")
    def spare_desktops(self, host: SessionHost) -> int:
        """Desktops that are ready for a launch."""
        return getattr(host, "ahead", 0)

    @admin.display(description="CPU", ordering="cpu_load")
    def cpu(self, host: SessionHost) -> str:
        """Share of its cores in use."""
        return f"{host.cpu_load:.0%}"

    @admin.display(description="memory", ordering="memory_load")
    def memory(self, host: SessionHost) -> str:
        """Share of its memory in use."""
        return f"{host.memory_load:.0%}"

    @admin.display(description="alive", boolean=True)
    def is_alive(self, host: SessionHost) -> bool:
        """Whether its agent has been heard of lately."""
        return host.alive

    @admin.display(description="sessions")
    def load(self, host: SessionHost) -> str:
        """Living sessions of its capacity."""
        return f"{getattr(host, 'living', 0)} of {host.capacity}"
