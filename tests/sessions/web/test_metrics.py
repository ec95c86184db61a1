"""Metrics and the admin's table of delivery: for staff or the token, true to what workers and viewers tell."""

from __future__ import annotations

import json
import re
import time
from typing import Any

import pytest
import redis
from django.contrib.auth.models import Permission as DjangoPermission
from django.contrib.auth.models import User
from django.core.exceptions import ImproperlyConfigured
from django.db import OperationalError
from django.test import Client
from django.utils import timezone
from prometheus_client.parser import text_string_to_metric_families

from sessions.conf import conf
from sessions.models import DesktopSession, SessionHost
from sessions.status import status_key, viewers_key
from sessions.views import metrics as module
from sessions.worker.messages import viewer_key

TOKEN = "a-token-of-enough-letters"


@pytest.fixture
def staff(db: None, redis_url: str) -> Client:
    user = User.objects.create_user("clerk", is_staff=True)
    user.user_permissions.add(DjangoPermission.objects.get(codename="view_desktopsession"))
    client = Client()
    client.force_login(user)
    return client


@pytest.fixture
def watched(anna: User, make_session: Any, redis_url: str) -> DesktopSession:
    """A session with what its worker and two viewers tell; one of them tells lies, one is long gone."""
    session: DesktopSession = make_session(anna)
    report = {
        "role": "owner", "seconds": 61, "phase": "pull", "fps": 29.5, "kbps": 900, "cap_kbps": 2000, "cap_fps": 10,
        "stages": {"relay": [1.5, 2.5], "decode": [3, 4], "paint": [5, 6], "inject": [0.5, 0.7]},
        "dropped": {"behind": 7, "cap": 2},
    }  # fmt: skip
    status = {
        "state": "streaming", "fps": 30, "kbps": 1000, "mode": "auto", "dropped": 4,
        "stages": {"encode": [2, 8], "publish": [0.25, 0.5], "react": [10, 20], "x": [1, 2]},
    }  # fmt: skip
    lies = {"role": "<script>", "fps": -1, "stages": {"relay": [1, 9e9]}, "dropped": {"<script>": 1}}
    with redis.Redis.from_url(redis_url) as client:
        client.set(status_key(session.sid), json.dumps(status))
        now = time.time()
        client.zadd(viewers_key(session.sid), {"good": now, "liar": now, "gone": now - 100})
        client.set(viewer_key(session.sid, "good"), json.dumps(report))
        client.set(viewer_key(session.sid, "liar"), json.dumps(lies))
        client.set(viewer_key(session.sid, "gone"), json.dumps(report))
    return session


def samples(text: str) -> dict[tuple[str, ...], float]:
    return {
        (sample.name, *(value for _, value in sorted(sample.labels.items()) if value)): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def test_staff_reads_stages_drops_and_rates(staff: Client, watched: DesktopSession) -> None:
    SessionHost.objects.create(name="here", heartbeat=timezone.now())
    SessionHost.objects.create(name="silent", heartbeat=timezone.now(), lost=True)
    answer = staff.get("/metrics")
    assert answer.status_code == 200 and answer["Content-Type"].startswith("text/plain")
    assert "no-store" in answer["Cache-Control"]
    text = answer.content.decode()
    assert "script" not in text and "gone" not in text
    found, sid = samples(text), watched.sid
    assert found["stripedesk_sessions", "running"] == 1 and found["stripedesk_sessions", "ended"] == 0
    assert found["stripedesk_host_up", "here"] == 1 and found["stripedesk_host_up", "silent"] == 0
    assert found["stripedesk_redis_up",] == 1
    assert found["stripedesk_session_viewers", sid] == 2 and found["stripedesk_session_fps", sid] == 30
    assert found["stripedesk_session_captures_put_off_total", sid] == 4
    stage = "stripedesk_session_stage_seconds"
    assert found[stage, "0.95", sid, "encode"] == 0.008 and found[stage, "0.5", sid, "react"] == 0.01
    stage = "stripedesk_viewer_stage_seconds"
    assert found[stage, "0.5", sid, "decode", "good"] == 0.003 and found[stage, "0.95", sid, "paint", "good"] == 0.006
    assert not [key for key in found if key[0] == stage and "liar" in key]
    assert found["stripedesk_viewer_frames_dropped_total", "behind", sid, "good"] == 7
    assert found["stripedesk_viewer_fps", sid, "liar"] == 0


def test_strangers_are_refused_and_the_token_opens(
    client: Client, anna: User, watched: DesktopSession, settings: Any
) -> None:
    assert client.get("/metrics").status_code == 401
    client.force_login(anna)  # not even whose session it is: there are those of others
    assert client.get("/metrics").status_code == 401
    client.logout()
    assert client.get("/metrics", headers={"Authorization": "Bearer "}).status_code == 401
    settings.STRIPEDESK = {**settings.STRIPEDESK, "METRICS_TOKEN": TOKEN}
    for wrong in ("", f"Bearer {TOKEN}x", f"Basic {TOKEN}", "Bearer ", "Bearer \u00fc"):
        answer = client.get("/metrics", headers={"Authorization": wrong})
        assert answer.status_code == 401 and watched.sid not in answer.content.decode()
    answer = client.get("/metrics", headers={"Authorization": f"Bearer {TOKEN}"})
    assert answer.status_code == 200 and watched.sid in answer.content.decode()
    assert client.post("/metrics").status_code == 405
    settings.STRIPEDESK = {**settings.STRIPEDESK, "METRICS_TOKEN": "short"}
    with pytest.raises(ImproperlyConfigured, match="STRIPEDESK_METRICS_TOKEN"):
        conf()


def test_without_redis_the_rest_is_told_and_without_a_database_it_says_so(
    staff: Client, watched: DesktopSession, private_redis: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    private_redis.stop()
    found = samples(staff.get("/metrics").content.decode())
    assert found["stripedesk_redis_up",] == 0 and found["stripedesk_sessions", "running"] == 1

    def away(*_: Any) -> Any:
        raise OperationalError("gone")

    monkeypatch.setattr(module._Everything, "collect", away)
    answer = staff.get("/metrics")
    assert answer.status_code == 503 and answer.content == b"The database cannot be reached.\n"


def test_the_admin_shows_stages_and_viewers(client: Client, root: User, watched: DesktopSession) -> None:
    client.force_login(root)
    page = client.get(f"/admin/desktops/desktopsession/{watched.pk}/change/").content.decode()
    part = client.get(f"/admin/desktops/desktopsession/{watched.pk}/delivery/").content.decode()
    for text in (page, part):
        for shown in ("damage → encoded", "8.0 ms", "newest state when ready", "7 not ready, 2 above the bound",
                      "2000 kbit/s, 10 fps", "5.0 / 6.0 ms", "put off 4 captures"):  # fmt: skip
            assert shown in text, shown
        assert "<script>" not in text.replace('<script type="module"', "").replace("<script src", "")
    assert "<html" not in part
    client.logout()
    assert client.get(f"/admin/desktops/desktopsession/{watched.pk}/delivery/").status_code == 302


def test_nobody_else_sees_the_table(client: Client, bob: User, watched: DesktopSession) -> None:
    client.force_login(bob)
    assert client.get(f"/admin/desktops/desktopsession/{watched.pk}/delivery/").status_code in (302, 403, 404)


def test_the_docs_name_every_metric_and_stage() -> None:
    from pathlib import Path

    from sessions.latency import STAGES

    text = (Path(__file__).resolve().parents[3] / "docs/explanation/latency.md").read_text()
    code = Path(module.__file__).read_text()
    for name in sorted(set(re.findall(r'"stripedesk_([a-z_]+)"', code))):
        assert f"stripedesk_{name}" in text or f"…_{name.split('_', 1)[1]}" in text, name
    for stage in STAGES:
        assert f"`{stage}`" in text, stage
