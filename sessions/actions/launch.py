"""Launching: a row that asks for a session. A host agent makes it true."""

from __future__ import annotations

from dataclasses import dataclass

from django.conf import settings
from django.contrib.auth import get_user_model
from django.contrib.auth.models import AbstractBaseUser
from django.db import transaction

from ..models import DesktopSession, QualityPreset, SessionTemplate
from ..models.session_template import MAXIMUM_SIDE, MINIMUM_SIDE
from ..states import State, Wanted
from .errors import ActionError
from .presets import FINAL_STATES, check_preset_visible, default_preset
from .publish import wake_hosts

NAME_LENGTH = 80


@dataclass(frozen=True)
class Launch:
    """A checked wish. Made by `check_launch`."""

    owner: AbstractBaseUser
    template: SessionTemplate
    name: str
    width: int
    height: int
    preset: QualityPreset | None


def check_launch(
    owner: AbstractBaseUser,
    template_slug: str,
    *,
    name: str = "",
    width: int | None = None,
    height: int | None = None,
    preset_id: object = None,
) -> Launch:
    """Return what is to be launched; what is left out comes from the template and the owner's default preset.

    Raises `ActionError`: ``forbidden``, ``unknown-template``, ``invalid-name``, ``invalid-size``, ``unknown-preset``
    or ``quota``.
    """
    if not owner.is_authenticated or not owner.is_active:
        raise ActionError("forbidden", "Log in first.")
    template = SessionTemplate.objects.filter(slug=template_slug, enabled=True).first()
    if template is None:
        raise ActionError("unknown-template", "There is no such template, or it is switched off. Choose another one.")
    name = " ".join("".join(c if c.isprintable() else " " for c in name).split()) or template.name
    if len(name) > NAME_LENGTH:
        raise ActionError("invalid-name", f"A session's name may have up to {NAME_LENGTH} characters.")
    width, height = width or template.width, height or template.height
    if not (MINIMUM_SIDE <= width <= MAXIMUM_SIDE and MINIMUM_SIDE <= height <= MAXIMUM_SIDE):
        raise ActionError(
            "invalid-size",
            f"Width and height must be between {MINIMUM_SIDE} and {MAXIMUM_SIDE} pixels, not {width} × {height}.",
        )
    preset = check_preset_visible(owner, preset_id) if preset_id else default_preset(owner)
    _check_quota(owner)
    return Launch(owner, template, name, width, height, preset)


def do_launch(launch: Launch) -> DesktopSession:
    """Create the session and wake the hosts; raise `ActionError` ``quota`` if another launch was faster."""
    with transaction.atomic():
        # The owner's row is the lock: two launches at once must not both take the last place.
        get_user_model().objects.select_for_update().get(pk=launch.owner.pk)
        _check_quota(launch.owner)
        session = DesktopSession.objects.create(
            owner_id=launch.owner.pk,
            template=launch.template,
            name=launch.name,
            width=launch.width,
            height=launch.height,
            preset=launch.preset,
            state=State.REQUESTED.value,
            wanted=Wanted.RUNNING.value,
        )
        wake_hosts()
    return session


def _check_quota(owner: AbstractBaseUser) -> None:
    most = int(settings.STRIPEDESK["SESSIONS_PER_USER"])
    alive = DesktopSession.objects.filter(owner_id=owner.pk).exclude(state__in=FINAL_STATES).count()
    if alive >= most:
        raise ActionError(
            "quota",
            f"You already have {alive} session{'s' if alive != 1 else ''}, and {most} are allowed. Stop one first.",
        )
