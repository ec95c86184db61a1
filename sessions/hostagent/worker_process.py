"""One engine worker: a child of the agent in a sandbox of its own, that outlives the agent and can be found again.

The worker sees /usr, the Python installation, the project's code, its configuration and two sockets, and inherits the
desktop's screen to read. Without a sandbox (where the operator allows it) it is a plain child.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import stat
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import stripeengine

from ..conf import Conf
from ..spawners import processes, sandbox, seccomp
from ..spawners.base import Display
from ..spawners.bounds import noted
from ..spawners.desktop_command import MARK
from ..spawners.files import write_private
from ..spawners.paths import SessionPaths
from ..spawners.processes import ProcessId, wait_ended
from ..spawners.sandbox_process import sandbox_init
from ..spawners.screen import reopen_screen
from ..spawners.uids import Identity

COMMAND = (sys.executable, "-m", "sessions.worker")
ROOT = Path(__file__).resolve().parent.parent.parent
TOLD_TO_STOP, DISPLAY_GONE, CONFIG_REFUSED, REDIS_GONE = 0, 3, 4, 5
"""Exit codes (docs/explanation/architecture.md)."""

SHARED_DIRECTORIES = ("/", "/run", "/tmp", "/var/run", "/var/tmp")  # noqa: S108


class WorkerProcess:
    """Starts, watches and ends the worker of one session."""

    def __init__(self, conf: Conf, paths: SessionPaths, sandboxed: bool, command: Sequence[str] = COMMAND) -> None:
        self._conf = conf
        self._paths = paths
        self._sandboxed = sandboxed
        self._command = command
        self._child: subprocess.Popen[bytes] | None = None
        self._main: ProcessId | None = None
        self._info = paths.runtime / "worker-info.json"

    async def start(
        self,
        display: Display,
        identity: Identity,
        redis_url: str,
        settings: dict[str, Any],
        screen: int | None = None,
    ) -> None:
        """Start a worker; give it ``screen`` to read, which stays the caller's, if that is one.

        Raises OSError: no disk, no program, no Redis socket to show it.
        """
        framebuffer = reopen_screen(screen) if screen is not None else None
        try:
            await self._start(display, identity, redis_url, settings, framebuffer)
        finally:
            if framebuffer is not None:
                os.close(framebuffer)

    async def _start(
        self,
        display: Display,
        identity: Identity,
        redis_url: str,
        settings: dict[str, Any],
        framebuffer: int | None,
    ) -> None:
        config = {
            "session": self._paths.sid,
            "redis_url": redis_url,
            "display_socket": display.socket,
            "display_number": display.number,
            "auth_name": display.auth_name,
            "auth_data": display.auth_data,
            "framebuffer": framebuffer,
            "settings": settings,
        }
        write_private(self._paths.worker_config, json.dumps(config).encode(), identity.worker)
        environment = {
            "PATH": sandbox.PATH,
            "HOME": "/tmp",  # noqa: S108 - private inside
            "LANG": sandbox.LANG,
            "PYTHONPATH": str(ROOT),
            "PYTHONUNBUFFERED": "1",
            "PYTHONDONTWRITEBYTECODE": "1",
        }
        command = [*self._command, "--config", str(self._paths.worker_config)]
        info = os.open(self._info, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        log = os.open(self._paths.worker_log, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        network = redis_socket(self._conf.redis_url) is None
        rules = seccomp.descriptor_of(seccomp.worker_filter(network)) if self._sandboxed else -1
        inherited = [framebuffer] if framebuffer is not None else []
        try:
            if self._sandboxed:
                command = self._sandboxed_command(command, display, identity, environment, (info, rules))
                environment = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin"}
            else:
                environment[MARK] = self._paths.sid
            self._child = subprocess.Popen(  # noqa: S603, ASYNC220 - forking takes a millisecond
                noted(self._paths, "worker").joined(command),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                pass_fds=[info, rules, *inherited] if self._sandboxed else inherited,
                start_new_session=True,
                env=environment,
                cwd="/",
            )
        finally:
            for descriptor in (info, log, rules):
                if descriptor >= 0:
                    os.close(descriptor)
        pid = await sandbox_init(self._info, self._child) if self._sandboxed else self._child.pid
        # None: it ended before it could be told apart; `wait` then answers at once.
        self._main = ProcessId.of(pid) if pid is not None else None

    def _sandboxed_command(
        self,
        command: list[str],
        display: Display,
        identity: Identity,
        environment: dict[str, str],
        descriptors: tuple[int, int],
    ) -> list[str]:
        code = {Path(sys.base_prefix), Path(sys.prefix), Path(__file__).resolve().parent.parent}
        code.add(Path(stripeengine.__file__).resolve().parent)
        mounts = [
            (self._paths.worker_config, str(self._paths.worker_config), False),
            (Path(display.socket).parent, str(Path(display.socket).parent), False),
        ]
        socket = redis_socket(self._conf.redis_url)
        groups: list[int] = []
        if socket is not None:
            shown = _to_show(socket, self._conf)
            mounts.append((shown, str(shown), False))
            groups = groups_of(socket, shown)
        return sandbox.command_of_worker(
            uid=identity.worker,
            groups=groups,
            code=sorted(code),
            mounts=mounts,
            environment=environment,
            descriptors=descriptors,
            network=socket is None,
            command=command,
        )

    async def wait(self) -> int | None:
        """Return the exit code once the worker has ended; None for one that an earlier agent started."""
        if self._main is not None:
            await wait_ended(self._main)
        if self._child is None:
            return None
        while (code := self._child.poll()) is None:  # noqa: ASYNC110 - the sandbox's outer half ends a moment later
            await asyncio.sleep(0.01)
        return code

    def end(self) -> None:
        """Kill the worker; it has nothing to save. Idempotent. Blocks, for milliseconds as a rule."""
        if self._main is not None:
            processes.kill(self._main)
        if self._child is not None:
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._child.wait(2)

    def get_state(self) -> dict[str, Any] | None:
        """Return what `load_state` needs, or None if there is no worker."""
        return self._main.to_state() if self._main is not None else None

    def load_state(self, state: Any) -> bool:
        """Find the worker that ``state`` describes; return whether it lives."""
        self._child = None
        self._main = ProcessId.from_state(state)
        return self._main is not None and self._main.alive()


def redis_socket(url: str) -> Path | None:
    """Return the path of the Unix socket that ``url`` names, or None if Redis is reached over the network."""
    parts = urlsplit(url)
    return Path(unquote(parts.path)) if parts.scheme == "unix" else None


def _to_show(socket: Path, conf: Conf) -> Path:
    """The socket's directory, so that a Redis that starts again is found; the socket alone where others live there."""
    parent = socket.parent
    if str(parent) in SHARED_DIRECTORIES or any(
        directory.is_relative_to(parent) for directory in (conf.runtime_dir, conf.state_dir, ROOT)
    ):
        return socket
    return parent


def groups_of(socket: Path, shown: Path) -> list[int]:
    """Return the group that opens Redis' socket, if it is not root's; ``shown`` is what the worker is shown of it.

    A Redis that is away has no socket, and one that has just come has one of root's: the directory tells then.
    """
    for path, permission in ((socket, stat.S_IWGRP), (shown, stat.S_IXGRP)):
        with contextlib.suppress(OSError):
            status = path.stat()
            if status.st_gid and status.st_mode & permission and os.geteuid() == 0:
                return [status.st_gid]
    return []
