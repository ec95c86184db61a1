"""The host agent as a process: it starts what is wanted, stops it, and finds it again."""

from __future__ import annotations

from sessions.models import SessionHost
from sessions.states import Reason, State

from .conftest import ALIAS, Installation


def test_a_terminal_runs_and_stops_without_a_trace(installation: Installation, root: None) -> None:
    installation.start_agent()
    pk = installation.launch("xterm")
    row = installation.until(pk, State.RUNNING)
    assert row.started_at is not None
    assert SessionHost.objects.using(ALIAS).get().sandboxed
    assert any("Xvfb" in line for line in installation.processes_of(pk))
    installation.stop(pk)
    row = installation.until(pk, State.ENDED)
    assert (row.reason, row.message) == (Reason.STOPPED_BY_USER, Reason.STOPPED_BY_USER.label)
    assert row.ended_at is not None and row.spawner_state == {}
    assert installation.processes_of(pk) == []
    assert not installation.paths(pk).runtime.exists() and not installation.paths(pk).data.exists()
    assert list((installation.runtime / "uids").iterdir()) == []
    assert str(installation.runtime / "s") not in open("/proc/mounts").read()
