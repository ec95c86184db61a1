"""Presets: choosing one reaches the worker at once; forms enforce and explain every range."""

from __future__ import annotations

from typing import Any

import pytest
from django.contrib.auth.models import User

from sessions.access import Access, access_session
from sessions.actions import ActionError
from sessions.actions.presets import (
    default_preset,
    do_delete_preset,
    do_save_preset,
    do_set_session_preset,
    visible_presets,
)
from sessions.forms.preset import PREFIX, settings_groups
from sessions.models import DesktopSession, QualityPreset, UserProfile
from sessions.permissions import Permission, Role
from stripeengine.settings import EngineSettings, describe


def form_of(**changes: Any) -> dict[str, Any]:
    """What a browser sends for the standard settings with ``changes``."""
    values = {PREFIX + name: value for name, value in EngineSettings().as_dict().items()}
    form = {"name": "Mine", "help": "", **values, **changes}
    return {name: value for name, value in form.items() if value is not False}  # a browser leaves an empty box out


def test_choosing_a_preset_reaches_worker_and_viewers(
    anna: User, make_session: Any, preset: QualityPreset, listen: Any
) -> None:
    session = make_session(anna, overrides={"jpeg_quality": 31})
    room, worker = f"session.{session.sid}", f"session.{session.sid}.worker"
    with listen(room, worker) as heard:
        assert do_set_session_preset(access_session(anna, session.pk, Permission.SETTINGS), preset.pk) == preset
    complete = {**EngineSettings().as_dict(), "framerate": 50, "jpeg_quality": 31}
    event = {"type": "preset", "id": preset.pk, "name": "Balanced"}
    assert sorted(heard, key=lambda item: item[0]) == [
        (room, {"type": "session.event", "event": event}),
        (worker, {"type": "worker.settings", "settings": complete}),
    ]
    session.refresh_from_db()
    assert session.preset == preset


@pytest.mark.parametrize("preset_id", [None, True, 0, -1, 999999, "x", "", "9" * 50, [], {}, 1.5])
def test_an_unknown_preset_is_refused(anna: User, make_session: Any, preset: QualityPreset, preset_id: Any) -> None:
    session = make_session(anna, preset=None)
    with pytest.raises(ActionError) as refusal:
        do_set_session_preset(access_session(anna, session.pk, Permission.SETTINGS), preset_id)
    assert refusal.value.code == "unknown-preset"
    session.refresh_from_db()
    assert session.preset is None


@pytest.mark.parametrize("role", [Role.OPERATOR, Role.COLLABORATOR, Role.VIEWER])
def test_only_the_owner_changes_the_quality(anna: User, make_session: Any, preset: QualityPreset, role: Role) -> None:
    with pytest.raises(ActionError) as refusal:
        do_set_session_preset(Access(make_session(anna), role), preset.pk)
    assert refusal.value.code == "forbidden"


def test_an_ended_session_keeps_its_preset(anna: User, make_session: Any, preset: QualityPreset) -> None:
    with pytest.raises(ActionError) as refusal:
        do_set_session_preset(Access(make_session(anna, "ended"), Role.OWNER), preset.pk)
    assert refusal.value.code == "session-ended"


def test_a_stored_preset_that_no_longer_fits_is_refused(anna: User, make_session: Any) -> None:
    old = QualityPreset.objects.create(name="Old", settings={"framerate": 9999})
    session = make_session(anna)
    with pytest.raises(ActionError, match="framerate must be between 1 and 240") as refusal:
        do_set_session_preset(Access(session, Role.OWNER), old.pk)
    assert refusal.value.code == "invalid-preset"
    session.refresh_from_db()
    assert session.preset is None  # rolled back


def test_editing_a_preset_reaches_the_sessions_that_live_and_use_it(
    anna: User, make_session: Any, preset: QualityPreset, listen: Any
) -> None:
    using, ended, other = (
        make_session(anna, preset=preset),
        make_session(anna, "ended", preset=preset),
        make_session(anna),
    )
    preset.settings = {"framerate": 12}
    with listen(*(f"session.{s.sid}.worker" for s in (using, ended, other))) as heard:
        do_save_preset(preset)
    ((group, message),) = heard
    assert group == f"session.{using.sid}.worker"
    assert message["settings"]["framerate"] == 12


def test_deleting_a_preset_gives_its_sessions_the_default(
    anna: User, make_session: Any, preset: QualityPreset, listen: Any
) -> None:
    mine = QualityPreset.objects.create(name="Mine", owner=anna, settings={"framerate": 7})
    session = make_session(anna, preset=mine)
    UserProfile.objects.create(user=anna, default_preset=mine)
    with listen(f"session.{session.sid}.worker") as heard:
        do_delete_preset(mine)
    assert heard[0][1]["settings"]["framerate"] == 50
    session.refresh_from_db()
    assert session.preset == preset
    assert default_preset(anna) == preset


def test_people_see_the_sites_presets_and_their_own(anna: User, bob: User, preset: QualityPreset) -> None:
    mine = QualityPreset.objects.create(name="Mine", owner=anna, position=1)
    QualityPreset.objects.create(name="His", owner=bob)
    assert list(visible_presets(anna)) == [preset, mine]


def test_a_default_that_became_somebody_elses_is_not_used(anna: User, bob: User, preset: QualityPreset) -> None:
    UserProfile.objects.create(user=anna, default_preset=QualityPreset.objects.create(name="His", owner=bob))
    assert default_preset(anna) == preset


def test_the_form_has_every_setting_once_with_its_range(anna: User, as_user: Any, redis_url: str) -> None:
    page = as_user(anna).get("/presets/new/").content.decode()
    for setting in describe():
        assert page.count(f'name="{PREFIX}{setting.name}"') == 1
        if setting.kind is int:
            assert f'min="{setting.minimum}"' in page and f'max="{setting.maximum}"' in page
    assert sum(len(names) for _, names in settings_groups()) == len(describe())


def test_a_preset_may_bound_what_each_viewer_gets(anna: User, as_user: Any, redis_url: str) -> None:
    client = as_user(anna)
    page = client.get("/presets/new/").content.decode()
    assert 'name="max_kbps"' in page and 'name="max_fps"' in page
    for wrong in (
        {"max_kbps": "63"},
        {"max_kbps": "1000001"},
        {"max_fps": "241"},
        {"max_fps": "-1"},
        {"max_kbps": "x"},
    ):
        answer = client.post("/presets/new/", form_of(**wrong))
        assert answer.status_code == 200 and "error-text" in answer.content.decode()
    assert not QualityPreset.objects.exists()
    assert client.post("/presets/new/", form_of(max_kbps="700", max_fps="")).status_code == 302
    preset = QualityPreset.objects.get()
    assert (preset.max_kbps, preset.max_fps) == (700, 0) and "max_fps" not in preset.settings
    copied = client.get(f"/presets/new/?from={preset.pk}").content.decode()
    assert 'value="700"' in copied


def test_a_preset_is_made_edited_and_deleted(anna: User, as_user: Any, redis_url: str) -> None:
    client = as_user(anna)
    changes = {PREFIX + "mode": "h264", PREFIX + "paint_over": False, PREFIX + "stripe_height": 32}
    assert client.post("/presets/new/", form_of(**changes)).status_code == 302
    preset = QualityPreset.objects.get()
    assert preset.owner == anna
    expected = {**EngineSettings().as_dict(), "mode": "h264", "paint_over": False, "stripe_height": 32}
    assert preset.settings == expected
    url = f"/presets/{preset.pk}/"
    assert client.get(url).status_code == 200
    client.post(url, form_of(name="Renamed", **{PREFIX + "framerate": 30}))
    preset.refresh_from_db()
    assert (preset.name, preset.settings["framerate"]) == ("Renamed", 30)
    assert "Delete this preset?" in client.get(url + "delete/").content.decode()
    assert QualityPreset.objects.exists()
    client.post(url + "delete/")
    assert not QualityPreset.objects.exists()


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({PREFIX + "framerate": "0"}, "greater than or equal to 1"),
        ({PREFIX + "framerate": "241"}, "less than or equal to 240"),
        ({PREFIX + "framerate": "1e9"}, "Enter a whole number"),
        ({PREFIX + "framerate": ""}, "This field is required"),
        ({PREFIX + "stripe_height": "17"}, "multiple of step size 16"),
        ({PREFIX + "mode": "av1"}, "Select a valid choice"),
        ({PREFIX + "chroma": "<script>alert(1)</script>"}, "Select a valid choice"),
        ({"name": ""}, "This field is required"),
        ({"name": "x" * 61}, "at most 60 characters"),
        ({"name": "a\u202eb"}, "printable characters"),
    ],
)
def test_bad_settings_are_explained_and_not_saved(
    anna: User, as_user: Any, redis_url: str, changes: dict[str, str], text: str
) -> None:
    answer = as_user(anna).post("/presets/new/", form_of(**changes))
    assert answer.status_code == 200
    page = answer.content.decode()
    assert text in page
    assert "<script>alert" not in page
    assert not QualityPreset.objects.exists()


def test_a_taken_name_is_said_on_the_form(anna: User, as_user: Any, redis_url: str) -> None:
    client = as_user(anna)
    client.post("/presets/new/", form_of())
    assert "already a preset called “Mine”" in client.post("/presets/new/", form_of()).content.decode()
    assert QualityPreset.objects.count() == 1


def test_only_ones_own_presets_can_be_changed(
    anna: User, bob: User, as_user: Any, preset: QualityPreset, redis_url: str
) -> None:
    his = QualityPreset.objects.create(name="His", owner=bob)
    client = as_user(anna)
    for other in (preset.pk, his.pk, 10**30):
        for url in (f"/presets/{other}/", f"/presets/{other}/delete/"):
            assert client.get(url).status_code == 404
            assert client.post(url, form_of()).status_code == 404
    assert client.get(f"/presets/new/?from={his.pk}", follow=True).redirect_chain[-1][0] == "/presets/"
    assert "My Balanced" in client.get(f"/presets/new/?from={preset.pk}").content.decode()
    assert QualityPreset.objects.count() == 2


def test_the_default_is_chosen_on_the_page(
    anna: User, bob: User, as_user: Any, preset: QualityPreset, redis_url: str
) -> None:
    mine, his = (QualityPreset.objects.create(name="P", owner=user) for user in (anna, bob))
    client = as_user(anna)
    client.post("/presets/default/", {"preset": mine.pk})
    assert default_preset(anna) == mine
    for bad in (his.pk, "x", ""):
        answer = client.post("/presets/default/", {"preset": bad}, follow=True)
        assert "There is no such preset" in answer.content.decode()
    assert default_preset(anna) == mine


def test_the_portal_changes_a_sessions_preset(
    anna: User, as_user: Any, make_session: Any, preset: QualityPreset, redis_url: str
) -> None:
    session, client = make_session(anna), as_user(anna)
    url = f"/s/{session.pk}/preset/"
    assert "now uses Balanced" in client.post(url, {"preset": preset.pk}, follow=True).content.decode()
    assert DesktopSession.objects.get().preset == preset
    assert "There is no such preset" in client.post(url, {"preset": "77"}, follow=True).content.decode()
