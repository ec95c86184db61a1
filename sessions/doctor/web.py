"""The web tier's configuration: key, names, TLS, origins, static files, and Django's own checks. Looks only."""

from __future__ import annotations

import stat
from collections.abc import Iterator, Sequence
from pathlib import Path
from urllib.parse import urlsplit

from django.conf import settings
from django.contrib.staticfiles import finders
from django.core import checks as django_checks
from django.core.exceptions import ImproperlyConfigured

from ..conf import conf
from .finding import Finding, fail, ok, warn

LEAST_KEY = 50
LOCAL = frozenset({"localhost", "127.0.0.1", "[::1]", "::1", "testserver"})
FILES = ("app/viewer.js", "core/client.js", "core/decoders/lossless.wasm", "portal/portal.css", "portal/portal.js")


def configuration() -> Iterator[Finding]:
    """The variables of this machine's part."""
    try:
        checked = conf()
    except ImproperlyConfigured as error:
        yield fail(str(error), "see docs/reference/settings.md")
        return
    yield ok(f"host {checked.host_name}, state in {checked.state_dir}")


def secret_key() -> Iterator[Finding]:
    """Django's key: whoever knows it is anybody."""
    key = settings.SECRET_KEY
    remedy = "remove STRIPEDESK_SECRET_KEY to have one made, or set 50 random characters"
    if len(key) < LEAST_KEY or len(set(key)) < 5 or key.startswith("django-insecure"):
        yield fail("the secret key can be guessed", remedy)
        return
    path = Path(settings.STRIPEDESK["STATE_DIR"]) / "secret-key"
    if path.exists() and path.stat().st_mode & (stat.S_IRWXG | stat.S_IRWXO):
        yield fail(f"others can read {path}", f"chmod 600 {path}")
        return
    yield ok("long, and nobody else's")


def addresses() -> Iterator[Finding]:
    """Names, TLS and origins under which the site is reached."""
    hosts: Sequence[str] = settings.ALLOWED_HOSTS
    public = [host for host in hosts if host not in LOCAL]
    if settings.DEBUG and public:
        yield fail("debug pages can be reached by others", "unset STRIPEDESK_DEBUG")
    if "*" in hosts:
        yield fail(
            "every name is allowed, so any page may open a viewer's WebSocket", "name them: STRIPEDESK_ALLOWED_HOSTS"
        )
    elif not hosts:
        yield fail("no name is allowed", "set STRIPEDESK_ALLOWED_HOSTS")
    elif not public:
        yield ok("reached from this machine alone (STRIPEDESK_ALLOWED_HOSTS)")
    else:
        yield ok(f"reached as {', '.join(public)}")
    secure = settings.SESSION_COOKIE_SECURE and settings.CSRF_COOKIE_SECURE
    if public and not secure:
        yield fail("passwords and pictures travel in the clear", "put TLS before it and set STRIPEDESK_TLS=true")
    elif public and not settings.SECURE_HSTS_SECONDS:
        yield warn("browsers may be led to plain HTTP", "set STRIPEDESK_HSTS_SECONDS=31536000 once TLS works")
    for origin in settings.CSRF_TRUSTED_ORIGINS:
        parts = urlsplit(origin)
        if parts.scheme not in ("http", "https") or not parts.netloc or parts.path not in ("", "/"):
            yield fail(
                f"{origin!r:.80} is no origin: forms are refused", "write https://name in STRIPEDESK_TRUSTED_ORIGINS"
            )
        elif parts.scheme == "http" and parts.hostname not in LOCAL:
            yield warn(f"{origin} is trusted without TLS", "use https:// in STRIPEDESK_TRUSTED_ORIGINS")


def static_files() -> Iterator[Finding]:
    """The files of the browser client."""
    missing = [name for name in FILES if finders.find(name) is None]
    if missing:
        yield fail(f"not found: {', '.join(missing)}", "install again, or check out static/ again")
    else:
        yield ok("the client's files are there")


def checks() -> Iterator[Finding]:
    """Django's system checks, and the project's."""
    worst = 0
    for message in django_checks.run_checks():
        if message.is_silenced():
            continue
        text, hint = f"{message.id}: {message.msg}", message.hint or "see Django's documentation of this check"
        if message.level >= django_checks.WARNING:
            worst = max(worst, message.level)
            yield fail(text, hint) if message.level >= django_checks.ERROR else warn(text, hint)
    if not worst:
        yield ok("no check complains")
