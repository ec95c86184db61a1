"""Moves in the database: allowed ones happen once and are told, others do not happen."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.utils import timezone

from sessions.hostagent.lifecycle import QUEUE_PATIENCE, Lifecycle
from sessions.models import DesktopSession, SessionHost, SessionTemplate
from sessions.states import InvalidTransition, Reason, Stage, State, Wanted

pytestmark = pytest.mark.django_db(transaction=True)


class Told(list[tuple[str, dict[str, Any]]]):
    def __call__(self, group: str, message: dict[str, Any]) -> None:
        self.append((group, message))


@pytest.fixture
def told() -> Told:
    return Told()


@pytest.fixture
def lifecycle(told: Told) -> Lifecycle:
    return Lifecycle(told)


@pytest.fixture
def host() -> SessionHost:
    return SessionHost.objects.create(name="host-a", heartbeat=timezone.now())


def request(**fields: Any) -> DesktopSession:
    owner, _ = User.objects.get_or_create(username="olga")
    template, _ = SessionTemplate.objects.get_or_create(slug="t", defaults={"name": "T", "command": "xterm"})
    return DesktopSession.objects.create(owner=owner, template=template, name="S", width=640, height=480, **fields)


def test_a_claim_takes_the_oldest_and_only_what_there_is_room_for(
    lifecycle: Lifecycle, host: SessionHost, told: Told
) -> None:
    rows = [request() for _ in range(3)]
    assert lifecycle.claim(host, 2) == [rows[0].pk, rows[1].pk]
    rows[0].refresh_from_db()
    assert (rows[0].state, rows[0].stage, rows[0].host) == (State.STARTING, Stage.SANDBOX, host)
    assert told[0] == (
        f"session.{rows[0].sid}",
        {
            "type": "session.event",
            "event": {"type": "state", "state": "starting", "stage": "sandbox", "reason": "", "message": ""},
        },
    )
    assert lifecycle.claim(host, 0) == []
    assert lifecycle.claim(host, 5) == [rows[2].pk]


def test_of_two_claims_one_succeeds(lifecycle: Lifecycle, host: SessionHost, monkeypatch: pytest.MonkeyPatch) -> None:
    """The other agent is quicker between this one's look and its update."""
    row = request()
    other = SessionHost.objects.create(name="host-b")
    from sessions.hostagent import lifecycle as module

    def meanwhile(old: State, new: State) -> None:
        DesktopSession.objects.filter(pk=row.pk).update(state=State.STARTING, host=other)

    monkeypatch.setattr(module, "check_transition", meanwhile)
    assert lifecycle.claim(host, 1) == []
    row.refresh_from_db()
    assert row.host == other


def test_a_move_the_table_does_not_allow_is_refused(lifecycle: Lifecycle, told: Told) -> None:
    row = request(state=State.ENDED)
    with pytest.raises(InvalidTransition, match="from ended to running"):
        lifecycle.move(row.pk, State.RUNNING)
    assert told == []
    assert not lifecycle.move(row.pk, State.ENDED)  # a second stop is no error and tells nobody
    assert told == []


def test_a_final_move_keeps_what_happened_and_forgets_the_rest(lifecycle: Lifecycle) -> None:
    row = request(state=State.RUNNING, spawner_state={"init": 1})
    lifecycle.finish(row.pk, State.FAILED, Reason.COMMAND_DIED, "x" * 1000)
    row.refresh_from_db()
    assert (row.state, row.reason, len(row.message)) == (State.FAILED, Reason.COMMAND_DIED, 500)
    assert row.ended_at is not None and row.spawner_state == {}


def test_a_starting_session_ends_by_way_of_stopping(lifecycle: Lifecycle, told: Told) -> None:
    row = request(state=State.STARTING)
    lifecycle.finish(row.pk, State.ENDED, Reason.DESKTOP_EXITED, "Closed.")
    assert [message["event"]["state"] for _, message in told] == ["stopping", "ended"]


def test_started_at_is_of_the_first_start(lifecycle: Lifecycle) -> None:
    row = request(state=State.STARTING)
    lifecycle.move(row.pk, State.RUNNING)
    row.refresh_from_db()
    first = row.started_at
    lifecycle.move(row.pk, State.RECOVERING)
    lifecycle.move(row.pk, State.RUNNING)
    row.refresh_from_db()
    assert first is not None and row.started_at == first


def test_waiting_sessions_end_when_unwanted_and_fail_when_nobody_has_room(lifecycle: Lifecycle) -> None:
    unwanted = request(wanted=Wanted.STOPPED, stop_reason=Reason.STOPPED_BY_OPERATOR)
    waiting, overdue = request(), request()
    DesktopSession.objects.filter(pk=overdue.pk).update(
        created_at=timezone.now() - QUEUE_PATIENCE - timedelta(seconds=1)
    )
    lifecycle.close_unclaimed()
    for row in (unwanted, waiting, overdue):
        row.refresh_from_db()
    assert (unwanted.state, unwanted.reason) == (State.ENDED, Reason.STOPPED_BY_OPERATOR)
    assert waiting.state == State.REQUESTED
    assert (overdue.state, overdue.reason) == (State.FAILED, Reason.NO_HOST)
    assert "Stop another session" in overdue.message


def test_stages_are_told_only_while_starting(lifecycle: Lifecycle, told: Told) -> None:
    row = request(state=State.STARTING, stage=Stage.SANDBOX)
    lifecycle.stage(row.pk, Stage.SANDBOX)
    lifecycle.stage(row.pk, Stage.DISPLAY)
    lifecycle.move(row.pk, State.RUNNING)
    lifecycle.stage(row.pk, Stage.STREAM)
    assert [(message["event"]["state"], message["event"]["stage"]) for _, message in told] == [
        ("starting", "display"),
        ("running", ""),
    ]
