"""Several web processes behind one address: all of them serve, a dead one is replaced, and they end together."""

from __future__ import annotations

import os
import signal
import socket
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.sessions.serving.fixtures_server import Process, free_port, start

__all__ = ["start"]


def children(pid: int) -> set[int]:
    return set(map(int, Path(f"/proc/{pid}/task/{pid}/children").read_text().split()))


def wait_until(condition: Callable[[], object], what: str, seconds: float = 20) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"waited {seconds} s for {what}"
        time.sleep(0.05)


def answers(port: int) -> bool:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/healthz", timeout=5) as answer:
            return bool(answer.status == 200)
    except (urllib.error.URLError, OSError):
        return False


def owners(port: int) -> int:
    """How many sockets listen on the port."""
    lines = Path("/proc/net/tcp").read_text().splitlines()[1:]
    return sum(line.split()[1].endswith(f":{port:04X}") and line.split()[3] == "0A" for line in lines)


def test_two_processes_share_a_port_and_survive_each_other(start: Callable[..., Process]) -> None:
    port = free_port()
    parent = start("manage.py", "serve", "--port", str(port), "--processes", "2")
    wait_until(lambda: owners(port) == 2, "both to listen")
    first = children(parent.process.pid)
    assert len(first) == 2 and answers(port)

    victim = min(first)
    os.kill(victim, signal.SIGKILL)
    wait_until(lambda: owners(port) == 1, "the dead one's socket to go")
    assert all(answers(port) for _ in range(10))  # none goes to the dead one
    wait_until(lambda: owners(port) == 2, "another")
    assert victim not in children(parent.process.pid)
    assert "Web process" in parent.log.read_text() and "ended (-9)" in parent.log.read_text()

    # Another server on that port is refused, however willing to share these are.
    second = start("manage.py", "serve", "--port", str(port), "--processes", "2")
    assert second.process.wait(20) == 1 and "Address already in use" in second.log.read_text()

    assert parent.stop(20) == 0
    assert owners(port) == 0


def test_processes_of_a_killed_parent_end(start: Callable[..., Process], tmp_path: Path) -> None:
    path = tmp_path / "web.sock"
    parent = start("manage.py", "serve", "--socket", str(path), "--processes", "2")

    def served() -> bool:
        with socket.socket(socket.AF_UNIX) as client:
            client.settimeout(5)
            try:
                client.connect(str(path))
                client.sendall(b"GET /healthz HTTP/1.0\r\nHost: localhost\r\n\r\n")
                return client.recv(100).startswith(b"HTTP/1.")
            except OSError:
                return False

    wait_until(served, "an answer")
    wait_until(lambda: parent.log.read_text().count("Listening on unix:") == 2, "both")
    orphans = children(parent.process.pid)
    parent.process.kill()
    parent.process.wait()
    wait_until(lambda: not any(Path(f"/proc/{pid}").exists() for pid in orphans), "the orphans to end")


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--processes", "0"], "--processes is a number from 1 to 64, not 0"),
        (["--processes", "2", "--port", "0"], "Several processes need a port they agree on"),
        (["--processes", "2", "--host", "203.0.113.7"], "Cannot listen on 203.0.113.7:8000"),
    ],
)
def test_what_cannot_be_shared_is_said_so(start: Callable[..., Process], arguments: list[str], says: str) -> None:
    process = start("manage.py", "serve", *arguments)
    assert process.process.wait(20) == 1
    assert says in process.log.read_text() and "Traceback" not in process.log.read_text()
