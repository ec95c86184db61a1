"""Any process whatever is killed: soon every session that is wanted runs, or has ended and says why.

Sessions of its own beside the one that the other tests watch: a dead X server or desktop is the end of a session, and
not of its neighbours. All of them paint meanwhile, and others are started and stopped without a pause. `make chaos`
does it a hundred times.
"""

from __future__ import annotations

import contextlib
import json
import os
import random
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from benchmarks.delivery.kills import alive, wait_for
from sessions.spawners.processes import ProcessId
from tests.e2e.stack import ROOT
from tests.faults.conftest import AT_LENGTH, Watched

ROUNDS = int(os.environ.get("STRIPEDESK_CHAOS_KILLS") or (100 if AT_LENGTH else 4))
WITHIN_S = 10.0 if AT_LENGTH else 40.0
STEADY_S = 1.0
SESSIONS = 3
FINAL = ("ended", "failed")
LAUNCH = """
import json
from django.contrib.auth.models import User
from sessions.models import *
t, _ = SessionTemplate.objects.get_or_create(slug="victim", defaults=dict(
    name="Victim", kind="application", command="xterm -e sh -c 'while :; do date +%N; sleep 0.04; done'"))
print("\\x1e" + json.dumps([str(DesktopSession.objects.create(owner=User.objects.get(is_superuser=True), template=t,
    width=640, height=480, name="V").pk) for _ in range(COUNT)]))
"""

CHURN = """
import json, select, sys, time
from django.contrib.auth.models import User
from sessions.actions.publish import wake_hosts
from sessions.models import *

owner, template = User.objects.get(is_superuser=True), SessionTemplate.objects.get(slug="victim")
final = ("ended", "failed")

def until(pk, states):
    began = time.monotonic()
    while True:
        row = DesktopSession.objects.get(pk=pk)
        passed = time.monotonic() - began
        if row.state in states or row.state in final or passed > 60:
            return row, passed
        time.sleep(0.05)

while True:
    pk = DesktopSession.objects.create(owner=owner, template=template, width=640, height=480, name="C").pk
    wake_hosts()
    row, start_s = until(pk, ("running",))
    DesktopSession.objects.filter(pk=pk).update(wanted="stopped", stop_reason="stopped-by-user")
    wake_hosts()
    told, init = row.state, row.spawner_state.get("init")
    row, stop_s = until(pk, final)
    outcome = dict(told=told, start_s=start_s, stop_s=stop_s, state=row.state, reason=row.reason, message=row.message)
    print("\x1e" + json.dumps({**outcome, "init": init}), flush=True)
    if select.select([sys.stdin], [], [], 0.2)[0]:
        break
"""


@contextlib.contextmanager
def churn(watched: Watched) -> Iterator[list[dict[str, Any]]]:
    """Start and stop one session after the other; the list holds what became of them when it is over."""
    stack = watched.running.stack
    line = [sys.executable, str(ROOT / "manage.py"), "shell", "-v", "0", "-c", CHURN]
    outcomes: list[dict[str, Any]] = []
    with tempfile.TemporaryFile("w+") as said:
        child = subprocess.Popen(line, env=stack.env, stdin=subprocess.PIPE, stdout=said, text=True)
        try:
            yield outcomes
            child.communicate("enough\n", timeout=150)
            assert child.returncode == 0
            said.seek(0)
            outcomes += map(json.loads, said.read().split("\x1e")[1:])
        finally:
            child.kill()
            child.wait()


def launch(watched: Watched, count: int) -> list[str]:
    told = watched.running.stack.manage("shell", "-v", "0", "-c", LAUNCH.replace("COUNT", str(count)))
    return list(json.loads(told.rsplit("\x1e", 1)[1]))


def descendants(root: int) -> list[int]:
    parents = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                parents[int(entry.name)] = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
            except OSError:
                continue
    found, waiting = [], [root]
    while waiting:
        pid = waiting.pop()
        found.append(pid)
        waiting += [child for child, parent in parents.items() if parent == pid]
    return found


def honest(row: dict[str, Any], init: dict[str, Any]) -> bool:
    """Whether a session is as its row says: it runs, desktop and worker alike, or is over, with reason, and is gone."""
    if row["state"] in FINAL:
        process = ProcessId.from_state(init)
        return bool(row["reason"] and row["message"]) and (process is None or not process.alive())
    if row["state"] != "running" or not row.get("init") or not row.get("worker"):
        return False
    return all(
        (process := ProcessId.from_state(row[name])) is not None and process.alive() for name in ("init", "worker")
    )


def whole(watched: Watched) -> bool:
    """Whether every part of the product lives."""
    return all(alive(pid) for part in ("web", "redis", "sessionhost") for pid in watched.running.pids(part))


def victim(watched: Watched, session: str, generator: random.Random) -> tuple[str, int]:
    """Choose any process of the product, or of the session's desktop."""
    parts = ["worker", "desktop", "desktop", "desktop", "web", "redis", "sessionhost"]
    part = generator.choice(parts)
    row = watched.running.row(session)
    if part == "worker":
        return part, int(row["worker"]["pid"])
    if part == "desktop":
        return part, generator.choice(descendants(row["init"]["pid"]))
    return part, generator.choice([pid for pid in watched.running.pids(part) if alive(pid)])


def name_of(pid: int) -> str:
    """A process's program, as the kernel names it; "" if it has just ended."""
    try:
        return Path(f"/proc/{pid}/comm").read_text().strip()
    except OSError:
        return ""


def settled(watched: Watched, inits: dict[str, Any], began: float, what: str) -> float:
    """Wait until all is honest and stays so for a while: a death may be noticed late. Return how long it took."""
    changed, before = began, None
    while True:
        rows = {name: watched.running.row(name) for name in inits}
        states = {name: (row["state"], row.get("worker")) for name, row in rows.items()}
        fine = whole(watched) and all(honest(row, inits[name]) for name, row in rows.items())
        now = time.monotonic()
        if not fine or (before is not None and states != before):
            changed = now
        before = states
        if fine and now - changed >= STEADY_S:
            return changed - began
        if changed - began > WITHIN_S:
            raise RuntimeError(f"waited {WITHIN_S:g} s for {what}: {states}")
        time.sleep(0.05)


@pytest.fixture
def victims(watched: Watched) -> Iterator[list[str]]:
    made: list[str] = launch(watched, SESSIONS)
    yield made
    names = json.dumps(made)
    code = f"from sessions.models import *; DesktopSession.objects.filter(pk__in={names}).update(wanted='stopped')"
    watched.running.stack.manage("shell", "-v", "0", "-c", code)
    wait_for(lambda: all(watched.running.row(name)["state"] in FINAL for name in made), "their end", 60)


def test_whatever_is_killed_every_session_runs_or_says_why_not(watched: Watched, victims: list[str]) -> None:
    with churn(watched) as outcomes:
        kill_again_and_again(watched, victims)
    assert outcomes
    for outcome in outcomes:
        process = ProcessId.from_state(outcome["init"])
        assert process is None or not process.alive(), f"its desktop is left: {outcome}"
        assert outcome["state"] in FINAL and outcome["reason"] and outcome["message"], outcome
        assert max(outcome["start_s"], outcome["stop_s"]) < WITHIN_S, outcome
    failed = [outcome["message"] for outcome in outcomes if outcome["state"] == "failed"]
    start_s, stop_s = (max(outcome[name] for outcome in outcomes) for name in ("start_s", "stop_s"))
    print(f"{len(outcomes)} others: started within {start_s:.2f} s, stopped within {stop_s:.2f} s; failed: {failed}")


def kill_again_and_again(watched: Watched, victims: list[str]) -> None:
    generator = random.Random(int(os.environ.get("STRIPEDESK_CHAOS_SEED") or 11))
    row_of = watched.running.row
    took: list[tuple[float, str]] = []
    ends = 0
    hurt: set[str] = set()
    """Sessions of whose desktop something was killed: the end may follow later, when the rest has noticed."""
    for number in range(ROUNDS):
        for name in [name for name in victims if row_of(name)["state"] in FINAL]:
            assert name in hurt, f"before round {number}: {row_of(name)}"
            ends += 1
            victims[victims.index(name)] = launch(watched, 1)[0]
        for name in victims:
            wait_for(lambda name=name: row_of(name)["state"] != "starting" and honest(row_of(name), {}), "a start", 60)
        inits = {name: row_of(name).get("init", {}) for name in victims}
        struck = generator.choice(victims)
        if row_of(struck)["state"] in FINAL:
            continue  # only just: the next round sees to it
        part, pid = victim(watched, struck, generator)
        program = name_of(pid)
        if part == "desktop":
            hurt.add(struck)
        began = time.monotonic()
        os.kill(pid, signal.SIGKILL)
        what = f"round {number}: honest sessions after the death of {part} {program} {pid}"
        took.append((settled(watched, inits, began, what), f"{part} {program}"))
        assert watched.running.row()["init"] == watched.init  # a neighbour's death is nobody else's
    assert len(took) > ROUNDS // 2
    spread = statistics.quantiles([seconds for seconds, _ in took], n=20, method="inclusive")
    print(f"\n{len(took)} kills, {ends} sessions ended; p50 {spread[9]:.2f} s, p95 {spread[18]:.2f} s; the slowest:")
    for seconds, what in sorted(took, reverse=True)[:8]:
        print(f"{seconds:6.2f} s  {what}")
