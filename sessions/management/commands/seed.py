"""``manage.py seed``: the templates and presets a new site starts with."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand

from ...seeds import seed


class Command(BaseCommand):
    help = "Makes the session templates and quality presets that are missing. What exists is left as it is."

    def handle(self, *args: Any, **options: Any) -> None:
        made = seed()
        for kind, names in (("templates", made.templates), ("presets", made.presets)):
            self.stdout.write(f"{kind}: {', '.join(names) if names else 'nothing to add'}")
        if made.not_installed:
            self.stdout.write(f"left out, as their programs are not installed: {', '.join(made.not_installed)}")
