"""An installation for host agents: database file, Redis and directories of its own, and agents as real processes."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any
from uuid import UUID

import msgpack
import pytest
import redis
from django.core.management import call_command
from django.db import connections

from sessions.models import DesktopSession, SessionTemplate
from sessions.spawners.paths import SessionPaths
from sessions.states import State, Wanted

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent.parent
ALIAS = "host"
UID_BASE = 1_400_000 + os.getpid() % 1000 * 100  # another run on this machine has others
REDIS_GID = UID_BASE - 1
REDIS_PASSWORD = "a-password-of-redis"


class Installation:
    """What `up` would set up, with the database reached through the alias ``host``."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.state, self.runtime = directory / "state", directory / "run"
        self.redis_socket = directory / "redis" / "redis.sock"
        self.agents: list[subprocess.Popen[bytes]] = []
        self._redis: subprocess.Popen[bytes] | None = None
        for path in (self.state, self.runtime, self.redis_socket.parent):
            path.mkdir()
        self.state.chmod(0o700)
        self.runtime.chmod(0o711)
        self.environment = {
            "PATH": os.environ["PATH"],
            "STRIPEDESK_STATE_DIR": str(self.state),
            "STRIPEDESK_RUNTIME_DIR": str(self.runtime),
            "STRIPEDESK_UID_BASE": str(UID_BASE),
            "STRIPEDESK_SECRET_KEY": "a-secret-of-the-host-nobody-may-see",
            "DATABASE_URL": f"sqlite:///{self.state / 'stripedesk.sqlite3'}",
            "REDIS_URL": f"unix://:{REDIS_PASSWORD}@{self.redis_socket}",
        }

    def start_redis(self) -> None:
        line = [*self.redis_command(), "--unixsocket", str(self.redis_socket), "--unixsocketperm", "770"]
        log = (self.directory / "redis.log").open("ab")
        self._redis = subprocess.Popen(
            [*line, "--requirepass", REDIS_PASSWORD, "--save", "", "--dir", str(self.directory)],
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
        log.close()
        with self.admin() as client:
            wait_for(lambda: self.redis_socket.exists() and client.ping(), 10, "Redis")
        if os.geteuid() == 0:
            os.chown(self.redis_socket, 0, REDIS_GID)
            os.chown(self.redis_socket.parent, 0, REDIS_GID)
        self.redis_socket.parent.chmod(0o750)

    def redis_command(self) -> list[str]:
        return ["redis-server", "--port", "0"]

    def admin(self) -> redis.Redis:
        """A client that may do everything."""
        return redis.Redis(unix_socket_path=str(self.redis_socket), password=REDIS_PASSWORD)

    def stop_redis(self) -> None:
        if self._redis is not None:
            self._redis.terminate()
            self._redis.wait(5)
            self._redis = None

    def start_agent(
        self, behaviour: str = "stream", name: str = "host-a", enter: Sequence[str] = (), **environment: str
    ) -> subprocess.Popen[bytes]:
        """Start an agent; ``enter`` is put before its command."""
        log = (self.directory / f"{name}.log").open("ab")
        agent = subprocess.Popen(
            [*enter, sys.executable, str(HERE / "run_agent.py"), name, behaviour],
            env={**self.environment, **environment},
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
        log.close()
        self.agents.append(agent)
        return agent

    def log(self, name: str = "host-a") -> str:
        return (self.directory / f"{name}.log").read_text()

    def launch(self, command: str = "xterm", kind: str = "application", **fields: Any) -> UUID:
        """Write the wish for a session, as the portal does; ``fields`` of template and session mixed."""
        of_session = {name: fields.pop(name) for name in ("width", "height", "attempts") if name in fields}
        template = self.template(command, kind, **fields)
        owner = connections_user()
        row = DesktopSession.objects.using(ALIAS).create(
            owner=owner,
            template=template,
            name=template.name,
            **{"width": 801, "height": 601, **of_session},
        )
        return row.pk

    def template(self, command: str, kind: str = "application", **fields: Any) -> SessionTemplate:
        """Make a template."""
        name = f"Template {SessionTemplate.objects.using(ALIAS).count()}"
        values = {"name": name, "slug": name.lower().replace(" ", "-"), "kind": kind, "command": command, **fields}
        return SessionTemplate.objects.using(ALIAS).create(**values)

    def redis_get(self, key: str) -> bytes | None:
        with self.admin() as client:
            return client.get(key)

    def wake(self) -> None:
        """Tell the agents to look at the database now, as the web tier does after a commit."""
        with self.admin() as client:
            client.publish("stripedesk__group__hosts", msgpack.packb({"type": "host.wake"}))

    def session(self, pk: UUID) -> DesktopSession:
        return DesktopSession.objects.using(ALIAS).get(pk=pk)

    def stop(self, pk: UUID, reason: str = "stopped-by-user") -> None:
        DesktopSession.objects.using(ALIAS).filter(pk=pk).update(wanted=Wanted.STOPPED, stop_reason=reason)

    def until(self, pk: UUID, *states: State, seconds: float = 20) -> DesktopSession:
        """Wait until the session is in one of ``states``; fail with what it is instead."""

        def arrived() -> DesktopSession | None:
            row = self.session(pk)
            if row.state not in states and State(row.state).final:
                pytest.fail(f"{row.state} {row.reason}: {row.message}\n{self.log()}")
            return row if row.state in states else None

        return wait_for(arrived, seconds, lambda: f"{states}, it is {self.session(pk).state}\n{self.log()}")

    def paths(self, pk: UUID) -> SessionPaths:
        return SessionPaths(pk.hex, self.runtime, self.state)

    def home(self, pk: UUID) -> Path:
        """The home directory of a running session, seen through its start script."""
        return Path(f"/proc/{self.session(pk).spawner_state['script']['pid']}/root/home/user")

    def status(self, pk: UUID) -> dict[str, Any]:
        with self.admin() as client:
            return json.loads(client.get(f"stripedesk:session:{pk.hex}:status") or b"{}")

    def inside(self, pk: UUID, script: str) -> subprocess.CompletedProcess[str]:
        """Run a shell script in the session's sandbox, as its desktop's user and in its namespaces."""
        state = self.session(pk).spawner_state
        init, uid = state["init"]["pid"], UID_BASE + 2 * state["slot"]
        environment = Path(f"/proc/{desktop_process(init)}/environ").read_bytes().rstrip(b"\0").split(b"\0")
        line = [
            "nsenter",
            "-t",
            str(init),
            "-m",
            "-p",
            "-i",
            "-n",
            "-u",
            "--",
            "env",
            "-i",
            *map(bytes.decode, environment),
        ]
        line += ["setpriv", "--reuid", str(uid), "--regid", str(uid), "--clear-groups", "--no-new-privs"]
        line += ["--bounding-set=-all", "--inh-caps=-all", "/bin/bash", "-c", script]
        return subprocess.run(line, capture_output=True, text=True, timeout=20, check=False)

    def processes_of(self, pk: UUID) -> list[str]:
        """Command lines of every process that has to do with the session."""
        found = []
        uids = {UID_BASE + slot for slot in range(20)}
        for entry in Path("/proc").iterdir():
            try:
                if entry.name.isdigit():
                    line = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
                    if str(self.paths(pk).runtime) in line or entry.stat().st_uid in uids:
                        found.append(f"{entry.name} {line}")
            except OSError:
                continue
        return found

    def close(self) -> None:
        for pk in DesktopSession.objects.using(ALIAS).values_list("pk", flat=True):
            self.stop(pk)
        if any(agent.poll() is None for agent in self.agents):
            living = DesktopSession.objects.using(ALIAS).exclude(state__in=[State.ENDED, State.FAILED])
            deadline = time.monotonic() + 10
            while living.exists() and time.monotonic() < deadline:
                time.sleep(0.05)
        for agent in self.agents:
            if agent.poll() is None:
                agent.terminate()
                agent.wait(10)
        self.stop_redis()


def connections_user() -> Any:
    from django.contrib.auth.models import User

    return User.objects.using(ALIAS).get_or_create(username="olga")[0]


def desktop_process(init: int) -> int:
    """The start script below a sandbox's init: its environment is the desktop's."""
    children = []
    for entry in Path("/proc").iterdir():
        try:
            if entry.name.isdigit() and (entry / "stat").read_text().rpartition(")")[2].split()[1] == str(init):
                children.append(int(entry.name))
        except OSError:  # it has just ended
            continue
    return min(children)


def children_of(pid: int) -> list[int]:
    """The processes whose parent is ``pid``."""
    found: list[int] = []
    for task in Path(f"/proc/{pid}/task").iterdir():
        found += map(int, (task / "children").read_text().split())
    return found


def wait_for(condition: Callable[[], Any], seconds: float, what: str | Callable[[], str]) -> Any:
    deadline = time.monotonic() + seconds
    while True:
        try:
            if result := condition():
                return result
        except redis.RedisError:
            pass
        if time.monotonic() > deadline:
            pytest.fail(f"waited {seconds} s for {what if isinstance(what, str) else what()}")
        time.sleep(0.03)


@pytest.fixture(scope="session")
def empty_database(tmp_path_factory: pytest.TempPathFactory, django_db_blocker: Any) -> Iterator[Path]:
    """A migrated SQLite file, and the alias to reach copies of it."""
    path = tmp_path_factory.mktemp("database") / "empty.sqlite3"
    connections.settings[ALIAS] = _database(path)
    with django_db_blocker.unblock():
        call_command("migrate", database=ALIAS, verbosity=0)
        connections[ALIAS].close()
    yield path
    del connections.settings[ALIAS]


def _database(path: Path) -> dict[str, Any]:
    options = {"timeout": 20, "transaction_mode": "IMMEDIATE"}
    configured = {"default": {}, ALIAS: {"ENGINE": "django.db.backends.sqlite3", "NAME": str(path), "OPTIONS": options}}
    return dict(connections.configure_settings(configured)[ALIAS])


@pytest.fixture
def installation(empty_database: Path, django_db_blocker: Any) -> Iterator[Installation]:
    directory = Path(tempfile.mkdtemp(prefix="sdh-"))  # short: a socket's path has 107 bytes
    directory.chmod(0o711)
    made = Installation(directory)
    shutil.copy(empty_database, made.state / "stripedesk.sqlite3")
    connections.settings[ALIAS] = _database(made.state / "stripedesk.sqlite3")
    del connections[ALIAS]
    with django_db_blocker.unblock():
        made.start_redis()
        try:
            yield made
        finally:
            made.close()
            connections[ALIAS].close()
    shutil.rmtree(directory, ignore_errors=True)


@pytest.fixture
def root() -> None:
    """Skips where the agent would not be root: uids of a session's own need it."""
    if os.geteuid() != 0:
        pytest.skip("needs root")
