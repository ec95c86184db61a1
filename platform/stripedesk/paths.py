"""Where the project keeps what it writes: state that lasts, sockets that do not, and the secret key."""

from __future__ import annotations

import hashlib
import os
import secrets
from pathlib import Path


def state_dir(base: Path) -> Path:
    """Return the directory for the database, logs and secrets: ``STRIPEDESK_STATE_DIR`` or ``var/`` in the checkout."""
    path = Path(os.environ.get("STRIPEDESK_STATE_DIR") or base / "var").resolve()
    path.mkdir(mode=0o700, parents=True, exist_ok=True)
    return path


def runtime_dir(base: Path) -> Path:
    """Return the directory for sockets: ``STRIPEDESK_RUNTIME_DIR`` or a short private one per checkout.

    A Unix socket's path is limited to 107 bytes, so it cannot live below a checkout of any depth. The directory
    itself is 0711: what lies inside has permissions of its own.
    """
    configured = os.environ.get("STRIPEDESK_RUNTIME_DIR")
    if configured:
        path = Path(configured).resolve()
    else:
        tag = hashlib.sha256(str(state_dir(base)).encode()).hexdigest()[:8]
        if os.geteuid() == 0:
            path = Path("/run") / f"stripedesk-{tag}"
        elif os.environ.get("XDG_RUNTIME_DIR"):
            path = Path(os.environ["XDG_RUNTIME_DIR"]) / f"stripedesk-{tag}"
        else:
            path = Path("/tmp") / f"stripedesk-{os.geteuid()}-{tag}"  # noqa: S108 - private and owner-checked below
    path.mkdir(mode=0o711, parents=True, exist_ok=True)
    owner = path.stat().st_uid
    if owner != os.geteuid():
        raise PermissionError(
            f"{path} belongs to uid {owner}, not to this process; remove it or set STRIPEDESK_RUNTIME_DIR"
        )
    return path


def redis_url(state: Path, runtime: Path) -> str:
    """Return the URL of the private Redis that `manage.py up` starts.

    It has a directory of its own, which workers are shown, and a password, which they do not know: each has a user
    that reaches its own session's channels and keys alone.
    """
    return f"unix://default:{kept_secret(state, 'redis-password', 32)}@{runtime}/redis/redis.sock"


def secret_key(state: Path) -> str:
    """Return Django's key, kept below ``state``."""
    return kept_secret(state, "secret-key", 50)


def kept_secret(state: Path, name: str, size: int) -> str:
    """Return the secret kept in the file ``name`` below ``state``, made on first use, readable by its owner alone."""
    path = state / name
    try:
        return path.read_text()
    except FileNotFoundError:
        key = secrets.token_urlsafe(size)
        temporary = path.with_name(f".{name}-{os.getpid()}")
        with os.fdopen(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
            file.write(key)
        try:
            os.link(temporary, path)  # first writer wins; a second process reads what the first wrote
        except FileExistsError:
            pass
        finally:
            temporary.unlink()
        return path.read_text()
