"""Presets in the admin: one field for each engine setting, never raw JSON."""

from __future__ import annotations

from typing import Any, ClassVar

from django import forms
from django.contrib import admin
from django.contrib.admin.widgets import AdminTextInputWidget
from django.db.models import Count, Q, QuerySet
from django.http import HttpRequest

from stripeengine.settings import EngineSettings

from ..actions.presets import FINAL_STATES, do_delete_preset, do_save_preset
from ..forms.preset import BOUNDS, BOUNDS_HEADING, PresetForm, settings_groups
from ..models import QualityPreset
from .bases import ModelAdmin


class AdminPresetForm(PresetForm):
    """The portal's form with the fields an administrator has besides."""

    class Meta(PresetForm.Meta):
        fields: ClassVar[list[str]] = ["name", "help", "owner", "position", *BOUNDS]
        widgets: ClassVar[dict[str, forms.Widget]] = {"help": AdminTextInputWidget()}

    def clean(self) -> dict[str, Any]:
        """Say that a name is taken where `do_save_preset` would have to refuse it."""
        values: dict[str, Any] = super().clean() or self.cleaned_data
        name, owner = values.get("name"), values.get("owner")
        if name and QualityPreset.objects.filter(owner=owner, name=name).exclude(pk=self.instance.pk).exists():
            raise forms.ValidationError({"name": f"There is already a preset called “{name}”. Choose another name."})
        return values


@admin.register(QualityPreset)
class QualityPresetAdmin(ModelAdmin[QualityPreset]):
    """Saving and deleting go through the actions, so running sessions follow at once."""

    form = AdminPresetForm
    list_display = ("name", "owner_or_everyone", "mode", "help", "running", "position")
    list_display_links = ("name",)
    list_select_related = ("owner",)
    list_filter = (("owner", admin.EmptyFieldListFilter),)
    search_fields = ("name", "help", "owner__username")
    autocomplete_fields = ("owner",)
    fieldsets = (
        (None, {"fields": ("name", "help", "owner", "position")}),
        *[(heading, {"fields": tuple(names)}) for heading, names in settings_groups()],  # type: ignore[arg-type]
        (BOUNDS_HEADING, {"fields": BOUNDS}),
    )

    class Media:
        css: ClassVar[dict[str, tuple[str, ...]]] = {"all": ("portal/admin.css",)}

    def get_queryset(self, request: HttpRequest) -> QuerySet[QualityPreset]:
        """Presets with the number of living sessions that use them."""
        living = Count("sessions", filter=~Q(sessions__state__in=FINAL_STATES))
        return super().get_queryset(request).annotate(living=living)

    def save_model(self, request: HttpRequest, obj: QualityPreset, form: Any, change: bool) -> None:
        """Save and give it to the running sessions that use it."""
        do_save_preset(obj)

    def delete_model(self, request: HttpRequest, obj: QualityPreset) -> None:
        """Delete; sessions that use it go on with their owner's default."""
        do_delete_preset(obj)

    def delete_queryset(self, request: HttpRequest, queryset: QuerySet[QualityPreset]) -> None:
        """Delete many, each as one."""
        for preset in queryset:
            do_delete_preset(preset)

    @admin.display(description="for", ordering="owner__username")
    def owner_or_everyone(self, preset: QualityPreset) -> str:
        """Whose it is."""
        return preset.owner.get_username() if preset.owner else "Everyone"

    @admin.display(description="mode")
    def mode(self, preset: QualityPreset) -> str:
        """How it encodes."""
        return str(preset.settings.get("mode", EngineSettings().mode))

    @admin.display(description="in use", ordering="living")
    def running(self, preset: QualityPreset) -> int:
        """Living sessions that use it."""
        return int(getattr(preset, "living", 0))
