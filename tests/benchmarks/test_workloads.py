"""What the workloads are made of: contents that are the same every time, and a schedule that does not slip."""

from __future__ import annotations

import re
import subprocess
import time
from pathlib import Path

import numpy as np
import pytest

from benchmarks.display import end_group
from benchmarks.engine import timing
from benchmarks.floors import FLOORS
from benchmarks.workloads import WORKLOADS, content
from benchmarks.workloads.pace import beats, occasionally


def test_beats_keep_their_schedule_when_one_is_late() -> None:
    begun = time.monotonic()
    times = []
    for number in beats(0.3, 20):
        times.append(time.monotonic() - begun)
        if number == 2:
            time.sleep(0.08)  # into the fourth
    assert len(times) == 6
    assert times[3] >= 0.18 and times[5] == pytest.approx(0.25, abs=0.03)
    assert time.monotonic() - begun == pytest.approx(0.3, abs=0.03)


def test_looks_are_sparse() -> None:
    assert sum(occasionally(number, 60) for number in range(60)) == 2
    assert sum(occasionally(number, 2) for number in range(10)) == 10


def test_colours_leave_the_text_as_it_is() -> None:
    text = content.source_text()
    painted = content.coloured(text)
    assert re.sub(r"\x1b\[[\d;]*m", "", painted) == "\n".join(text.splitlines())
    assert len(text.splitlines()) > 1000
    assert content.coloured("def f(x): return 1  # why").count("\x1b[") == 2 * 6


def test_the_page_is_long_and_escaped() -> None:
    page = content.page()
    assert page.count("<p>") > 50 and "<title>bench-page</title>" in page
    assert "&lt;" in page and "<session id>" not in page


def test_photographs_are_the_same_every_time_and_not_flat() -> None:
    one = content.photograph(1, 160, 90)
    assert one.shape == (90, 160, 3)
    assert np.array_equal(one, content.photograph(1, 160, 90))
    assert not np.array_equal(one, content.photograph(2, 160, 90))
    assert len(np.unique(one.reshape(-1, 3), axis=0)) > 5000


def test_the_short_form_is_under_ten_minutes() -> None:
    """Settle, play, rest and about 1.5 s to start and end, for six engines and none; the rest is for judging."""
    times = [timing(WORKLOADS[name], short=True) for name in FLOORS]
    assert sum(one.settle + one.play + one.rest + 1.5 for one in times) * 7 < 540


def test_a_program_is_ended_with_its_children() -> None:
    command = ["sh", "-c", "sleep 1000 & echo $!; wait"]
    program = subprocess.Popen(command, stdout=subprocess.PIPE, start_new_session=True)
    assert program.stdout is not None
    child = int(program.stdout.readline())
    end_group(program)
    program.stdout.close()
    assert program.returncode is not None
    # Gone, or dead and not yet waited for by whoever inherited it.
    status = Path(f"/proc/{child}/stat")
    deadline = time.monotonic() + 2
    while status.exists() and status.read_text().rpartition(")")[2].split()[0] != "Z":
        assert time.monotonic() < deadline
        time.sleep(0.01)
