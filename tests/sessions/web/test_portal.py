"""The portal's pages and its JSON: what is shown, live, and to whom; login, health, errors."""

from __future__ import annotations

import json
import time
from datetime import timedelta
from typing import Any

import pytest
import redis
from django.contrib.auth.models import User
from django.test import Client
from django.utils import timezone

from sessions.models import DesktopSession, QualityPreset, SessionHost, SessionTemplate
from sessions.status import UNKNOWN, parse_status, read_statuses, status_key, viewers_key
from sessions.views.cards import STEPS, make_card

HOSTILE = "<script>alert('x')</script>\"><img src=x onerror=alert(1)>{{ 7*7 }}"


def cards_of(client: Client) -> list[dict[str, Any]]:
    answer = client.get("/api/sessions/")
    assert answer.status_code == 200
    return answer.json()["sessions"]


def test_a_card_shows_live_numbers(anna: User, as_user: Any, make_session: Any, redis_url: str) -> None:
    session = make_session(anna)
    status = {"state": "streaming", "mode": "jpeg", "fps": 37.44, "kbps": 4210.55, "latency_ms": 8.06}
    with redis.Redis.from_url(redis_url) as client:
        client.set(status_key(session.sid), json.dumps(status))
        now = time.time()
        client.zadd(viewers_key(session.sid), {"a": now, "b": now - 29, "gone": now - 31})
    browser = as_user(anna)
    (card,) = cards_of(browser)
    assert card["phase"] == "ready"
    assert (card["fps"], card["kbps"], card["viewers"], card["latency_ms"]) == (37.4, 4210.6, 2, 8.1)
    page = browser.get("/").content.decode()
    assert "<span data-fps>37</span>" in page and "<span data-viewers>2</span>" in page


@pytest.mark.parametrize(
    ("state", "values", "phase", "label", "detail", "step"),
    [
        ("requested", {}, "waiting", "Waiting for a host", "No host is online. It starts as soon as one is.", 0),
        ("starting", {}, "starting", "Starting", "Preparing", 1),
        ("starting", {"stage": "sandbox"}, "starting", "Starting", "Preparing a private sandbox", 1),
        ("starting", {"stage": "stream"}, "starting", "Starting", "Starting the stream", 4),
        ("running", {}, "ready", "Running", "", STEPS),
        ("recovering", {}, "ready", "Recovering", "The stream is being restarted; the desktop goes on.", STEPS),
        ("running", {"wanted": "stopped"}, "stopping", "Stopping", "", 0),
        ("stopping", {}, "stopping", "Stopping", "", 0),
        ("ended", {"reason": "stopped-by-user"}, "over", "Ended", "It was stopped by its owner.", 0),
        ("failed", {"reason": "no-display", "message": "No."}, "over", "Failed", "No.", 0),
    ],
)
def test_every_state_has_a_phase_and_a_sentence(
    anna: User, make_session: Any, state: str, values: dict[str, str], phase: str, label: str, detail: str, step: int
) -> None:
    card = make_card(make_session(anna, state, **values), UNKNOWN, a_host_lives=False)
    assert (card.phase, card.label, card.detail, card.step) == (phase, label, detail, step)
    assert sum(status == "current" for _, status in card.stages) == (1 if step < STEPS else 0)


def test_a_waiting_session_says_whether_a_host_is_online(
    anna: User, as_user: Any, make_session: Any, redis_url: str
) -> None:
    make_session(anna, "requested")
    client = as_user(anna)
    assert "No host is online" in cards_of(client)[0]["detail"]
    SessionHost.objects.create(name="one", heartbeat=timezone.now())
    assert cards_of(client)[0]["detail"] == ""


def test_people_see_their_own_sessions_only(
    anna: User, bob: User, root: User, as_user: Any, make_session: Any, redis_url: str
) -> None:
    mine = make_session(anna)
    make_session(bob, name="Salaries")
    for user, ids in ((anna, [str(mine.pk)]), (root, [])):
        client = as_user(user)
        assert [card["id"] for card in cards_of(client)] == ids
        for url in ("/", "/sessions/"):
            assert "Salaries" not in client.get(url).content.decode()
    anonymous = Client().get("/api/sessions/")
    assert (anonymous.status_code, anonymous.json()["code"]) == (401, "unauthenticated")


def test_what_ended_lately_is_shown_and_then_forgotten(
    anna: User, as_user: Any, make_session: Any, redis_url: str
) -> None:
    now = timezone.now()
    make_session(anna, "failed", name="Fresh", message="It broke.", ended_at=now - timedelta(hours=1))
    make_session(anna, "ended", name="Stale", ended_at=now - timedelta(days=2))
    page = as_user(anna).get("/").content.decode()
    assert "Fresh" in page and "It broke." in page
    assert "Stale" not in page


def test_hostile_strings_are_escaped_everywhere(
    anna: User, root: User, as_user: Any, make_session: Any, redis_url: str
) -> None:
    SessionTemplate.objects.update(name=HOSTILE[:60], description=HOSTILE)
    QualityPreset.objects.create(name=HOSTILE[:60], help=HOSTILE)
    QualityPreset.objects.create(name=HOSTILE[:60], help=HOSTILE, owner=root)
    User.objects.filter(pk=root.pk).update(username=HOSTILE[:50])
    session = make_session(root, name=HOSTILE)
    make_session(root, "failed", name=HOSTILE, message=HOSTILE, ended_at=timezone.now())
    with redis.Redis.from_url(redis_url) as client:  # a worker is hostile, too
        client.set(status_key(session.sid), json.dumps({"state": "failed", "error": HOSTILE, "mode": HOSTILE}))
    browser = as_user(User.objects.get(pk=root.pk))
    browser.post(f"/s/{session.pk}/share/", {"role": "viewer", "label": HOSTILE[:80]})
    for url in (
        "/",
        "/sessions/",
        "/presets/",
        f"/s/{session.pk}/",
        f"/s/{session.pk}/stop/",
        f"/s/{session.pk}/share/",
        "/admin/desktops/desktopsession/",
        "/admin/desktops/desktopsession/launch/",
        f"/admin/desktops/desktopsession/{session.pk}/change/",
        "/admin/desktops/qualitypreset/",
        "/admin/desktops/sessiontemplate/",
    ):
        answer = browser.get(url)
        page = answer.content.decode()
        assert answer.status_code == 200, url
        assert "<script>alert" not in page and "<img src=x" not in page, url


def test_pages_carry_no_inline_script_and_a_policy(root: User, as_user: Any, make_session: Any, redis_url: str) -> None:
    session = make_session(root)
    browser = as_user(root)
    for url in ("/", "/presets/new/", f"/s/{session.pk}/", "/v/abc", "/admin/desktops/desktopsession/"):
        answer = browser.get(url)
        # The second word lets the client run its lossless decoder, and nothing else that is made of text.
        assert "script-src 'self' 'wasm-unsafe-eval';" in answer.headers["Content-Security-Policy"]
        for tag in answer.content.decode().split("<script")[1:]:
            head = tag.split(">")[0]
            assert "src=" in head or 'type="application/json"' in head, (url, head)


def test_without_redis_the_portal_stays_and_says_so(
    anna: User, as_user: Any, make_session: Any, private_redis: Any
) -> None:
    make_session(anna)
    client = as_user(anna)
    private_redis.stop()
    answer = client.get("/api/sessions/").json()
    assert answer["live"] is False
    assert answer["sessions"][0]["phase"] == "ready"
    assert 'role="status">' in client.get("/").content.decode()
    assert 'data-live-notice role="status" hidden' not in client.get("/").content.decode()
    private_redis.start()
    assert client.get("/api/sessions/").json()["live"] is True
    assert 'data-live-notice role="status" hidden' in client.get("/").content.decode()


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "[]",
        "null",
        '"x"',
        "[" * 100000,
        '{"fps":"many","kbps":[],"state":7,"mode":{},"error":3}',
        '{"fps":NaN,"kbps":Infinity,"latency_ms":-1}',
        '{"fps":1e400,"kbps":true,"latency_ms":false}',
        '{"fps":' + "9" * 400 + "}",
    ],
)
def test_what_a_worker_makes_up_reads_as_unknown(text: str) -> None:
    status = parse_status(text, 3)
    assert (status.stream, status.mode, status.error, status.fps, status.kbps) == ("", "", "", 0, 0)
    assert status.latency_ms in (None, 0)
    assert status.viewers == 3


def test_many_statuses_take_one_round_trip(redis_url: str) -> None:
    sids = [f"{number:032x}" for number in range(50)]
    with redis.Redis.from_url(redis_url) as client:
        client.set(status_key(sids[7]), '{"state":"streaming","fps":5}')
        before = client.info("clients")["connected_clients"]
        statuses = read_statuses(sids)
        assert client.info("clients")["connected_clients"] <= before + 1
    assert statuses is not None
    assert statuses[sids[7]].fps == 5
    assert sum(status == UNKNOWN for status in statuses.values()) == 49


def test_an_ended_session_has_a_page_that_says_why(anna: User, as_user: Any, make_session: Any) -> None:
    session = make_session(anna, "failed", message="The command “xtermm” does not exist on this host.")
    page = as_user(anna).get(f"/s/{session.pk}/").content.decode()
    assert "The command “xtermm” does not exist on this host." in page
    assert "viewer-config" not in page


def test_login_logout_and_next(anna: User, redis_url: str) -> None:
    client = Client()
    page = client.get("/login/").content.decode()
    assert "Log in" in page and "/presets/" not in page
    answer = client.post("/login/?next=/presets/", {"username": "anna", "password": "pw-anna-1", "next": "/presets/"})
    assert answer.url == "/presets/"
    assert client.get("/login/").status_code == 302
    assert client.get("/logout/").status_code == 405
    assert client.post("/logout/").url == "/login/"
    assert client.get("/").status_code == 302
    answer = client.post("/login/", {"username": "anna", "password": "pw-anna-1", "next": "https://evil.example/"})
    assert answer.url == "/"


@pytest.mark.parametrize("url", ["/login/", "/admin/login/"])
def test_guessing_passwords_is_slowed_down(root: User, redis_url: str, url: str) -> None:
    client = Client()
    for _ in range(10):
        answer = client.post(url, {"username": "root", "password": "wrong"})
        assert "Too many failed logins" not in answer.content.decode()
    right = {"username": "root", "password": "pw-root-1"}
    assert "Too many failed logins" in client.post(url, right).content.decode()
    assert client.post(url, right, REMOTE_ADDR="192.0.2.9").status_code == 302


def test_a_login_does_not_hang_on_redis(anna: User, private_redis: Any) -> None:
    private_redis.stop()
    client = Client()
    assert client.post("/login/", {"username": "anna", "password": "wrong"}).status_code == 200
    assert client.post("/login/", {"username": "anna", "password": "pw-anna-1"}).status_code == 302


def test_health(db: None, private_redis: Any) -> None:
    client = Client()
    assert client.get("/healthz").json() == {"status": "ok"}
    ready = client.get("/readyz")
    assert (ready.status_code, ready.json()) == (200, {"status": "ok", "database": "ok", "redis": "ok"})
    private_redis.stop()
    unready = client.get("/readyz")
    assert (unready.status_code, unready.json()["redis"]) == (503, "unreachable")
    assert str(private_redis.socket) not in unready.content.decode()
    assert client.get("/healthz").status_code == 200


def test_error_pages_are_friendly(anna: User, as_user: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    client = as_user(anna)
    client.raise_request_exception = False
    missing = client.get("/nothing/<b>")
    assert (missing.status_code, "There is nothing here" in missing.content.decode()) == (404, True)
    assert "<b>" not in missing.content.decode()
    assert "That request made no sense" in client.get("/", HTTP_HOST="evil.example").content.decode()

    def broken(*_: Any) -> Any:
        raise RuntimeError("secret detail")

    monkeypatch.setattr("sessions.views.portal.own_sessions", broken)
    failed = client.get("/")
    assert (failed.status_code, "Something went wrong" in failed.content.decode()) == (500, True)
    assert "secret detail" not in failed.content.decode()


def test_long_lists_cost_a_bounded_number_of_queries(
    anna: User, as_user: Any, make_session: Any, redis_url: str, django_assert_max_num_queries: Any
) -> None:
    for _ in range(12):
        make_session(anna)
    client = as_user(anna)
    assert DesktopSession.objects.count() == 12
    with django_assert_max_num_queries(6):
        client.get("/api/sessions/")
    with django_assert_max_num_queries(14):
        client.get("/")
