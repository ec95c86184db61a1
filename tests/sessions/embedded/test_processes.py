"""Children of `up`: a dead one is started again at once, and ever more slowly if it cannot live."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from sessions.embedded import processes
from sessions.embedded.processes import Child


@pytest.fixture
def child(tmp_path: Path) -> Iterator[Child]:
    command = ["/bin/sh", "-c", "echo born; read line < fifo"]
    os.mkfifo(tmp_path / "fifo")
    one = Child(
        "one", ["/usr/bin/env", "-C", str(tmp_path), *command], tmp_path, tmp_path / "one.log", {"PATH": "/bin"}
    )
    one.start()
    yield one
    one.end(1.0)


def die(child: Child) -> str:
    """Kill it and return what `watch` says at the first look after its death."""
    assert child._process is not None
    child._process.kill()
    child._process.wait()
    return child.watch()


def test_the_first_death_costs_no_time_and_further_ones_ever_more(child: Child) -> None:
    assert child.watch() == "" and child.due == float("inf")
    assert "one ended (signal 9); again at once." in die(child)
    assert child.running and child.due == float("inf")
    for seconds in (0.1, 0.2):
        assert f"again in {seconds} s." in die(child)
        assert not child.running and 0 < child.due <= seconds
        died = time.monotonic()
        while not child.running:
            assert child.watch() == ""
            time.sleep(child.due if child.due < 1 else 0)
        assert time.monotonic() - died >= seconds * 0.9


def test_one_that_has_lived_is_started_at_once_again(child: Child, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(processes, "STEADY", 0.0)
    for _ in range(4):
        assert "again at once." in die(child)
        assert child.running
    monkeypatch.setattr(processes, "STEADY", 60.0)
    assert "again in 0.1 s." in die(child)


def test_one_that_cannot_be_started_is_said_so_and_tried_again(child: Child, tmp_path: Path) -> None:
    """As with a full disk: `up` goes on, and with it everything else."""
    record = tmp_path / "one.json"
    record.unlink()
    record.mkdir()  # nothing can be written there
    said = die(child)
    assert "again at once." in said and "one cannot be started: Is a directory; again in 0.1 s." in said
    assert "Free some space" in said and not child.running
    time.sleep(child.due)
    assert "one cannot be started" in child.watch() and not child.running and 0.1 < child.due <= 0.2
    record.rmdir()
    time.sleep(child.due)
    assert child.watch() == "" and child.running and child.due == float("inf")
