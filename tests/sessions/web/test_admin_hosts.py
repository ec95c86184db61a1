"""Hosts, quotas and last words in the admin."""

from __future__ import annotations

from typing import Any

from django.contrib.auth.models import Permission, User
from django.urls import reverse
from django.utils import timezone

from sessions.models import CpuUse, Quota, SessionHost


def test_hosts_are_drained_and_filled_by_who_may(root: User, anna: User, as_user: Any, listen: Any) -> None:
    host = SessionHost.objects.create(name="desk-02", heartbeat=timezone.now(), cpu_load=0.42)
    address = reverse("admin:desktops_sessionhost_changelist")
    form = {"action": "drain", "_selected_action": [host.pk]}
    with listen("hosts") as heard:
        answer = as_user(root).post(address, form, follow=True)
    told = [str(message) for message in answer.context["messages"]]
    assert told == ["desk-02 takes no new sessions. Those it has go on."]
    assert "42%" in answer.content.decode()
    assert heard == [("hosts", {"type": "host.wake"})]
    host.refresh_from_db()
    assert host.draining
    as_user(root).post(address, {**form, "action": "fill"})
    host.refresh_from_db()
    assert not host.draining
    anna.is_staff = True
    anna.save()
    anna.user_permissions.add(Permission.objects.get(codename="view_sessionhost"))
    as_user(anna).post(address, form)
    host.refresh_from_db()
    assert not host.draining


def test_quotas_are_kept_in_the_admin(root: User, anna: User, as_user: Any) -> None:
    page = as_user(root)
    page.post(reverse("admin:desktops_quota_add"), {"user": anna.pk, "sessions": 2, "cpu_hours": "1.5"})
    assert str(Quota.objects.get()) == "Quota of anna"
    CpuUse.objects.create(user=anna, month="2026-11", seconds=5400)
    listed = page.get(reverse("admin:desktops_cpuuse_changelist")).content.decode()
    assert "1.50" in listed and "2026-11" in listed
    assert page.get(reverse("admin:desktops_cpuuse_add")).status_code == 403


def test_the_last_lines_of_a_log_are_on_the_sessions_page(
    root: User, anna: User, as_user: Any, make_session: Any, redis_url: str
) -> None:
    session = make_session(anna, "failed", log_tail="[desktop]\n<b>boo</b>", ended_at=timezone.now())
    page = as_user(root).get(reverse("admin:desktops_desktopsession_change", args=[session.pk])).content.decode()
    assert "&lt;b&gt;boo&lt;/b&gt;" in page and "<b>boo</b>" not in page
