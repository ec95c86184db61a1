"""Launching: what is created, who is woken, what is refused."""

from __future__ import annotations

import logging
from typing import Any

import pytest
from django.contrib.auth.models import AnonymousUser, User
from django.test import Client

from sessions.actions import ActionError
from sessions.actions.launch import check_launch, do_launch
from sessions.models import DesktopSession, QualityPreset, SessionTemplate, UserProfile


def test_launch_asks_for_a_session_and_wakes_the_hosts_after_commit(
    anna: User, template: SessionTemplate, preset: QualityPreset, listen: Any
) -> None:
    with listen("hosts") as heard:
        session = do_launch(check_launch(anna, "terminal"))
        assert heard == []
    assert heard == [("hosts", {"type": "host.wake"})]
    session.refresh_from_db()
    assert (session.state, session.wanted, session.name) == ("requested", "running", "Terminal")
    assert (session.width, session.height, session.preset) == (1280, 800, preset)


def test_launch_uses_the_owners_default_preset(anna: User, template: SessionTemplate, preset: QualityPreset) -> None:
    own = QualityPreset.objects.create(name="Mine", owner=anna)
    UserProfile.objects.create(user=anna, default_preset=own)
    assert check_launch(anna, "terminal").preset == own
    assert check_launch(anna, "terminal", preset_id=str(preset.pk)).preset == preset


@pytest.mark.parametrize(
    ("wish", "code"),
    [
        ({"template_slug": "nothing"}, "unknown-template"),
        ({"template_slug": "disabled"}, "unknown-template"),
        ({"template_slug": "'; DROP TABLE desktops_desktopsession; --"}, "unknown-template"),
        ({"width": 199}, "invalid-size"),
        ({"height": 1081}, "invalid-size"),
        ({"width": 1921}, "invalid-size"),
        ({"width": -5}, "invalid-size"),
        ({"preset_id": "999999"}, "unknown-preset"),
        ({"preset_id": "x"}, "unknown-preset"),
        ({"preset_id": "9" * 40}, "unknown-preset"),
        ({"name": "n" * 81}, "invalid-name"),
    ],
)
def test_bad_wishes_are_refused(anna: User, template: SessionTemplate, wish: dict[str, Any], code: str) -> None:
    SessionTemplate.objects.create(name="Off", slug="disabled", enabled=False)
    with pytest.raises(ActionError) as refusal:
        check_launch(anna, **{"template_slug": "terminal", **wish})
    assert refusal.value.code == code
    assert refusal.value.message.endswith(".")
    assert not DesktopSession.objects.exists()


def test_strangers_presets_cannot_be_used(anna: User, bob: User, template: SessionTemplate) -> None:
    his = QualityPreset.objects.create(name="His", owner=bob)
    with pytest.raises(ActionError, match="no such preset"):
        check_launch(anna, "terminal", preset_id=his.pk)


@pytest.mark.parametrize("state", ["requested", "starting", "running", "recovering", "stopping"])
def test_the_quota_counts_what_has_not_ended(
    anna: User, make_session: Any, template: SessionTemplate, settings: Any, state: str
) -> None:
    settings.STRIPEDESK = {**settings.STRIPEDESK, "SESSIONS_PER_USER": 1}
    make_session(anna, "ended")
    make_session(anna, "failed")
    wish = check_launch(anna, "terminal")
    make_session(anna, state)
    with pytest.raises(ActionError, match="Stop one first") as refusal:
        do_launch(wish)  # somebody was faster since the check
    assert refusal.value.code == "quota"
    with pytest.raises(ActionError, match="1 are allowed"):
        check_launch(anna, "terminal")


def test_anonymous_and_inactive_people_launch_nothing(anna: User, template: SessionTemplate) -> None:
    anna.is_active = False
    for nobody in (AnonymousUser(), anna):
        with pytest.raises(ActionError, match="Log in"):
            check_launch(nobody, "terminal")  # type: ignore[arg-type]


def test_a_name_becomes_one_printable_line(anna: User, template: SessionTemplate) -> None:
    assert check_launch(anna, "terminal", name="  two\nlines\x00\u202e ").name == "two lines"
    assert check_launch(anna, "terminal", name=" \t ").name == "Terminal"


def test_without_redis_the_launch_stands_and_a_warning_is_logged(
    anna: User,
    template: SessionTemplate,
    private_redis: Any,
    django_capture_on_commit_callbacks: Any,
    caplog: pytest.LogCaptureFixture,
) -> None:
    private_redis.stop()
    with caplog.at_level(logging.WARNING), django_capture_on_commit_callbacks(execute=True):
        session = do_launch(check_launch(anna, "terminal"))
    assert DesktopSession.objects.filter(pk=session.pk).exists()
    assert "hosts was not told: Redis cannot be reached" in caplog.text


def test_the_portal_launches_and_goes_to_the_session(
    anna: User, as_user: Any, template: SessionTemplate, redis_url: str
) -> None:
    answer = as_user(anna).post("/launch/", {"template": "terminal", "name": "A", "width": "800", "height": "600"})
    session = DesktopSession.objects.get()
    assert answer.url == f"/s/{session.pk}/"
    assert (session.owner, session.name, session.width, session.height) == (anna, "A", 800, 600)


@pytest.mark.parametrize(
    ("form", "text"),
    [
        ({"template": "nothing"}, "There is no such template"),
        ({"template": "<script>"}, "This is not a template"),
        ({}, "Choose a template"),
        ({"template": "terminal", "width": "10"}, "at least 200 × 200 pixels, not 10 × 800"),
        ({"template": "terminal", "width": "1921"}, "“Terminal” has at most 1920 × 1080 pixels, not 1921 × 800."),
        ({"template": "terminal", "width": "wide"}, "Enter a whole number"),
        ({"template": "terminal", "preset": "77"}, "There is no such preset"),
        ({"template": "terminal", "name": "x" * 300}, "at most 80 characters"),
    ],
)
def test_the_portal_says_what_is_wrong(
    anna: User, as_user: Any, template: SessionTemplate, redis_url: str, form: dict[str, str], text: str
) -> None:
    answer = as_user(anna).post("/launch/", form, follow=True)
    assert text in answer.content.decode()
    assert not DesktopSession.objects.exists()


def test_launching_needs_a_post_and_a_csrf_token(anna: User, template: SessionTemplate) -> None:
    client = Client(enforce_csrf_checks=True)
    client.force_login(anna)
    assert client.get("/launch/").status_code == 405
    answer = client.post("/launch/", {"template": "terminal"})
    assert answer.status_code == 403
    assert "This page is out of date" in answer.content.decode()
    assert not DesktopSession.objects.exists()
