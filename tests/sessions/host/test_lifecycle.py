"""Moves in the database: allowed ones happen once and are told, others do not happen."""

from __future__ import annotations

from typing import Any

import pytest
from django.contrib.auth.models import User
from django.utils import timezone

from sessions.hostagent.lifecycle import Lifecycle
from sessions.models import CpuUse, DesktopSession, SessionHost, SessionTemplate
from sessions.states import InvalidTransition, Reason, Stage, State

pytestmark = pytest.mark.django_db


class Told(list[tuple[str, dict[str, Any]]]):
    def __call__(self, group: str, message: dict[str, Any]) -> None:
        self.append((group, message))


@pytest.fixture
def told() -> Told:
    return Told()


@pytest.fixture
def lifecycle(told: Told) -> Lifecycle:
    return Lifecycle(told)


def request(**fields: Any) -> DesktopSession:
    owner, _ = User.objects.get_or_create(username="olga")
    template, _ = SessionTemplate.objects.get_or_create(slug="t", defaults={"name": "T", "command": "xterm"})
    return DesktopSession.objects.create(owner=owner, template=template, name="S", width=640, height=480, **fields)


@pytest.mark.django_db(transaction=True)
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


@pytest.mark.django_db(transaction=True)
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


@pytest.mark.django_db(transaction=True)
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


@pytest.mark.django_db(transaction=True)
def test_a_start_that_is_tried_again_stands_in_the_line_with_its_reason(lifecycle: Lifecycle, told: Told) -> None:
    host = SessionHost.objects.create(name="host-a")
    row = request(state=State.STARTING, host=host, spawner_state={"init": 1})
    lifecycle.again(row.pk, Reason.NO_DISPLAY, "The display could not be started.")
    row.refresh_from_db()
    assert (row.state, row.reason, row.attempts) == (State.REQUESTED, Reason.NO_DISPLAY, 1)
    assert row.host is None and row.spawner_state == {} and row.ended_at is None
    assert told[-1][1]["event"]["state"] == "requested"
    lifecycle.again(row.pk, Reason.NO_DISPLAY, "Once more.")  # it waits: nothing to put back
    row.refresh_from_db()
    assert row.attempts == 1


def test_one_that_ended_meanwhile_keeps_its_reason_and_gets_its_log(lifecycle: Lifecycle) -> None:
    row = request(state=State.ENDED, reason=Reason.STOPPED_BY_USER, message="Stopped.")
    lifecycle.finish(row.pk, State.FAILED, Reason.HOST_LOST, "Gone.", "[desktop]\nlast words")
    row.refresh_from_db()
    assert (row.state, row.reason, row.message) == (State.ENDED, Reason.STOPPED_BY_USER, "Stopped.")
    assert row.log_tail == "[desktop]\nlast words"


def test_processor_time_is_added_to_the_session_and_to_its_owners_month(lifecycle: Lifecycle) -> None:
    first, second = request(), request()
    for row, seconds in ((first, 1.5), (second, 2.0), (first, 0.5)):
        lifecycle.used(row.pk, seconds)
    first.refresh_from_db()
    assert first.cpu_seconds == 2.0
    use = CpuUse.objects.get()
    assert (use.user, use.month, use.seconds) == (first.owner, f"{timezone.now():%Y-%m}", 4.0)
