"""The private Redis of `up`: a Unix socket, no port, nothing on disk but its users, bounded memory."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
from pathlib import Path
from urllib.parse import unquote, urlsplit

import redis

MEMORY_LIMIT = "512mb"
LEAST_VERSION = (7, 0)


class RedisError(Exception):
    """The private Redis cannot be used. The text names cause and remedy."""


class PrivateRedis:
    """Files and command line of the Redis that ``url`` names, which is below ``runtime_dir``."""

    def __init__(self, url: str, runtime_dir: Path, gid: int | None) -> None:
        parts = urlsplit(url)
        self.url = url
        self.socket = Path(unquote(parts.path))
        self._password = unquote(parts.password or "")
        self._directory = runtime_dir / "redis-private"
        self._gid = gid

    def prepare(self) -> list[str]:
        """Write the configuration; return the command line. Raises `RedisError`."""
        program = shutil.which("redis-server")
        if program is None:
            raise RedisError(
                "redis-server is not installed. Run `make setup`, or set REDIS_URL to a Redis of your own."
            )
        if (found := version(program)) < LEAST_VERSION:
            raise RedisError(f"redis-server is version {'.'.join(map(str, found))}; 7.0 or newer is needed.")
        # Workers are shown this directory, so there is nothing else in it, and it stays the same while they live.
        self.socket.parent.mkdir(mode=0o700, exist_ok=True)
        self.socket.unlink(missing_ok=True)
        self._directory.mkdir(mode=0o700, exist_ok=True)
        users = self._directory / "users.acl"
        if not users.exists():  # a successor keeps the users of workers that still run
            digest = hashlib.sha256(self._password.encode()).hexdigest()
            _write(users, f"user default on #{digest} ~* &* +@all\n")
        lines = [
            "port 0",
            f"unixsocket {self.socket}",
            "unixsocketperm 770",
            f"aclfile {users}",
            f"dir {self._directory}",
            'save ""',
            "appendonly no",
            "daemonize no",
            f"maxmemory {MEMORY_LIMIT}",
            "maxmemory-policy volatile-ttl",
            # A web process that does not read is cut off; it comes back and asks for a snapshot.
            "client-output-buffer-limit pubsub 64mb 32mb 20",
            "timeout 0",
            "tcp-keepalive 0",
        ]
        _write(self._directory / "redis.conf", "".join(f"{line}\n" for line in lines))
        return [program, str(self._directory / "redis.conf")]

    def answers(self) -> bool:
        """Whether it answers; opens its socket to the workers the first time. Blocks ≤ 1 s."""
        try:
            with redis.Redis.from_url(self.url, socket_timeout=1, socket_connect_timeout=1) as client:
                client.ping()
        except (redis.RedisError, OSError):
            return False
        self.open_to_workers()
        return True

    def open_to_workers(self) -> None:
        """Let the workers' group, and nobody else, reach the socket."""
        if self._gid is None:
            return
        for path, mode in ((self.socket, 0o770), (self.socket.parent, 0o750)):
            try:
                if path.stat().st_gid != self._gid:
                    os.chown(path, 0, self._gid)
                    path.chmod(mode)
            except FileNotFoundError:
                return

    def remove(self) -> None:
        """Remove socket, configuration and users."""
        shutil.rmtree(self.socket.parent, ignore_errors=True)
        shutil.rmtree(self._directory, ignore_errors=True)


def version(program: str) -> tuple[int, int]:
    """Return (major, minor) of a redis-server; (0, 0) if it does not say. Blocks for some ms."""
    output = subprocess.run([program, "--version"], capture_output=True, text=True, timeout=10, check=False).stdout  # noqa: S603
    for word in output.split():
        if word.startswith("v="):
            major, minor, *_ = (*word[2:].split("."), "0")
            return int(major), int(minor)
    return 0, 0


def _write(path: Path, text: str) -> None:
    path.unlink(missing_ok=True)
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(text)
