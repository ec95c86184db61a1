"""Launching: a row that asks for a session. A host agent makes it true."""

from __future__ import annotations

from dataclasses import dataclass

from django.contrib.auth import get_user_model
from django.contrib.auth.models import AbstractBaseUser
from django.db import transaction

from ..access import Access, AccessError, access_template
from ..models import DesktopSession, QualityPreset, SessionTemplate, SpareDesktop
from ..models.session_template import MINIMUM_SIDE
from ..models.spare_desktop import digest_of
from ..permissions import Role
from ..states import State, Wanted
from .errors import ActionError
from .presets import check_preset_visible, default_preset
from .publish import wake_hosts
from .quota import check_quota

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
    try:
        template = access_template(owner, template_slug)
    except AccessError as error:
        raise ActionError(error.code, str(error)) from None
    name = " ".join("".join(c if c.isprintable() else " " for c in name).split()) or template.name
    if len(name) > NAME_LENGTH:
        raise ActionError("invalid-name", f"A session's name may have up to {NAME_LENGTH} characters.")
    width, height = width or template.width, height or template.height
    _check_size(template, width, height)
    preset = check_preset_visible(owner, preset_id) if preset_id else default_preset(owner)
    check_quota(owner, template)
    return Launch(owner, template, name, width, height, preset)


def _check_size(template: SessionTemplate, width: int, height: int) -> None:
    """Raise `ActionError` ``invalid-size`` unless the template's screen can have that size."""
    if width < MINIMUM_SIDE or height < MINIMUM_SIDE:
        least = f"{MINIMUM_SIDE} × {MINIMUM_SIDE}"
        raise ActionError("invalid-size", f"A screen has at least {least} pixels, not {width} × {height}.")
    widest, highest = max(template.maximum_width, template.width), max(template.maximum_height, template.height)
    if width > widest or height > highest:
        most = f"{widest} × {highest}"
        raise ActionError("invalid-size", f"“{template.name}” has at most {most} pixels, not {width} × {height}.")


def do_launch(launch: Launch) -> DesktopSession:
    """Create the session and wake the hosts; raise `ActionError` ``quota`` if another launch was faster.

    Where a desktop was started ahead for it, the session gets that one's id, and with it the desktop.
    """
    with transaction.atomic():
        # The owner's row is the lock: two launches at once must not both take the last place.
        get_user_model().objects.select_for_update().get(pk=launch.owner.pk)
        check_quota(launch.owner, launch.template)
        session = DesktopSession(
            owner_id=launch.owner.pk,
            template=launch.template,
            name=launch.name,
            width=launch.width,
            height=launch.height,
            preset=launch.preset,
            state=State.REQUESTED.value,
            wanted=Wanted.RUNNING.value,
        )
        if (spare := _take_spare(launch)) is not None:
            session.id, session.host_id, session.spawner_state = spare.pk, spare.host_id, spare.spawner_state
        session.save(force_insert=True)
        wake_hosts()
    return session


def check_again(access: Access) -> Launch:
    """Return the wish for another session like one that is over; raises `ActionError` as `check_launch` does."""
    session = access.session
    if access.role is not Role.OWNER:
        raise ActionError("forbidden", "Only its owner can start this session again.")
    if not session.current_state.final:
        raise ActionError("still-living", f"“{session.name}” has not ended yet.")
    size = {"width": session.width, "height": session.height}
    return check_launch(access.session.owner, session.template.slug, name=session.name, **size)


def _take_spare(launch: Launch) -> SpareDesktop | None:
    """Take a desktop that was started ahead from what the template now says; None where there is none."""
    template = launch.template
    ready = SpareDesktop.objects.filter(template=template, ready=True, made_from=digest_of(template))
    fitting = ready.filter(width=launch.width, height=launch.height, host__lost=False, host__draining=False)
    for spare in fitting.order_by("host__cpu_load", "pk")[:10]:
        # Of two launches one deletes it; and none that its host has given up meanwhile.
        if SpareDesktop.objects.filter(pk=spare.pk, ready=True).delete()[0]:
            return spare
    return None
