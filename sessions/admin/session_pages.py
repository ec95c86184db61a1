"""The admin's own pages and buttons of sessions: launch, stop, preset, share, and live numbers as JSON."""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING, Any

from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse, HttpResponseNotAllowed, JsonResponse
from django.shortcuts import redirect
from django.template.response import TemplateResponse
from django.views.decorators.cache import never_cache
from django.views.decorators.debug import sensitive_variables

from ..access import Access
from ..actions import ActionError
from ..actions.launch import do_launch
from ..actions.presets import do_set_session_preset
from ..actions.share import do_revoke, do_share
from ..actions.stop import do_stop
from ..forms.launch import LaunchForm
from ..forms.share import ShareForm
from ..latency import STAGES, together
from ..models import DesktopSession, SessionTemplate
from ..permissions import Permission
from ..reports import read_reports
from ..views.cards import Card, make_cards
from ..views.doors import open_session, visitor

if TYPE_CHECKING:
    from django.contrib.admin import ModelAdmin

    _Admin = ModelAdmin[DesktopSession]
else:
    _Admin = object

LIVE_AT_ONCE = 200
"""Most sessions one answer of ``live/`` tells of."""


def delivery_context(card: Card) -> dict[str, Any]:
    """Return how a session's pictures are delivered, for `_delivery.html`. Blocks on Redis."""
    sid = card.session.sid
    reports = read_reports([sid])
    viewers = (reports or {}).get(sid, [])
    stages = {**together(viewer.stages for viewer in viewers), **card.live.stages}
    return {
        "live": reports is not None,
        "stages": [(text, *stages[name]) for name, text in STAGES.items() if name in stages],
        "viewers": viewers,
        "put_off": card.live.dropped,
    }


class SessionPages(_Admin):
    """Mixin of the session's `ModelAdmin`. Every page asks `access_session` or the model's permissions first."""

    def launch_view(self, request: HttpRequest) -> HttpResponse:
        """GET shows the templates; POST launches one for the visitor himself and goes to its page."""
        if not self.has_view_permission(request):
            raise PermissionDenied
        if request.method == "POST":
            form = LaunchForm(request.POST)
            try:
                if not form.is_valid():
                    text = "; ".join(str(error) for errors in form.errors.values() for error in errors)
                    raise ActionError("invalid", text)
                wish = form.wish(visitor(request))
                session = do_launch(wish)
            except ActionError as error:
                messages.error(request, error.message)
                return redirect("admin:desktops_desktopsession_launch")
            return redirect("admin:desktops_desktopsession_change", session.pk)
        context = {
            **self.admin_site.each_context(request),
            "title": "Launch a session",
            "opts": DesktopSession._meta,
            "templates": SessionTemplate.objects.for_user(request.user),
        }
        return TemplateResponse(request, "admin/desktops/desktopsession/launch.html", context)

    def live_view(self, request: HttpRequest) -> JsonResponse:
        """``live/?id=…&id=…``: what the cards of these sessions show now."""
        if not self.has_view_permission(request):
            raise PermissionDenied
        wanted = []
        for text in request.GET.getlist("id")[:LIVE_AT_ONCE]:
            try:
                wanted.append(uuid.UUID(text))
            except ValueError:
                continue  # not an id: nothing to tell of it
        sessions = DesktopSession.objects.filter(pk__in=wanted).select_related("template", "preset", "host")
        cards, live = make_cards(sessions)
        body = [{**card.as_json(), "host": str(card.session.host or "–"), "stages": card.stages} for card in cards]
        return JsonResponse({"sessions": body, "live": live})  # `admin_view` keeps it out of caches

    def delivery_view(self, request: HttpRequest, session_id: uuid.UUID) -> HttpResponse:
        """The part of a session's page that tells how its pictures are delivered."""
        access = open_session(request, session_id, Permission.VIEW)
        (card,), _ = make_cards([access.session])
        return TemplateResponse(request, "admin/desktops/desktopsession/_delivery.html", delivery_context(card))

    def stop_view(self, request: HttpRequest, session_id: uuid.UUID) -> HttpResponse:
        """POST stops the session."""
        if request.method != "POST":
            return HttpResponseNotAllowed(["POST"])
        access = open_session(request, session_id, Permission.STOP)
        try:
            do_stop(access)
        except ActionError as error:
            messages.warning(request, error.message)
        else:
            messages.success(request, f"“{access.session.name}” is being stopped.")
        return self._back_to(access)

    def preset_view(self, request: HttpRequest, session_id: uuid.UUID) -> HttpResponse:
        """POST gives the session another preset."""
        if request.method != "POST":
            return HttpResponseNotAllowed(["POST"])
        access = open_session(request, session_id, Permission.SETTINGS)
        try:
            preset = do_set_session_preset(access, request.POST.get("preset", ""))
        except ActionError as error:
            messages.error(request, error.message)
        else:
            messages.success(request, f"“{access.session.name}” now uses {preset.name}.")
        return self._back_to(access)

    @sensitive_variables("made", "extra")
    def share_view(self, request: HttpRequest, session_id: uuid.UUID) -> HttpResponse:
        """POST makes a link and shows it in the answer, this once and nowhere else."""
        if request.method != "POST":
            return redirect("admin:desktops_desktopsession_change", session_id)
        access = open_session(request, session_id, Permission.SHARE)
        form = ShareForm(request.POST, access=access)
        extra: dict[str, Any] = {"share_form": form}
        if form.is_valid():
            values = form.cleaned_data
            try:
                made = do_share(
                    access,
                    visitor(request),
                    values["role"],
                    values["label"],
                    form.expires_at(),
                    max_kbps=values["max_kbps"] or 0,
                    max_fps=values["max_fps"] or 0,
                )
            except ActionError as error:
                form.add_error(None, error.message)
            else:
                extra = {"new_url": request.build_absolute_uri(made.path)}
        # The stock view must only show the object: as a POST it would try to save it.
        request.method = "GET"
        return never_cache(self._show)(request, str(session_id), extra)

    def _show(self, request: HttpRequest, session_id: str, extra: dict[str, Any]) -> HttpResponse:
        return self.change_view(request, session_id, extra_context=extra)

    def revoke_view(self, request: HttpRequest, session_id: uuid.UUID, link_id: str) -> HttpResponse:
        """POST closes a link."""
        if request.method != "POST":
            return HttpResponseNotAllowed(["POST"])
        access = open_session(request, session_id, Permission.SHARE)
        try:
            link = do_revoke(access, link_id)
        except ActionError as error:
            messages.warning(request, error.message)
        else:
            messages.success(request, f"“{link}” is revoked. Nobody can use it any more.")
        return self._back_to(access)

    def _back_to(self, access: Access) -> HttpResponse:
        return redirect("admin:desktops_desktopsession_change", access.session.pk)
