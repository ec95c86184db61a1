"""What a template says beside its command: environment, language, keyboard, largest screen, limits, policy, groups."""

from __future__ import annotations

from typing import Any, ClassVar

import django.core.validators
from django.db import migrations, models
from django.db.models import F

import sessions.models.session_template


def _widen(apps: Any, schema_editor: Any) -> None:
    """Let no screen begin larger than it may become."""
    templates = apps.get_model("desktops", "SessionTemplate").objects.using(schema_editor.connection.alias)
    templates.filter(width__gt=F("maximum_width")).update(maximum_width=F("width"))
    templates.filter(height__gt=F("maximum_height")).update(maximum_height=F("height"))


class Migration(migrations.Migration):
    dependencies: ClassVar = [
        ("auth", "0012_alter_user_first_name_max_length"),
        ("desktops", "0002_share_link_bounds"),
    ]

    operations: ClassVar = [
        migrations.AddField(
            model_name="sessiontemplate",
            name="allowed_groups",
            field=models.ManyToManyField(
                blank=True,
                help_text="Who may see and launch it. Nobody chosen: everybody.",
                related_name="+",
                to="auth.group",
            ),
        ),
        migrations.AddField(
            model_name="sessiontemplate",
            name="cpu",
            field=models.FloatField(
                default=2.0,
                help_text="Cores' worth of time at most; fractions are fine.",
                validators=[
                    sessions.models.session_template.check_number,
                    django.core.validators.MinValueValidator(0.05),
                    django.core.validators.MaxValueValidator(1024),
                ],
                verbose_name="CPU cores",
            ),
        ),
        migrations.AddField(
            model_name="sessiontemplate",
            name="dpi",
            field=models.PositiveSmallIntegerField(
                default=96,
                help_text="Dots per inch: 96 is ordinary, 192 doubles every letter.",
                validators=[
                    django.core.validators.MinValueValidator(48),
                    django.core.validators.MaxValueValidator(384),
                ],
                verbose_name="DPI",
            ),
        ),
        migrations.AddField(
            model_name="sessiontemplate",
            name="environment",
            field=models.TextField(
                blank=True,
                help_text="One NAME=value a line. What the sandbox itself sets cannot be changed.",
                max_length=8192,
            ),
        ),
        migrations.AddField(
            model_name="sessiontemplate",
            name="gpu",
            field=models.BooleanField(
                default=False, help_text="Shows the host's GPU nodes to the session.", verbose_name="GPU"
            ),
        ),
        migrations.AddField(
            model_name="sessiontemplate",
            name="home",
            field=models.CharField(
                choices=[
                    ("ephemeral", "Ephemeral: new for every session, gone with it"),
                    ("persistent", "Persistent: one a user, there again next time"),
                ],
                default="ephemeral",
                max_length=20,
            ),
        ),
        migrations.AddField(
            model_name="sessiontemplate",
            name="home_mb",
            field=models.PositiveIntegerField(
                default=4096,
                help_text="Size of the home directory.",
                validators=[
                    django.core.validators.MinValueValidator(16),
                    django.core.validators.MaxValueValidator(67108864),
                ],
                verbose_name="home (MiB)",
            ),
        ),
        migrations.AddField(
            model_name="sessiontemplate",
            name="idle_minutes",
            field=models.PositiveIntegerField(
                default=0,
                help_text="Ends a session nobody uses; 0 for never.",
                validators=[
                    django.core.validators.MinValueValidator(0),
                    django.core.validators.MaxValueValidator(525600),
                ],
                verbose_name="idle limit (minutes)",
            ),
        ),
        migrations.AddField(
            model_name="sessiontemplate",
            name="keyboard_layout",
            field=models.CharField(
                default="us",
                help_text="Layout of the display: us, de(nodeadkeys) or us,ru. What viewers type arrives with any.",
                max_length=120,
                validators=[
                    django.core.validators.RegexValidator(
                        "^[a-z]{2,12}(\\([A-Za-z0-9_-]{1,40}\\))?(,[a-z]{2,12}(\\([A-Za-z0-9_-]{1,40}\\))?){0,3}\\Z",
                        "Write layouts as us, de(nodeadkeys) or us,ru.",
                    )
                ],
            ),
        ),
        migrations.AddField(
            model_name="sessiontemplate",
            name="locale",
            field=models.CharField(
                default="C.UTF-8",
                help_text="Language of the programs, as C.UTF-8 or de_DE.UTF-8. The hosts must have it.",
                max_length=40,
                validators=[
                    django.core.validators.RegexValidator(
                        "^(C|POSIX|[a-z]{2,3}(_[A-Z]{2})?)\\.(UTF-8|utf8)(@[a-z]{1,20})?\\Z",
                        "Write it like de_DE.UTF-8; only UTF-8 locales are supported.",
                    )
                ],
            ),
        ),
        migrations.AddField(
            model_name="sessiontemplate",
            name="maximum_age_hours",
            field=models.PositiveIntegerField(
                default=0,
                help_text="Ends a session in any case; 0 for never.",
                validators=[
                    django.core.validators.MinValueValidator(0),
                    django.core.validators.MaxValueValidator(87600),
                ],
                verbose_name="age limit (hours)",
            ),
        ),
        migrations.AddField(
            model_name="sessiontemplate",
            name="maximum_height",
            field=models.PositiveIntegerField(
                default=1080,
                validators=[
                    django.core.validators.MinValueValidator(200),
                    django.core.validators.MaxValueValidator(7680),
                ],
                verbose_name="largest height",
            ),
        ),
        migrations.AddField(
            model_name="sessiontemplate",
            name="maximum_width",
            field=models.PositiveIntegerField(
                default=1920,
                validators=[
                    django.core.validators.MinValueValidator(200),
                    django.core.validators.MaxValueValidator(7680),
                ],
                verbose_name="largest width",
            ),
        ),
        migrations.AddField(
            model_name="sessiontemplate",
            name="memory_mb",
            field=models.PositiveIntegerField(
                default=4096,
                help_text="Whoever takes more is ended by the kernel.",
                validators=[
                    django.core.validators.MinValueValidator(64),
                    django.core.validators.MaxValueValidator(4194304),
                ],
                verbose_name="memory (MiB)",
            ),
        ),
        migrations.AddField(
            model_name="sessiontemplate",
            name="prewarm",
            field=models.PositiveIntegerField(
                default=0,
                help_text="How many each host keeps ready, so that a launch takes no time.",
                validators=[django.core.validators.MinValueValidator(0), django.core.validators.MaxValueValidator(100)],
                verbose_name="started ahead",
            ),
        ),
        migrations.AddField(
            model_name="sessiontemplate",
            name="processes",
            field=models.PositiveIntegerField(
                default=2048,
                help_text="Processes and threads at a time.",
                validators=[
                    django.core.validators.MinValueValidator(32),
                    django.core.validators.MaxValueValidator(1000000),
                ],
                verbose_name="processes",
            ),
        ),
        migrations.AddField(
            model_name="sessiontemplate",
            name="tmp_mb",
            field=models.PositiveIntegerField(
                default=512,
                help_text="Size of /tmp and of /dev/shm; in memory.",
                validators=[
                    django.core.validators.MinValueValidator(16),
                    django.core.validators.MaxValueValidator(1048576),
                ],
                verbose_name="temporary files (MiB)",
            ),
        ),
        migrations.AlterField(
            model_name="sessiontemplate",
            name="height",
            field=models.PositiveIntegerField(
                default=800,
                validators=[
                    django.core.validators.MinValueValidator(200),
                    django.core.validators.MaxValueValidator(7680),
                ],
                verbose_name="height",
            ),
        ),
        migrations.AlterField(
            model_name="sessiontemplate",
            name="kind",
            field=models.CharField(
                choices=[
                    ("desktop", "Desktop: window manager, panel and the command"),
                    ("application", "Single application: the command under a plain window manager"),
                    ("kiosk", "Kiosk: a single application that is started again whenever it ends"),
                    ("session", "Complete session: the command brings its own window manager"),
                ],
                default="desktop",
                max_length=20,
            ),
        ),
        migrations.AlterField(
            model_name="sessiontemplate",
            name="width",
            field=models.PositiveIntegerField(
                default=1280,
                validators=[
                    django.core.validators.MinValueValidator(200),
                    django.core.validators.MaxValueValidator(7680),
                ],
                verbose_name="width",
            ),
        ),
        migrations.RunPython(_widen, migrations.RunPython.noop),
    ]
