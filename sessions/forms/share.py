"""What the share form asks."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any, Final

from django import forms
from django.utils import timezone

from ..access import Access
from ..actions.share import LABEL_LENGTH, roles_to_give
from ..bounds import FPS_LABEL, KBPS_LABEL, LEAST_KBPS, MOST_FPS, MOST_KBPS
from ..permissions import Role

LIFETIMES: Final = {
    "hour": ("1 hour", timedelta(hours=1)),
    "day": ("1 day", timedelta(days=1)),
    "week": ("1 week", timedelta(days=7)),
    "month": ("30 days", timedelta(days=30)),
    "": ("Until revoked", None),
}
_ROLE_LABELS: Final = {
    Role.VIEWER: "Viewer: sees the picture",
    Role.COLLABORATOR: "Collaborator: also types and clicks",
}


class ShareForm(forms.Form):
    """A new link. The roles offered are those the visitor may give."""

    role = forms.ChoiceField()  # its choices depend on the visitor
    label = forms.CharField(
        label="Label", required=False, max_length=LABEL_LENGTH, help_text="Who it is for. Only shown here."
    )
    lifetime = forms.ChoiceField(
        label="Works for",
        required=False,
        initial="day",
        choices=[(key, text) for key, (text, _) in LIFETIMES.items()],
    )

    max_kbps = forms.IntegerField(
        label=KBPS_LABEL.capitalize(),
        required=False,
        min_value=LEAST_KBPS,
        max_value=MOST_KBPS,
        help_text="What each viewer is sent at most. Empty for no bound.",
    )
    max_fps = forms.IntegerField(
        label=FPS_LABEL.capitalize(),
        required=False,
        min_value=1,
        max_value=MOST_FPS,
        help_text="Empty for no bound.",
    )

    def __init__(self, *args: Any, access: Access, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        choices = [(role.value, _ROLE_LABELS[role]) for role in roles_to_give(access)]
        self.fields["role"] = forms.ChoiceField(label="For a", choices=choices)

    def expires_at(self) -> datetime | None:
        """Return when the link shall expire, counted from now; only after validation."""
        lifetime = LIFETIMES[self.cleaned_data["lifetime"]][1]
        return timezone.now() + lifetime if lifetime else None
