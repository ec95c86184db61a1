"""Servers as processes, for the tests of the serving side."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]
MESSAGE = 100_000


class Process:
    """A started program and its output so far."""

    def __init__(self, log: Path, *command: str, env: dict[str, str] | None = None) -> None:
        self.log = log
        with log.open("wb") as output:
            self.process = subprocess.Popen(command, stdout=output, stderr=output, cwd=ROOT, env=env)

    def wait_for(self, text: str, timeout: float = 20) -> str:
        deadline = time.monotonic() + timeout
        while text not in (found := self.log.read_text()):
            assert time.monotonic() < deadline and (self.process.poll() is None), found
            time.sleep(0.05)
        return found

    def rss_mb(self) -> float:
        with open(f"/proc/{self.process.pid}/statm", encoding="ascii") as file:
            return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 1e6

    def stop(self, timeout: float = 10) -> int:
        if self.process.poll() is None:
            self.process.terminate()
        return self.process.wait(timeout)


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[..., Process]]:
    started: list[Process] = []

    def run(*command: str, **environment: str) -> Process:
        env = {
            **os.environ,
            "STRIPEDESK_STATE_DIR": str(tmp_path / "state"),
            "STRIPEDESK_RUNTIME_DIR": str(tmp_path / "run"),
            "PYTHONUNBUFFERED": "1",
            **environment,
        }
        started.append(Process(tmp_path / f"log-{len(started)}", sys.executable, *command, env=env))
        return started[-1]

    yield run
    for process in started:
        if process.process.poll() is None:
            process.process.kill()
        process.process.wait()


SERVERS = ("daphne", "uvicorn")
"""What has to keep the same promises: ours, and another that may serve the application."""


@pytest.fixture(params=SERVERS)
def flood(
    request: pytest.FixtureRequest, start: Callable[..., Process], tmp_path: Path
) -> Callable[..., tuple[Process, str]]:
    """``flood(count)``, under each server: a process whose application sends as fast as it may, and its socket."""

    def run(count: int, *tls: str) -> tuple[Process, str]:
        path = str(tmp_path / "flood.sock")
        program = str(Path(__file__).with_name("flood_server.py"))
        process = start(program, request.param, path, str(MESSAGE), str(count), *tls)
        process.wait_for("ready")
        return process, path

    return run


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
