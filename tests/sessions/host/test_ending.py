"""When a session ends by itself, what it has used, and what of its logs is kept."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sessions.hostagent.ending import KEEP_S, WARNING_S, Ending, Policy, last_use
from sessions.hostagent.logs import LINE_LENGTH, TAIL_LENGTH, TAIL_LINES, escaped, tail_of
from sessions.hostagent.messages import WorkerStatus, parse_status
from sessions.hostagent.usage import Meter, Usage
from sessions.spawners.paths import SessionPaths
from sessions.states import Reason

QUIET = WorkerStatus("streaming", "", input_s=5000, picture_s=5000)


def policy(idle_s: float = 1800, age_s: float = 0, since: float = 0) -> Policy:
    return Policy(idle_s, age_s, since)


@pytest.mark.parametrize(
    ("status", "busy_at"),
    [
        (WorkerStatus("streaming", "", input_s=1, picture_s=5000), 0.0),
        (WorkerStatus("streaming", "", input_s=5000, picture_s=1), 0.0),
        (WorkerStatus("streaming", "", input_s=5000, picture_s=5000, audio_s=1), 0.0),
        (QUIET, 4999.0),
        (WorkerStatus("streaming", "", input_s=None, picture_s=5000), 0.0),
        (WorkerStatus("streaming", "", input_s=5000, picture_s=None), 0.0),
        (None, 0.0),
    ],
)
def test_a_session_is_idle_only_if_everything_is_quiet_and_known(status: WorkerStatus | None, busy_at: float) -> None:
    assert policy().look(5000, QUIET, 0.0) == Ending(Reason.IDLE, -3200)
    assert policy().look(5000, status, busy_at) is None


def test_the_end_is_announced_before_it_comes() -> None:
    status = WorkerStatus("streaming", "", input_s=1600, picture_s=1700)
    assert last_use(2000, status, 100) == 400
    assert policy().look(2000, status, 100) == Ending(Reason.IDLE, 200)
    assert policy().look(400 + 1800 - WARNING_S - 1, WorkerStatus("", "", 1499, 1499), 100) is None
    # A limit of a minute is not announced from the beginning.
    assert policy(idle_s=60).look(1000, WorkerStatus("", "", 20, 20), 0) is None
    assert policy(idle_s=60).look(1000, WorkerStatus("", "", 40, 40), 0) == Ending(Reason.IDLE, 20)


def test_who_keeps_a_session_has_two_hours_more_and_no_longer_life() -> None:
    kept = policy(age_s=8000)
    kept.keep(5000)
    assert kept.look(5000, QUIET, 0) is None
    assert kept.look(5000 + KEEP_S - 10, QUIET, 0) == Ending(Reason.TOO_OLD, 8000 - 5000 - KEEP_S + 10)
    forever = policy()
    forever.keep(5000)
    assert forever.look(5000 + KEEP_S - 10, QUIET, 0) == Ending(Reason.IDLE, 10)


def test_age_ends_what_is_used_and_counts_from_when_its_owner_got_it() -> None:
    busy = WorkerStatus("streaming", "", 0, 0)
    assert policy(age_s=3600, since=1000).look(4500, busy, 4500) == Ending(Reason.TOO_OLD, 100)
    assert policy(age_s=3600, since=1000).look(1100, busy, 1100) is None
    assert policy(idle_s=0).look(1e9, QUIET, 0) is None


@pytest.mark.parametrize("value", ['"1"', "-1", "1e999", "NaN", "true", "null", "[]"])
def test_an_age_that_makes_no_sense_is_not_known(value: str) -> None:
    assert parse_status(f'{{"state": "streaming", "input_s": {value}, "picture_s": 3}}'.encode()) == WorkerStatus(
        "streaming", "", None, 3.0
    )


@given(st.binary(max_size=200))
def test_any_status_is_read_without_an_error(raw: bytes) -> None:
    assert isinstance(parse_status(raw), WorkerStatus)


def test_the_time_of_children_that_have_ended_counts() -> None:
    """A shell whose child has burnt processor time and is gone; and a process that is nobody's descendant does not."""
    burn = "import time; e = time.process_time() + 0.3\nwhile time.process_time() < e: pass"
    line = ["sh", "-c", f'"{sys.executable}" -c "$0"; echo; exec sleep 30', burn]
    with subprocess.Popen(line, stdout=subprocess.PIPE) as shell:
        try:
            assert shell.stdout is not None and shell.stdout.readline()
            usage = Usage()
            usage.sample()
            used = usage.of(shell.pid)
            assert used is not None and 0.25 <= used < 3
            everything = usage.of(os.getpid())
            assert everything is not None and everything >= used
            assert usage.of(2**22 + 1) is None
        finally:
            shell.kill()


def test_a_meter_counts_what_is_new_and_notes_work() -> None:
    meter = Meter(now=0)
    meter.note(10.0, 100)
    assert (meter.take(), meter.busy_at) == (0.0, 0)  # what was before is not known to be new
    meter.note(10.05, 105)
    assert meter.busy_at == 0  # 1 % of a core is a clock that ticks
    meter.note(10.55, 110)
    assert meter.busy_at == 110
    assert meter.take() == pytest.approx(0.55) and meter.take() == 0
    meter.note(3.0, 115)
    assert meter.take() == 0
    meter.note(4.0, 120)
    meter.restart(120)
    assert meter.take() == 0


def test_last_lines_are_few_short_and_escaped(tmp_path: Path) -> None:
    paths = SessionPaths("f" * 32, tmp_path / "run", tmp_path / "state")
    paths.data.mkdir(parents=True)
    hostile = b"\x1b[2J\x1b]0;owned\x07<script>alert(1)</script>\xff\xfe \xe2\x80\xae gnp.exe\r\n\n\x00\n"
    paths.desktop_log.write_bytes(b"early\n" * 100_000 + b"x" * 5000 + b"\n" + hostile)
    paths.worker_log.write_bytes(b"the worker\n")
    tail = tail_of(paths, with_worker=False)
    lines = tail.split("\n")
    assert lines[0] == "[desktop]" and len(lines) <= TAIL_LINES + 1 and "the worker" not in tail
    assert lines[-2] == "\\x1b[2J\\x1b]0;owned\\x07<script>alert(1)</script>\\xff\\xfe \\u202e gnp.exe"
    assert lines[-1] == "\\x00" and len(lines[-3]) == LINE_LENGTH
    assert tail_of(paths, with_worker=True).endswith("[worker]\nthe worker")
    paths.desktop_log.write_bytes(("y" * 290 + "\n").encode() * 50)
    assert len(tail_of(paths, with_worker=True)) <= TAIL_LENGTH
    assert tail_of(SessionPaths("e" * 32, tmp_path, tmp_path), with_worker=True) == ""


@given(st.binary(max_size=400))
def test_any_bytes_become_one_printable_line(line: bytes) -> None:
    text = escaped(line)
    assert len(text) <= LINE_LENGTH and (text.isprintable() or not text)


def test_a_pass_over_the_machine_is_cheap() -> None:
    """20 idle sessions may use 0.2 % of a core each, altogether 40 ms a second; this is once in 5 s for all of them."""
    usage = Usage()
    began = time.thread_time()
    usage.sample()
    assert time.thread_time() - began < 0.2
