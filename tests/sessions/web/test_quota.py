"""Quotas: whose counts, what a launch is told, and what the portal shows."""

from __future__ import annotations

from typing import Any

import pytest
from django.contrib.auth.models import Group, User
from django.core.exceptions import ValidationError
from django.db import IntegrityError, transaction
from django.utils import timezone

from sessions.actions import ActionError
from sessions.actions.launch import check_launch, do_launch
from sessions.actions.quota import bounds_of
from sessions.models import CpuUse, DesktopSession, Quota, SessionTemplate, UserProfile


def use_cpu(user: User, hours: float, month: str | None = None) -> None:
    CpuUse.objects.create(user=user, month=month or f"{timezone.now():%Y-%m}", seconds=hours * 3600)


def test_the_narrowest_quota_that_says_something_counts(anna: User, bob: User) -> None:
    small, large = Group.objects.create(name="pupils"), Group.objects.create(name="teachers")
    anna.groups.add(small, large)
    assert (bounds_of(anna)["sessions"].most, bounds_of(anna)["cpu_hours"].most) == (5, None)
    Quota.objects.create(sessions=4, cpu_hours=10)
    Quota.objects.create(group=small, sessions=1)
    Quota.objects.create(group=large, sessions=3, storage_mb=50)
    bounds = bounds_of(anna)
    assert {name: (bound.most, bound.whose) for name, bound in bounds.items()} == {
        "sessions": (3, "the group teachers's"),
        "cpu_hours": (10, "everybody's"),
        "storage_mb": (50, "the group teachers's"),
    }
    Quota.objects.create(user=anna, sessions=0, cpu_hours=99)
    assert (bounds_of(anna)["sessions"].most, bounds_of(anna)["cpu_hours"].most) == (0, 99)
    assert bounds_of(bob)["sessions"].most == 4


def test_a_launch_beyond_a_quota_is_told_which_and_what_to_do(
    anna: User, template: SessionTemplate, make_session: Any
) -> None:
    quota = Quota.objects.create(user=anna, sessions=1, cpu_hours=2)
    use_cpu(anna, 5, "2020-01")  # long ago
    wish = check_launch(anna, "terminal")
    first = make_session(anna)
    for attempt in (lambda: check_launch(anna, "terminal"), lambda: do_launch(wish)):
        with pytest.raises(ActionError, match="1 are allowed by your own quota. Stop one first") as refusal:
            attempt()
        assert refusal.value.code == "quota"
    first.delete()
    use_cpu(anna, 2.5)
    with pytest.raises(ActionError, match=r"used 2.5 of 2 CPU hours this month, which is your own quota. It starts"):
        do_launch(wish)
    quota.cpu_hours = 0
    quota.save()
    with pytest.raises(ActionError, match="Ask an administrator"):
        check_launch(anna, "terminal")


def test_storage_bounds_only_what_is_stored(anna: User, template: SessionTemplate) -> None:
    Quota.objects.create(storage_mb=10)
    UserProfile.objects.create(user=anna, storage_bytes=11 << 20)
    check_launch(anna, "terminal")
    SessionTemplate.objects.update(home=SessionTemplate.Home.PERSISTENT)
    with pytest.raises(ActionError, match="home holds 11 of 10 MiB, which is everybody's quota. Remove files"):
        check_launch(anna, "terminal")


def test_a_quota_is_of_one_and_everybodys_is_one(anna: User) -> None:
    group = Group.objects.create(name="g")
    with pytest.raises(ValidationError, match="not both"):
        Quota(user=anna, group=group).full_clean()
    Quota.objects.create(sessions=1)
    for second in (Quota(sessions=2), Quota(user=anna, group=group)):
        with pytest.raises(IntegrityError), transaction.atomic():
            second.save()


def test_the_portal_shows_what_is_bounded(anna: User, as_user: Any, template: SessionTemplate, redis_url: str) -> None:
    Quota.objects.create(user=anna, cpu_hours=4)
    use_cpu(anna, 4.2)
    page = as_user(anna).get("/").content.decode()
    assert "0 of 5 sessions" in page and "4.2 of 4 CPU hours" in page and 'class="reached"' in page
    assert "MiB" not in page  # nothing bounds it


def test_templates_for_other_groups_are_not_there(
    anna: User, bob: User, as_user: Any, template: SessionTemplate, redis_url: str
) -> None:
    group = Group.objects.create(name="lab")
    template.allowed_groups.add(group)
    bob.groups.add(group)
    with pytest.raises(ActionError) as refusal:
        check_launch(anna, "terminal")
    assert refusal.value.code == "unknown-template"
    assert check_launch(bob, "terminal").template == template
    assert 'value="terminal"' not in as_user(anna).get("/").content.decode()
    assert 'value="terminal"' in as_user(bob).get("/").content.decode()
    as_user(anna).post("/launch/", {"template": "terminal"})
    assert not DesktopSession.objects.exists()
