"""What sessions cost while nobody uses them, and how long a launch takes: ``python -m benchmarks.sessions [--check]``.

The product as `manage.py up` runs it, with so many idle desktops; memory and processor time come from /proc. Memory is
the proportional set size (PSS): of a page that several processes share each has its part, so that the sum is what the
machine holds.
Processor time is that of everything below `up`, with ended children. A launch is timed from the POST of the portal to
the first picture that a viewer has committed: cold, and of a desktop that was started ahead. It blocks, needs root for
the sandboxes, and ends everything it started. ``--check`` holds the figures to `BOUNDS`.
"""

from __future__ import annotations

import argparse
import http.client
import json
import os
import shutil
import statistics
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from benchmarks.clocks import monotonic_us
from benchmarks.delivery.kills import Product, wait_for
from benchmarks.delivery.site import Crowd
from tests.e2e.stack import make_stack

BOUNDS = {"worker_mb": 60.0, "xserver_mb": 25.0, "cpu_percent": 0.2, "cold_s": 3.0, "ahead_s": 1.0}
"""Most of each: median MB of a worker and of an X server, percent of a core a session, seconds."""

SETTLE_S = 25.0
"""Until workers have paused, for nobody watches, and desktops have drawn what they draw at first."""
MEASURE_S, SHORT_MEASURE_S = 60.0, 20.0
LAUNCHES = 5
_TICK = os.sysconf("SC_CLK_TCK")
_SETUP = """
import json
from django.contrib.auth.models import User
from django.test import Client
from sessions.models import *
user = User.objects.get(is_superuser=True)
Quota.objects.create(user=user, sessions=1000)
values = dict(kind="desktop", command="", width=1920, height=1080)
template = SessionTemplate.objects.create(name="Idle", slug="idle", **values)
SessionTemplate.objects.create(name="Ahead", slug="ahead", **values)
rows = [DesktopSession.objects.create(owner=user, template=template, name=f"S{n}", width=1920, height=1080)
        for n in range(COUNT)]
client = Client(); client.force_login(user)
print("\\x1e" + json.dumps({"sessions": [str(row.pk) for row in rows], "cookie": client.cookies["sessionid"].value}))
"""


class Table:
    """One look at /proc: parents, names, processor time."""

    def __init__(self) -> None:
        self.parents: dict[int, int] = {}
        self.names: dict[int, str] = {}
        self.seconds: dict[int, float] = {}
        for entry in Path("/proc").iterdir():
            if entry.name.isdigit():
                try:
                    text = (entry / "stat").read_text(errors="replace")
                except OSError:
                    continue
                pid, fields = int(entry.name), text.rpartition(")")[2].split()
                self.names[pid] = text[text.index("(") + 1 : text.rindex(")")]
                self.parents[pid] = int(fields[1])
                self.seconds[pid] = sum(map(int, fields[11:15])) / _TICK

    def below(self, root: int) -> list[int]:
        """Return ``root`` and what descends from it."""
        found, waiting = [], [root]
        while waiting:
            found.append(pid := waiting.pop())
            waiting += [child for child, parent in self.parents.items() if parent == pid]
        return found

    def used(self, roots: Sequence[int]) -> float:
        """Return the processor time of processes and all that descends from them, ended children included."""
        return sum(self.seconds.get(pid, 0.0) for root in roots for pid in self.below(root))


def memory_mb(pid: int) -> tuple[float, float]:
    """Return the resident and the proportional set size of a process."""
    values = {}
    for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()[1:]:
        name, _, rest = line.partition(":")
        values[name] = int(rest.split()[0]) * 1024 / 1e6
    return values["Rss"], values["Pss"]


def idle(running: Product, sessions: Sequence[str], seconds: float) -> dict[str, float]:
    """Return what each of the sessions costs while nothing happens."""
    rows = [running.row(name) for name in sessions]
    desktops, workers = ([row[name]["pid"] for row in rows] for name in ("init", "worker"))
    assert running.stack.process is not None  # noqa: S101 - it has been started
    parts = {"desktop_percent": desktops, "worker_percent": workers}
    alone = {f"{name}_percent": running.pids(name) for name in ("sessionhost", "web", "redis")}
    everything = [running.stack.process.pid]
    before, began = Table(), time.monotonic()
    time.sleep(seconds)
    after, passed = Table(), time.monotonic() - began
    figures: dict[str, float] = {}
    for name, roots, program in (("worker", workers, "python"), ("xserver", desktops, "Xvfb")):
        found = [pid for root in roots for pid in after.below(root) if program in after.names[pid]]
        if len(found) != len(sessions):
            raise RuntimeError(f"{len(sessions)} sessions have {len(found)} processes called {program}")
        sizes = [memory_mb(pid) for pid in found]
        figures[f"{name}_rss_mb"], figures[f"{name}_mb"] = map(statistics.median, zip(*sizes, strict=True))
    share = 100 / passed / len(sessions)
    for name, roots in parts.items():
        figures[name] = share * (after.used(roots) - before.used(roots))
    for name, pids in alone.items():
        figures[name] = share * sum(after.seconds[pid] - before.seconds[pid] for pid in pids)
    figures["cpu_percent"] = share * (after.used(everything) - before.used(everything))
    return figures


def launches(running: Product, slug: str, count: int) -> Iterator[float]:
    """Launch one session after the other as the portal does; yield the seconds until its first picture."""
    with running.crowd() as child:
        crowd = Crowd(child)
        for _ in range(count):
            if slug == "ahead":
                wait_for(lambda: spares(running), "a desktop started ahead", 60)
            began = monotonic_us()
            session = post_launch(running, slug)
            [viewer] = crowd.open(session, 1, log=True)
            yield (wait_for(lambda v=viewer: first_picture(crowd, v), "a picture", 60) - began) / 1e6  # type: ignore[misc]
            running.stack.manage("shell", "-v", "0", "-c", _STOP.replace("ID", session))


_STOP = "from sessions.models import *; DesktopSession.objects.filter(pk='ID').update(wanted='stopped')"


def first_picture(crowd: Crowd, viewer: int) -> int | None:
    """Return when the viewer committed a picture first, in µs, or None."""
    found: int | None = crowd.order("since", viewer=viewer, captured_us=0)["committed_us"]
    return found


def spares(running: Product) -> int:
    """Return how many desktops are ready."""
    return int(running.stack.query("SpareDesktop.objects.filter(ready=True).count()"))


def post_launch(running: Product, slug: str) -> str:
    """POST the portal's form; return the session's id."""
    connection = http.client.HTTPConnection("127.0.0.1", running.stack.port, timeout=30)
    try:
        token = "a" * 32
        cookies = f"sessionid={running.cookie}; csrftoken={token}"
        body = urlencode({"template": slug, "csrfmiddlewaretoken": token})
        headers = {"Cookie": cookies, "Content-Type": "application/x-www-form-urlencoded"}
        connection.request("POST", "/launch/", body, headers)
        location = connection.getresponse().getheader("Location") or ""
    finally:
        connection.close()
    if not location.startswith("/s/"):
        raise RuntimeError(f"the portal did not launch: {location}")
    return location.split("/")[2]


def measure(count: int, short: bool) -> dict[str, float]:
    """Return every figure."""
    stack = make_stack(STRIPEDESK_UID_BASE="1900000", STRIPEDESK_HOST_CAPACITY=str(count + 10))
    try:
        stack.start()
        found: dict[str, Any] = json.loads(
            stack.manage("shell", "-v", "0", "-c", _SETUP.replace("COUNT", str(count))).rsplit("\x1e", 1)[1]
        )
        running = Product(stack, found["sessions"][0], found["cookie"])
        for name in found["sessions"]:
            wait_for(lambda name=name: running.row(name)["state"] == "running", "an idle session", 300)
        time.sleep(SETTLE_S)
        figures = {
            "sessions": float(count),
            **idle(running, found["sessions"], SHORT_MEASURE_S if short else MEASURE_S),
        }
        for name, slug in (("cold_s", "idle"), ("ahead_s", "ahead")):
            if slug == "ahead":
                stack.query("SessionTemplate.objects.filter(slug='ahead').update(prewarm=1)")
            took = list(launches(running, slug, LAUNCHES))
            figures[name], figures[f"{name}_worst"] = statistics.median(took), max(took)
        return figures
    finally:
        if stack.process is not None:
            stack.stop(90)
        shutil.rmtree(stack.state_dir.parent, ignore_errors=True)


def main(arguments: Sequence[str]) -> int:
    """Print the figures; with ``--check`` return 1 if one is beyond its bound."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.sessions", description=__doc__)
    parser.add_argument("--sessions", type=int, default=20, help="idle desktops (default: 20)")
    parser.add_argument("--short", action="store_true", help="measure for 20 s instead of a minute")
    parser.add_argument("--check", action="store_true", help="hold the figures to the bounds")
    options = parser.parse_args(arguments)
    figures = measure(options.sessions, options.short)
    beyond = 0
    for name, value in figures.items():
        bound = BOUNDS.get(name)
        verdict = "" if bound is None else f"  (at most {bound:g}{'' if value <= bound else ': BEYOND'})"
        beyond += bound is not None and value > bound
        print(f"{name:16} {value:8.2f}{verdict}")
    return 1 if options.check and beyond else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
