"""Reads and checks `settings.STRIPEDESK`. Everybody who needs one of these values asks `conf()`.

Reads Django's settings on every call, so tests may override them; a wrong value raises `ImproperlyConfigured`
that names the environment variable to change.
"""

from __future__ import annotations

import re
import socket
from dataclasses import dataclass
from pathlib import Path

from django.conf import settings
from django.core.exceptions import ImproperlyConfigured

SOCKET_PATH_LIMIT = 107
"""Bytes a Unix socket's path may have (sun_path less its terminator)."""

LONGEST_SOCKET = "/s/0123456789ab/x/X0"
"""The longest socket path below the runtime directory (`sessions.spawners.paths`)."""

UIDS_PER_SESSION = 2

LEAST_TOKEN = 16
"""Characters of the metrics' token."""


@dataclass(frozen=True)
class Conf:
    """Checked configuration of this machine's part."""

    state_dir: Path
    runtime_dir: Path
    redis_url: str
    host_name: str
    host_capacity: int
    uid_base: int
    allow_unsandboxed: bool
    sessions_per_user: int
    metrics_token: str
    spawner: str
    starts_at_once: int
    queue_minutes: int


def conf() -> Conf:
    """Return the checked configuration; raise `ImproperlyConfigured` naming variable, cause and remedy."""
    values = settings.STRIPEDESK
    runtime_dir = Path(values["RUNTIME_DIR"])
    longest = len(str(runtime_dir).encode()) + len(LONGEST_SOCKET)
    if longest > SOCKET_PATH_LIMIT:
        raise ImproperlyConfigured(
            f"STRIPEDESK_RUNTIME_DIR is {longest - SOCKET_PATH_LIMIT} bytes too long for the sockets below it: "
            f"{runtime_dir}. Choose a shorter directory, such as /run/stripedesk."
        )
    return Conf(
        state_dir=Path(values["STATE_DIR"]),
        runtime_dir=runtime_dir,
        redis_url=_redis_url(settings.REDIS_URL),
        host_name=_host_name(values["HOST_NAME"]),
        host_capacity=_number("STRIPEDESK_HOST_CAPACITY", values["HOST_CAPACITY"], 0, 10_000),
        # Below 1000 live the system's own users; above 2**31 tools disagree about signs.
        uid_base=_number("STRIPEDESK_UID_BASE", values["UID_BASE"], 1_000, 2_000_000_000),
        allow_unsandboxed=bool(values["ALLOW_UNSANDBOXED"]),
        metrics_token=_token(values.get("METRICS_TOKEN", "")),
        sessions_per_user=_number("STRIPEDESK_SESSIONS_PER_USER", values["SESSIONS_PER_USER"], 1, 10_000),
        spawner=str(values.get("SPAWNER", "local")),
        starts_at_once=_number("STRIPEDESK_STARTS_AT_ONCE", values["STARTS_AT_ONCE"], 1, 1_000),
        queue_minutes=_number("STRIPEDESK_QUEUE_MINUTES", values["QUEUE_MINUTES"], 1, 10_080),
    )


def check_host_name(name: str) -> str:
    """Return ``name`` if it can name a host; raise `ImproperlyConfigured` otherwise."""
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}", name):
        raise ImproperlyConfigured(
            f"{name!r:.60} cannot be a host's name: use letters, digits, dots, hyphens and underscores, "
            "at most 100. Set STRIPEDESK_HOST_NAME or pass --name."
        )
    return name


def _host_name(configured: str) -> str:
    return check_host_name(configured or socket.gethostname() or "localhost")


def _redis_url(url: str) -> str:
    """Check the scheme only; the URL may hold a password and is never quoted."""
    if not url.startswith(("unix://", "redis://", "rediss://")):
        raise ImproperlyConfigured(
            f"REDIS_URL must start with unix://, redis:// or rediss://, not {url.split(':', 1)[0]!r:.40}."
        )
    return url


def _token(value: str) -> str:
    """Check a secret's length; it is never quoted."""
    if value and len(value) < LEAST_TOKEN:
        raise ImproperlyConfigured(
            f"STRIPEDESK_METRICS_TOKEN is too easily guessed: give it at least {LEAST_TOKEN} characters, or none."
        )
    return value


def _number(variable: str, value: int, least: int, most: int) -> int:
    if not least <= value <= most:
        raise ImproperlyConfigured(f"{variable} must be between {least} and {most}, not {value}.")
    return value
