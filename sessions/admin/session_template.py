"""Templates in the admin."""

from __future__ import annotations

from django.contrib import admin

from ..models import SessionTemplate
from .bases import ModelAdmin


@admin.register(SessionTemplate)
class SessionTemplateAdmin(ModelAdmin[SessionTemplate]):
    """What users can launch."""

    list_display = ("name", "kind", "command", "network", "size", "enabled", "position")
    list_editable = ("enabled", "position")
    list_filter = ("enabled", "kind", "network")
    search_fields = ("name", "slug", "command", "description")
    prepopulated_fields = {"slug": ("name",)}  # noqa: RUF012 - the admin's own convention
    fieldsets = (
        (None, {"fields": ("name", "slug", "description", "icon", "enabled", "position")}),
        ("What runs", {"fields": ("kind", "command", "network", "needs_gl")}),
        ("Screen", {"fields": (("width", "height"),)}),
    )

    @admin.display(description="screen")
    def size(self, template: SessionTemplate) -> str:
        """Width × height."""
        return f"{template.width} × {template.height}"
