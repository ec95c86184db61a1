"""Quality presets: which ones a person sees, and what happens when one is chosen, edited or deleted."""

from __future__ import annotations

import logging

from django.contrib.auth.models import AbstractBaseUser
from django.db import IntegrityError, transaction
from django.db.models import F, Q, QuerySet

from stripeengine.errors import SettingsError

from ..access import Access
from ..models import DesktopSession, QualityPreset, UserProfile
from ..permissions import Permission
from ..states import State
from .errors import ActionError
from .publish import Message, on_commit, session_group, worker_group

logger = logging.getLogger(__name__)

FINAL_STATES = tuple(state.value for state in State if state.final)


def visible_presets(owner: AbstractBaseUser) -> QuerySet[QualityPreset]:
    """Return what ``owner``'s sessions may use: the site's presets and his own, in the order of lists."""
    presets = QualityPreset.objects.filter(Q(owner=None) | Q(owner_id=owner.pk))
    return presets.order_by(F("owner").asc(nulls_first=True), "position", "name")


def default_preset(owner: AbstractBaseUser) -> QualityPreset | None:
    """Return what a new session of ``owner`` starts with: his choice, else the first site-wide preset."""
    profile = UserProfile.objects.select_related("default_preset").filter(user_id=owner.pk).first()
    chosen = profile.default_preset if profile else None
    if chosen is not None and chosen.owner_id in (None, owner.pk):
        return chosen
    return QualityPreset.objects.filter(owner=None).first()


def check_preset_visible(owner: AbstractBaseUser, preset_id: object) -> QualityPreset:
    """Return the preset if ``owner``'s sessions may use it; raise `ActionError` ``unknown-preset``."""
    preset = None
    if isinstance(preset_id, int | str) and not isinstance(preset_id, bool):
        try:
            preset = visible_presets(owner).filter(pk=int(preset_id)).first()
        except (ValueError, OverflowError):  # not a number, or beyond the database's integers
            preset = None
    if preset is None:
        raise ActionError("unknown-preset", "There is no such preset any more. Choose another one.")
    return preset


def do_set_session_preset(access: Access, preset_id: object) -> QualityPreset:
    """Give the session another preset and tell its worker and viewers; return it.

    Raises `ActionError`: ``forbidden``, ``session-ended``, ``unknown-preset`` or ``invalid-preset``.
    """
    if Permission.SETTINGS not in access.permissions:
        raise ActionError("forbidden", "Only the session's owner may change its quality.")
    session = access.session
    preset = check_preset_visible(session.owner, preset_id)
    with transaction.atomic():
        changed = (
            DesktopSession.objects.filter(pk=session.pk).exclude(state__in=FINAL_STATES).update(preset_id=preset.pk)
        )
        if not changed:
            raise ActionError("session-ended", "This session has ended; its quality cannot be changed any more.")
        session.preset = preset
        _check_settings(session)
        notify_preset_changed([session])
    return preset


def do_save_preset(preset: QualityPreset) -> QualityPreset:
    """Store a validated preset and give it to the running sessions that use it.

    Raises `ActionError` ``name-taken``.
    """
    same_name = QualityPreset.objects.filter(owner_id=preset.owner_id, name=preset.name).exclude(pk=preset.pk)
    if same_name.exists():
        raise ActionError("name-taken", f"There is already a preset called “{preset.name}”. Choose another name.")
    try:
        with transaction.atomic():
            preset.save()
            notify_preset_changed(_live_sessions(preset))
    except IntegrityError:  # somebody else was faster with the name
        raise ActionError("name-taken", f"There is already a preset called “{preset.name}”.") from None
    return preset


def do_delete_preset(preset: QualityPreset) -> None:
    """Delete the preset; running sessions that use it go on with their owner's default."""
    with transaction.atomic():
        sessions = list(_live_sessions(preset))
        preset.delete()
        for session in sessions:
            session.preset = default_preset(session.owner)
            session.save(update_fields=["preset"])
        notify_preset_changed(sessions)


def notify_preset_changed(sessions: QuerySet[DesktopSession] | list[DesktopSession]) -> None:
    """After commit, give each session's worker its resolved settings and its viewers the preset's name."""
    messages: list[Message] = []
    for session in sessions:
        try:
            settings = session.engine_settings().as_dict()
        except SettingsError as error:
            logger.warning("session %s keeps its old settings: %s", session.pk, error)
            continue
        messages.append((worker_group(session), {"type": "worker.settings", "settings": settings}))
        if session.preset is not None:
            event = {"type": "preset", "id": session.preset.pk, "name": session.preset.name}
            messages.append((session_group(session), {"type": "session.event", "event": event}))
        else:
            messages.append((session_group(session), {"type": "session.access"}))  # no bounds of a preset any more
    on_commit(messages)


def _live_sessions(preset: QualityPreset) -> QuerySet[DesktopSession]:
    return (
        DesktopSession.objects.filter(preset_id=preset.pk)
        .exclude(state__in=FINAL_STATES)
        .select_related("preset", "owner")
    )


def _check_settings(session: DesktopSession) -> None:
    try:
        session.engine_settings()
    except SettingsError as error:
        raise ActionError(
            "invalid-preset", f"This preset no longer fits: {error}. Edit it and save it again."
        ) from None
