"""What a fresh database needs before the platform starts on it: tables, an administrator, templates and presets."""

from __future__ import annotations

import secrets

from django.contrib.auth import get_user_model
from django.core.management import call_command

ADMINISTRATOR = "admin"
PASSWORD_BYTES = 12


def migrate() -> None:
    """Bring the database up to date. Blocks; raises Django's database errors."""
    call_command("migrate", verbosity=0, interactive=False)


def make_administrator(password: str | None) -> str | None:
    """Make the administrator, unless there is one; return the password if it was made, for it is shown only now."""
    users = get_user_model()._default_manager
    if users.filter(is_superuser=True, is_active=True).exists():
        return None
    chosen = password or secrets.token_urlsafe(PASSWORD_BYTES)
    user = users.filter(username=ADMINISTRATOR).first()
    if user is None:
        users.create_superuser(ADMINISTRATOR, email="", password=chosen)
    else:
        user.is_superuser = user.is_staff = user.is_active = True
        user.set_password(chosen)
        user.save()
    return chosen
