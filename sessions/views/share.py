"""Sharing one session: its links, a new one shown once, revoking."""

from __future__ import annotations

import uuid

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.cache import never_cache
from django.views.decorators.debug import sensitive_variables
from django.views.decorators.http import require_http_methods, require_POST

from ..actions import ActionError
from ..actions.share import do_revoke, do_share
from ..forms.share import ShareForm
from ..permissions import Permission
from .doors import open_session, visitor


@never_cache  # includes no-store: the one page with a secret is kept nowhere
@login_required
@require_http_methods(["GET", "HEAD", "POST"])
@sensitive_variables("made", "new_url")
def share(request: HttpRequest, session_id: uuid.UUID) -> HttpResponse:
    """List the links; POST makes one and shows it in the answer, this once and nowhere else."""
    access = open_session(request, session_id, Permission.SHARE)
    new_url = ""
    form = ShareForm(request.POST if request.method == "POST" else None, access=access)
    if request.method == "POST" and form.is_valid():
        try:
            made = do_share(
                access,
                visitor(request),
                form.cleaned_data["role"],
                form.cleaned_data["label"],
                form.expires_at(),
                max_kbps=form.cleaned_data["max_kbps"] or 0,
                max_fps=form.cleaned_data["max_fps"] or 0,
            )
        except ActionError as error:
            form.add_error(None, error.message)
        else:
            new_url = request.build_absolute_uri(made.path)
            form = ShareForm(access=access)
    links = list(access.session.share_links.select_related("created_by"))
    context = {"session": access.session, "form": form, "links": links, "new_url": new_url}
    return render(request, "portal/share.html", context)


@login_required
@require_POST
def revoke(request: HttpRequest, session_id: uuid.UUID, link_id: str) -> HttpResponse:
    """Close a link; whoever watches through it is sent away."""
    access = open_session(request, session_id, Permission.SHARE)
    try:
        link = do_revoke(access, link_id)
    except ActionError as error:
        messages.warning(request, error.message)
    else:
        messages.success(request, f"“{link}” is revoked. Nobody can use it any more.")
    return redirect("share", session_id)
