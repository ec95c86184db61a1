"""What a session can be started from."""

from __future__ import annotations

import math
import shlex
from typing import Any

from django.contrib.auth.models import AbstractBaseUser, AnonymousUser, Group
from django.core.exceptions import ValidationError
from django.core.validators import MaxValueValidator, MinValueValidator, RegexValidator
from django.db import models
from django.db.models import Exists, OuterRef, Q

from ..environment import TEXT_LENGTH, parse_environment
from ..spawners.limits import Limits

LIMITS = Limits()
MINIMUM_SIDE = 200
MAXIMUM_SIDE = 7680
LEAST_DPI, MOST_DPI = 48, 384
LOCALE = r"^(C|POSIX|[a-z]{2,3}(_[A-Z]{2})?)\.(UTF-8|utf8)(@[a-z]{1,20})?\Z"
LAYOUT = r"^[a-z]{2,12}(\([A-Za-z0-9_-]{1,40}\))?(,[a-z]{2,12}(\([A-Za-z0-9_-]{1,40}\))?){0,3}\Z"
"""An XKB layout with its variant in parentheses, up to four of them: the groups of a keymap."""


def check_number(value: float) -> None:
    """Refuse what is not a number: every comparison with it is false, so that bounds let it through."""
    if not math.isfinite(value):
        raise ValidationError("Enter a number.")


def _side(default: int, verbose_name: str) -> Any:
    bounds = [MinValueValidator(MINIMUM_SIDE), MaxValueValidator(MAXIMUM_SIDE)]
    return models.PositiveIntegerField(verbose_name, default=default, validators=bounds)


def _number(verbose_name: str, default: int, least: int, most: int, help_text: str) -> Any:
    bounds = [MinValueValidator(least), MaxValueValidator(most)]
    return models.PositiveIntegerField(verbose_name, default=default, validators=bounds, help_text=help_text)


class TemplateQuerySet(models.QuerySet["SessionTemplate"]):
    """The one place that says who may launch what."""

    def for_user(self, user: AbstractBaseUser | AnonymousUser) -> TemplateQuerySet:
        """Return what ``user`` may see and launch: enabled, and for everybody or for a group of his.

        Whoever may edit templates may launch every one that is enabled, for he could put himself into any group.
        """
        enabled = self.filter(enabled=True)
        if not user.is_authenticated or not user.is_active:
            return enabled.none()
        if user.has_perm("desktops.change_sessiontemplate"):  # type: ignore[attr-defined]
            return enabled
        bound = SessionTemplate.allowed_groups.through.objects.filter(sessiontemplate_id=OuterRef("pk"))
        mine = bound.filter(group__user=user.pk)
        return enabled.filter(~Exists(bound) | Q(Exists(mine)))


class SessionTemplate(models.Model):
    """A command, how it is run, what it may use and who may have it."""

    class Kind(models.TextChoices):
        DESKTOP = "desktop", "Desktop: window manager, panel and the command"
        APPLICATION = "application", "Single application: the command under a plain window manager"
        KIOSK = "kiosk", "Kiosk: a single application that is started again whenever it ends"
        SESSION = "session", "Complete session: the command brings its own window manager"

    class Network(models.TextChoices):
        NONE = "none", "None"
        INTERNET = "internet", "Internet, without this machine's own services"

    class Home(models.TextChoices):
        EPHEMERAL = "ephemeral", "Ephemeral: new for every session, gone with it"
        PERSISTENT = "persistent", "Persistent: one a user, there again next time"

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
    environment = models.TextField(
        blank=True,
        max_length=TEXT_LENGTH,
        help_text="One NAME=value a line. What the sandbox itself sets cannot be changed.",
    )
    locale = models.CharField(
        max_length=40,
        default="C.UTF-8",
        validators=[RegexValidator(LOCALE, "Write it like de_DE.UTF-8; only UTF-8 locales are supported.")],
        help_text="Language of the programs, as C.UTF-8 or de_DE.UTF-8. The hosts must have it.",
    )
    keyboard_layout = models.CharField(
        max_length=120,
        default="us",
        validators=[RegexValidator(LAYOUT, "Write layouts as us, de(nodeadkeys) or us,ru.")],
        help_text="Layout of the display: us, de(nodeadkeys) or us,ru. What viewers type arrives with any.",
    )
    network = models.CharField(max_length=20, choices=Network.choices, default=Network.NONE)
    needs_gl = models.BooleanField("needs OpenGL", default=False, help_text="Costs about 60 MB more per session.")
    gpu = models.BooleanField("GPU", default=False, help_text="Shows the host's GPU nodes to the session.")

    width = _side(1280, "width")
    height = _side(800, "height")
    maximum_width = _side(1920, "largest width")
    maximum_height = _side(1080, "largest height")
    dpi = models.PositiveSmallIntegerField(
        "DPI",
        default=96,
        validators=[MinValueValidator(LEAST_DPI), MaxValueValidator(MOST_DPI)],
        help_text="Dots per inch: 96 is ordinary, 192 doubles every letter.",
    )

    home = models.CharField(max_length=20, choices=Home.choices, default=Home.EPHEMERAL)
    cpu = models.FloatField(
        "CPU cores",
        default=LIMITS.cpu,
        validators=[check_number, MinValueValidator(0.05), MaxValueValidator(1024)],
        help_text="Cores' worth of time at most; fractions are fine.",
    )
    memory_mb = _number("memory (MiB)", LIMITS.memory_mb, 64, 4 << 20, "Whoever takes more is ended by the kernel.")
    processes = _number("processes", LIMITS.processes, 32, 1_000_000, "Processes and threads at a time.")
    tmp_mb = _number("temporary files (MiB)", LIMITS.tmp_mb, 16, 1 << 20, "Size of /tmp and of /dev/shm; in memory.")
    home_mb = _number("home (MiB)", LIMITS.home_mb, 16, 64 << 20, "Size of the home directory.")

    idle_minutes = _number("idle limit (minutes)", 0, 0, 525_600, "Ends a session nobody uses; 0 for never.")
    maximum_age_hours = _number("age limit (hours)", 0, 0, 87_600, "Ends a session in any case; 0 for never.")
    prewarm = _number("started ahead", 0, 0, 100, "How many each host keeps ready, so that a launch takes no time.")
    allowed_groups = models.ManyToManyField(
        Group, blank=True, related_name="+", help_text="Who may see and launch it. Nobody chosen: everybody."
    )
    enabled = models.BooleanField(default=True, help_text="Whether users may launch it.")
    position = models.PositiveSmallIntegerField(default=100, help_text="Lower comes first in lists.")

    objects = TemplateQuerySet.as_manager()

    class Meta:
        ordering = ["position", "name"]

    def __str__(self) -> str:
        return self.name

    def clean(self) -> None:
        """Refuse what cannot be split or read, and fields that contradict each other."""
        errors: dict[str, str] = {}
        try:
            if not shlex.split(self.command) and self.kind != self.Kind.DESKTOP:
                errors["command"] = "Only a desktop may do without a command."
        except ValueError as error:
            errors["command"] = f"This is not a command line: {str(error).lower()}."
        if not self.command.isprintable():
            errors["command"] = "The command holds a control character. Remove it."
        try:
            parse_environment(self.environment)
        except ValueError as error:
            errors["environment"] = str(error)
        for side in ("width", "height"):
            size, largest = getattr(self, side), getattr(self, f"maximum_{side}")
            if size is not None and largest is not None and size > largest:
                errors[f"maximum_{side}"] = f"The screen begins with {size}. Make this at least as large."
        if self.prewarm and self.home == self.Home.PERSISTENT:
            errors["prewarm"] = (
                "What is started ahead has no owner yet, so no home of his. Set this to 0 or make the home ephemeral."
            )
        if errors:
            raise ValidationError(errors)

    def variables(self) -> dict[str, str]:
        """Return the environment as a mapping; raise `ValueError` if somebody wrote nonsense past `clean`."""
        return parse_environment(self.environment)

    def limits(self) -> Limits:
        """Return what a session may use of its machine."""
        return Limits(
            cpu=self.cpu,
            memory_mb=self.memory_mb,
            processes=self.processes,
            tmp_mb=self.tmp_mb,
            home_mb=self.home_mb,
        )
