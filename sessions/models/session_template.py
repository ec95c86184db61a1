"""What a session can be started from."""

from __future__ import annotations

import shlex

from django.core.exceptions import ValidationError
from django.core.validators import MaxValueValidator, MinValueValidator, RegexValidator
from django.db import models

MINIMUM_SIDE = 200
MAXIMUM_SIDE = 7680


class SessionTemplate(models.Model):
    """A command, how it is run, and how large its screen is."""

    class Kind(models.TextChoices):
        DESKTOP = "desktop", "Desktop: window manager, panel and the command"
        APPLICATION = "application", "Single application: the command under a plain window manager"
        SESSION = "session", "Complete session: the command brings its own window manager"

    class Network(models.TextChoices):
        NONE = "none", "None"
        INTERNET = "internet", "Internet, without this machine's own services"

    name = models.CharField(max_length=60, unique=True)
    slug = models.SlugField(max_length=60, unique=True)
    description = models.CharField(max_length=200, blank=True)
    icon = models.CharField(
        max_length=40,
        default="desktop",
        validators=[RegexValidator(r"^[a-z0-9-]+$", "Small letters, digits and hyphens.")],
        help_text="Name of a symbol in static/portal/icons/.",
    )
    kind = models.CharField(max_length=20, choices=Kind.choices, default=Kind.DESKTOP)
    command = models.CharField(
        max_length=500,
        blank=True,
        help_text="Program and arguments, split like a shell would. A desktop needs none.",
    )
    network = models.CharField(max_length=20, choices=Network.choices, default=Network.NONE)
    width = models.PositiveIntegerField(
        default=1280, validators=[MinValueValidator(MINIMUM_SIDE), MaxValueValidator(MAXIMUM_SIDE)]
    )
    height = models.PositiveIntegerField(
        default=800, validators=[MinValueValidator(MINIMUM_SIDE), MaxValueValidator(MAXIMUM_SIDE)]
    )
    needs_gl = models.BooleanField("needs OpenGL", default=False, help_text="Costs about 60 MB more per session.")
    enabled = models.BooleanField(default=True, help_text="Whether users may launch it.")
    position = models.PositiveSmallIntegerField(default=100, help_text="Lower comes first in lists.")

    class Meta:
        ordering = ["position", "name"]

    def __str__(self) -> str:
        return self.name

    def clean(self) -> None:
        """Refuse a command that cannot be split, and kinds that are nothing without one."""
        try:
            words = shlex.split(self.command)
        except ValueError as error:
            raise ValidationError({"command": f"This is not a command line: {str(error).lower()}."}) from None
        if not words and self.kind != self.Kind.DESKTOP:
            raise ValidationError({"command": "Only a desktop may do without a command."})
