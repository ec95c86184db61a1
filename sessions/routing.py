"""WebSocket addresses."""

from __future__ import annotations

from django.urls import URLPattern, path, re_path

from .consumers import SessionConsumer

websocket_urlpatterns: list[URLPattern] = [
    path("ws/session/<uuid:session_id>/", SessionConsumer.as_asgi()),
    re_path(r"^ws/link/(?P<link_id>[A-Za-z0-9_-]{1,16})/$", SessionConsumer.as_asgi()),
]
