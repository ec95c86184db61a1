"""How views enter: one session by its id, with errors turned into pages and messages."""

from __future__ import annotations

import uuid

from django.contrib.auth.models import AbstractBaseUser
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest
from django.views.decorators.debug import sensitive_variables

from ..access import Access, AccessError, access_link, access_session
from ..permissions import Permission

__all__ = ["AccessError", "client_address", "open_link", "open_session", "visitor"]


def open_session(request: HttpRequest, session_id: uuid.UUID, permission: Permission) -> Access:
    """Return the visitor's access; raise `Http404` or `PermissionDenied`, which render as pages."""
    try:
        return access_session(request.user, session_id, permission)
    except AccessError as error:
        if error.code == "unknown-session":
            raise Http404(str(error)) from None
        raise PermissionDenied(str(error)) from None


@sensitive_variables("secret")
def open_link(link_id: str, secret: str) -> Access:
    """Return the access a link's secret gives; raise `AccessError`. The secret stays out of error reports."""
    return access_link(link_id, secret)


def visitor(request: HttpRequest) -> AbstractBaseUser:
    """Return who has logged in; raise `PermissionDenied` for anybody else, should a view forget to ask."""
    if isinstance(request.user, AbstractBaseUser):
        return request.user
    raise PermissionDenied("Log in first.")


def client_address(request: HttpRequest) -> str:
    """Return the peer's address as the web server saw it: headers anybody can send are not asked."""
    return str(request.META.get("REMOTE_ADDR") or "unknown")
