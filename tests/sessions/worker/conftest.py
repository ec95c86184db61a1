"""Fixtures of the worker's tests: a real Redis, a real X server, and workers that end with the test."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import redis

from sessions.worker.messages import status_key
from tests.sessions.fixtures_redis import private_redis, redis_server, redis_url
from tests.stripeengine.fixtures_x11 import XServer, have_xvfb

__all__ = ["private_redis", "redis_server", "redis_url"]

ROOT = Path(__file__).resolve().parents[3]
SESSION = "0123456789abcdef0123456789abcdef"


MAIN = """\
import sys
from sessions.worker import __main__, worker
worker.GRACE_S = float(sys.argv[1])
sys.exit(__main__.main(sys.argv[2:]))
"""


class WorkerProcess:
    """A real worker. ``stop`` ends it and returns its exit code."""

    def __init__(self, url: str, display: XServer, directory: Path, grace: float, settings: dict[str, Any]) -> None:
        self.url = url
        config = {
            "session": SESSION, "redis_url": url, "display_socket": display.socket, "display_number": display.number,
            "auth_name": display.auth[0], "auth_data": display.auth[1].hex(), "framebuffer": display.screen,
            "settings": settings,
        }  # fmt: skip
        path = directory / f"worker-{time.monotonic_ns()}.json"
        path.write_text(json.dumps(config))
        path.chmod(0o400)
        self.log = path.with_suffix(".log")
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-c", MAIN, str(grace), "--config", str(path)],
                cwd=ROOT, stderr=log, env={**os.environ, "PYTHONPATH": ""},
                pass_fds=[] if display.screen is None else [display.screen],
            )  # fmt: skip

    def status(self) -> dict[str, Any] | None:
        with redis.Redis.from_url(self.url) as client:
            text = client.get(status_key(SESSION))
        return json.loads(text) if text else None

    def wait_for(self, check: Callable[[dict[str, Any]], bool], timeout: float = 15) -> dict[str, Any]:
        """Wait until the status passes ``check``."""
        deadline = time.monotonic() + timeout
        while time.monotonic() < deadline:
            try:
                status = self.status()
            except redis.RedisError:
                status = None
            if status is not None and check(status):
                return status
            if self.process.poll() is not None:
                break
            time.sleep(0.05)
        raise AssertionError(f"last status {self.status()}, log:\n{self.log.read_text()}")

    def stop(self, timeout: float = 10) -> int:
        if self.process.poll() is None:
            self.process.terminate()
        return self.process.wait(timeout)


@pytest.fixture
def display() -> Iterator[XServer]:
    if not have_xvfb():
        pytest.fail("Xvfb is not installed: apt-get install xvfb")
    with XServer((800, 600), framebuffer=True) as server:
        yield server


@pytest.fixture
def start_worker(tmp_path: Path) -> Iterator[Callable[..., WorkerProcess]]:
    """``start_worker(url, display, **settings)``; ``grace``: with nobody looking it stops encoding after so long."""
    started: list[WorkerProcess] = []

    def start(url: str, display: XServer, grace: float = 600.0, **settings: Any) -> WorkerProcess:
        started.append(WorkerProcess(url, display, tmp_path, grace, settings))
        return started[-1]

    yield start
    for worker in started:
        if worker.process.poll() is None:
            worker.process.kill()
        worker.process.wait()
