"""The line: who is taken by which host, who stands where, and that no clock but the agent's own counts."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.utils import timezone

from sessions.hostagent.lifecycle import Lifecycle
from sessions.hostagent.queue import COURTESY_S, Queue
from sessions.models import DesktopSession, SessionHost, SessionTemplate
from sessions.states import Reason, Stage, State, Wanted

pytestmark = pytest.mark.django_db

PATIENCE = timedelta(minutes=30)


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def told() -> list[tuple[str, dict[str, Any]]]:
    return []


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def queue(told: list[Any], clock: Clock) -> Queue:
    return Queue(Lifecycle(lambda group, message: told.append((group, message["event"]))), PATIENCE, clock)


def make_host(name: str = "host-a", **fields: Any) -> SessionHost:
    return SessionHost.objects.create(name=name, heartbeat=timezone.now(), **fields)


def request(**fields: Any) -> DesktopSession:
    owner, _ = User.objects.get_or_create(username="olga")
    template, _ = SessionTemplate.objects.get_or_create(slug="t", defaults={"name": "T", "command": "xterm"})
    return DesktopSession.objects.create(owner=owner, template=template, name="S", width=640, height=480, **fields)


@pytest.mark.django_db(transaction=True)
def test_the_oldest_are_taken_as_far_as_there_is_room(queue: Queue, told: list[Any]) -> None:
    host = make_host()
    rows = [request() for _ in range(3)]
    assert queue.take(host, 2, 9) == [rows[0].pk, rows[1].pk]
    rows[0].refresh_from_db()
    assert (rows[0].state, rows[0].stage, rows[0].host) == (State.STARTING, Stage.SANDBOX, host)
    event = {"type": "state", "state": "starting", "stage": "sandbox", "reason": "", "message": ""}
    assert told[0] == (f"session.{rows[0].sid}", event)
    assert queue.take(host, 0, 9) == []
    assert queue.take(host, 5, 9) == [rows[2].pk]


def test_only_so_many_start_at_once(queue: Queue) -> None:
    host = make_host()
    rows = [request() for _ in range(3)]
    assert queue.take(host, 9, 1) == [rows[0].pk]
    assert queue.take(host, 8, 0) == []


def test_of_two_claims_one_succeeds(queue: Queue, monkeypatch: pytest.MonkeyPatch) -> None:
    """The other agent is quicker between this one's look and its update."""
    row = request()
    host, other = make_host(), SessionHost.objects.create(name="host-b")
    from sessions.hostagent import lifecycle as module

    def meanwhile(old: State, new: State) -> None:
        DesktopSession.objects.filter(pk=row.pk).update(state=State.STARTING, host=other)

    monkeypatch.setattr(module, "check_transition", meanwhile)
    assert queue.take(host, 1, 1) == []
    row.refresh_from_db()
    assert row.host == other


@pytest.mark.django_db(transaction=True)
def test_who_waits_is_told_his_place_and_hears_of_it_only_when_it_changes(queue: Queue, told: list[Any]) -> None:
    host = make_host()
    first, second, third = (request() for _ in range(3))
    queue.tell_places()
    assert [row.message[:8] for row in DesktopSession.objects.order_by("number")] == [
        "Number 1",
        "Number 2",
        "Number 3",
    ]
    assert [event["message"][:8] for _, event in told] == ["Number 1", "Number 2", "Number 3"]
    told.clear()
    queue.tell_places()
    assert told == []
    queue.take(host, 1, 1)
    told.clear()
    queue.tell_places()
    assert [(group, event["state"], event["message"][:8]) for group, event in told] == [
        (f"session.{second.sid}", "requested", "Number 1"),
        (f"session.{third.sid}", "requested", "Number 2"),
    ]
    first.refresh_from_db()
    assert first.message == ""


def test_the_clock_on_the_wall_does_not_order_the_line(queue: Queue) -> None:
    """It was set back between two launches, and back to where it was before the third."""
    host = make_host()
    rows = [request() for _ in range(3)]
    for row, hours in zip(rows, (0, -5, -9), strict=True):
        DesktopSession.objects.filter(pk=row.pk).update(created_at=timezone.now() + timedelta(hours=hours))
    queue.tell_places()
    assert [DesktopSession.objects.get(pk=row.pk).message[:8] for row in rows] == ["Number 1", "Number 2", "Number 3"]
    assert queue.take(host, 3, 3) == [row.pk for row in rows]


def test_who_is_tried_again_is_told_why_beside_his_place(queue: Queue) -> None:
    row = request(reason=Reason.NO_DISPLAY, attempts=1)
    queue.tell_places()
    row.refresh_from_db()
    assert row.message.startswith("Its first start failed: The display could not be started. Number 1 in the line.")


def test_who_is_not_wanted_leaves_the_line(queue: Queue) -> None:
    row = request(wanted=Wanted.STOPPED, stop_reason=Reason.STOPPED_BY_OPERATOR)
    queue.close_unwanted()
    row.refresh_from_db()
    assert (row.state, row.reason) == (State.ENDED, Reason.STOPPED_BY_OPERATOR)


def test_waiting_is_measured_by_the_agents_own_clock(queue: Queue, clock: Clock) -> None:
    """The web machine's clock is a year behind, or ahead: nobody is thrown out for it, nor kept."""
    host = make_host()
    past, future = request(), request()
    for row, days in ((past, -365), (future, 365)):
        DesktopSession.objects.filter(pk=row.pk).update(created_at=timezone.now() + timedelta(days=days))
    queue.take(host, 0, 0)
    clock.now += PATIENCE.total_seconds() - 1
    queue.take(host, 0, 0)
    queue.close_unwanted()
    assert not DesktopSession.objects.exclude(state=State.REQUESTED).exists()
    clock.now += 2
    queue.close_unwanted()
    for row in DesktopSession.objects.all():
        assert (row.state, row.reason) == (State.FAILED, Reason.NO_HOST)
        assert "within 30 minutes. Stop another session" in row.message


def test_a_host_that_drains_takes_nothing_new(queue: Queue) -> None:
    host = make_host(draining=True)
    request()
    assert queue.take(host, 5, 5) == []


def test_the_host_with_most_left_takes_first_and_the_others_what_it_leaves(queue: Queue, clock: Clock) -> None:
    busy, free = make_host("host-a", cpu_load=0.9), make_host("host-b", cpu_load=0.1)
    row = request()
    assert queue.take(busy, 5, 5) == []
    clock.now += COURTESY_S + 0.1  # the other does not take it
    assert queue.take(busy, 5, 5) == [row.pk]
    other = request()
    assert queue.take(free, 5, 5) == [other.pk]


@pytest.mark.parametrize("fields", [{"lost": True}, {"draining": True}, {"capacity": 0}, {"heartbeat": None}])
def test_a_host_that_takes_nothing_is_not_waited_for(queue: Queue, fields: dict[str, Any]) -> None:
    busy = make_host("host-a", memory_load=0.9)
    other = make_host("host-b")
    SessionHost.objects.filter(pk=other.pk).update(**fields)
    row = request()
    assert queue.take(busy, 5, 5) == [row.pk]


def test_what_is_claimed_counts_as_load_at_once(queue: Queue) -> None:
    """Two equal hosts share a rush; the first to look does not take it all."""
    one, _ = make_host("host-a", capacity=4), make_host("host-b", capacity=4)
    rows = [request() for _ in range(4)]
    assert queue.take(one, 4, 4) == [rows[0].pk]


def test_a_session_with_the_id_of_a_spare_takes_it_out_of_turn(queue: Queue) -> None:
    host, other = make_host(capacity=1), make_host("host-b")
    request()
    mine = request(host=host)
    assert queue.take(other, 0, 0, []) == []
    assert queue.take(host, 0, 0, [mine.pk]) == [mine.pk]
    mine.refresh_from_db()
    assert (mine.state, mine.stage) == (State.STARTING, Stage.STREAM)


def test_what_is_bound_to_another_host_or_still_cleared_away_here_is_left(queue: Queue) -> None:
    host, other = make_host(), make_host("host-b", cpu_load=0.5)
    bound, busy = request(host=other), request()
    assert queue.take(host, 5, 5, [], busy={busy.pk}) == []
    assert {row.state for row in DesktopSession.objects.all()} == {State.REQUESTED}
    assert queue.take(other, 5, 5) == [bound.pk]
