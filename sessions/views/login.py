"""Logging in and out: Django's views in the portal's dress."""

from __future__ import annotations

from django.contrib.auth.views import LoginView

from ..forms.login import LoginForm


class PortalLoginView(LoginView):
    """``/login/``."""

    template_name = "portal/login.html"
    authentication_form = LoginForm
    redirect_authenticated_user = True
