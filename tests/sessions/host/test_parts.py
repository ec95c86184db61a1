"""The spawner's parts one by one: configuration, uids, cookies, reports, process ids, networks, logs."""

from __future__ import annotations

import asyncio
import errno
import ipaddress
import os
import signal
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest
from django.core.exceptions import ImproperlyConfigured
from hypothesis import given
from hypothesis import strategies as st

from sessions.conf import check_host_name, conf
from sessions.hostagent.logs import LOG_KEPT, LOG_LIMIT, shorten
from sessions.spawners import network, processes, uids, xauth
from sessions.spawners.base import SpawnError
from sessions.spawners.desktop_command import split_command
from sessions.spawners.paths import SessionPaths, known_sessions
from sessions.spawners.processes import ProcessId, wait_ended
from sessions.spawners.report import MESSAGE_LIMIT, explain, of_os_error, read_report, with_tail
from sessions.states import Reason, Stage


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"RUNTIME_DIR": Path("/run/" + "long" * 30)}, "STRIPEDESK_RUNTIME_DIR is .* bytes too long"),
        ({"UID_BASE": 0}, "STRIPEDESK_UID_BASE must be between"),
        ({"HOST_CAPACITY": -1}, "STRIPEDESK_HOST_CAPACITY must be between"),
        ({"SESSIONS_PER_USER": 0}, "STRIPEDESK_SESSIONS_PER_USER must be between"),
        ({"HOST_NAME": "a host"}, "cannot be a host's name"),
    ],
)
def test_a_wrong_setting_names_its_variable(settings: Any, change: dict[str, Any], words: str) -> None:
    settings.STRIPEDESK = {**settings.STRIPEDESK, **change}
    with pytest.raises(ImproperlyConfigured, match=words):
        conf()


def test_a_wrong_redis_url_is_refused_without_showing_its_password(settings: Any) -> None:
    settings.REDIS_URL = "http://user:hunter2@somewhere"
    with pytest.raises(ImproperlyConfigured, match="REDIS_URL must start with") as caught:
        conf()
    assert "hunter2" not in str(caught.value)


def test_a_host_may_be_called_after_its_machine(settings: Any) -> None:
    settings.STRIPEDESK = {**settings.STRIPEDESK, "HOST_NAME": ""}
    assert conf().host_name == check_host_name(conf().host_name)


def test_the_longest_socket_fits_where_the_configuration_says_it_does(settings: Any) -> None:
    runtime = Path("/" + "r" * (107 - len("/s/0123456789ab/x/X0") - 1))
    settings.STRIPEDESK = {**settings.STRIPEDESK, "RUNTIME_DIR": runtime}
    assert conf().runtime_dir == runtime
    assert len(str(SessionPaths("f" * 32, runtime, runtime).x_socket)) == 107


def test_an_authority_file_is_what_xauth_reads(tmp_path: Path) -> None:
    cookie = xauth.make_cookie()
    path = tmp_path / "authority"
    path.write_bytes(xauth.pack(cookie, 0))
    listed = subprocess.run(["xauth", "-f", str(path), "list"], capture_output=True, text=True, check=True).stdout
    assert f"MIT-MAGIC-COOKIE-1  {cookie.hex()}" in listed
    assert xauth.unpack(path.read_bytes()) == cookie


@given(st.binary(max_size=80))
def test_a_broken_authority_file_is_an_error_not_a_crash(data: bytes) -> None:
    with pytest.raises(ValueError, match="Xauthority"):
        xauth.unpack(data)


def test_slots_are_claimed_once_and_given_back(tmp_path: Path) -> None:
    first, second = uids.claim(tmp_path, 1_500_000, "a" * 32), uids.claim(tmp_path, 1_500_000, "b" * 32)
    assert (first.desktop, first.worker, second.desktop) == (1_500_000, 1_500_001, 1_500_002)
    uids.release(tmp_path, "a" * 32)
    assert uids.claim(tmp_path, 1_500_000, "c" * 32).slot == 0
    uids.release(tmp_path, "never-claimed")


def test_uids_that_somebody_uses_are_passed_over(tmp_path: Path) -> None:
    assert uids.claim(tmp_path, os.geteuid() or 0, "a" * 32).slot != 0


def test_no_slot_left_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(uids, "MOST_SLOTS", 1)
    uids.claim(tmp_path, 1_500_000, "a" * 32)
    with pytest.raises(SpawnError, match="Stop some sessions") as caught:
        uids.claim(tmp_path, 1_500_000, "b" * 32)
    assert caught.value.reason is Reason.OUT_OF_RESOURCES


def test_a_report_is_read_line_by_line(tmp_path: Path) -> None:
    path = tmp_path / "report"
    path.write_text(
        "stage display\ndisplay 3\nstage stream\nfailed command-died 'x' ended at once.\nended no-display\n"
    )
    report = read_report(path)
    assert (report.stage, report.display) == (Stage.STREAM, 3)
    assert report.end is not None and report.end.reason is Reason.COMMAND_DIED and report.end.failed


@pytest.mark.parametrize(
    "line",
    ["stage sandbox", "stage x", "display -1", "display 99999999999", "display ٣", "failed host-lost x", "ended", "\0"],
)
def test_a_report_is_not_believed_what_it_may_not_say(tmp_path: Path, line: str) -> None:
    path = tmp_path / "report"
    path.write_text(line)
    report = read_report(path)
    assert (report.stage, report.display, report.end) == (None, None, None)


@given(st.binary(max_size=3000))
def test_any_bytes_make_a_message_that_can_be_shown(tmp_path_factory: pytest.TempPathFactory, data: bytes) -> None:
    directory = tmp_path_factory.mktemp("log")
    (directory / "report").write_bytes(data)
    (directory / "log").write_bytes(data)
    message = explain(read_report(directory / "report"), directory / "log").message
    assert message.isprintable() and 0 < len(message) <= 500
    assert len(with_tail("A sentence.", directory / "log")) <= MESSAGE_LIMIT


def test_a_log_is_cut_while_it_is_written(tmp_path: Path) -> None:
    log = tmp_path / "log"
    writer = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.write(writer, b"early\n" * 300_000)
    assert log.stat().st_size > LOG_LIMIT
    shorten(log)
    os.write(writer, b"late\n")
    os.close(writer)
    content = log.read_bytes()
    assert len(content) == LOG_KEPT + 5 and content.endswith(b"early\nlate\n")


@pytest.mark.parametrize(
    ("number", "reason", "words"),
    [
        (errno.ENOSPC, Reason.OUT_OF_RESOURCES, "Free some space"),
        (errno.EDQUOT, Reason.OUT_OF_RESOURCES, "Free some space"),
        (errno.ENOMEM, Reason.OUT_OF_RESOURCES, "Stop other sessions"),
        (errno.EACCES, Reason.NO_SANDBOX, "could not be made"),
    ],
)
def test_errors_of_the_system_have_a_remedy(number: int, reason: Reason, words: str) -> None:
    error = of_os_error(OSError(number, os.strerror(number), "/somewhere"))
    assert error.reason is reason and words in str(error)


def test_a_command_is_split_without_a_shell() -> None:
    assert split_command("xterm -e 'a b' $HOME `id`") == ["xterm", "-e", "a b", "$HOME", "`id`"]
    with pytest.raises(SpawnError, match="No closing quotation"):
        split_command("xterm '")


def test_a_process_is_not_mistaken_for_another() -> None:
    child = subprocess.Popen(["sleep", "60"])
    identity = ProcessId.of(child.pid)
    assert identity is not None and identity.alive()
    state = identity.to_state()
    assert ProcessId.from_state(state) == identity
    for wrong in (None, "x", {}, {**state, "boot": "another"}, {**state, "pid": "1"}, {**state, "pid": 1}):
        assert ProcessId.from_state(wrong) is None
    assert not ProcessId(child.pid, identity.started + 1).signal(signal.SIGKILL)
    assert child.poll() is None
    child.kill()
    processes._wait([identity], 5)
    assert not identity.alive()  # though it is a zombie still
    child.wait()
    assert ProcessId.of(child.pid) != identity


async def test_an_end_is_noticed_without_polling() -> None:
    child = subprocess.Popen(["sleep", "60"])  # noqa: ASYNC220
    identity = ProcessId.of(child.pid)
    assert identity is not None
    waiting = asyncio.create_task(wait_ended(identity))
    await asyncio.sleep(0.05)
    assert not waiting.done()
    began = time.monotonic()
    child.kill()
    await asyncio.wait_for(waiting, 2)
    assert time.monotonic() - began < 0.3
    child.wait()
    await asyncio.wait_for(wait_ended(identity), 1)  # long gone


def test_the_machine_itself_is_never_taken_for_a_sandbox() -> None:
    own = ProcessId.of(os.getpid())
    assert own is not None and processes.in_namespace_of(own) == []


def test_the_polite_end_comes_before_the_kill() -> None:
    script = "trap '' TERM; echo ready; while :; do sleep 0.05; done"
    stubborn = subprocess.Popen(["sh", "-c", script], stdout=subprocess.PIPE)
    assert stubborn.stdout is not None and stubborn.stdout.readline() == b"ready\n"
    identity = ProcessId.of(stubborn.pid)
    assert identity is not None
    processes.end_all([identity], grace=0.2)
    assert stubborn.wait(2) == -signal.SIGKILL
    stubborn.stdout.close()


def test_a_sandbox_gets_a_network_the_host_does_not_use() -> None:
    host = [ipaddress.IPv4Interface("10.0.2.15/24")]
    chosen = network.choose_network(host)
    assert not chosen.overlaps(host[0].network)
    assert network.choose_network([]) == ipaddress.IPv4Network("10.0.2.0/24")
    assert str(network.resolver_of(ipaddress.IPv4Network("10.0.2.0/24"))) == "10.0.2.3"


def test_paths_are_made_empty_and_removed(tmp_path: Path) -> None:
    paths = SessionPaths("ab" * 16, tmp_path / "r", tmp_path / "s")
    (tmp_path / "r").mkdir()
    (tmp_path / "s").mkdir()
    paths.make()
    (paths.home / "left").write_text("")
    assert known_sessions(tmp_path / "r", tmp_path / "s") == {"ab" * 16}
    paths.make()
    assert list(paths.home.iterdir()) == []
    paths.remove()
    paths.remove()
    assert known_sessions(tmp_path / "r", tmp_path / "s") == set()
