"""The row ``kills``: the product as `manage.py up` runs it, and kill −9 for one part after the other. It blocks."""

from __future__ import annotations

import contextlib
import json
import os
import random
import shutil
import signal
import sqlite3
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.child import Child
from benchmarks.clocks import monotonic_us
from benchmarks.delivery.figures import Figures
from benchmarks.delivery.site import ROOT, Crowd
from tests.e2e.stack import Stack, make_stack

VIEWERS = 4
BACK_WITHIN_S = 20.0
CALM_S = 2.0
ROUNDS, SHORT_ROUNDS = 50, 4
AGENT_LOOK_S = 5.0
LAUNCH = """
import json
from django.contrib.auth.models import User
from django.test import Client
from sessions.models import *
user = User.objects.get(is_superuser=True)
command = "xterm -fa 'DejaVu Sans Mono' -e sh -c 'while :; do date +%N; sleep 0.04; done'"
template = SessionTemplate.objects.create(name="Kills", slug="kills", kind="application", command=command)
session = DesktopSession.objects.create(owner=user, template=template, name="K", width=1920, height=1080)
client = Client(); client.force_login(user)
print("\\x1e" + json.dumps({"id": str(session.pk), "cookie": client.cookies["sessionid"].value}))
"""


@dataclass
class Product:
    """A running `manage.py up` with one session that draws all the time."""

    stack: Stack
    session: str
    cookie: str

    def row(self, session: str = "") -> dict[str, Any]:
        """Return what the database says of the session, or of another; straight from its file, for that is quick."""
        path = f"file:{self.stack.state_dir / 'stripedesk.sqlite3'}?mode=ro"
        query = "SELECT state, reason, message, spawner_state FROM desktops_desktopsession WHERE id = ?"
        with contextlib.closing(sqlite3.connect(path, uri=True, timeout=20)) as database:
            found = database.execute(query, [(session or self.session).replace("-", "")]).fetchone()
        return {"state": found[0], "reason": found[1], "message": found[2], **json.loads(found[3])}

    def pids(self, part: str) -> list[int]:
        """Return the processes of a part: ``worker``, ``web``, ``redis`` or ``sessionhost``."""
        if part == "worker":
            return [int(self.row()["worker"]["pid"])]
        records = sorted((self.stack.runtime_dir / "up").glob(f"{part}*.json"))
        return [int(json.loads(record.read_text(encoding="utf-8"))["pid"]) for record in records]

    def crowd(self) -> Child:
        """Start a process for viewers."""
        command = [sys.executable, "-m", "benchmarks.delivery.crowd", "127.0.0.1", str(self.stack.port), self.cookie]
        environment = {**os.environ, "PYTHONPATH": f"{ROOT}:{ROOT / 'platform'}"}
        return Child("crowd", command, environment)


@contextlib.contextmanager
def product(prepare: Callable[[Stack], None] = lambda stack: None) -> Iterator[Product]:
    """Yield the product with a running session; ends all of it. ``prepare`` sees the stack before it starts."""
    stack = make_stack(STRIPEDESK_UID_BASE="1800000")
    try:
        prepare(stack)
        stack.start()
        found = json.loads(stack.manage("shell", "-v", "0", "-c", LAUNCH).rsplit("\x1e", 1)[1])
        running = Product(stack, found["id"], found["cookie"])
        wait_for(lambda: running.row()["state"] == "running", "the session", 40)
        yield running
    finally:
        if stack.process is not None:
            stack.stop()
        shutil.rmtree(stack.state_dir.parent, ignore_errors=True)


def wait_for(condition: Callable[[], Any], what: str, seconds: float = BACK_WITHIN_S) -> Any:
    """Return the first true value; raises `RuntimeError`."""
    deadline = time.monotonic() + seconds
    while not (found := condition()):
        if time.monotonic() > deadline:
            raise RuntimeError(f"waited {seconds:g} s for {what}")
        time.sleep(0.05)
    return found


def back_after(crowd: Crowd, viewers: list[int], since_us: int) -> float | None:
    """Return the seconds until every viewer showed a picture captured after a moment; None if one never did."""
    deadline = time.monotonic() + BACK_WITHIN_S
    waiting, last = set(viewers), since_us
    while waiting:
        for viewer in sorted(waiting):
            at = crowd.order("since", viewer=viewer, captured_us=since_us)["committed_us"]
            if at is not None:
                waiting.discard(viewer)
                last = max(last, at)
        if time.monotonic() > deadline:
            return None
        time.sleep(0.03)
    return (last - since_us) / 1e6


def strike(running: Product, part: str, generator: random.Random) -> int:
    """Kill one process of a part; return when."""
    pid = generator.choice(wait_for(lambda: [pid for pid in running.pids(part) if alive(pid)], f"a living {part}"))
    now = monotonic_us()
    os.kill(pid, signal.SIGKILL)
    return now


def alive(pid: int) -> bool:
    """Return whether a process runs: it may be one that has just been killed and not replaced yet."""
    try:
        return "\nState:\tZ" not in Path(f"/proc/{pid}/status").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return False


def kills(short: bool) -> Figures:
    """Kill each part in turn, then any of them at random, while viewers watch."""
    rounds = SHORT_ROUNDS if short else ROUNDS
    generator = random.Random(7)  # noqa: S311 - which part dies, the same in every run
    worst: dict[str, float | None] = {}
    lost = 0
    with product() as running, running.crowd() as child:
        crowd = Crowd(child)
        viewers = crowd.open(running.session, VIEWERS, log=True)
        init = running.row()["init"]
        for part in ("worker", "web", "redis"):
            times = []
            for _ in range(1 if short else 3):
                times.append(back_after(crowd, viewers, strike(running, part, generator)))
                time.sleep(CALM_S)
            worst[part] = None if None in times else max(value for value in times if value is not None)
        worst["sessionhost"] = _gap_without_agent(running, crowd, viewers, generator)
        slowest = 0.0
        for _ in range(rounds):
            part = generator.choice(("worker", "web", "redis", "sessionhost"))
            back = back_after(crowd, viewers, strike(running, part, generator))
            lost += back is None or running.row()["init"] != init
            slowest = max(slowest, back or BACK_WITHIN_S)
            time.sleep(generator.random() * CALM_S)
        wait_for(lambda: running.row()["state"] == "running", "the session to be running in the end")
    return {
        "worker_s": worst["worker"],
        "web_s": worst["web"],
        "redis_s": worst["redis"],
        "agent_s": worst["sessionhost"],
        "rounds": float(rounds),
        "round_s": slowest,
        "lost": float(lost),
    }


def _gap_without_agent(running: Product, crowd: Crowd, viewers: list[int], generator: random.Random) -> float:
    """Kill the host agent; return the longest time without a picture until well after its successor came."""
    killed = strike(running, "sessionhost", generator)
    time.sleep(AGENT_LOOK_S)
    longest = 0
    for viewer in viewers:
        commits = crowd.order("commits", viewer=viewer, since_us=killed - 1_000_000)["commits"]
        moments = [at for at, _, _ in commits] + [monotonic_us()]
        longest = max(longest, *(later - at for at, later in zip(moments, moments[1:], strict=False)))
    return longest / 1e6
