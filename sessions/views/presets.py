"""Quality presets: the site's to choose from, one's own to make."""

from __future__ import annotations

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from ..actions import ActionError
from ..actions.presets import check_preset_visible, default_preset, do_delete_preset, do_save_preset, visible_presets
from ..actions.profile import do_set_default_preset
from ..forms.preset import PresetForm
from ..models import QualityPreset
from .doors import visitor

PRESETS_PER_USER = 30


@never_cache
@login_required
@require_GET
def presets(request: HttpRequest) -> HttpResponse:
    """All presets the user can use."""
    visible = list(visible_presets(visitor(request)))
    context = {
        "site": [preset for preset in visible if preset.owner_id is None],
        "own": [preset for preset in visible if preset.owner_id is not None],
        "default": default_preset(visitor(request)),
    }
    return render(request, "portal/presets.html", context)


@never_cache
@login_required
@require_http_methods(["GET", "HEAD", "POST"])
def new(request: HttpRequest) -> HttpResponse:
    """Make a preset, starting from another one if ``?from=`` names it."""
    if QualityPreset.objects.filter(owner_id=request.user.pk).count() >= PRESETS_PER_USER:
        messages.error(request, f"You have {PRESETS_PER_USER} presets, which is the most. Delete one first.")
        return redirect("presets")
    preset = QualityPreset(owner_id=request.user.pk)
    if origin := request.GET.get("from"):
        try:
            source = check_preset_visible(visitor(request), origin)
        except ActionError as error:
            messages.warning(request, error.message)
            return redirect("presets")
        preset.settings, preset.name = dict(source.settings), f"My {source.name}"[:60]
        preset.max_kbps, preset.max_fps = source.max_kbps, source.max_fps
    return _edit(request, preset, "New preset")


@never_cache
@login_required
@require_http_methods(["GET", "HEAD", "POST"])
def edit(request: HttpRequest, preset_id: int) -> HttpResponse:
    """Change one's own preset; running sessions that use it follow at once."""
    preset = get_object_or_404(QualityPreset, pk=preset_id, owner_id=request.user.pk)
    return _edit(request, preset, preset.name)


def _edit(request: HttpRequest, preset: QualityPreset, title: str) -> HttpResponse:
    form = PresetForm(request.POST if request.method == "POST" else None, instance=preset)
    if request.method == "POST" and form.is_valid():
        try:
            saved = do_save_preset(form.save(commit=False))
        except ActionError as error:
            form.add_error("name" if error.code == "name-taken" else None, error.message)
        else:
            messages.success(request, f"“{saved.name}” is saved.")
            return redirect("presets")
    return render(request, "portal/preset_form.html", {"form": form, "preset": preset, "title": title})


@never_cache
@login_required
@require_http_methods(["GET", "HEAD", "POST"])
def delete(request: HttpRequest, preset_id: int) -> HttpResponse:
    """GET asks, POST deletes one's own preset."""
    preset = get_object_or_404(QualityPreset, pk=preset_id, owner_id=request.user.pk)
    if request.method == "POST":
        name = preset.name
        do_delete_preset(preset)
        messages.success(request, f"“{name}” is deleted.")
        return redirect("presets")
    return render(request, "portal/preset_delete.html", {"preset": preset})


@login_required
@require_POST
def make_default(request: HttpRequest) -> HttpResponse:
    """New sessions of the user start with this preset."""
    try:
        preset = do_set_default_preset(visitor(request), request.POST.get("preset", ""))
    except ActionError as error:
        messages.error(request, error.message)
    else:
        messages.success(request, f"New sessions start with “{preset.name}”.")
    return redirect("presets")
