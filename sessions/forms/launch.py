"""What the launch form sends. Types only: `sessions.actions.launch` knows what is allowed."""

from __future__ import annotations

from django import forms

from ..actions.launch import NAME_LENGTH


class LaunchForm(forms.Form):
    """Everything but the template may be left out."""

    template = forms.SlugField(error_messages={"invalid": "This is not a template.", "required": "Choose a template."})
    name = forms.CharField(required=False, max_length=NAME_LENGTH)
    width = forms.IntegerField(required=False)
    height = forms.IntegerField(required=False)
    preset = forms.CharField(required=False, max_length=20)
