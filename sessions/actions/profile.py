"""What a user prefers."""

from __future__ import annotations

from django.contrib.auth.models import AbstractBaseUser

from ..models import QualityPreset, UserProfile
from .presets import check_preset_visible


def do_set_default_preset(user: AbstractBaseUser, preset_id: object) -> QualityPreset:
    """New sessions of ``user`` start with this preset; raise `ActionError` ``unknown-preset``."""
    preset = check_preset_visible(user, preset_id)
    UserProfile.objects.update_or_create(user_id=user.pk, defaults={"default_preset": preset})
    return preset
