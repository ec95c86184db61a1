"""Sessions in the admin: to launch, watch, share and stop, never to edit by hand."""

from __future__ import annotations

from typing import Any, ClassVar

from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.urls import URLPattern, path, reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.timesince import timesince

from ..access import AccessError, access_session
from ..actions import ActionError
from ..actions.presets import visible_presets
from ..actions.stop import do_stop
from ..forms.share import ShareForm
from ..models import DesktopSession
from ..permissions import Permission
from ..views.cards import Card, make_cards
from .bases import ModelAdmin
from .session_pages import SessionPages, delivery_context


@admin.register(DesktopSession)
class DesktopSessionAdmin(SessionPages, ModelAdmin[DesktopSession]):
    """Rows and pages that keep themselves up to date through ``live/``."""

    change_list_template = "admin/desktops/desktopsession/change_list.html"
    change_form_template = "admin/desktops/desktopsession/change_form.html"
    list_display = ("name", "live_state", "open", "owner", "host", "viewers", "fps", "kbps", "age")
    list_select_related = ("owner", "template", "host", "preset")
    list_filter = ("state", "template", "host")
    search_fields = ("name", "id", "owner__username")
    date_hierarchy = "created_at"
    list_per_page = 50
    actions = ("stop_selected",)
    fieldsets = (
        (None, {"fields": ("name", "owner", "template", "host", "preset")}),
        ("Life", {"fields": ("state", "stage", "wanted", "reason", "message")}),
        ("Times", {"fields": ("created_at", "started_at", "ended_at")}),
        ("Details", {"classes": ("collapse",), "fields": ("id", "width", "height", "overrides", "stop_reason")}),
    )

    class Media:
        css: ClassVar[dict[str, tuple[str, ...]]] = {"all": ("portal/admin.css",)}

    def get_urls(self) -> list[URLPattern]:
        """Our pages come before the stock ones, whose last pattern takes everything."""
        view, name = self.admin_site.admin_view, "desktops_desktopsession"
        return [
            path("launch/", view(self.launch_view), name=f"{name}_launch"),
            path("live/", view(self.live_view), name=f"{name}_live"),
            path("<uuid:session_id>/stop/", view(self.stop_view), name=f"{name}_stop"),
            path("<uuid:session_id>/delivery/", view(self.delivery_view), name=f"{name}_delivery"),
            path("<uuid:session_id>/preset/", view(self.preset_view), name=f"{name}_preset"),
            path("<uuid:session_id>/share/", view(self.share_view), name=f"{name}_share"),
            path("<uuid:session_id>/share/<str:link_id>/revoke/", view(self.revoke_view), name=f"{name}_revoke"),
            *super().get_urls(),
        ]

    def has_add_permission(self, request: HttpRequest) -> bool:
        """Sessions are launched, not added."""
        return False

    def has_change_permission(self, request: HttpRequest, obj: DesktopSession | None = None) -> bool:
        """The host agent writes sessions; what people may do has buttons of its own."""
        return False

    def has_view_permission(self, request: HttpRequest, obj: DesktopSession | None = None) -> bool:
        """Who may change sessions, as `access_session` asks it, may look at them here."""
        return super().has_view_permission(request, obj) or super().has_change_permission(request, obj)

    def has_delete_permission(self, request: HttpRequest, obj: DesktopSession | None = None) -> bool:
        """Only what has ended may be forgotten: a row that lives belongs to a desktop that lives."""
        return super().has_delete_permission(request, obj) and (obj is None or obj.current_state.final)

    def get_actions(self, request: HttpRequest) -> dict[str, Any]:
        """Without the bulk deletion, which could not tell the living from the ended."""
        actions = super().get_actions(request)
        actions.pop("delete_selected", None)
        return actions

    def has_stop_permission(self, request: HttpRequest) -> bool:
        """Whether the action to stop sessions is offered; each session asks `access_session` again."""
        return request.user.has_perm("desktops.change_desktopsession")

    @admin.action(description="Stop selected sessions", permissions=["stop"])
    def stop_selected(self, request: HttpRequest, queryset: QuerySet[DesktopSession]) -> None:
        """Stop each; say which could not be stopped and why."""
        stopped = 0
        for session in queryset:
            try:
                do_stop(access_session(request.user, session.pk, Permission.STOP))
                stopped += 1
            except (AccessError, ActionError) as error:
                self.message_user(request, str(error), messages.WARNING)
        if stopped:
            self.message_user(request, f"{stopped} session{'s are' if stopped != 1 else ' is'} being stopped.")

    # Live columns: the server's first values, which the page's script replaces.

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        """The list, with the address of its live numbers."""
        live_url = reverse("admin:desktops_desktopsession_live")
        return super().changelist_view(request, {"live_url": live_url, **(extra_context or {})})

    def get_changelist_instance(self, request: HttpRequest) -> Any:
        """Read the page's live status in one round trip, before its rows ask for it."""
        changelist = super().get_changelist_instance(request)
        cards, _ = make_cards(changelist.result_list)
        for card in cards:
            card.session.card = card  # type: ignore[attr-defined]
        return changelist

    @admin.display(description="state", ordering="state")
    def live_state(self, session: DesktopSession) -> SafeString:
        """The phase as a badge."""
        card: Card = session.card  # type: ignore[attr-defined]
        return format_html(
            '<span class="sd-badge" data-session="{}" data-phase="{}" data-state="{}" data-live="label">{}</span>'
            '<small class="sd-detail" data-session="{}" data-live="detail">{}</small>',
            *(session.pk, card.phase, session.state, card.label, session.pk, card.detail),
        )

    def _number(self, session: DesktopSession, name: str) -> SafeString:
        card: Card = session.card  # type: ignore[attr-defined]
        text = f"{getattr(card.live, name):.0f}" if card.phase == "ready" else "–"
        return format_html('<span class="sd-number" data-session="{}" data-live="{}">{}</span>', session.pk, name, text)

    @admin.display(description="viewers")
    def viewers(self, session: DesktopSession) -> SafeString:
        """How many watch."""
        return self._number(session, "viewers")

    @admin.display(description="fps")
    def fps(self, session: DesktopSession) -> SafeString:
        """Frames a second."""
        return self._number(session, "fps")

    @admin.display(description="kbit/s")
    def kbps(self, session: DesktopSession) -> SafeString:
        """Bits a second."""
        return self._number(session, "kbps")

    @admin.display(description="age", ordering="-created_at")
    def age(self, session: DesktopSession) -> str:
        """How long ago it was launched."""
        return timesince(session.created_at, depth=1)

    @admin.display(description="")
    def open(self, session: DesktopSession) -> SafeString | str:
        """A way to the viewer."""
        if not session.current_state.watchable:
            return ""
        return format_html('<a class="sd-open" href="{}">Open</a>', reverse("viewer", args=[session.pk]))

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """The object's page with its progress, buttons and links."""
        context = dict(extra_context or {})
        try:
            access = access_session(request.user, object_id, Permission.VIEW)
        except AccessError:
            access = None  # the stock view answers: not there, or only to be looked at
        if access is not None:
            (card,), live = make_cards([access.session])
            context |= {
                "title": "Desktop session",
                "subtitle": None,
                "access": access,
                "card": card,
                "live": live,
                "delivery": delivery_context(card) if card.phase != "over" else {},
                "live_url": f"{reverse('admin:desktops_desktopsession_live')}?id={access.session.pk}",
                "links": list(access.session.share_links.select_related("created_by")),
                "log_tail": access.session.log_tail if Permission.LOGS in access.permissions else "",
                "may_share": Permission.SHARE in access.permissions,
                "may_stop": Permission.STOP in access.permissions,
                "may_set": Permission.SETTINGS in access.permissions,
                "presets": list(visible_presets(access.session.owner)),
            }
            context.setdefault("share_form", ShareForm(access=access))
        return super().change_view(request, object_id, form_url, context)
