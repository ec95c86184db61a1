"""All processes of the embedded default as one: started in order, watched, ended in order.

Single-threaded; every method blocks. `stop_requested` is asked between steps, so that a signal ends a start half way.
"""

from __future__ import annotations

import fcntl
import os
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path

from django.db import Error as DatabaseTrouble
from django.db import close_old_connections

from ..actions.publish import send_now
from ..conf import Conf
from ..models import DesktopSession, SessionHost, SpareDesktop
from ..states import Reason, State, Wanted
from . import redis as private_redis
from . import web
from .processes import Child, end_left_behind

REDIS_WITHIN = 15.0
READY_WITHIN = 60.0
SESSIONS_WITHIN = 20.0
"""Seconds that sessions have to end."""

WATCH_INTERVAL = 0.5
INTERVAL = 0.1
FINAL = (State.ENDED, State.FAILED)


class StackError(Exception):
    """The platform cannot be started. The text names cause and remedy."""


class Interrupted(Exception):
    """A stop was asked for while starting."""


class Stack:
    """The platform on this machine. ``say`` takes a line for people."""

    def __init__(
        self,
        conf: Conf,
        port: int,
        manage: Path,
        say: Callable[[str], None],
        stop_requested: Callable[[], bool],
        web_processes: int = 2,
    ) -> None:
        self._conf = conf
        self._port = port
        self._web_processes = web_processes
        self._say = say
        self._stop_requested = stop_requested
        self._directory = conf.runtime_dir / "up"
        self._directory.mkdir(mode=0o700, exist_ok=True)
        self._logs = conf.state_dir / "logs"
        self._logs.mkdir(mode=0o700, exist_ok=True)
        self._manage = [sys.executable, str(manage)]
        self._lock: int | None = None
        self._children: list[Child] = []
        self._web: list[Child] = []
        self._agent: Child | None = None
        self._redis: private_redis.PrivateRedis | None = None
        if conf.redis_url.endswith(f"@{conf.runtime_dir}/redis/redis.sock"):
            gid = conf.uid_base - 1 if os.geteuid() == 0 else None
            self._redis = private_redis.PrivateRedis(conf.redis_url, conf.runtime_dir, gid)

    def lock(self) -> None:
        """Be the only one; raise `StackError` if another `up` runs on the same state."""
        path = self._conf.runtime_dir / "up.lock"
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            pid = os.pread(descriptor, 20, 0).decode(errors="replace").strip()
            os.close(descriptor)
            raise StackError(
                f"Stripedesk is up already on {self._conf.state_dir} (pid {pid}). Stop that one with Ctrl-C, or give "
                "this one a STRIPEDESK_STATE_DIR of its own."
            ) from None
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)
        self._lock = descriptor

    def clear(self) -> None:
        """End what a killed `up` left; its sessions live on and are found again."""
        if names := end_left_behind(self._directory, grace=10.0):
            self._say(f"Ended what was left of an earlier run: {', '.join(names)}.")

    def start_redis(self) -> str:
        """Start the private Redis, or look for the configured one; return words about it."""
        if self._redis is None:
            return "configured by REDIS_URL"
        try:
            command = self._redis.prepare()
        except private_redis.RedisError as error:
            raise StackError(str(error)) from None
        child = self._child("redis", command)
        child.start()
        self._until(self._redis.answers, child, REDIS_WITHIN, "Redis does not answer on its socket")
        return "private, on a Unix socket"

    def start_web(self) -> str:
        """Start the web processes, which share the port; return words about them."""
        command = [*self._manage, "serve", "--host", web.HOST, "--port", str(self._port), "--share-port"]
        for number in range(self._web_processes):
            self._web.append(self._child(f"web-{number + 1}" if number else "web", command))
            self._web[-1].start()
        count = self._web_processes
        return f"{web.HOST}:{self._port}" + (f", {count} processes" if count > 1 else "")

    def start_agent(self) -> None:
        """Start the host agent."""
        self._agent = self._child("sessionhost", [*self._manage, "sessionhost"])
        self._agent.start()

    def await_ready(self) -> SessionHost:
        """Wait until the web server and the host agent work; return the host."""
        assert self._agent is not None  # noqa: S101 - `start_agent` comes before
        what = "The web server does not answer"
        self._until(lambda: web.is_ready(self._port), self._web[0], READY_WITHIN, what)
        host: SessionHost | None = None

        def beats() -> bool:
            nonlocal host
            host = SessionHost.objects.filter(name=self._conf.host_name).first()
            return host is not None and host.heartbeat is not None

        # None until it beats: no time has to be compared, which a clock that is set meanwhile would spoil.
        SessionHost.objects.filter(name=self._conf.host_name).update(heartbeat=None)
        self._until(beats, self._agent, READY_WITHIN, "The host agent does not report")
        assert host is not None  # noqa: S101 - `beats` has set it
        return host

    def watch(self) -> float:
        """Start dead children again; return after how many seconds to call it again if none dies before."""
        for child in self._children:
            if sentence := child.watch():
                self._say(sentence)
        if self._redis is not None:
            self._redis.open_to_workers()
        return min(WATCH_INTERVAL, *(child.due for child in self._children))

    def end(self) -> None:
        """End the sessions, then every process; remove sockets. Bounded; tries each step whatever the others do."""
        if self._agent is not None and self._agent.running:
            try:
                self._end_sessions()
            except DatabaseTrouble as error:
                self._say(f"The sessions could not be ended, for the database fails: {error}")
        for child in reversed(self._children):
            child.end(grace=10.0)
        if self._redis is not None and self._lock is not None:
            self._redis.remove()
        if self._lock is not None:
            (self._conf.runtime_dir / "up.lock").unlink(missing_ok=True)
            os.close(self._lock)
            self._lock = None

    def _end_sessions(self) -> None:
        """Ask for the end of this host's sessions, and of those nobody has begun, and wait for it."""
        assert self._agent is not None  # noqa: S101 - `end` has looked
        close_old_connections()
        living = DesktopSession.objects.exclude(state__in=FINAL)
        mine = living.filter(host__name=self._conf.host_name)
        wanted = {"wanted": Wanted.STOPPED.value, "stop_reason": Reason.HOST_SHUT_DOWN.value}
        count = mine.filter(wanted=Wanted.RUNNING).update(**wanted)
        others = SessionHost.objects.exclude(name=self._conf.host_name)
        if not any(host.alive for host in others):
            living.filter(host=None, wanted=Wanted.RUNNING).update(**wanted)
            mine = living
        if count:
            self._say(f"Ending {count} session{'s' if count != 1 else ''} …")
        send_now([("hosts", {"type": "host.wake"})])
        self._agent.signal(signal.SIGUSR1)  # it gives up what it has started ahead
        ahead = SpareDesktop.objects.filter(host__name=self._conf.host_name)
        deadline = time.monotonic() + SESSIONS_WITHIN
        while (mine.exists() or ahead.exists()) and time.monotonic() < deadline and self._agent.running:
            time.sleep(INTERVAL)
        if left := mine.count():
            self._say(f"{left} did not end in time; the next start finds or clears them.")

    def _child(self, name: str, command: list[str]) -> Child:
        child = Child(name, command, self._directory, self._logs / f"{name}.log", dict(os.environ))
        self._children.append(child)
        return child

    def _until(self, condition: Callable[[], bool], child: Child, seconds: float, complaint: str) -> None:
        deadline = time.monotonic() + seconds
        while not condition():
            if self._stop_requested():
                raise Interrupted
            if not child.running:
                raise StackError(f"{complaint}: it ended. {child.last_words()}")
            if time.monotonic() > deadline:
                raise StackError(f"{complaint} within {seconds:.0f} s. {child.last_words()}")
            time.sleep(INTERVAL)
