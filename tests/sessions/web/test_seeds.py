"""Seeds: complete, valid, idempotent, and only what is installed."""

from __future__ import annotations

import shlex
import shutil

import pytest
from django.contrib.staticfiles import finders
from django.core.management import call_command

from sessions.models import QualityPreset, SessionTemplate
from sessions.seeds import seed


def _everything(program: str) -> str:
    return f"/usr/bin/{program}"


def _nothing(program: str) -> None:
    return None


def test_a_new_site_has_templates_and_presets(db: None) -> None:
    made = seed(_everything)
    assert made.not_installed == ()
    assert [t.slug for t in SessionTemplate.objects.all()] == ["desktop", "terminal", "xfce", "chromium"]
    presets = list(QualityPreset.objects.all())
    assert [p.name for p in presets] == ["Balanced", "True colours", "Smooth video", "Low bandwidth"]
    for preset in presets:
        assert preset.help.endswith(".")
        preset.engine_settings()
    assert all(p.engine_settings().mode == "auto" for p in presets)
    colours = QualityPreset.objects.get(name="True colours").engine_settings()
    assert (colours.mode, colours.chroma, colours.colour_range) == ("auto", "444", "full")
    assert SessionTemplate.objects.get(slug="chromium").network == "internet"
    for template in SessionTemplate.objects.all():
        shlex.split(template.command)
        assert finders.find(f"portal/icons/{template.icon}.svg"), template.icon


def test_what_is_not_installed_is_left_out(db: None) -> None:
    assert seed(_nothing).not_installed == ("xfce", "chromium")
    assert [t.slug for t in SessionTemplate.objects.all()] == ["desktop", "terminal"]


def test_seeding_again_changes_nothing(db: None) -> None:
    seed(_everything)
    SessionTemplate.objects.filter(slug="terminal").update(name="Console", enabled=False)
    QualityPreset.objects.filter(name="Balanced").update(settings={"framerate": 5})
    again = seed(_everything)
    assert (again.templates, again.presets) == ((), ())
    assert SessionTemplate.objects.get(slug="terminal").name == "Console"
    assert QualityPreset.objects.get(name="Balanced").settings == {"framerate": 5}


def test_a_template_of_that_name_made_by_hand_is_no_obstacle(db: None) -> None:
    SessionTemplate.objects.create(name="Terminal", slug="my-terminal", command="xterm", kind="application")
    seed(_everything)
    assert SessionTemplate.objects.filter(name="Terminal").count() == 1


def test_the_command_says_what_it_did(db: None, capsys: pytest.CaptureFixture[str]) -> None:
    call_command("seed")
    first = capsys.readouterr().out
    assert "Desktop" in first and "Balanced" in first
    assert ("left out" in first) == (not (shutil.which("startxfce4") and shutil.which("chromium")))
    call_command("seed")
    assert capsys.readouterr().out.count("nothing to add") == 2
