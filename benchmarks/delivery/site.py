"""The stack under measurement: a Redis, a database with sessions, web processes, workers on screens of their own.

Everything is started here, listens on Unix sockets and the loopback interface alone, and ends with the ``with``. Used
by one thread; starting waits until it answers.
"""

from __future__ import annotations

import contextlib
import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import redis

from benchmarks.child import Child
from benchmarks.display import Display, scratch_directory
from tests.sessions.fixtures_beat import beating

ROOT = Path(__file__).resolve().parents[2]
START_SECONDS = 30.0
_SETUP = """
import json, sys
from django.contrib.auth.models import User
from django.test import Client
from sessions.models import *
user = User.objects.create_user("bench", password="x")
template = SessionTemplate.objects.create(name="Bench", slug="bench", kind="application", command="xterm")
host = SessionHost.objects.create(name="bench")
values = dict(owner=user, template=template, host=host, width=1920, height=1080, state="running")
sessions = [DesktopSession.objects.create(name=f"S{n}", **values) for n in range(COUNT)]
client = Client(); client.force_login(user)
print("\\x1e" + json.dumps({"sessions": [str(s.pk) for s in sessions], "cookie": client.cookies["sessionid"].value}))
"""


@dataclass
class Worker:
    """An engine worker and the screen it streams."""

    session: str
    display: Display
    process: subprocess.Popen[bytes]


class Site:
    """A running site with ``count`` sessions that count as running, and one web process."""

    def __init__(self, count: int = 1) -> None:
        self._count = count
        self._stack = contextlib.ExitStack()
        self.port = free_port()
        self.sessions: list[str] = []
        self.cookie = ""

    def __enter__(self) -> Self:
        try:
            self._start()
        except BaseException:
            self._stack.close()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.close()

    def _start(self) -> None:
        self.directory = Path(self._stack.enter_context(scratch_directory()))
        self.redis_url = f"unix://{self.directory / 'redis.sock'}"
        self.environment = {
            **{name: value for name, value in os.environ.items() if not name.startswith(("STRIPEDESK_", "DJANGO_"))},
            "STRIPEDESK_STATE_DIR": str(self.directory / "state"),
            "STRIPEDESK_RUNTIME_DIR": str(self.directory / "run"),
            "REDIS_URL": self.redis_url,
            "DATABASE_URL": f"sqlite:///{self.directory / 'db.sqlite3'}",
            "STRIPEDESK_LOG_LEVEL": "WARNING",
            "PYTHONUNBUFFERED": "1",
            "PYTHONPATH": f"{ROOT}:{ROOT / 'platform'}",
        }
        redis_line = ["redis-server", "--port", "0", "--unixsocket", str(self.directory / "redis.sock"), "--save", ""]
        self.redis_process = self.run_beside("redis", *redis_line)
        self.redis = redis.Redis.from_url(self.redis_url)
        self._stack.callback(self.redis.close)
        self.until(self._redis_answers, "Redis")
        self.manage("migrate", "-v", "0")
        text = self.manage("shell", "-v", "0", "-c", _SETUP.replace("COUNT", str(self._count)))
        found = json.loads(text.rsplit("\x1e", 1)[1])
        self.sessions, self.cookie = found["sessions"], found["cookie"]
        self._stack.enter_context(beating(self.directory / "db.sqlite3"))
        self.start_web()

    def start_web(self) -> None:
        """Start the web process."""
        self.web = self.run_beside("web", sys.executable, str(ROOT / "manage.py"), "serve", "--port", str(self.port))
        self.until(self._listens, "the web server")

    def worker(self, number: int = 0, display: Display | None = None, **settings: Any) -> Worker:
        """Start a worker for a session on a screen, its own if none is given, and wait until it streams."""
        session = self.sessions[number]
        screen = display or self._stack.enter_context(Display((1920, 1080)))
        return Worker(session, screen, self.run_worker(number, screen, **settings))

    def run_worker(self, number: int, screen: Display, **settings: Any) -> subprocess.Popen[bytes]:
        """Start a worker process."""
        session = self.sessions[number].replace("-", "")
        name, cookie = screen.server.auth
        config = {
            "session": session,
            "redis_url": self.redis_url,
            "display_socket": screen.server.socket,
            "display_number": screen.server.number,
            "auth_name": name,
            "auth_data": cookie.hex(),
            "framebuffer": screen.server.screen,
            "settings": settings,
        }
        path = self.directory / f"worker-{number}-{time.monotonic_ns()}.json"
        path.write_text(json.dumps(config), encoding="utf-8")
        path.chmod(0o400)
        self.redis.delete(f"stripedesk:session:{session}:status")
        line = [sys.executable, "-m", "sessions.worker", "--config", str(path)]
        shared = [] if screen.server.screen is None else [screen.server.screen]
        process = self.run_beside(f"worker-{number}", *line, pass_fds=shared)
        self.until(lambda: self.status(number).get("state") == "streaming", "the worker")
        return process

    def status(self, number: int = 0) -> dict[str, Any]:
        """Return what a session's worker tells about itself."""
        session = self.sessions[number].replace("-", "")
        return dict(json.loads(self.redis.get(f"stripedesk:session:{session}:status") or b"{}"))

    def crowd(self) -> Crowd:
        """Start a process for viewers."""
        arguments = ("127.0.0.1", str(self.port), self.cookie)
        return Crowd(self._stack.enter_context(self._child("crowd", *arguments)))

    def painter(self, display: Display) -> Child:
        """Start what draws on a screen."""
        child = self._stack.enter_context(self._child("painter", display.server.display, display.server.authority))
        child.answer()
        return child

    def publisher(self, number: int, size: int, fps: float) -> Child:
        """Start a worker without a screen for a session."""
        session = self.sessions[number].replace("-", "")
        child = self._stack.enter_context(self._child("publisher", self.redis_url, session, str(size), str(fps)))
        child.answer()
        return child

    def _child(self, name: str, *arguments: str) -> Child:
        return Child(name, [sys.executable, "-m", f"benchmarks.delivery.{name}", *arguments], self.environment)

    def run_beside(self, name: str, *command: str, pass_fds: Sequence[int] = ()) -> subprocess.Popen[bytes]:
        """Start a program that ends with the site, and that inherits these descriptors."""
        with (self.directory / f"{name}.log").open("ab") as log:
            process = subprocess.Popen(
                command,
                cwd=ROOT,
                env=self.environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                pass_fds=pass_fds,
            )
        self._stack.callback(end, process)
        return process

    def manage(self, *arguments: str) -> str:
        """Run a management command; return what it said."""
        command = [sys.executable, str(ROOT / "manage.py"), *arguments]
        done = subprocess.run(command, env=self.environment, capture_output=True, text=True, timeout=120, cwd=ROOT)
        if done.returncode:
            raise RuntimeError(f"manage.py {arguments[0]} failed: {done.stderr.strip()[-2000:]}")
        return done.stdout

    def log(self, name: str) -> str:
        """Return the end of a process' log."""
        with contextlib.suppress(OSError):
            return (self.directory / f"{name}.log").read_text(encoding="utf-8", errors="replace")[-2000:]
        return ""

    def until(self, condition: Callable[[], bool], what: str, seconds: float = START_SECONDS) -> None:
        """Wait for something; raises `RuntimeError`."""
        deadline = time.monotonic() + seconds
        while not condition():
            if time.monotonic() > deadline:
                logs = "\n".join(self.log(path.stem) for path in sorted(self.directory.glob("*.log")))
                raise RuntimeError(f"waited {seconds:g} s for {what}: {logs}")
            time.sleep(0.05)

    def _redis_answers(self) -> bool:
        try:
            return bool(self.redis.ping())
        except redis.RedisError:
            return False

    def _listens(self) -> bool:
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", self.port)) == 0


class Crowd:
    """The far end of `crowd.Crowd`: the same orders as methods."""

    def __init__(self, child: Child) -> None:
        self._child = child

    def order(self, do: str, **arguments: Any) -> dict[str, Any]:
        """Send an order; raises `RuntimeError` with what the crowd says of it."""
        answer: dict[str, Any] = json.loads(self._child.order(json.dumps({"do": do, **arguments})))
        if "error" in answer:
            raise RuntimeError(f"the viewers' process, told to {do}: {answer['error']}")
        return answer

    def close(self) -> None:
        """End the process, and with it its viewers."""
        self._child.close()

    def open(self, session: str, count: int = 1, **options: Any) -> list[int]:
        """Let viewers in; return their numbers."""
        return list(self.order("open", session=session, count=count, options=options)["viewers"])

    def counts(self, *viewers: int) -> list[dict[str, Any]]:
        """Return the viewers' counts since the mark."""
        return list(self.order("figures", viewers=list(viewers))["counts"])


def end(process: subprocess.Popen[bytes]) -> None:
    """End a process, politely first."""
    if process.poll() is None:
        process.terminate()
        try:
            process.wait(5)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def free_port() -> int:
    """Return a TCP port that was free a moment ago."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextlib.contextmanager
def staged(count: int = 1, **settings: Any) -> Iterator[tuple[Site, Worker, Child]]:
    """Yield a site whose first session streams a page, with what draws on it."""
    with Site(count) as site:
        worker = site.worker(0, **{"mode": "auto", **settings})
        yield site, worker, site.painter(worker.display)
