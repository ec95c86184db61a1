"""The portal: a user's own sessions, and what can be launched."""

from __future__ import annotations

import uuid
from datetime import timedelta
from typing import Any, Final

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.db.models import Q
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import redirect, render
from django.utils import timezone
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from ..access import Access
from ..actions import ActionError
from ..actions.keep import KEPT_FOR, do_keep
from ..actions.launch import check_again, do_launch
from ..actions.presets import FINAL_STATES, default_preset, do_set_session_preset, visible_presets
from ..actions.quota import bounds_of
from ..actions.stop import check_stop, do_stop
from ..forms.launch import LaunchForm
from ..models import DesktopSession, SessionTemplate
from ..permissions import Permission
from .cards import make_cards
from .doors import open_session, visitor

OVER_SHOWN_FOR: Final = timedelta(hours=12)
OVER_SHOWN: Final = 6


def own_sessions(user: Any) -> list[DesktopSession]:
    """Return the user's sessions that live, newest first, then a few that ended lately."""
    mine = DesktopSession.objects.filter(owner_id=user.pk).select_related("template", "preset", "host")
    alive = list(mine.exclude(state__in=FINAL_STATES))
    lately = Q(ended_at__gt=timezone.now() - OVER_SHOWN_FOR)
    return alive + list(mine.filter(lately, state__in=FINAL_STATES).order_by("-ended_at")[:OVER_SHOWN])


def _cards_context(request: HttpRequest) -> dict[str, Any]:
    cards, live = make_cards(own_sessions(request.user))
    return {
        "alive": [card for card in cards if card.phase != "over"],
        "over": [card for card in cards if card.phase == "over"],
        "live": live,
        "presets": list(visible_presets(visitor(request))),
    }


@never_cache
@login_required
@require_GET
def portal(request: HttpRequest) -> HttpResponse:
    """The page ``/``."""
    context = _cards_context(request)
    return render(
        request,
        "portal/portal.html",
        {
            **context,
            "templates": SessionTemplate.objects.for_user(request.user),
            "default_preset": default_preset(visitor(request)),
            "bounds": [bound for bound in bounds_of(visitor(request)).values() if bound.most is not None],
        },
    )


@never_cache
@login_required
@require_GET
def cards(request: HttpRequest) -> HttpResponse:
    """The portal's list of sessions alone, for its script to put in place when sessions come or go."""
    return render(request, "portal/_sessions.html", _cards_context(request))


@never_cache
@require_GET
def api_sessions(request: HttpRequest) -> JsonResponse:
    """``GET /api/sessions/``: the user's own sessions, live."""
    if not request.user.is_authenticated:
        return JsonResponse({"code": "unauthenticated", "message": "Log in first."}, status=401)
    listed, live = make_cards(own_sessions(request.user))
    return JsonResponse({"sessions": [card.as_json() for card in listed], "live": live})


@login_required
@require_POST
def launch(request: HttpRequest) -> HttpResponse:
    """Launch from a template and go to the session, where its progress shows."""
    form = LaunchForm(request.POST)
    if not form.is_valid():
        for name, errors in form.errors.items():
            label = form.fields[name].label or name.capitalize() if name in form.fields else ""
            for error in errors:
                messages.error(request, f"{label}: {error}" if label else str(error))
        return redirect("portal")
    try:
        wish = form.wish(visitor(request))
        session = do_launch(wish)
    except ActionError as error:
        messages.error(request, error.message)
        return redirect("portal")
    return redirect("viewer", session.pk)


@never_cache
@login_required
@require_http_methods(["GET", "HEAD", "POST"])
def stop(request: HttpRequest, session_id: uuid.UUID) -> HttpResponse:
    """GET asks whether the session shall stop, POST stops it."""
    access = open_session(request, session_id, Permission.STOP)
    try:
        if request.method == "POST":
            do_stop(access)
            messages.success(request, f"“{access.session.name}” is being stopped.")
            return redirect("portal")
        check_stop(access)
    except ActionError as error:
        messages.warning(request, error.message)
        return redirect("portal")
    return render(request, "portal/stop.html", {"session": access.session})


@login_required
@require_POST
def set_preset(request: HttpRequest, session_id: uuid.UUID) -> HttpResponse:
    """Give the session another quality preset."""
    access: Access = open_session(request, session_id, Permission.SETTINGS)
    try:
        preset = do_set_session_preset(access, request.POST.get("preset", ""))
    except ActionError as error:
        messages.error(request, error.message)
    else:
        messages.success(request, f"“{access.session.name}” now uses {preset.name}.")
    return redirect("portal")


@login_required
@require_POST
def keep(request: HttpRequest, session_id: uuid.UUID) -> HttpResponse:
    """Keep a session that nobody uses; JSON for scripts that ask for it, else back to the portal."""
    access = open_session(request, session_id, Permission.KEEP)
    as_json = request.headers.get("Accept") == "application/json"
    try:
        do_keep(access)
    except ActionError as error:
        if as_json:
            return JsonResponse({"code": error.code, "message": error.message}, status=409)
        messages.warning(request, error.message)
    else:
        text = f"“{access.session.name}” is kept for {KEPT_FOR} more."
        if as_json:
            return JsonResponse({"message": text})
        messages.success(request, text)
    return redirect("portal")


@login_required
@require_POST
def again(request: HttpRequest, session_id: uuid.UUID) -> HttpResponse:
    """Launch another session like one that is over, and go to it."""
    access = open_session(request, session_id, Permission.SETTINGS)
    try:
        session = do_launch(check_again(access))
    except ActionError as error:
        messages.error(request, error.message)
        return redirect("portal")
    return redirect("viewer", session.pk)
