"""A real Redis for tests, on a Unix socket of its own.

`redis_server` is one process per test run; `redis_url` empties it for a test and points Django and the channel layers
at it. `private_redis` is a server for one test alone, to be stopped and started at will.
Import the fixtures by name into a conftest: ``from tests.sessions.fixtures_redis import redis_server, redis_url``.
"""

from __future__ import annotations

import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import redis

START_TIMEOUT = 10.0


class RedisServer:
    """One redis-server process without persistence, reachable only through ``<directory>/redis.sock``."""

    def __init__(self, directory: Path) -> None:
        self.socket = directory / "redis.sock"
        self.log = directory / "redis.log"
        self.url = f"unix://{self.socket}"
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it and wait until it answers; raise `RuntimeError` with its log when it does not."""
        program = shutil.which("redis-server")
        if program is None:
            raise RuntimeError("redis-server is not installed: apt-get install redis-server")
        arguments = [program, "--port", "0", "--unixsocket", str(self.socket), "--unixsocketperm", "700"]
        arguments += ["--save", "", "--appendonly", "no", "--dir", str(self.socket.parent)]
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(arguments, stdout=log, stderr=log, start_new_session=True)
        deadline = time.monotonic() + START_TIMEOUT
        with redis.Redis(unix_socket_path=str(self.socket), retry=None) as client:
            while True:
                try:
                    client.ping()
                    return
                except redis.RedisError:
                    if self._process.poll() is not None or time.monotonic() > deadline:
                        self.stop()
                        raise RuntimeError(f"redis-server did not start:\n{self.log.read_text()}") from None
                    time.sleep(0.02)

    def stop(self) -> None:
        """End it; nothing happens when it is not running."""
        if self._process is not None:
            self._process.terminate()
            try:
                self._process.wait(5)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
            self._process = None


def use_redis(settings: Any, url: str) -> None:
    """Point Django's settings and both channel layers at ``url``; pytest-django's ``settings`` undoes it."""
    from channels.layers import channel_layers

    settings.REDIS_URL = url
    settings.CHANNEL_LAYERS = {
        alias: {**layer, "CONFIG": {**layer["CONFIG"], "hosts": [{"address": url, "socket_timeout": None}]}}
        for alias, layer in settings.CHANNEL_LAYERS.items()
    }
    channel_layers.backends.clear()  # layers are cached by alias


@pytest.fixture(scope="session")
def redis_server() -> Iterator[RedisServer]:
    """The run's shared server."""
    directory = Path(tempfile.mkdtemp(prefix="sd-redis-"))  # short: a socket's path has 107 bytes
    server = RedisServer(directory)
    server.start()
    yield server
    server.stop()
    shutil.rmtree(directory, ignore_errors=True)


@pytest.fixture
def redis_url(redis_server: RedisServer, settings: Any) -> Iterator[str]:
    """URL of the shared server, empty, with Django and the channel layers pointed at it."""
    from channels.layers import channel_layers

    with redis.Redis.from_url(redis_server.url) as client:
        client.flushall()
    use_redis(settings, redis_server.url)
    yield redis_server.url
    channel_layers.backends.clear()


@pytest.fixture
def private_redis(settings: Any) -> Iterator[RedisServer]:
    """A running server for this test alone, with Django pointed at it."""
    from channels.layers import channel_layers

    directory = Path(tempfile.mkdtemp(prefix="sd-redis-"))
    server = RedisServer(directory)
    server.start()
    use_redis(settings, server.url)
    yield server
    server.stop()
    channel_layers.backends.clear()
    shutil.rmtree(directory, ignore_errors=True)
