"""The host agent as a process: it starts what is wanted, stops it, and finds it again."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import redis
from django.db import connections

from sessions.models import DesktopSession, SessionHost
from sessions.spawners.processes import ProcessId
from sessions.states import Reason, Stage, State

from .conftest import ALIAS, REDIS_GID, ROOT, UID_BASE, Installation, desktop_process, wait_for

pytestmark = pytest.mark.usefixtures("root")


def assert_no_trace(installation: Installation, pk: object) -> None:
    assert installation.processes_of(pk) == []
    assert not installation.paths(pk).runtime.exists() and not installation.paths(pk).data.exists()
    assert list(installation.runtime.glob("uids/*")) == []
    assert str(installation.runtime / "s") not in Path("/proc/mounts").read_text()


def test_a_terminal_runs_and_stops_without_a_trace(installation: Installation) -> None:
    installation.start_agent()
    pk = installation.launch("xterm")
    row = installation.until(pk, State.RUNNING)
    assert row.started_at is not None and row.stage == "" and row.host.name == "host-a"
    assert SessionHost.objects.using(ALIAS).get().sandboxed
    assert any("Xvfb" in line for line in installation.processes_of(pk))
    installation.stop(pk)
    row = installation.until(pk, State.ENDED)
    assert (row.reason, row.message) == (Reason.STOPPED_BY_USER, Reason.STOPPED_BY_USER.label)
    assert row.ended_at is not None and row.spawner_state == {}
    assert_no_trace(installation, pk)


def test_an_odd_size_is_the_screens_size_before_the_application_starts(installation: Installation) -> None:
    installation.start_agent()
    pk = installation.launch("sh -c 'xdpyinfo > $HOME/seen; exec sleep 60'", width=1367, height=769)
    installation.until(pk, State.RUNNING)
    seen = installation.home(pk) / "seen"
    wait_for(lambda: seen.exists() and "dimensions" in seen.read_text(), 5, "xdpyinfo")
    assert "dimensions:    1367x769 pixels" in seen.read_text()
    # The server itself was started larger, so that the screen can grow while it runs.
    assert "maximum 1920 x 1080" in installation.inside(pk, "xrandr").stdout


def test_a_session_that_is_not_wanted_any_more_never_starts(installation: Installation) -> None:
    pk = installation.launch()
    installation.stop(pk, "stopped-by-operator")
    installation.start_agent()
    row = installation.until(pk, State.ENDED)
    assert row.reason == Reason.STOPPED_BY_OPERATOR and row.started_at is None and row.host is None


def test_a_stop_while_starting_is_obeyed(installation: Installation) -> None:
    installation.start_agent("hang")
    pk = installation.launch()
    wait_for(lambda: installation.session(pk).stage == Stage.STREAM, 15, "the last stage")
    installation.stop(pk)
    row = installation.until(pk, State.ENDED, seconds=10)
    assert row.reason == Reason.STOPPED_BY_USER
    assert_no_trace(installation, pk)


@pytest.mark.parametrize(
    ("command", "reason", "words"),
    [
        ("no-such-program --at all", Reason.COMMAND_NOT_FOUND, "no program called 'no-such-program'"),
        ("sh -c 'echo its last lines >&2; exit 7'", Reason.COMMAND_DIED, "status 7). Its last words: its last lines"),
        ("xterm -e 'unclosed", Reason.COMMAND_NOT_FOUND, "No closing quotation"),
        ("", Reason.COMMAND_NOT_FOUND, "names no command"),
    ],
)
def test_a_command_that_cannot_run_fails_the_session(
    installation: Installation, command: str, reason: Reason, words: str
) -> None:
    installation.start_agent()
    pk = installation.launch(command)
    row = wait_for(lambda: (row := installation.session(pk)).state == State.FAILED and row, 15, "the failure")
    assert row.reason == reason
    assert words in row.message
    assert_no_trace(installation, pk)


def test_an_application_that_is_closed_ends_the_session(installation: Installation) -> None:
    installation.start_agent()
    pk = installation.launch("sleep 2.6")
    installation.until(pk, State.RUNNING)
    row = installation.until(pk, State.ENDED, seconds=10)
    assert (row.reason, row.message) == (Reason.DESKTOP_EXITED, "The application was closed.")
    assert_no_trace(installation, pk)


def test_logging_out_of_a_desktop_ends_the_session(installation: Installation) -> None:
    installation.start_agent()
    pk = installation.launch("", kind="desktop")
    installation.until(pk, State.RUNNING)
    assert {"openbox", "tint2"} <= set(installation.inside(pk, "ps -eo comm=").stdout.split())
    installation.inside(pk, "openbox --exit")
    row = installation.until(pk, State.ENDED)
    assert row.reason == Reason.DESKTOP_EXITED and "logged out" in row.message


def test_a_killed_desktop_is_noticed_at_once(installation: Installation) -> None:
    installation.start_agent()
    pk = installation.launch()
    row = installation.until(pk, State.RUNNING)
    os.kill(row.spawner_state["init"]["pid"], signal.SIGKILL)
    began = time.monotonic()
    row = wait_for(lambda: (row := installation.session(pk)).state == State.FAILED and row, 5, "the failure")
    assert time.monotonic() - began < 1.5
    assert row.reason == Reason.DESKTOP_EXITED and "unexpectedly" in row.message
    assert_no_trace(installation, pk)


def test_every_end_keeps_the_last_lines_of_its_log(installation: Installation) -> None:
    installation.start_agent()
    pk = installation.launch("sh -c 'printf \"\\\\033[2Jworked well\\\\n\" >&2; exec sleep 60'")
    installation.until(pk, State.RUNNING)
    installation.stop(pk)
    row = installation.until(pk, State.ENDED)
    assert row.log_tail.endswith("\\x1b[2Jworked well")
    assert row.cpu_seconds > 0  # what it used is accounted, however short it was


def test_a_dead_worker_is_replaced_and_the_desktop_is_not_touched(installation: Installation) -> None:
    installation.start_agent()
    pk = installation.launch()
    row = installation.until(pk, State.RUNNING)
    init, worker = row.spawner_state["init"], row.spawner_state["worker"]
    os.kill(worker["pid"], signal.SIGKILL)
    wait_for(lambda: installation.session(pk).state == State.RECOVERING, 3, "recovering")
    row = installation.until(pk, State.RUNNING)
    assert row.spawner_state["init"] == init and row.spawner_state["worker"] != worker
    assert ProcessId.from_state(init).alive()


def test_a_worker_that_hangs_is_replaced(installation: Installation) -> None:
    installation.start_agent(TEST_SILENT="0.5")
    pk = installation.launch()
    row = installation.until(pk, State.RUNNING)
    worker = row.spawner_state["worker"]
    os.kill(desktop_process(worker["pid"]), signal.SIGSTOP)
    with installation.admin() as client:
        client.delete(f"stripedesk:session:{pk.hex}:status")  # as it does by itself after 15 s
    wait_for(lambda: installation.session(pk).spawner_state["worker"] != worker, 15, "another worker")
    row = installation.until(pk, State.RUNNING)
    assert (
        "the worker hangs and is killed" in installation.log()
        and ProcessId.from_state(row.spawner_state["init"]).alive()
    )


def test_a_database_that_is_away_delays_the_books_and_not_the_worker(installation: Installation) -> None:
    installation.start_agent()
    pk = installation.launch()
    row = installation.until(pk, State.RUNNING)
    database = installation.state / "stripedesk.sqlite3"
    connections[ALIAS].close()
    database.rename(database.with_name("hidden"))
    database.mkdir()  # whoever opens it now cannot
    try:
        wait_for(lambda: "the database cannot be reached" in installation.log(), 10, "the agent to notice")
        os.kill(row.spawner_state["worker"]["pid"], signal.SIGKILL)
        wait_for(lambda: "streamed with the settings last known" in installation.log(), 10, "another worker")
        wait_for(lambda: installation.status(pk).get("pid"), 10, "its status")
        assert "the database did not take a change" in installation.log()
    finally:
        database.rmdir()
        database.with_name("hidden").rename(database)
    wait_for(lambda: installation.session(pk).spawner_state["worker"] != row.spawner_state["worker"], 15, "the books")
    after = installation.until(pk, State.RUNNING)
    assert after.spawner_state["init"] == row.spawner_state["init"]


@pytest.mark.parametrize(("behaviour", "words"), [("refuse", "the test wants it so"), ("crash", "segmentation fault")])
def test_a_stream_that_never_comes_fails_the_session(installation: Installation, behaviour: str, words: str) -> None:
    installation.start_agent(behaviour)
    pk = installation.launch()
    row = wait_for(lambda: (row := installation.session(pk)).state == State.FAILED and row, 20, "the failure")
    assert row.reason == Reason.NO_STREAM and words in row.message
    assert_no_trace(installation, pk)


def test_redis_that_is_down_at_start_delays_the_stream_only(installation: Installation) -> None:
    installation.stop_redis()
    installation.start_agent()
    pk = installation.launch()
    wait_for(lambda: installation.session(pk).stage == Stage.STREAM, 15, "the last stage")
    installation.start_redis()
    installation.until(pk, State.RUNNING, seconds=20)


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM])
def test_a_new_agent_finds_what_the_last_one_left(installation: Installation, how: int) -> None:
    agent = installation.start_agent()
    pk = installation.launch()
    before = installation.until(pk, State.RUNNING)
    agent.send_signal(how)
    agent.wait(10)
    assert ProcessId.from_state(before.spawner_state["init"]).alive()
    assert ProcessId.from_state(before.spawner_state["worker"]).alive()

    installation.start_agent()
    wait_for(lambda: "found again" in installation.log(), 10, "the adoption")
    row = installation.session(pk)
    assert (row.state, row.spawner_state) == (State.RUNNING, before.spawner_state)
    # It is watched and obeyed as if it had been this agent's from the beginning.
    os.kill(row.spawner_state["worker"]["pid"], signal.SIGKILL)
    wait_for(lambda: installation.session(pk).spawner_state["worker"] != before.spawner_state["worker"], 5, "a worker")
    installation.until(pk, State.RUNNING)
    installation.stop(pk)
    installation.until(pk, State.ENDED)
    assert_no_trace(installation, pk)


def test_a_session_that_died_with_its_agent_is_host_lost(installation: Installation) -> None:
    agent = installation.start_agent()
    pk = installation.launch()
    row = installation.until(pk, State.RUNNING)
    agent.kill()
    agent.wait(10)
    os.kill(row.spawner_state["init"]["pid"], signal.SIGKILL)
    installation.start_agent()
    row = wait_for(lambda: (row := installation.session(pk)).state == State.FAILED and row, 10, "the failure")
    assert row.reason == Reason.HOST_LOST
    assert_no_trace(installation, pk)


def test_a_session_that_was_just_starting_is_started_again(installation: Installation) -> None:
    agent = installation.start_agent("hang")
    pk = installation.launch()
    wait_for(lambda: installation.session(pk).stage == Stage.STREAM, 15, "the last stage")
    agent.kill()
    agent.wait(10)
    # As if the agent had died before it could remember anything.
    DesktopSession.objects.using(ALIAS).filter(pk=pk).update(spawner_state={})
    left = installation.processes_of(pk)
    installation.start_agent()
    installation.until(pk, State.RUNNING)
    assert not set(left) & set(installation.processes_of(pk))


def test_what_nobody_knows_is_removed_at_start(installation: Installation) -> None:
    agent = installation.start_agent()
    pk = installation.launch()
    installation.until(pk, State.RUNNING)
    agent.kill()
    agent.wait(10)
    DesktopSession.objects.using(ALIAS).filter(pk=pk).delete()
    (installation.runtime / "s" / "half-made").mkdir()
    installation.start_agent()
    wait_for(lambda: not installation.paths(pk).runtime.exists(), 10, "the sweep")
    wait_for(lambda: not (installation.runtime / "s" / "half-made").exists(), 5, "the sweep")
    assert_no_trace(installation, pk)


def test_two_agents_share_the_work_and_never_a_session(installation: Installation) -> None:
    installation.start_agent(name="host-a", STRIPEDESK_HOST_CAPACITY="2")
    installation.start_agent(name="host-b", STRIPEDESK_HOST_CAPACITY="2")
    wait_for(lambda: SessionHost.objects.using(ALIAS).exclude(heartbeat=None).count() == 2, 15, "both agents")
    keys = [installation.launch("sleep 60") for _ in range(5)]
    states = lambda: [installation.session(pk).state for pk in keys]  # noqa: E731
    wait_for(lambda: states().count(State.RUNNING) == 4, 30, lambda: f"four running, there are {states()}")
    hosts = [installation.session(pk).host_id for pk in keys]
    assert len({host for host in hosts if host}) == 2 and hosts.count(None) == 1
    assert max(hosts.count(host) for host in set(hosts) - {None}) == 2  # nobody takes more than there is room for
    for pk in keys:
        if installation.session(pk).state == State.RUNNING:
            assert sum("Xvfb" in line for line in installation.processes_of(pk) if pk.hex[:12] in line) <= 1
    waiting = next(pk for pk in keys if installation.session(pk).state == State.REQUESTED)
    installation.stop(next(pk for pk in keys if pk != waiting))
    installation.until(waiting, State.RUNNING, seconds=20)


def test_a_second_agent_of_the_same_name_says_so(installation: Installation) -> None:
    installation.start_agent()
    wait_for(lambda: SessionHost.objects.using(ALIAS).exists(), 10, "the agent")
    environment = {**installation.environment, "STRIPEDESK_HOST_NAME": "host-a"}
    command = [sys.executable, str(ROOT / "manage.py"), "sessionhost"]
    second = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=20, check=False)
    assert second.returncode == 1
    assert "A host agent called host-a runs already" in second.stderr


def test_a_full_disk_fails_the_session_and_says_what_to_do(installation: Installation) -> None:
    desktops = installation.state / "desktops"
    desktops.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=4k,nr_inodes=2", "tmpfs", str(desktops)], check=False)
    if mounted.returncode:
        pytest.skip("cannot mount here")
    try:
        installation.start_agent()
        pk = installation.launch()
        row = wait_for(lambda: (row := installation.session(pk)).state == State.FAILED and row, 15, "the failure")
    finally:
        subprocess.run(["umount", "-l", str(desktops)], check=True)
    assert row.reason == Reason.OUT_OF_RESOURCES and row.attempts == 1  # it was tried twice
    assert "disk is full" in row.message and "Free some space" in row.message


def test_a_start_that_failed_for_a_passing_reason_is_tried_once_more(installation: Installation) -> None:
    desktops = installation.state / "desktops"
    desktops.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=4k,nr_inodes=2", "tmpfs", str(desktops)], check=False)
    if mounted.returncode:
        pytest.skip("cannot mount here")
    try:
        installation.start_agent()
        pk = installation.launch()
        wait_for(lambda: "tried once more" in installation.session(pk).message, 15, "the reason to be told")
        assert "disk is full" in installation.session(pk).message
    finally:
        subprocess.run(["umount", "-l", str(desktops)], check=True)
    row = installation.until(pk, State.RUNNING)
    assert (row.attempts, row.reason) == (1, "")
    installation.stop(pk)
    installation.until(pk, State.ENDED)
    assert_no_trace(installation, pk)


def test_without_bubblewrap_nothing_starts_unless_the_operator_allows_it(
    installation: Installation, tmp_path: Path
) -> None:
    for directory in ("/usr/bin", "/usr/sbin"):
        for program in Path(directory).iterdir():
            if program.name != "bwrap" and not (tmp_path / program.name).exists():
                (tmp_path / program.name).symlink_to(program)
    agent = installation.start_agent(PATH=str(tmp_path))
    pk = installation.launch()
    row = wait_for(lambda: (row := installation.session(pk)).state == State.FAILED and row, 15, "the failure")
    assert row.reason == Reason.NO_SANDBOX and "Not installed: bwrap (bubblewrap)" in row.message
    host = SessionHost.objects.using(ALIAS).get()
    assert not host.sandboxed and "No session can start" in host.problem
    agent.terminate()
    agent.wait(10)

    installation.start_agent(PATH=str(tmp_path), STRIPEDESK_ALLOW_UNSANDBOXED="1")
    pk = installation.launch("sleep 60")
    row = installation.until(pk, State.RUNNING)
    assert row.spawner_state["sandboxed"] is False
    assert "WITHOUT A SANDBOX" in SessionHost.objects.using(ALIAS).get().problem
    init = ProcessId.from_state(row.spawner_state["init"])
    installation.stop(pk)
    installation.until(pk, State.ENDED)
    assert not init.alive()
    assert_no_trace(installation, pk)


def test_the_worker_sees_its_session_and_nothing_else(installation: Installation) -> None:
    installation.start_agent()
    pk = installation.launch()
    row = installation.until(pk, State.RUNNING)
    status = installation.status(pk)
    assert status["uid"] == UID_BASE + 2 * row.spawner_state["slot"] + 1
    assert status["groups"] == [REDIS_GID]
    assert status["interfaces"] == ["lo"]
    known = "HOME LANG LC_CTYPE PATH PWD PYTHONDONTWRITEBYTECODE PYTHONPATH PYTHONUNBUFFERED"
    assert set(status["environment"]) <= set(known.split())
    assert "home" not in status["files"] and "var" not in status["files"]
    assert status["settings"]["mode"] == "jpeg"
    config = installation.paths(pk).worker_config
    assert (config.stat().st_mode & 0o777, config.stat().st_uid) == (0o400, status["uid"])

    # Its Redis user reaches its own session's channels and key alone.
    url = json.loads(config.read_text())["redis_url"]
    with redis.Redis.from_url(url) as client:
        assert client.publish(f"stripedesk__group__session.{pk.hex}", b"") == 0
        for forbidden in (
            lambda: client.publish(f"stripedesk__group__session.{'0' * 32}", b""),
            lambda: client.publish("stripedesk__group__hosts", b""),
            lambda: client.get(f"stripedesk:session:{'0' * 32}:status"),
            lambda: client.keys("*"),
            lambda: client.config_get("*"),
        ):
            with pytest.raises(redis.exceptions.NoPermissionError):
                forbidden()
    installation.stop(pk)
    installation.until(pk, State.ENDED)
    with pytest.raises(redis.exceptions.AuthenticationError), redis.Redis.from_url(url) as client:
        client.ping()
