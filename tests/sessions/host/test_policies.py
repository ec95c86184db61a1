"""The line, idle ends, desktops started ahead and lost hosts, with real agents and desktops."""

from __future__ import annotations

import os
import signal
import time
from typing import Any

import pytest
from django.db import transaction

from sessions.models import DesktopSession, SessionHost, SessionTemplate, SpareDesktop
from sessions.models.session_host import LOST_AFTER
from sessions.spawners.processes import ProcessId
from sessions.states import Reason, State

from .conftest import ALIAS, Installation, connections_user, wait_for

pytestmark = pytest.mark.usefixtures("root")


def sessions() -> Any:
    return DesktopSession.objects.using(ALIAS)


def hosts() -> Any:
    return SessionHost.objects.using(ALIAS)


def test_who_finds_no_room_stands_in_line_and_comes_in_by_himself(installation: Installation) -> None:
    installation.start_agent(STRIPEDESK_HOST_CAPACITY="1")
    first = installation.launch("sleep 60")
    installation.until(first, State.RUNNING)
    second, third = installation.launch("sleep 60"), installation.launch("sleep 60")
    wait_for(lambda: installation.session(third).message.startswith("Number 2 in the line"), 10, "his place")
    assert installation.session(second).message.startswith("Number 1 in the line")
    installation.stop(second)  # who waits may go
    installation.until(second, State.ENDED)
    wait_for(lambda: installation.session(third).message.startswith("Number 1"), 10, "his better place")
    installation.stop(first)
    row = installation.until(third, State.RUNNING)
    assert row.message == ""


def test_what_nobody_uses_is_announced_put_off_and_ended(installation: Installation) -> None:
    """With minutes of a tenth of a second; the worker says that nobody types and nothing moves."""
    installation.start_agent("quiet", TEST_MINUTE="0.1")
    pk = installation.launch("sleep 60", idle_minutes=60)
    installation.until(pk, State.RUNNING)
    announced = lambda: installation.redis_get(f"stripedesk:session:{pk.hex}:ending")  # noqa: E731
    wait_for(lambda: b"idle" in (announced() or b""), 15, "the announcement")
    sessions().filter(pk=pk).update(kept=1)
    wait_for(lambda: announced() is None, 10, "the announcement to be taken back")
    time.sleep(6)
    row = installation.session(pk)
    assert row.state == State.RUNNING and row.spawner_state["life"]["kept"] == 1
    other = installation.launch("sleep 60", idle_minutes=60)
    row = installation.until(other, State.ENDED, seconds=30)
    assert (row.reason, row.message) == (Reason.IDLE, Reason.IDLE.label)
    assert installation.session(pk).state == State.RUNNING


def test_what_is_used_is_not_idle_but_ages(installation: Installation) -> None:
    installation.start_agent("busy", TEST_MINUTE="0.1")
    used = installation.launch("sleep 60", idle_minutes=20)
    old = installation.launch("sleep 60", maximum_age_hours=60)
    row = installation.until(old, State.ENDED, seconds=30)
    assert row.reason == Reason.TOO_OLD
    assert installation.session(used).state == State.RUNNING


def test_a_desktop_that_was_started_ahead_is_a_session_at_once(installation: Installation) -> None:
    installation.start_agent()
    template = installation.template("sleep 60", prewarm=1)
    spares = SpareDesktop.objects.using(ALIAS)
    spare = wait_for(lambda: spares.filter(ready=True).first(), 20, "the spare")
    assert not sessions().exists()
    pk = spare.pk
    took, init = take(installation, template, spare)
    print(f"taken after {took:.3f} s")
    assert took < 1.5, f"{took:.2f} s"
    row = installation.session(pk)
    assert row.spawner_state["init"] == init and row.started_at is not None
    other = wait_for(lambda: spares.filter(ready=True).first(), 20, "the next spare")
    # Taken while no agent is there: the next one finds the desktop.
    agent = installation.agents[-1]
    agent.kill()
    agent.wait(10)
    row, init = write_session(template, other)
    installation.start_agent()
    row = installation.until(row.pk, State.RUNNING)
    assert row.spawner_state["init"] == init and ProcessId.from_state(init).alive()
    # A template that wants none any more, and the machine's end, give up what is ahead.
    wait_for(lambda: spares.filter(ready=True).exists(), 20, "the third spare")
    gone = spares.get().pk
    SessionTemplate.objects.using(ALIAS).update(prewarm=0)
    wait_for(lambda: not spares.exists(), 10, "the spare to be given up")
    assert [line for line in installation.processes_of(gone) if gone.hex[:12] in line] == []


def write_session(template: SessionTemplate, spare: SpareDesktop) -> tuple[DesktopSession, dict[str, Any]]:
    """What `do_launch` writes, through the test's alias."""
    spare.refresh_from_db()
    init = spare.spawner_state["init"]
    pk, host, state = spare.pk, spare.host, spare.spawner_state
    size = {"width": spare.width, "height": spare.height}
    values = {"owner": connections_user(), "template": template, "name": "S", "host": host, "spawner_state": state}
    with transaction.atomic(using=ALIAS):
        spare.delete()
        return sessions().create(id=pk, **values, **size), init


def take(installation: Installation, template: SessionTemplate, spare: SpareDesktop) -> tuple[float, dict[str, Any]]:
    row, init = write_session(template, spare)
    began = time.monotonic()
    installation.wake()
    installation.until(row.pk, State.RUNNING, seconds=10)
    return time.monotonic() - began, init


def test_a_host_that_vanishes_is_seen_and_one_that_comes_back_goes_on(installation: Installation) -> None:
    """Two agents on one machine; one stands still as if its machine were gone."""
    environment = {"STRIPEDESK_HOST_CAPACITY": "1"}
    stopped = installation.start_agent(name="host-a", **environment)
    pk = installation.launch("sleep 90")
    installation.until(pk, State.RUNNING)
    ended = None
    installation.start_agent(name="host-b", **environment)
    wait_for(lambda: hosts().filter(name="host-b", beat__gt=0).exists(), 15, "the other agent")
    before = installation.session(pk)
    os.kill(stopped.pid, signal.SIGSTOP)
    try:
        began = time.monotonic()
        row = wait_for(
            lambda: (row := installation.session(pk)).reason == Reason.HOST_LOST and row, 20, "the loss to be seen"
        )
        ended = time.monotonic() - began
        assert row.state == State.RECOVERING and "does not answer" in row.message
        assert hosts().get(name="host-a").lost
        other = installation.launch("sleep 90")  # goes where somebody is
        assert installation.until(other, State.RUNNING).host.name == "host-b"
    finally:
        os.kill(stopped.pid, signal.SIGCONT)
    assert ended < LOST_AFTER.total_seconds() + 5, f"seen after {ended:.1f} s"
    row = installation.until(pk, State.RUNNING, seconds=15)
    assert row.spawner_state == before.spawner_state and not hosts().get(name="host-a").lost


def test_what_was_stopped_while_its_host_was_lost_is_cleared_when_it_is_back(installation: Installation) -> None:
    stopped = installation.start_agent(name="host-a")
    pk = installation.launch("sleep 90")
    init = installation.until(pk, State.RUNNING).spawner_state["init"]
    os.kill(stopped.pid, signal.SIGSTOP)
    try:
        # What another agent or a web process writes of it (tests/sessions/host/test_hosts.py).
        hosts().update(lost=True)
        ended = {"state": State.ENDED, "reason": Reason.STOPPED_BY_USER, "wanted": "stopped", "message": "Stopped."}
        sessions().filter(pk=pk).update(**ended, spawner_state={})
        assert ProcessId.from_state(init).alive()
    finally:
        os.kill(stopped.pid, signal.SIGCONT)
    wait_for(lambda: not ProcessId.from_state(init).alive(), 10, "the desktop to be cleared away")
    wait_for(lambda: not installation.paths(pk).data.exists(), 10, "its files to go")
    row = installation.session(pk)
    assert (row.state, row.reason, row.message) == (State.ENDED, Reason.STOPPED_BY_USER, "Stopped.")


def test_a_drained_host_takes_nothing_new(installation: Installation) -> None:
    installation.start_agent()
    wait_for(lambda: hosts().filter(beat__gt=0).exists(), 15, "the agent")
    first = installation.launch("sleep 60")
    installation.until(first, State.RUNNING)
    hosts().update(draining=True)
    second = installation.launch("sleep 60")
    wait_for(lambda: installation.session(second).message.startswith("Number 1"), 10, "his place")
    time.sleep(2.5)
    assert installation.session(second).state == State.REQUESTED
    assert installation.session(first).state == State.RUNNING
    hosts().update(draining=False)
    installation.until(second, State.RUNNING)
