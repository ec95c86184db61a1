"""`manage.py up` as a person runs it: one line when it is ready, nothing left when it has ended."""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import signal
import socket
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import redis

from .conftest import ROOT, wait_for


class Up:
    """Runs of `up` on one state directory."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.output = directory / "output"
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        self.environment = {
            "PATH": os.environ["PATH"],
            "STRIPEDESK_STATE_DIR": str(directory / "state"),
            "STRIPEDESK_RUNTIME_DIR": str(directory / "run"),
            "STRIPEDESK_UID_BASE": "1600000",
        }
        self.process: subprocess.Popen[bytes] | None = None

    def start(self, **environment: str) -> str:
        """Start it and return its Ready line."""
        self.launch(**environment)
        return wait_for(self.ready_line, 40, lambda: f"Ready:\n{self.output.read_text()}")

    def launch(self, **environment: str) -> subprocess.Popen[bytes]:
        with self.output.open("wb") as output:
            self.process = subprocess.Popen(
                [sys.executable, str(ROOT / "manage.py"), "up", "--port", str(self.port)],
                env={**self.environment, **environment},
                stdout=output,
                stderr=output,
                start_new_session=True,
            )
        return self.process

    def ready_line(self) -> str | None:
        found = re.search(r"^Ready .*$", self.output.read_text(), re.MULTILINE)
        if found is None and self.process is not None and self.process.poll() is not None:
            pytest.fail(self.output.read_text())
        return found.group() if found else None

    def stop(self, number: int = signal.SIGTERM) -> int:
        assert self.process is not None
        self.process.send_signal(number)
        return self.process.wait(40)

    def log_end(self, name: str) -> str:
        """The end of a child's log, for a failure."""
        text = (self.directory / "state" / "logs" / f"{name}.log").read_text()
        return "\n".join([f"the end of the log of {name}:", *text.splitlines()[-40:]])

    def child(self, name: str) -> int:
        return int(json.loads((self.directory / "run" / "up" / f"{name}.json").read_text())["pid"])

    def session(self) -> str:
        """State and reason of the one session, straight from the database's file, for that is quick."""
        with contextlib.closing(
            sqlite3.connect(self.directory / "state" / "stripedesk.sqlite3", timeout=20)
        ) as database:
            return " ".join(database.execute("SELECT state, reason FROM desktops_desktopsession").fetchone())

    def manage(self, code: str) -> str:
        command = [sys.executable, str(ROOT / "manage.py"), "shell", "-v", "0", "-c", code]
        done = subprocess.run(command, env=self.environment, capture_output=True, text=True, timeout=30, check=True)
        return done.stdout.strip()


@pytest.fixture
def up() -> Iterator[Up]:
    directory = Path(tempfile.mkdtemp(prefix="sdu-"))
    directory.chmod(0o711)
    running = Up(directory)
    yield running
    if running.process is not None and running.process.poll() is None:
        running.stop()
    shutil.rmtree(directory, ignore_errors=True)


def processes_that_name(directory: Path) -> list[str]:
    found = []
    for entry in Path("/proc").iterdir():
        try:
            if entry.name.isdigit():
                environment = (entry / "environ").read_bytes() + (entry / "cmdline").read_bytes()
                if str(directory).encode() in environment:
                    found.append(f"{entry.name} {(entry / 'cmdline').read_bytes()!r:.200}")
        except OSError:
            continue
    return found


LAUNCH = """
from django.contrib.auth.models import User
from sessions.models import *
t = SessionTemplate.objects.get(slug="terminal")
s = DesktopSession.objects.create(owner=User.objects.get(), template=t, name="S", width=640, height=480)
print(s.pk)
"""


def test_it_starts_says_ready_and_leaves_nothing(up: Up) -> None:
    line = up.start()
    shown = re.fullmatch(rf"Ready  http://127\.0\.0\.1:{up.port}/  user: admin  password: (\S+)", line)
    assert shown, line
    check = (
        f"from django.contrib.auth import authenticate as a; print(bool(a(username='admin', password='{shown[1]}')))"
    )
    assert up.manage(check) == "True"
    up.manage(LAUNCH)
    wait_for(lambda: up.session().startswith("running"), 20, "a running session")

    # A second one on the same state says so; so does one whose port is taken.
    second = Up(up.directory / "other")
    second.directory.mkdir()
    second.port = up.port
    other_port = up.port + 1 if up.port < 65535 else 8001
    environment = {**up.environment}
    command = [sys.executable, str(ROOT / "manage.py"), "up", "--port", str(other_port)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=20, check=False)
    assert done.returncode == 1 and "Stripedesk is up already" in done.stderr and str(up.process.pid) in done.stderr
    assert second.launch().wait(20) == 1
    assert f"Port {up.port} is taken" in second.output.read_text() and "PORT=" in second.output.read_text()

    assert up.stop(signal.SIGINT) == 0
    assert "Ending 1 session" in up.output.read_text()
    assert up.session() == "ended host-shut-down"
    assert processes_that_name(up.directory) == []
    left = {path.name for path in (up.directory / "run").rglob("*") if not path.is_dir()}
    assert left <= {f"agent-{socket.gethostname()}.lock", "hosts.lock"}

    # The password is not shown again, also not one that is asked for now.
    assert "changepassword" in up.start(STRIPEDESK_ADMIN_PASSWORD="another")


def test_the_password_may_be_chosen(up: Up) -> None:
    assert up.start(STRIPEDESK_ADMIN_PASSWORD="Chosen-1234").endswith("password: Chosen-1234")


def test_dead_children_are_replaced_and_a_killed_up_is_followed_by_the_next(up: Up) -> None:
    up.start()
    up.manage(LAUNCH)
    wait_for(lambda: up.session().startswith("running"), 20, "a running session")

    def adopted(times: int) -> None:
        """An agent that is ended before it has begun finds nothing: wait for each."""
        log = up.directory / "state" / "logs" / "sessionhost.log"
        end = lambda: f"adoption {times}\n{up.log_end('sessionhost')}"  # noqa: E731
        wait_for(lambda: log.read_text().count("found again") >= times, 20, end)

    for name in ("web", "web-2", "sessionhost", "redis"):
        before = up.child(name)
        os.kill(before, signal.SIGKILL)
        wait_for(lambda name=name, before=before: up.child(name) != before, 10, f"another {name}")
        wait_for(lambda name=name: f"{name} ended (signal 9)" in up.output.read_text(), 5, up.output.read_text)
        if name == "sessionhost":
            adopted(1)

    assert up.process is not None
    up.process.kill()
    up.process.wait()
    up.start()
    assert "Ended what was left of an earlier run: redis, sessionhost, web, web-2." in up.output.read_text()
    adopted(2)
    url = up.manage("from django.conf import settings; print(settings.REDIS_URL)")
    with redis.Redis.from_url(url) as client:
        wait_for(lambda: any(b"status" in key for key in client.keys("*")), 15, "the worker on the new Redis")
    assert up.session().startswith("running")
    socket_path = up.directory / "run" / "redis" / "redis.sock"
    assert socket_path.stat().st_mode & 0o007 == 0
    with pytest.raises(redis.exceptions.AuthenticationError), redis.Redis(unix_socket_path=str(socket_path)) as client:
        client.ping()


def test_a_signal_ends_a_start_half_way(up: Up) -> None:
    process = up.launch()
    wait_for(lambda: "redis" in up.output.read_text(), 20, "Redis")
    process.terminate()
    assert process.wait(30) == 0
    time.sleep(0.1)
    assert processes_that_name(up.directory) == []


def test_a_redis_that_cannot_be_started_is_named(up: Up, tmp_path: Path) -> None:
    (tmp_path / "redis-server").write_text(
        '#!/bin/sh\n[ "$1" = --version ] && echo v=7.0.1 && exit\necho no memory\nexit 1\n'
    )
    (tmp_path / "redis-server").chmod(0o755)
    assert up.launch(PATH=f"{tmp_path}:{os.environ['PATH']}").wait(30) == 1
    assert "Redis does not answer on its socket: it ended. Its last words: no memory" in up.output.read_text()
    (tmp_path / "redis-server").write_text("#!/bin/sh\necho v=6.0.16\n")
    assert up.launch(PATH=f"{tmp_path}:{os.environ['PATH']}").wait(30) == 1
    assert "version 6.0; 7.0 or newer is needed" in up.output.read_text()
