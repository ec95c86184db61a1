"""Quotas in the admin: of everybody, of groups, of users; and what was used, to look at."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.http import HttpRequest

from ..models import CpuUse, Quota
from .bases import ModelAdmin


@admin.register(Quota)
class QuotaAdmin(ModelAdmin[Quota]):
    """One row for everybody, one a group, one a user; the narrowest that says something counts."""

    list_display = ("__str__", "sessions", "cpu_hours", "storage_mb")
    list_filter = ("group",)
    search_fields = ("user__username", "group__name")
    autocomplete_fields = ("user", "group")
    fieldsets = (
        (None, {"fields": ("user", "group"), "description": "Leave both empty for everybody's quota."}),
        ("At most", {"fields": ("sessions", "cpu_hours", "storage_mb")}),
    )


@admin.register(CpuUse)
class CpuUseAdmin(ModelAdmin[CpuUse]):
    """Processor time by user and month. Host agents write it."""

    list_display = ("user", "month", "hours")
    list_filter = ("month",)
    search_fields = ("user__username",)
    list_select_related = ("user",)

    def has_add_permission(self, request: HttpRequest) -> bool:
        """It is measured."""
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """It is measured."""
        return False

    @admin.display(description="CPU hours", ordering="seconds")
    def hours(self, use: CpuUse) -> str:
        """Hours with two digits."""
        return f"{use.seconds / 3600:.2f}"
