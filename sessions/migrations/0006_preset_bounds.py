"""What a preset bounds: kbit/s and pictures a second of each viewer."""

from __future__ import annotations

from typing import ClassVar

from django.db import migrations, models

import sessions.models.quality_preset


class Migration(migrations.Migration):
    dependencies: ClassVar = [("desktops", "0004_template_fields")]

    operations: ClassVar = [
        migrations.AddField(
            model_name="qualitypreset",
            name="max_fps",
            field=models.PositiveIntegerField(
                default=0,
                blank=True,
                help_text="The same in pictures a second: 1 to 240; 0 for no bound.",
                validators=[sessions.models.quality_preset.validate_max_fps],
                verbose_name="most pictures a second",
            ),
        ),
        migrations.AddField(
            model_name="qualitypreset",
            name="max_kbps",
            field=models.PositiveIntegerField(
                default=0,
                blank=True,
                help_text="What each viewer is sent at most: 64 to 1000000; 0 for no bound.",
                validators=[sessions.models.quality_preset.validate_max_kbps],
                verbose_name="most kbit/s",
            ),
        ),
    ]
