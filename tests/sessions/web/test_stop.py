"""Stopping: once, by those who may, with a reason."""

from __future__ import annotations

from typing import Any

import pytest
from django.contrib.auth.models import User

from sessions.access import Access, access_session
from sessions.actions import ActionError
from sessions.actions.stop import do_stop
from sessions.models import DesktopSession
from sessions.permissions import Permission, Role


def _access(user: User, session: DesktopSession) -> Access:
    return access_session(user, session.pk, Permission.STOP)


def test_the_owner_stops_and_the_hosts_wake(anna: User, make_session: Any, listen: Any) -> None:
    session = make_session(anna)
    with listen("hosts") as heard:
        do_stop(_access(anna, session))
    assert heard == [("hosts", {"type": "host.wake"})]
    session.refresh_from_db()
    assert (session.wanted, session.stop_reason, session.state) == ("stopped", "stopped-by-user", "running")


def test_an_administrators_stop_says_so(anna: User, root: User, make_session: Any) -> None:
    session = make_session(anna)
    do_stop(_access(root, session))
    session.refresh_from_db()
    assert session.stop_reason == "stopped-by-operator"


@pytest.mark.parametrize("role", [Role.VIEWER, Role.COLLABORATOR])
def test_link_roles_stop_nothing(anna: User, make_session: Any, role: Role) -> None:
    session = make_session(anna)
    with pytest.raises(ActionError, match="may not stop"):
        do_stop(Access(session, role))
    session.refresh_from_db()
    assert session.wanted == "running"


@pytest.mark.parametrize("state", ["ended", "failed"])
def test_a_final_session_has_already_ended(anna: User, make_session: Any, state: str) -> None:
    with pytest.raises(ActionError, match="already ended") as refusal:
        do_stop(_access(anna, make_session(anna, state)))
    assert refusal.value.code == "already-ended"


def test_of_two_stops_at_once_one_succeeds(anna: User, root: User, make_session: Any) -> None:
    session = make_session(anna)
    first, second = _access(anna, session), _access(root, session)  # both read it while it was running
    do_stop(first)
    with pytest.raises(ActionError) as refusal:
        do_stop(second)
    assert refusal.value.code == "already-stopping"
    session.refresh_from_db()
    assert session.stop_reason == "stopped-by-user"


def test_a_session_that_ended_meanwhile_is_not_touched(anna: User, make_session: Any) -> None:
    session = make_session(anna)
    access = _access(anna, session)
    DesktopSession.objects.filter(pk=session.pk).update(state="failed")
    with pytest.raises(ActionError) as refusal:
        do_stop(access)
    assert refusal.value.code == "already-ended"
    session.refresh_from_db()
    assert session.wanted == "running"


def test_the_page_asks_first_and_a_second_stop_is_a_message(
    anna: User, as_user: Any, make_session: Any, redis_url: str
) -> None:
    session, client = make_session(anna), as_user(anna)
    url = f"/s/{session.pk}/stop/"
    assert "Stop this session?" in client.get(url).content.decode()
    session.refresh_from_db()
    assert session.wanted == "running"
    assert "is being stopped" in client.post(url, follow=True).content.decode()
    assert "is already being stopped" in client.post(url, follow=True).content.decode()
    assert "is already being stopped" in client.get(url, follow=True).content.decode()
    DesktopSession.objects.filter(pk=session.pk).update(state="ended")
    assert "has already ended" in client.post(url, follow=True).content.decode()
