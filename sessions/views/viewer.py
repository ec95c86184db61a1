"""The pages that show a session: for people who are logged in, and for those who hold a link."""

from __future__ import annotations

import json
import logging
import uuid
from typing import Final

from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.middleware.csrf import get_token
from django.shortcuts import render
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.cache import never_cache
from django.views.decorators.debug import sensitive_post_parameters, sensitive_variables
from django.views.decorators.http import require_GET, require_POST

from .. import tickets
from ..access import LINK_CLOSED
from ..models import ShareLink
from ..permissions import Permission, Role
from ..ratelimit import RateLimit
from ..redis_client import RedisUnavailable
from ..status import UNKNOWN
from .cards import make_card
from .doors import AccessError, client_address, open_link, open_session

logger = logging.getLogger(__name__)

ATTEMPTS: Final = RateLimit("ticket", limit=120, window_s=60)
"""For one link from one address: reconnecting viewers behind one NAT stay far below."""
FAILURES: Final = RateLimit("ticket-failure", limit=20, window_s=60)
"""For one address over all links: guessing."""
MAXIMUM_BODY: Final = 2048


@never_cache
@login_required
@require_GET
def viewer(request: HttpRequest, session_id: uuid.UUID) -> HttpResponse:
    """``/s/<id>/``: the session, or what became of it."""
    access = open_session(request, session_id, Permission.VIEW)
    session = access.session
    if session.current_state.final:
        context = {
            "card": make_card(session, UNKNOWN),
            "session": session,
            "log_tail": session.log_tail if Permission.LOGS in access.permissions else "",
            "may_again": access.role is Role.OWNER,
        }
        return render(request, "portal/over.html", context)
    may_share = Permission.SHARE in access.permissions
    config = {
        "socket": f"/ws/session/{session.pk}/",
        "role": access.role.value,
        "name": session.name,
        "csrf": get_token(request),
        "urls": {
            "portal": reverse("portal"),
            "share": reverse("share", args=[session.pk]) if may_share else None,
            "login": f"{reverse('login')}?next={request.path}",
            "keep": reverse("keep", args=[session.pk]) if Permission.KEEP in access.permissions else None,
            "again": reverse("again", args=[session.pk]) if access.role is Role.OWNER else None,
            "log": request.path if Permission.LOGS in access.permissions else None,
        },
    }
    return render(request, "viewer/session.html", {"config": config, "session": session})


@never_cache
@require_GET
def link(request: HttpRequest, link_id: str) -> HttpResponse:
    """``/v/<link id>``: the same page for every id, so that it tells a stranger nothing."""
    config = {
        "socket": f"/ws/link/{link_id}/",
        "ticket": reverse("link-ticket", args=[link_id]),
        "csrf": get_token(request),
        "name": "",
        "role": "viewer",
        "urls": {"portal": None, "share": None},
    }
    response = render(request, "viewer/link.html", {"config": config})
    response.headers["Referrer-Policy"] = "no-referrer"
    return response


def _refusal(code: str, message: str, status: int) -> JsonResponse:
    return JsonResponse({"code": code, "message": message}, status=status)


@never_cache
@require_POST
@sensitive_post_parameters()
@sensitive_variables("secret", "body")
def ticket(request: HttpRequest, link_id: str) -> JsonResponse:
    """``POST /v/<link id>/ticket`` {"secret"} → {"ticket"}, or {"code", "message"} with a matching status."""
    try:
        if int(request.META.get("CONTENT_LENGTH") or 0) > MAXIMUM_BODY:
            raise ValueError
        body = json.loads(request.body)
        secret = body["secret"]
        if not isinstance(secret, str):
            raise TypeError
    except (ValueError, TypeError, KeyError, RecursionError):
        return _refusal("malformed", "This is not what the link's page sends. Reload it.", 400)
    address = client_address(request)
    try:
        if FAILURES.exhausted(address) or not ATTEMPTS.hit(f"{address}:{link_id}"):
            response = _refusal("too-many", "Too many tries. Wait a minute and open the link again.", 429)
            response.headers["Retry-After"] = str(FAILURES.window_s)
            return response
        try:
            access = open_link(link_id, secret)
        except AccessError:
            FAILURES.hit(address)
            return _refusal("link-closed", LINK_CLOSED, 404)
        if access.session.current_state.final:
            return _refusal("session-ended", "The session behind this link has ended.", 410)
        issued = tickets.issue(link_id)
    except RedisUnavailable as error:
        logger.warning("no ticket for link %s: Redis cannot be reached: %s", link_id, error)
        return _refusal("unavailable", "The server cannot open links just now. Try again in a moment.", 503)
    ShareLink.objects.filter(pk=link_id).update(last_used_at=timezone.now())
    return JsonResponse({"ticket": issued, "expires_in": tickets.LIFETIME_S})
