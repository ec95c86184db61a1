"""System checks: each finds its mistake, and the project as it is has none."""

from __future__ import annotations

from typing import Any

import pytest
from django.core.management import call_command

from sessions import checks


def layers(default: dict[str, Any] | None = None, frames: dict[str, Any] | None = None) -> dict[str, Any]:
    good = {"BACKEND": checks.PUBSUB, "CONFIG": {"hosts": [{"address": "unix:///x", "socket_timeout": None}]}}
    return {
        "default": default or {**good, "CONFIG": {**good["CONFIG"], "prefix": "a"}},
        "frames": frames or {**good, "CONFIG": {**good["CONFIG"], "prefix": "b"}},
    }


def ids(found: list[Any]) -> list[str]:
    assert all(message.hint for message in found)
    return [message.id for message in found]


def test_the_project_has_no_issues(db: None) -> None:
    call_command("check", fail_level="WARNING")


def test_migrations_are_complete(db: None) -> None:
    call_command("makemigrations", check=True, dry_run=True, verbosity=0)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (layers(), []),
        ({}, ["desktops.E001", "desktops.E001"]),
        (layers(default={"BACKEND": "channels.layers.InMemoryChannelLayer"}), ["desktops.E001"]),
        (layers(frames={"BACKEND": "channels_redis.core.RedisChannelLayer"}), ["desktops.E001"]),
        (layers(frames={"BACKEND": checks.PUBSUB, "CONFIG": {"prefix": "a"}}), ["desktops.E002"]),
        (
            layers(frames={"BACKEND": checks.PUBSUB, "CONFIG": {"hosts": [{"socket_timeout": 5}], "prefix": "b"}}),
            ["desktops.W001"],
        ),
    ],
)
def test_channel_layers(settings: Any, value: dict[str, Any], expected: list[str]) -> None:
    settings.CHANNEL_LAYERS = value
    assert ids(checks.check_channel_layers(None)) == expected


@pytest.mark.parametrize(("version", "expected"), [("7.4.1", []), ("8.0.0", ["desktops.E003"])])
def test_redis_version(monkeypatch: pytest.MonkeyPatch, version: str, expected: list[str]) -> None:
    monkeypatch.setattr(checks.metadata, "version", lambda name: version)
    assert ids(checks.check_redis_version(None)) == expected


@pytest.mark.parametrize("value", [0, -1, "5", None, True])
def test_limits(settings: Any, value: Any) -> None:
    settings.STRIPEDESK = {**settings.STRIPEDESK, "SESSIONS_PER_USER": value}
    assert ids(checks.check_limits(None)) == ["desktops.E004"]


def test_engine_defaults(monkeypatch: pytest.MonkeyPatch) -> None:
    from stripeengine.settings import Setting

    wrong = Setting("framerate", int, 500, "Too many.", minimum=1, maximum=240)
    monkeypatch.setattr(checks, "describe", lambda: (wrong,))
    assert ids(checks.check_engine_defaults(None)) == ["desktops.E005"]
