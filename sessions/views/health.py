"""Whether the web tier lives, and whether it can work. For balancers: no login, no details."""

from __future__ import annotations

import logging

from django.db import DatabaseError, connection
from django.http import HttpRequest, JsonResponse
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe

from ..redis_client import RedisUnavailable, connect

logger = logging.getLogger(__name__)


@never_cache
@require_safe
def healthz(request: HttpRequest) -> JsonResponse:
    """The process answers."""
    return JsonResponse({"status": "ok"})


@never_cache
@require_safe
def readyz(request: HttpRequest) -> JsonResponse:
    """The process reaches what it needs: 200, or 503 naming what it does not reach."""
    parts = {"database": _database(), "redis": _redis()}
    ready = all(parts.values())
    body = {"status": "ok" if ready else "unavailable"}
    body |= {name: "ok" if reached else "unreachable" for name, reached in parts.items()}
    return JsonResponse(body, status=200 if ready else 503)


def _database() -> bool:
    try:
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1")
    except DatabaseError as error:
        logger.warning("not ready: the database cannot be reached: %s", error)
        return False
    return True


def _redis() -> bool:
    try:
        connect().ping()
    except RedisUnavailable as error:
        logger.warning("not ready: Redis cannot be reached: %s", error)
        return False
    return True
