"""What the launch form sends. Types only: `sessions.actions.launch` knows what is allowed."""

from __future__ import annotations

from django import forms
from django.contrib.auth.models import AbstractBaseUser

from ..actions.launch import NAME_LENGTH, Launch, check_launch


class LaunchForm(forms.Form):
    """Everything but the template may be left out."""

    template = forms.SlugField(error_messages={"invalid": "This is not a template.", "required": "Choose a template."})
    name = forms.CharField(required=False, max_length=NAME_LENGTH)
    width = forms.IntegerField(required=False)
    height = forms.IntegerField(required=False)
    preset = forms.CharField(required=False, max_length=20)

    def wish(self, owner: AbstractBaseUser) -> Launch:
        """Return what a valid form asks for, checked for ``owner``; raises `ActionError` as `check_launch` does."""
        values = self.cleaned_data
        return check_launch(
            owner,
            values["template"],
            name=values["name"],
            width=values["width"],
            height=values["height"],
            preset_id=values["preset"],
        )
