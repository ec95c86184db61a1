"""What people see and do between launch and end: the line, the countdown, keeping, trying again, last lines, spares."""

from __future__ import annotations

import json
from typing import Any

import pytest
import redis
from django.contrib.auth.models import User
from django.utils import timezone

from sessions.access import access_session
from sessions.actions import ActionError
from sessions.actions.keep import do_keep
from sessions.actions.launch import check_launch, do_launch
from sessions.models import DesktopSession, SessionHost, SessionTemplate, SpareDesktop
from sessions.models.spare_desktop import digest_of
from sessions.permissions import Permission
from sessions.status import parse_status

HOSTILE = "[desktop]\n<script>alert('x')</script> \\x1b[2J"


def spare(template: SessionTemplate, **fields: Any) -> SpareDesktop:
    host = fields.pop("host", None) or SessionHost.objects.create(name="h", heartbeat=timezone.now())
    values = {"made_from": digest_of(template), "width": 1280, "height": 800, "ready": True, "spawner_state": {"a": 1}}
    return SpareDesktop.objects.create(host=host, template=template, **{**values, **fields})


def test_a_launch_takes_what_was_started_ahead_and_wakes_its_host(
    anna: User, template: SessionTemplate, listen: Any
) -> None:
    ahead = spare(template)
    with listen("hosts") as heard:
        session = do_launch(check_launch(anna, "terminal"))
    assert heard == [("hosts", {"type": "host.wake"})]
    session.refresh_from_db()
    assert (session.pk, session.host, session.state) == (ahead.pk, ahead.host, "requested")
    assert session.spawner_state == {"a": 1} and not SpareDesktop.objects.exists()
    assert do_launch(check_launch(anna, "terminal")).host is None  # there was one


@pytest.mark.parametrize("fields", [{"ready": False}, {"width": 1281}, {"made_from": "something else"}])
def test_a_spare_that_does_not_fit_is_left(anna: User, template: SessionTemplate, fields: dict[str, Any]) -> None:
    ahead = spare(template, **fields)
    assert do_launch(check_launch(anna, "terminal")).pk != ahead.pk
    assert SpareDesktop.objects.get() == ahead


@pytest.mark.parametrize("fields", [{"lost": True}, {"draining": True}])
def test_a_spare_of_a_host_that_takes_nothing_is_left(
    anna: User, template: SessionTemplate, fields: dict[str, Any]
) -> None:
    spare(template, host=SessionHost.objects.create(name="h", heartbeat=timezone.now(), **fields))
    assert do_launch(check_launch(anna, "terminal")).host is None


def test_a_changed_template_makes_another_desktop(template: SessionTemplate) -> None:
    before = digest_of(template)
    template.description, template.idle_minutes, template.prewarm = "Other words", 7, 3
    assert digest_of(template) == before
    template.command = "xterm -rv"
    assert digest_of(template) != before


def test_keeping_is_for_owner_and_staff(anna: User, bob: User, root: User, make_session: Any, as_user: Any) -> None:
    SessionTemplate.objects.update(idle_minutes=30)
    session = make_session(anna)
    for person, status in ((bob, 404), (anna, 200), (root, 200)):
        answer = as_user(person).post(f"/s/{session.pk}/keep/", headers={"Accept": "application/json"})
        assert answer.status_code == status
    session.refresh_from_db()
    assert session.kept == 2
    assert as_user(anna).get(f"/s/{session.pk}/keep/").status_code == 405


def test_keeping_says_what_is_not_to_be_kept(anna: User, make_session: Any, as_user: Any) -> None:
    session = make_session(anna)
    with pytest.raises(ActionError) as refusal:
        do_keep(access_session(anna, session.pk, Permission.KEEP))
    assert refusal.value.code == "never-idle"
    SessionTemplate.objects.update(idle_minutes=30)
    over = make_session(anna, "ended")
    answer = as_user(anna).post(f"/s/{over.pk}/keep/", headers={"Accept": "application/json"})
    assert (answer.status_code, answer.json()["code"]) == (409, "session-ended")


def test_the_portal_counts_down(anna: User, make_session: Any, as_user: Any, redis_url: str) -> None:
    session = make_session(anna)
    key = f"stripedesk:session:{session.sid}:ending"
    with redis.Redis.from_url(redis_url) as client:
        for reason, left, text, keeps in (
            ("idle", 252, "Nobody uses it", True),
            ("too-old", 61, "as old as its template allows", False),
        ):
            client.set(key, json.dumps({"reason": reason, "left_s": left}), ex=20)
            (card,) = as_user(anna).get("/api/sessions/").json()["sessions"]
            assert text in card["ending"] and card["may_keep"] is keeps
            assert card["ending_in"] == f"{left // 60}:{left % 60:02}"
            page = as_user(anna).get("/").content.decode()
            assert text in page and f"/s/{session.pk}/keep/" in page
        client.delete(key)
        assert as_user(anna).get("/api/sessions/").json()["sessions"][0]["ending"] == ""


@pytest.mark.parametrize(
    "text", ["", "[]", "nonsense", '{"reason": "because", "left_s": 5}', '{"reason": ["idle"]}', '{"reason": {}}']
)
def test_a_countdown_that_makes_no_sense_is_none(text: str) -> None:
    assert parse_status(None, 0, text).ending == ""


@pytest.mark.parametrize(("state", "word"), [("failed", "Try again"), ("ended", "Launch again")])
def test_what_is_over_can_be_started_again_by_its_owner(
    anna: User, root: User, make_session: Any, as_user: Any, redis_url: str, state: str, word: str
) -> None:
    session = make_session(anna, state, name="Old", ended_at=timezone.now(), message="It died.")
    assert word in as_user(anna).get(f"/s/{session.pk}/").content.decode()
    assert word in as_user(anna).get("/").content.decode()
    answer = as_user(anna).post(f"/s/{session.pk}/again/")
    again = DesktopSession.objects.exclude(pk=session.pk).get()
    assert answer.url == f"/s/{again.pk}/"
    assert (again.name, again.width, again.height, again.state) == ("Old", 1024, 640, "requested")
    assert as_user(root).post(f"/s/{session.pk}/again/").status_code == 403
    as_user(anna).post(f"/s/{again.pk}/again/")  # it has not ended
    assert DesktopSession.objects.count() == 2


def test_last_lines_are_for_owner_and_staff_and_escaped(
    anna: User, bob: User, root: User, make_session: Any, as_user: Any, redis_url: str
) -> None:
    session = make_session(anna, "failed", ended_at=timezone.now(), log_tail=HOSTILE)
    addresses = {anna: [f"/s/{session.pk}/", "/"], root: [f"/s/{session.pk}/"]}
    for person, pages in addresses.items():
        for address in pages:
            page = as_user(person).get(address).content.decode()
            assert "&lt;script&gt;alert(&#x27;x&#x27;)&lt;/script&gt; \\x1b[2J" in page and "<script>alert" not in page
    assert as_user(bob).get(f"/s/{session.pk}/").status_code == 404


def test_who_waits_sees_his_place_or_that_no_host_is_there(
    anna: User, make_session: Any, as_user: Any, redis_url: str
) -> None:
    make_session(anna, "requested", message="Number 3 in the line.")
    (card,) = as_user(anna).get("/api/sessions/").json()["sessions"]
    assert "No host is online" in card["detail"]
    host = SessionHost.objects.create(name="h", heartbeat=timezone.now())
    (card,) = as_user(anna).get("/api/sessions/").json()["sessions"]
    assert card["detail"] == "Number 3 in the line."
    SessionHost.objects.filter(pk=host.pk).update(lost=True)
    (card,) = as_user(anna).get("/api/sessions/").json()["sessions"]
    assert "No host is online" in card["detail"]
