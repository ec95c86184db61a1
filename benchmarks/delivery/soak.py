"""The row ``soak``: joins, leaves and resizes for long, and what has grown by the end. It blocks."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

from benchmarks.child import Child
from benchmarks.clocks import resident_mb
from benchmarks.delivery.figures import Figures
from benchmarks.delivery.site import ROOT, Site

MINUTES, SHORT_MINUTES = 5.0, 0.75
WARM_SHARE = 0.35
"""So much of the time memory may still grow: allocators, caches, code paths walked for the first time."""
SIZES = ((1920, 1080), (1280, 720), (1024, 768))
LEFT_S = 3.0
"""After so long nothing must be left of who has gone."""
TASKS = """
import asyncio, os, runpy, signal, sys
sys.argv = sys.argv[1:]
path = os.environ["BENCH_TASKS"]
def tell(*_):
    try:
        count = len(asyncio.all_tasks(asyncio._get_running_loop()))
    except (RuntimeError, AttributeError):
        count = -1
    with open(path + ".new", "w") as file:
        file.write(str(count))
    os.replace(path + ".new", path)
signal.signal(signal.SIGUSR1, tell)
runpy.run_path(sys.argv[0], run_name="__main__")
"""
"""The web process with one thing more: on SIGUSR1 it writes how many tasks it has."""


class CountedSite(Site):
    """A site whose web process tells how many tasks it has."""

    def start_web(self) -> None:
        self.environment["BENCH_TASKS"] = str(self.directory / "tasks")
        line = ["-c", TASKS, str(ROOT / "manage.py"), "serve", "--port", str(self.port)]
        self.web = self.run_beside("web", sys.executable, *line)
        self.until(self._listens, "the web server")

    def tasks(self) -> int:
        """Return the tasks of the web process' loop."""
        path = self.directory / "tasks"
        for _ in range(50):  # the signal may fall where no task runs
            path.unlink(missing_ok=True)
            os.kill(self.web.pid, signal.SIGUSR1)
            self.until(path.exists, "the count of tasks")
            if (count := int(path.read_text(encoding="ascii"))) >= 0:
                return count
        raise RuntimeError("the web process does not tell its tasks")


def soak(short: bool, minutes: float | None = None) -> Figures:
    """Let people come and go, hide, be slow, and let the screen change its size."""
    minutes = minutes or (SHORT_MINUTES if short else MINUTES)
    generator = random.Random(3)  # noqa: S311 - who comes and goes, the same in every run
    with CountedSite() as site:
        worker = site.worker(0, mode="auto")
        painter = site.painter(worker.display)
        watcher, crowd = site.crowd(), site.crowd()
        watcher.open(worker.session)
        processes = {"web": site.web, "worker": worker.process, "redis": site.redis_process}
        begun = time.monotonic()
        first: dict[str, float] = {}
        rounds = 0
        while (passed := time.monotonic() - begun) < minutes * 60 or not first:
            rounds += 1
            painter.order(generator.choice(("tick 30", "scroll 20", "rest")))
            slow = {"kbps": 512.0} if generator.random() < 0.3 else {}
            inside = crowd.open(worker.session, generator.randint(1, 6), **slow)
            crowd.order("say", viewer=inside[0], message={"type": "visibility", "hidden": True})
            worker.display.server.resize(*generator.choice(SIZES))
            time.sleep(generator.random())
            crowd.order("say", viewer=inside[0], message={"type": "visibility", "hidden": False})
            time.sleep(0.2)
            crowd.order("close", viewers=inside)
            if not first and passed > minutes * 60 * WARM_SHARE:
                first = _look(site, processes, painter)
        last = _look(site, processes, painter)
    grown = {name: last[name] - first[name] for name in last}
    return {
        "minutes": minutes,
        "rounds": float(rounds),
        **{name: value if name.endswith("_mb") else max(0.0, value) for name, value in grown.items()},
        **{f"{name}_at_end": value for name, value in last.items()},
    }


def _look(site: CountedSite, processes: dict[str, subprocess.Popen[bytes]], painter: Child) -> dict[str, float]:
    """Return memory, descriptors, keys and tasks with nobody but the watcher there."""
    painter.order("rest")
    time.sleep(LEFT_S)
    pids = {name: process.pid for name, process in processes.items()}
    return {
        **{f"{name}_mb": resident_mb(pid) for name, pid in pids.items()},
        "descriptors": float(sum(len(list(Path(f"/proc/{pid}/fd").iterdir())) for pid in pids.values())),
        "keys": float(site.redis.dbsize()),
        "tasks": float(site.tasks()),
    }
