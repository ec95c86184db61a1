"""Every engine setting: name, type, range, default, unit and help. The single source of truth.

Presets in the database, the API, the client's controls and the documentation derive from `EngineSettings`; nothing
else states a range or a default. Standard library only: the worker, the web tier and the tests all import it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any

from .errors import SettingsError


@dataclass(frozen=True)
class Setting:
    """Description of one setting: what people see and what validation uses."""

    name: str
    kind: type
    default: Any
    help: str
    minimum: int | None = None
    maximum: int | None = None
    step: int = 1
    choices: tuple[str, ...] = ()
    unit: str = ""

    def check(self, value: Any) -> Any:
        """Return ``value`` as the setting's type; raise `SettingsError` that names cause and range."""
        if self.kind is bool:
            if not isinstance(value, bool):
                raise SettingsError(self.name, f"{self.name} must be true or false, not {value!r:.40}")
            return value
        if self.kind is str:
            if value not in self.choices:
                allowed = ", ".join(self.choices)
                raise SettingsError(self.name, f"{self.name} must be one of {allowed}, not {value!r:.40}")
            return value
        if isinstance(value, bool) or not isinstance(value, int):
            raise SettingsError(self.name, f"{self.name} must be a whole number, not {value!r:.40}")
        if self.minimum is None or self.maximum is None:
            raise TypeError(f"{self.name} is a number without a range")
        if not self.minimum <= value <= self.maximum or (value - self.minimum) % self.step:
            multiple = f" in steps of {self.step}" if self.step != 1 else ""
            raise SettingsError(
                self.name, f"{self.name} must be between {self.minimum} and {self.maximum}{multiple}, not {value}"
            )
        return value

    def parse(self, text: str) -> Any:
        """Read the setting from a command line or a form: ``true``/``false``, a whole number or a choice."""
        if self.kind is bool:
            lowered = text.strip().lower()
            if lowered in ("1", "true", "yes", "on"):
                return True
            if lowered in ("0", "false", "no", "off"):
                return False
            raise SettingsError(self.name, f"{self.name} must be true or false, not {text!r:.40}")
        if self.kind is int:
            try:
                return self.check(int(text))
            except ValueError:
                raise SettingsError(self.name, f"{self.name} must be a whole number, not {text!r:.40}") from None
        return self.check(text)


def _setting(default: Any, help: str, **limits: Any) -> Any:
    return field(default=default, metadata={"help": help, **limits})


@dataclass(frozen=True)
class EngineSettings:
    """Validated settings of one engine. Immutable: `replace` gives a changed, validated copy.

    Raises `SettingsError` when built with a value outside its range.
    """

    mode: str = _setting(
        "jpeg",
        "How changes are encoded: copies, fills and single pictures (jpeg), a video stream per stripe (h264), each "
        "change in its cheapest form (auto), or every frame exact (lossless).",
        choices=("jpeg", "h264", "auto", "lossless"),
    )
    framerate: int = _setting(60, "Most frames sent in a second.", minimum=1, maximum=240, unit="frames/s")
    chroma: str = _setting(
        "420",
        "Colour resolution: 420 halves it both ways and saves bytes, 444 keeps coloured text sharp.",
        choices=("420", "444"),
    )
    colour_space: str = _setting(
        "bt709",
        "How H.264 codes colours: bt709 as high definition does, bt601 as older video does. Viewers are told, so it "
        "matters only where a decoder takes one for the other or is inexact in one.",
        choices=("bt709", "bt601"),
    )
    colour_range: str = _setting(
        "limited",
        "Levels H.264 uses: limited is what every decoder expects, full has 17 % more steps between black and white.",
        choices=("limited", "full"),
    )
    jpeg_quality: int = _setting(
        70, "Quality of changes sent as JPEG while they move.", minimum=1, maximum=100, unit="quality"
    )
    paint_over: bool = _setting(
        True,
        "Send an area once more in better quality when it has come to rest; in auto mode only a large video, and "
        "everything without lossless_when_still.",
    )
    paint_over_jpeg_quality: int = _setting(
        92, "In jpeg and auto mode, quality of an area that is painted over.", minimum=1, maximum=100, unit="quality"
    )
    paint_over_colour: str = _setting(
        "same",
        "Colours of an area that is painted over: same as before (chroma), 444 as JPEG in full colour resolution, or "
        "rgb, which is exact. In h264 mode 444 and rgb come after the better key frame.",
        choices=("same", "444", "rgb"),
    )
    paint_over_trigger_frames: int = _setting(
        15,
        "In jpeg and h264 mode, how long an area must be still before it is painted over.",
        minimum=1,
        maximum=600,
        unit="frame periods",
    )
    h264_crf: int = _setting(
        25, "H.264 rate factor while a stripe moves; lower is better and larger.", minimum=5, maximum=50, unit="CRF"
    )
    paint_over_crf: int = _setting(
        18, "H.264 rate factor of the key frame that a stripe gets at rest.", minimum=5, maximum=50, unit="CRF"
    )
    motion_coarser: int = _setting(
        5,
        "How much coarser what keeps changing is sent, unless it is most of the screen: so much is added to h264_crf, "
        "and JPEG quality is less by nearly four times as much.",
        minimum=0,
        maximum=12,
        unit="CRF",
    )
    stripe_height: int = _setting(
        0,
        "Height of a stripe, which is a video stream in h264 mode and elsewhere only how changes are looked for; 0 "
        "chooses: at most 8 stripes in h264 mode, 64 pixels elsewhere.",
        minimum=0,
        maximum=1024,
        step=16,
        unit="pixels",
    )
    verify_interval_ms: int = _setting(
        1000,
        "How often the whole screen is checked for changes nobody reported; 0 never.",
        minimum=0,
        maximum=60000,
        step=100,
        unit="ms",
    )
    lossless_when_still: bool = _setting(
        True, "In auto mode, send what was sent with losses once more exactly when it has come to rest."
    )
    repair_delay_ms: int = _setting(
        200,
        "In auto mode, how long a place must be still before it is sent exactly or painted over.",
        minimum=20,
        maximum=5000,
        unit="ms",
    )
    max_kbps: int = _setting(
        0,
        "In all modes but h264, most kilobits sent in a second: first quality falls, then sharpness, then frames; "
        "0 sets no bound.",
        minimum=0,
        maximum=1000000,
        unit="kbit/s",
    )
    keyframe_interval_ms: int = _setting(
        4000,
        "While somebody lacks the beginning of a video, because he came later or fell behind, how often it begins anew "
        "with a key frame; with nobody like that it never does.",
        minimum=1000,
        maximum=60000,
        step=100,
        unit="ms",
    )

    def __post_init__(self) -> None:
        for setting in describe():
            setting.check(getattr(self, setting.name))

    @property
    def paint_colour(self) -> str:
        """The `paint_over_colour` in force: ``same`` if nothing is painted over, or all is sent in 4:4:4 anyway."""
        if not self.paint_over or (self.paint_over_colour == "444" and self.chroma == "444"):
            return "same"
        return self.paint_over_colour

    @property
    def rest_chroma(self) -> str:
        """Colour resolution of JPEGs that nothing better follows."""
        return self.chroma if self.paint_colour == "same" else "444"

    @property
    def ends_exact(self) -> bool:
        """Whether what was sent with losses is sent exactly once it is at rest."""
        return (
            self.mode == "lossless" or (self.mode == "auto" and self.lossless_when_still) or self.paint_colour == "rgb"
        )

    def replace(self, changes: Mapping[str, Any]) -> EngineSettings:
        """Return a copy with ``changes`` applied; raise `SettingsError` for an unknown name or a bad value."""
        values = self.as_dict()
        for name, value in changes.items():
            if name not in values:
                raise SettingsError(str(name), f"there is no setting called {name!r:.40}")
            values[name] = value
        return EngineSettings(**values)

    def as_dict(self) -> dict[str, Any]:
        """Return name → value of every setting."""
        return {f.name: getattr(self, f.name) for f in fields(self)}


_SETTINGS: dict[str, Setting] = {
    f.name: Setting(name=f.name, kind=type(f.default), default=f.default, **f.metadata) for f in fields(EngineSettings)
}


def describe() -> tuple[Setting, ...]:
    """Return the description of every setting, in the order in which they are shown."""
    return tuple(_SETTINGS.values())


def setting(name: str) -> Setting:
    """Return the description of one setting; raise `SettingsError` if there is none of that name."""
    try:
        return _SETTINGS[name]
    except KeyError:
        raise SettingsError(str(name), f"there is no setting called {name!r:.40}") from None
