"""What a new site starts with: templates and presets. Idempotent: what is there, also when edited, is left alone.

`seed` blocks on the database; `manage.py seed` and `manage.py up` call it.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from django.db import transaction
from django.db.models import Q

from .models import QualityPreset, SessionTemplate

Kind, Network = SessionTemplate.Kind, SessionTemplate.Network

XTERM: Final = (
    "xterm -fa Monospace -fs 12 -bg '#12161c' -fg '#dfe6ee' -cr '#86a8ff' -b 10 -sl 5000 +sb +bc -T Terminal -maximized"
)

TEMPLATES: Final[tuple[Mapping[str, Any], ...]] = (
    {
        "slug": "desktop",
        "name": "Desktop",
        "description": "A light desktop: panel, file manager and terminal.",
        "icon": "desktop",
        "kind": Kind.DESKTOP,
        "position": 10,
    },
    {
        "slug": "terminal",
        "name": "Terminal",
        "description": "One terminal, nothing else. Starts at once.",
        "icon": "terminal",
        "kind": Kind.APPLICATION,
        "command": XTERM,
        "width": 1024,
        "height": 640,
        "position": 20,
    },
    {
        "slug": "xfce",
        "name": "XFCE",
        "description": "A complete desktop environment.",
        "icon": "xfce",
        "kind": Kind.SESSION,
        "command": "startxfce4",
        "position": 30,
    },
    {
        "slug": "chromium",
        "name": "Chromium",
        "description": "A web browser in a sandbox of its own, with the internet.",
        "icon": "chromium",
        "kind": Kind.APPLICATION,
        "command": "chromium --no-first-run --disable-gpu --start-maximized",
        "network": Network.INTERNET,
        "position": 40,
    },
)
OPTIONAL: Final = {"xfce": "startxfce4", "chromium": "chromium"}
"""Templates that are seeded only where their program is installed."""

PRESETS: Final[tuple[Mapping[str, Any], ...]] = (
    {
        "name": "Balanced",
        "help": "Good for most work: quick while things move, clean as soon as they rest.",
        "position": 10,
        "settings": {"mode": "auto"},
    },
    {
        "name": "True colours",
        "help": "For design and photographs: full colour resolution, also in films. Takes more of the network.",
        "position": 20,
        "settings": {
            "mode": "auto",
            "chroma": "444",
            "colour_range": "full",
            "jpeg_quality": 88,
            "h264_crf": 20,
            "repair_delay_ms": 120,
        },
    },
    {
        "name": "Smooth video",
        "help": "For films and games: better pictures while they move.",
        "position": 30,
        "settings": {"mode": "auto", "framerate": 60, "jpeg_quality": 80, "h264_crf": 21},
    },
    {
        "name": "Low bandwidth",
        "help": "For slow or metered connections: at most 1.5 Mbit/s, softer while moving, exact at rest.",
        "position": 40,
        "settings": {"mode": "auto", "framerate": 24, "jpeg_quality": 55, "h264_crf": 32, "max_kbps": 1500},
    },
)


@dataclass(frozen=True)
class Seeded:
    """What `seed` made: names of templates and presets that were not there before, and slugs it left out."""

    templates: tuple[str, ...]
    presets: tuple[str, ...]
    not_installed: tuple[str, ...]


def seed(which: Callable[[str], str | None] = shutil.which) -> Seeded:
    """Make the templates and site-wide presets that are missing. ``which`` finds programs, as `shutil.which` does."""
    templates, presets, not_installed = [], [], []
    with transaction.atomic():
        for values in TEMPLATES:
            slug = values["slug"]
            if slug in OPTIONAL and which(OPTIONAL[slug]) is None:
                not_installed.append(slug)
                continue
            if SessionTemplate.objects.filter(Q(slug=slug) | Q(name=values["name"])).exists():
                continue
            template = SessionTemplate(**values)
            template.full_clean()
            template.save()
            templates.append(template.name)
        for values in PRESETS:
            if QualityPreset.objects.filter(owner=None, name=values["name"]).exists():
                continue
            preset = QualityPreset(**{**values, "settings": dict(values["settings"])})
            preset.full_clean()
            preset.save()
            presets.append(preset.name)
    return Seeded(tuple(templates), tuple(presets), tuple(not_installed))
