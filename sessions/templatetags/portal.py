"""Template tags of portal and admin."""

from __future__ import annotations

import re
from functools import lru_cache
from pathlib import Path

from django import template
from django.contrib.staticfiles import finders
from django.utils.safestring import SafeString, mark_safe

register = template.Library()
_NAME = re.compile(r"[a-z0-9-]+")


@register.simple_tag
def icon(name: str) -> SafeString:
    """Return the symbol ``static/portal/icons/<name>.svg`` inline, so that it takes the text's colour.

    A name that is not there becomes the plain desktop: templates outlive icon sets.
    """
    return _read_icon(name if _NAME.fullmatch(name) else "desktop")


@lru_cache(maxsize=128)
def _read_icon(name: str) -> SafeString:
    path = finders.find(f"portal/icons/{name}.svg") or finders.find("portal/icons/desktop.svg")
    if not path:
        return SafeString("")
    svg = Path(path).read_text(encoding="utf-8").strip()
    # The file is part of the project, never anybody's input.
    return mark_safe(svg.replace("<svg ", '<svg class="icon" aria-hidden="true" focusable="false" ', 1))  # noqa: S308
