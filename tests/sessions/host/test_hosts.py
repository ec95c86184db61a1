"""A host whose heartbeat is missed is lost, by the clock of who watches and no other; its sessions say so."""

from __future__ import annotations

import subprocess
import sys
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.utils import timezone

from sessions.hostagent.lifecycle import Lifecycle
from sessions.hosts import GONE_AFTER, HostWatch, Turn
from sessions.models import DesktopSession, SessionHost, SessionTemplate
from sessions.models.session_host import LOST_AFTER
from sessions.states import Reason, State, Wanted

pytestmark = pytest.mark.django_db

LONG = LOST_AFTER.total_seconds() + 0.1


class Clock:
    now = 5.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def told() -> list[dict[str, Any]]:
    return []


@pytest.fixture
def watch(clock: Clock, told: list[dict[str, Any]]) -> HostWatch:
    return HostWatch(Lifecycle(lambda _, message: told.append(message["event"])), "me", clock)


@pytest.fixture
def host() -> SessionHost:
    return SessionHost.objects.create(name="other", heartbeat=timezone.now(), beat=1)


def session(host: SessionHost | None, state: State, **fields: Any) -> DesktopSession:
    owner, _ = User.objects.get_or_create(username="olga")
    template, _ = SessionTemplate.objects.get_or_create(slug="t", defaults={"name": "T", "command": "xterm"})
    values = {"owner": owner, "template": template, "name": "S", "width": 640, "height": 480, **fields}
    return DesktopSession.objects.create(host=host, state=state, **values)


@pytest.mark.django_db(transaction=True)
def test_a_missed_heartbeat_is_said_of_the_host_and_of_its_sessions(
    watch: HostWatch, clock: Clock, host: SessionHost, told: list[dict[str, Any]]
) -> None:
    running, starting = session(host, State.RUNNING), session(host, State.STARTING, stage="desktop")
    elsewhere = session(SessionHost.objects.create(name="me"), State.RUNNING)
    watch.look()
    clock.now += LONG
    watch.look()
    for row in (host, running, starting, elsewhere):
        row.refresh_from_db()
    assert host.lost and not host.alive
    assert (running.state, running.reason) == (State.RECOVERING, Reason.HOST_LOST)
    assert "does not answer" in running.message
    assert (starting.state, starting.stage) == (State.STARTING, "desktop") and "does not answer" in starting.message
    assert elsewhere.state == State.RUNNING
    assert {event["state"] for event in told} == {"recovering", "starting"}


def test_a_host_that_beats_is_never_lost_whatever_the_clocks_say(
    watch: HostWatch, clock: Clock, host: SessionHost
) -> None:
    for days in (-4000, 0, 4000):
        SessionHost.objects.filter(pk=host.pk).update(heartbeat=timezone.now() + timedelta(days=days), beat=days)
        watch.look()
        clock.now += LONG
    SessionHost.objects.filter(pk=host.pk).update(beat=7)
    watch.look()
    host.refresh_from_db()
    assert not host.lost and host.alive


def test_a_watcher_that_slept_takes_nobody_for_lost(watch: HostWatch, clock: Clock, host: SessionHost) -> None:
    watch.look()
    clock.now += 3600
    SessionHost.objects.filter(pk=host.pk).update(beat=1800)
    watch.look()
    host.refresh_from_db()
    assert not host.lost


def test_what_is_stopped_on_a_lost_host_ends(watch: HostWatch, clock: Clock, host: SessionHost) -> None:
    row = session(host, State.RUNNING)
    watch.look()
    clock.now += LONG
    watch.look()
    DesktopSession.objects.filter(pk=row.pk).update(wanted=Wanted.STOPPED, stop_reason=Reason.STOPPED_BY_USER)
    watch.look()
    row.refresh_from_db()
    assert (row.state, row.reason) == (State.ENDED, Reason.STOPPED_BY_USER)
    assert "clears what is left" in row.message


def test_after_a_long_time_its_sessions_fail(watch: HostWatch, clock: Clock, host: SessionHost) -> None:
    row = session(host, State.RECOVERING)
    watch.look()
    clock.now += LONG
    watch.look()
    row.refresh_from_db()
    assert row.state == State.RECOVERING
    clock.now += GONE_AFTER.total_seconds()
    watch.look()
    row.refresh_from_db()
    assert (row.state, row.reason) == (State.FAILED, Reason.HOST_LOST)


def test_the_sessions_of_a_host_that_was_removed_fail(watch: HostWatch, host: SessionHost) -> None:
    row = session(host, State.RUNNING)
    host.delete()
    watch.look()
    row.refresh_from_db()
    assert (row.state, row.reason) == (State.FAILED, Reason.HOST_LOST)


def test_one_that_was_to_take_a_spare_there_can_start_anywhere(
    watch: HostWatch, clock: Clock, host: SessionHost
) -> None:
    row = session(host, State.REQUESTED)
    watch.look()
    clock.now += LONG
    watch.look()
    row.refresh_from_db()
    assert row.host is None and row.state == State.REQUESTED


def test_one_process_of_a_machine_watches_and_another_when_it_is_killed(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    code = f"import fcntl, os, time; fcntl.flock(os.open({str(path)!r}, os.O_RDWR | os.O_CREAT), fcntl.LOCK_EX)"
    other = subprocess.Popen([sys.executable, "-c", f"{code}; print(flush=True); time.sleep(60)"], stdout=-1)
    assert other.stdout is not None and other.stdout.readline()
    mine, third = Turn(path), Turn(path)
    assert not mine.mine()
    other.kill()
    other.wait()
    assert mine.mine() and mine.mine()
    assert not third.mine()


def test_without_a_file_everybody_watches(tmp_path: Path) -> None:
    assert Turn(tmp_path / "missing" / "lock").mine()
