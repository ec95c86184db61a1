"""What a share link bounds: kbit/s and pictures a second of each of its viewers."""

from __future__ import annotations

from typing import ClassVar

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies: ClassVar = [("desktops", "0001_initial")]

    operations: ClassVar = [
        migrations.AddField(
            model_name="sharelink",
            name="max_fps",
            field=models.PositiveIntegerField(
                default=0,
                help_text="The same in pictures a second; 0 for no bound.",
                verbose_name="most pictures a second",
            ),
        ),
        migrations.AddField(
            model_name="sharelink",
            name="max_kbps",
            field=models.PositiveIntegerField(
                default=0,
                help_text="What each viewer by this link is sent at most; 0 for no bound.",
                verbose_name="most kbit/s",
            ),
        ),
    ]
