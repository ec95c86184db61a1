"""The admin: launch, watch, stop, share; presets by field; nothing edited by hand."""

from __future__ import annotations

import html
import json
from typing import Any

import pytest
import redis
from django.contrib.auth.models import Permission as DjangoPermission
from django.contrib.auth.models import User
from django.forms import model_to_dict
from django.test import Client
from django.utils import timezone

from sessions.forms.preset import PREFIX
from sessions.models import DesktopSession, QualityPreset, SessionHost, SessionTemplate, ShareLink
from sessions.status import status_key
from stripeengine.settings import EngineSettings

SESSIONS = "/admin/desktops/desktopsession/"


@pytest.fixture
def admin(root: User, redis_url: str) -> Client:
    client = Client()
    client.force_login(root)
    return client


@pytest.fixture
def clerk(db: None) -> User:
    """Staff who may look at sessions and no more."""
    user = User.objects.create_user("clerk", is_staff=True)
    user.user_permissions.add(DjangoPermission.objects.get(codename="view_desktopsession"))
    return user


def preset_form(**changes: Any) -> dict[str, Any]:
    values = {PREFIX + name: value for name, value in EngineSettings().as_dict().items()}
    form = {"name": "Site", "help": "", "owner": "", "position": "10", **values, **changes}
    return {name: value for name, value in form.items() if value is not False}


def test_launching_takes_two_clicks_and_shows_progress(admin: Client, root: User, template: SessionTemplate) -> None:
    assert f'href="{SESSIONS}launch/"' in admin.get(SESSIONS).content.decode()
    page = admin.get(SESSIONS + "launch/").content.decode()
    assert '<button type="submit" name="template" value="terminal"' in page
    answer = admin.post(SESSIONS + "launch/", {"template": "terminal"})
    session = DesktopSession.objects.get()
    assert (session.owner, session.state) == (root, "requested")
    assert answer.url == f"{SESSIONS}{session.pk}/change/"
    page = admin.get(answer.url).content.decode()
    assert 'data-phase="waiting"' in page and "Finding a host" in page
    DesktopSession.objects.update(state="starting", stage="desktop")
    (card,) = admin.get(f"{SESSIONS}live/?id={session.pk}").json()["sessions"]
    assert [status for _, status in card["stages"]] == ["done", "done", "done", "current", "todo"]
    DesktopSession.objects.update(state="running", stage="")
    assert f'href="/s/{session.pk}/"' in admin.get(answer.url).content.decode()


@pytest.mark.parametrize(
    ("form", "text"),
    [({"template": "nothing"}, "There is no such template"), ({}, "Choose a template"), ({"template": "-/"}, "not a")],
)
def test_a_bad_launch_is_a_message(admin: Client, template: SessionTemplate, form: dict[str, str], text: str) -> None:
    answer = admin.post(SESSIONS + "launch/", form, follow=True)
    assert text in answer.content.decode()
    assert not DesktopSession.objects.exists()


def test_the_list_is_live(admin: Client, anna: User, make_session: Any, redis_url: str) -> None:
    host = SessionHost.objects.create(name="desk-01", heartbeat=timezone.now())
    session = make_session(anna, host=host, name="Report")
    with redis.Redis.from_url(redis_url) as client:
        client.set(status_key(session.sid), json.dumps({"state": "streaming", "fps": 31, "kbps": 900}))
    page = admin.get(SESSIONS).content.decode()
    for text in ("Report", "anna", "desk-01", "Running", 'data-live="fps">31<', 'data-live="kbps">900<'):
        assert text in page
    live = admin.get(f"{SESSIONS}live/", {"id": [str(session.pk), "nonsense", "'; --"]})
    (card,) = live.json()["sessions"]
    assert (card["fps"], card["host"], card["phase"]) == (31, "desk-01", "ready")
    assert "no-store" in live.headers["Cache-Control"]


def test_the_list_costs_a_bounded_number_of_queries(
    admin: Client, anna: User, make_session: Any, django_assert_max_num_queries: Any
) -> None:
    for _ in range(15):
        make_session(anna)
    with django_assert_max_num_queries(15):
        admin.get(SESSIONS)


def test_stopping_and_stopping_again(admin: Client, anna: User, make_session: Any) -> None:
    session = make_session(anna)
    url = f"{SESSIONS}{session.pk}/stop/"
    assert admin.get(url).status_code == 405
    assert "is being stopped" in admin.post(url, follow=True).content.decode()
    session.refresh_from_db()
    assert (session.wanted, session.stop_reason) == ("stopped", "stopped-by-operator")
    assert "is already being stopped" in admin.post(url, follow=True).content.decode()


def test_the_action_stops_many_and_says_which_it_could_not(admin: Client, anna: User, make_session: Any) -> None:
    ids = [make_session(anna).pk, make_session(anna).pk, make_session(anna, "ended", name="Old").pk]
    answer = admin.post(SESSIONS, {"action": "stop_selected", "_selected_action": ids}, follow=True)
    page = answer.content.decode()
    assert "2 sessions are being stopped." in page and "“Old” has already ended." in page
    assert DesktopSession.objects.filter(wanted="stopped").count() == 2


def test_a_link_is_shown_once_and_revoked(admin: Client, anna: User, make_session: Any) -> None:
    session = make_session(anna)
    url = f"{SESSIONS}{session.pk}/"
    answer = admin.post(url + "share/", {"role": "viewer", "label": "Bob", "lifetime": "hour"})
    page = answer.content.decode()
    link = ShareLink.objects.get()
    start = page.index(f"http://testserver/v/{link.pk}#")
    secret = page[start : page.index('"', start)].split("#")[1]
    assert link.matches(secret) and page.count(secret) == 1
    assert "data-copy=" in page
    assert "no-store" in answer.headers["Cache-Control"]
    again = admin.get(url + "change/").content.decode()
    assert secret not in again and "Bob" in again
    assert secret not in admin.get(url + "history/").content.decode()
    assert "is revoked" in admin.post(f"{url}share/{link.pk}/revoke/", follow=True).content.decode()
    link.refresh_from_db()
    assert not link.open


def test_a_bound_of_a_link_made_in_the_admin_is_kept(admin: Client, anna: User, make_session: Any) -> None:
    form = {"role": "viewer", "lifetime": "hour", "max_kbps": "500", "max_fps": "10"}
    assert admin.post(f"{SESSIONS}{make_session(anna).pk}/share/", form).status_code == 200
    link = ShareLink.objects.get()
    assert (link.max_kbps, link.max_fps) == (500, 10)


def test_a_preset_of_the_admin_bounds_viewers(admin: Client, redis_url: str) -> None:
    url = "/admin/desktops/qualitypreset/add/"
    assert admin.post(url, preset_form(max_kbps="10")).status_code == 200
    assert admin.post(url, preset_form(max_kbps="900", max_fps="12")).status_code == 302
    preset = QualityPreset.objects.get()
    assert (preset.max_kbps, preset.max_fps) == (900, 12)


def test_an_operator_cannot_share_more_than_he_may(admin: Client, anna: User, make_session: Any) -> None:
    answer = admin.post(f"{SESSIONS}{make_session(anna).pk}/share/", {"role": "collaborator", "lifetime": "hour"})
    assert "Select a valid choice" in answer.content.decode()
    assert not ShareLink.objects.exists()


def test_sessions_cannot_be_edited_added_or_deleted_alive(admin: Client, anna: User, make_session: Any) -> None:
    session, ended = make_session(anna), make_session(anna, "ended")
    assert admin.get(SESSIONS + "add/").status_code == 403
    assert admin.post(f"{SESSIONS}{session.pk}/change/", {"name": "Mine now", "state": "ended"}).status_code == 403
    assert admin.post(f"{SESSIONS}{session.pk}/delete/", {"post": "yes"}).status_code == 403
    session.refresh_from_db()
    assert (session.name, session.state) == ("Work", "running")
    assert admin.post(f"{SESSIONS}{ended.pk}/delete/", {"post": "yes"}).status_code == 302
    assert not DesktopSession.objects.filter(pk=ended.pk).exists()


def test_a_user_with_living_sessions_cannot_be_deleted(admin: Client, anna: User, make_session: Any) -> None:
    session = make_session(anna)
    answer = admin.post(f"/admin/auth/user/{anna.pk}/delete/", {"post": "yes"})
    assert answer.status_code == 403 or User.objects.filter(pk=anna.pk).exists()
    assert DesktopSession.objects.filter(pk=session.pk).exists()


def test_a_clerk_looks_and_does_nothing(clerk: User, anna: User, make_session: Any, redis_url: str) -> None:
    session = make_session(anna)
    client = Client()
    client.force_login(clerk)
    page = client.get(f"{SESSIONS}{session.pk}/change/").content.decode()
    assert "Work" in page
    assert "sd-danger" not in page and "Create link" not in page
    assert "stop_selected" not in client.get(SESSIONS).content.decode()
    for path in ("stop/", "share/", "preset/", "share/abc/revoke/"):
        assert client.post(f"{SESSIONS}{session.pk}/{path}").status_code == 404
    assert client.get(f"/s/{session.pk}/").status_code == 404
    session.refresh_from_db()
    assert session.wanted == "running"


@pytest.mark.parametrize("path", ["launch/", "live/", "11111111-1111-4111-8111-111111111111/stop/"])
def test_others_are_kept_out(anna: User, as_user: Any, redis_url: str, path: str) -> None:
    unprivileged = User.objects.create_user("staff", is_staff=True)
    for client in (Client(), as_user(anna)):
        assert client.get(SESSIONS + path).status_code == 302
    assert as_user(unprivileged).get(SESSIONS + path).status_code in (403, 405)


def test_posts_are_protected_against_forgery(root: User, anna: User, make_session: Any, redis_url: str) -> None:
    session = make_session(anna)
    client = Client(enforce_csrf_checks=True)
    client.force_login(root)
    for path in ("launch/", f"{session.pk}/stop/", f"{session.pk}/share/", f"{session.pk}/preset/"):
        assert client.post(SESSIONS + path).status_code == 403, path


def test_presets_have_a_field_for_each_setting_and_enforce_ranges(admin: Client) -> None:
    url = "/admin/desktops/qualitypreset/add/"
    page = admin.get(url).content.decode()
    for name in EngineSettings().as_dict():
        assert f'name="{PREFIX}{name}"' in page
    assert 'name="settings"' not in page
    assert "Most frames sent in a second. 1 to 240 frames/s." in page
    refused = admin.post(url, preset_form(**{PREFIX + "jpeg_quality": "101"}))
    assert "less than or equal to 100" in refused.content.decode()
    assert not QualityPreset.objects.exists()
    assert admin.post(url, preset_form(**{PREFIX + "jpeg_quality": "55"})).status_code == 302
    assert QualityPreset.objects.get().settings == {**EngineSettings().as_dict(), "jpeg_quality": 55}
    assert "already a preset called" in admin.post(url, preset_form()).content.decode()


def test_editing_a_preset_reaches_running_sessions(
    admin: Client, anna: User, make_session: Any, preset: QualityPreset, listen: Any
) -> None:
    session = make_session(anna, preset=preset)
    with listen(f"session.{session.sid}.worker") as heard:
        form = preset_form(**{PREFIX + "framerate": "15"})
        assert admin.post(f"/admin/desktops/qualitypreset/{preset.pk}/change/", form).status_code == 302
    assert [message["settings"]["framerate"] for _, message in heard] == [15]


def test_deleting_presets_moves_sessions_to_the_default(
    admin: Client, anna: User, make_session: Any, preset: QualityPreset
) -> None:
    other = QualityPreset.objects.create(name="Other")
    session = make_session(anna, preset=other)
    form = {"action": "delete_selected", "_selected_action": [other.pk], "post": "yes"}
    admin.post("/admin/desktops/qualitypreset/", form)
    session.refresh_from_db()
    assert session.preset == preset


def test_each_user_has_a_default_preset(admin: Client, anna: User, bob: User, preset: QualityPreset) -> None:
    mine = QualityPreset.objects.create(name="Annas", owner=anna)
    QualityPreset.objects.create(name="Bobs", owner=bob)
    page = admin.get(f"/admin/auth/user/{anna.pk}/change/").content.decode()
    select = page[page.index('name="stripedesk_profile-0-default_preset"') :].split("</select>")[0]
    assert "Balanced" in select and "Annas" in select and "Bobs" not in select
    assert f'value="{mine.pk}"' in select
    assert admin.get("/admin/auth/user/add/").status_code == 200


def test_templates_are_checked(admin: Client, template: SessionTemplate) -> None:
    url = f"/admin/desktops/sessiontemplate/{template.pk}/change/"
    fields = model_to_dict(template)
    fields |= {"name": "T", "slug": "t", "position": "1", "width": "800", "height": "600"}
    form = {name: value for name, value in fields.items() if value is not None and value is not False}
    for change, text in (
        ({"command": "xterm 'unclosed"}, "This is not a command line"),
        ({"command": " "}, "Only a desktop may do without a command"),
        ({"width": "100"}, "greater than or equal to 200"),
        ({"icon": "../../etc"}, "Small letters"),
        ({"network": "host"}, "Select a valid choice"),
        ({"environment": "LD_PRELOAD=/tmp/x.so"}, "is set by the platform"),
        ({"locale": "german"}, "Write it like de_DE.UTF-8"),
        ({"cpu": "nan"}, "Enter a number"),
        ({"allowed_groups": ["4711"]}, "Select a valid choice"),
    ):
        assert text in admin.post(url, {**form, **change}).content.decode()
    answer = admin.post(url, form)
    assert answer.status_code == 302, answer.context["adminform"].form.errors


def test_hosts_are_to_look_at(admin: Client, anna: User, make_session: Any) -> None:
    host = SessionHost.objects.create(name="desk-01", problem="No bubblewrap.", heartbeat=timezone.now(), capacity=7)
    make_session(anna, host=host)
    make_session(anna, "ended", host=host)
    page = admin.get("/admin/desktops/sessionhost/").content.decode()
    assert "No bubblewrap." in page and "1 of 7" in page
    assert admin.get("/admin/desktops/sessionhost/add/").status_code == 403
    assert admin.post(f"/admin/desktops/sessionhost/{host.pk}/delete/", {"post": "yes"}).status_code == 403


def test_every_page_of_the_admin_opens(admin: Client, anna: User, make_session: Any, preset: QualityPreset) -> None:
    session = make_session(anna)
    for url in (
        "/admin/",
        "/admin/desktops/",
        "/admin/desktops/sessiontemplate/add/",
        f"/admin/desktops/qualitypreset/{preset.pk}/change/",
        f"{SESSIONS}{session.pk}/history/",
        f"{SESSIONS}?q=work&state__exact=running",
        f"/admin/auth/user/{anna.pk}/change/",
    ):
        answer = admin.get(url)
        assert answer.status_code == 200, url
        assert "Stripedesk" in answer.content.decode()
    missing = admin.get(f"{SESSIONS}11111111-1111-4111-8111-111111111111/change/", follow=True)
    assert "doesn’t exist" in missing.content.decode()


def test_saving_a_template_says_what_this_machine_lacks(admin: Client, template: SessionTemplate) -> None:
    url = f"/admin/desktops/sessiontemplate/{template.pk}/change/"
    fields = {**model_to_dict(template), "command": "no-such-program", "locale": "tlh_AA.UTF-8"}
    form = {name: value for name, value in fields.items() if value is not None and value is not False}
    page = html.unescape(admin.post(url, form, follow=True).content.decode())
    assert "On this machine there is no program called 'no-such-program'" in page
    assert "no locale tlh_AA.UTF-8" in page and "was changed successfully" in page
    assert (
        "On this machine"
        not in admin.post(url, {**form, "command": "xterm", "locale": "C.UTF-8"}, follow=True).content.decode()
    )


def test_a_template_is_tried_by_starting_a_session(admin: Client, template: SessionTemplate, root: User) -> None:
    url = "/admin/desktops/sessiontemplate/"
    form = {"action": "try_template", "_selected_action": [template.pk]}
    answer = admin.post(url, form)
    session = DesktopSession.objects.get()
    assert (session.owner, session.template, session.name) == (root, template, "Trying Terminal")
    assert answer.url == f"{SESSIONS}{session.pk}/change/"
    SessionTemplate.objects.update(enabled=False)
    assert "it is switched off" in admin.post(url, form, follow=True).content.decode()
    other = SessionTemplate.objects.create(name="B", slug="b")
    answer = admin.post(url, {**form, "_selected_action": [template.pk, other.pk]}, follow=True)
    assert "Choose one template" in answer.content.decode() and DesktopSession.objects.count() == 1
