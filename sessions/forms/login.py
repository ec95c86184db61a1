"""Login forms that slow down guessing. Without Redis nobody is held back: a login must not hang on it."""

from __future__ import annotations

import hashlib
import logging
from typing import TYPE_CHECKING, Any, Final

from django import forms
from django.contrib.admin.forms import AdminAuthenticationForm
from django.contrib.auth.forms import AuthenticationForm

from ..ratelimit import RateLimit
from ..redis_client import RedisUnavailable

logger = logging.getLogger(__name__)

FAILURES: Final = RateLimit("login-failure", limit=10, window_s=60)
TOO_MANY: Final = "Too many failed logins. Wait a minute, then try again."

if TYPE_CHECKING:
    _Base = AuthenticationForm
else:
    _Base = forms.Form


class _Throttled(_Base):
    """Mixin before an `AuthenticationForm`: counts failures for an address and a name."""

    def clean(self) -> dict[str, Any]:
        subject = self._subject()
        try:
            if FAILURES.exhausted(subject):
                raise forms.ValidationError(TOO_MANY, code="too-many")
        except RedisUnavailable as error:
            logger.warning("failed logins are not counted: Redis cannot be reached: %s", error)
            return super().clean()
        try:
            return super().clean()
        except forms.ValidationError:
            FAILURES.hit(subject)
            raise

    def _subject(self) -> str:
        address = self.request.META.get("REMOTE_ADDR", "") if self.request else ""
        name = str(self.cleaned_data.get("username", "")).casefold()
        return hashlib.sha256(f"{address}\n{name}".encode()).hexdigest()[:32]


class LoginForm(_Throttled, AuthenticationForm):
    """For the portal."""


class AdminLoginForm(_Throttled, AdminAuthenticationForm):
    """For the admin."""
