"""URLs of the app."""

from __future__ import annotations

from django.contrib.auth.views import LogoutView
from django.urls import path, re_path

from .views import health, metrics, portal, presets, share, viewer
from .views.login import PortalLoginView

_LINK = r"^v/(?P<link_id>[A-Za-z0-9_-]{1,16})"

urlpatterns = [
    path("", portal.portal, name="portal"),
    path("sessions/", portal.cards, name="cards"),
    path("launch/", portal.launch, name="launch"),
    path("login/", PortalLoginView.as_view(), name="login"),
    path("logout/", LogoutView.as_view(), name="logout"),
    path("s/<uuid:session_id>/", viewer.viewer, name="viewer"),
    path("s/<uuid:session_id>/stop/", portal.stop, name="stop"),
    path("s/<uuid:session_id>/keep/", portal.keep, name="keep"),
    path("s/<uuid:session_id>/again/", portal.again, name="again"),
    path("s/<uuid:session_id>/preset/", portal.set_preset, name="set-preset"),
    path("s/<uuid:session_id>/share/", share.share, name="share"),
    path("s/<uuid:session_id>/share/<str:link_id>/revoke/", share.revoke, name="revoke"),
    re_path(_LINK + r"$", viewer.link, name="link"),
    re_path(_LINK + r"/ticket$", viewer.ticket, name="link-ticket"),
    path("presets/", presets.presets, name="presets"),
    path("presets/new/", presets.new, name="preset-new"),
    path("presets/default/", presets.make_default, name="preset-default"),
    path("presets/<int:preset_id>/", presets.edit, name="preset-edit"),
    path("presets/<int:preset_id>/delete/", presets.delete, name="preset-delete"),
    path("api/sessions/", portal.api_sessions, name="api-sessions"),
    path("metrics", metrics.metrics, name="metrics"),
    path("healthz", health.healthz, name="healthz"),
    path("readyz", health.readyz, name="readyz"),
]
