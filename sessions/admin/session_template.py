"""Templates in the admin."""

from __future__ import annotations

from typing import Any

from django.contrib import admin, messages
from django.contrib.auth.models import AbstractBaseUser
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect

from ..actions import ActionError
from ..actions.launch import check_launch, do_launch
from ..doctor.templates import problems_of
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
    filter_horizontal = ("allowed_groups",)
    fieldsets = (
        (None, {"fields": ("name", "slug", "description", "icon", "enabled", "position", "allowed_groups")}),
        ("What runs", {"fields": ("kind", "command", "environment", "locale", "keyboard_layout")}),
        ("Screen", {"fields": (("width", "height"), ("maximum_width", "maximum_height"), "dpi")}),
        ("What it reaches", {"fields": ("network", "needs_gl", "gpu", "home")}),
        ("Limits", {"fields": ("cpu", "memory_mb", "processes", "tmp_mb", "home_mb")}),
        ("How long it lives", {"fields": ("idle_minutes", "maximum_age_hours", "prewarm")}),
    )

    actions = ("try_template",)

    def formfield_for_dbfield(self, db_field: Any, request: HttpRequest, **options: Any) -> Any:
        """Command lines are long, and are to be read whole."""
        field = super().formfield_for_dbfield(db_field, request, **options)
        if db_field.name == "command" and field is not None:
            field.widget.attrs["class"] = "vLargeTextField"
        return field

    @admin.display(description="screen")
    def size(self, template: SessionTemplate) -> str:
        """Width × height."""
        return f"{template.width} × {template.height}"

    def save_model(self, request: HttpRequest, obj: SessionTemplate, form: Any, change: bool) -> None:
        """Save, and say what a session of it would miss on this machine: its hosts may have it."""
        super().save_model(request, obj, form, change)
        for problem in problems_of(obj):
            text = f"On this machine {problem.detail}. Remedy: {problem.remedy}."
            self.message_user(request, text, messages.WARNING)

    @admin.action(description="Try it: start a session and see how it goes", permissions=["change"])
    def try_template(self, request: HttpRequest, queryset: QuerySet[SessionTemplate]) -> HttpResponse | None:
        """Launch a session of one template for whoever asks, and show its page, which tells how far it comes."""
        chosen = list(queryset[:2])
        if len(chosen) != 1:
            self.message_user(request, "Choose one template to try.", messages.ERROR)
            return None
        user = request.user
        assert isinstance(user, AbstractBaseUser)  # noqa: S101 - the admin lets nobody else in
        try:
            session = do_launch(check_launch(user, chosen[0].slug, name=f"Trying {chosen[0].name}"))
        except ActionError as error:
            self.message_user(request, str(error), messages.ERROR)
            return None
        return redirect("admin:desktops_desktopsession_change", session.pk)
