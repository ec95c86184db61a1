"""A preset's form: its name, and one field for each engine setting, made from `stripeengine.settings`."""

from __future__ import annotations

from typing import Any, ClassVar

from django import forms

from stripeengine.settings import EngineSettings, Setting, describe

from ..models import QualityPreset

PREFIX = "setting_"
BOUNDS = ("max_kbps", "max_fps")
BOUNDS_HEADING = "What each viewer gets"


def settings_field(setting: Setting) -> forms.Field:
    """Return a form field that knows the setting's range, unit and help."""
    label = setting.name.replace("_", " ").replace("jpeg", "JPEG").replace("h264", "H.264").replace("crf", "CRF")
    label = label[:1].upper() + label.removesuffix(" ms")[1:]
    common: dict[str, Any] = {"label": label, "help_text": setting.help, "initial": setting.default}
    if setting.kind is bool:
        return forms.BooleanField(required=False, **common)
    if setting.kind is str:
        return forms.ChoiceField(choices=[(choice, choice) for choice in setting.choices], **common)
    low, high = setting.minimum, setting.maximum
    unit = f" {setting.unit}" if setting.unit and setting.unit.lower() not in setting.name else ""
    steps = f" in steps of {setting.step}" if setting.step != 1 else ""
    common["help_text"] = f"{setting.help} {low} to {high}{unit}{steps}."
    return forms.IntegerField(
        min_value=low,
        max_value=high,
        step_size=setting.step if setting.step != 1 else None,
        widget=forms.NumberInput(attrs={"data-slider": "", "data-unit": setting.unit, "step": setting.step}),
        **common,
    )


SETTINGS_FIELDS: dict[str, forms.Field] = {PREFIX + setting.name: settings_field(setting) for setting in describe()}

# Declared on a class, not added in __init__: the admin looks for the fields of its fieldsets on the form's class.
SettingsForm: type[forms.ModelForm[QualityPreset]] = type("SettingsForm", (forms.ModelForm,), {**SETTINGS_FIELDS})


def settings_groups() -> list[tuple[str, list[str]]]:
    """Return headings with the names of their form fields; every setting is in exactly one group."""
    groups: dict[str, list[str]] = {"General": [], "Photographs (JPEG)": [], "Video (H.264)": []}
    for setting in describe():
        if "jpeg" in setting.name:
            heading = "Photographs (JPEG)"
        elif "h264" in setting.name or "crf" in setting.name:
            heading = "Video (H.264)"
        else:
            heading = "General"
        groups[heading].append(PREFIX + setting.name)
    return [(heading, names) for heading, names in groups.items() if names]


class PresetForm(SettingsForm):  # type: ignore[misc, valid-type]
    """Edits a preset without showing its JSON."""

    class Meta:
        model = QualityPreset
        fields: ClassVar[list[str]] = ["name", "help", *BOUNDS]
        widgets: ClassVar[dict[str, forms.Widget]] = {"help": forms.TextInput()}

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        stored = self.instance.settings if isinstance(self.instance.settings, dict) else {}
        for name, default in EngineSettings().as_dict().items():
            self.initial.setdefault(PREFIX + name, stored.get(name, default))

    def clean_max_kbps(self) -> int:
        """Empty is no bound."""
        return self.cleaned_data["max_kbps"] or 0

    def clean_max_fps(self) -> int:
        """Empty is no bound."""
        return self.cleaned_data["max_fps"] or 0

    def clean_name(self) -> str:
        """Names are one line of printable text."""
        name = str(self.cleaned_data["name"]).strip()
        if not name.isprintable():
            raise forms.ValidationError("A name may hold printable characters only.")
        return name

    def _post_clean(self) -> None:
        # The form's fields become the instance's JSON before the model validates it.
        self.instance.settings = {
            name.removeprefix(PREFIX): value for name, value in self.cleaned_data.items() if name.startswith(PREFIX)
        }
        super()._post_clean()

    def groups(self) -> list[tuple[str, list[forms.BoundField]]]:
        """Headings with their bound fields, for templates."""
        groups = [*settings_groups(), (BOUNDS_HEADING, list(BOUNDS))]
        return [(heading, [self[name] for name in names]) for heading, names in groups]
