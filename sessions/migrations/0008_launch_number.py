from typing import Any

from django.db import migrations, models


def number_launches(apps: Any, schema_editor: Any) -> None:
    """Number what is there by when it was made: until now that was the order of the line."""
    sessions = apps.get_model("desktops", "DesktopSession").objects.using(schema_editor.connection.alias)
    for number, pk in enumerate(sessions.order_by("created_at", "pk").values_list("pk", flat=True), 1):
        sessions.filter(pk=pk).update(number=number)


class Migration(migrations.Migration):
    dependencies = [("desktops", "0007_lifecycle")]

    operations = [
        migrations.AddField(
            model_name="desktopsession",
            name="number",
            field=models.PositiveBigIntegerField(
                db_index=True,
                default=0,
                editable=False,
                help_text="Counts launches: the order of the line, without a clock.",
            ),
        ),
        migrations.RunPython(number_launches, migrations.RunPython.noop),
    ]
