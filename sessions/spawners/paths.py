"""Where the local spawner keeps a session's files. Sockets and secrets are in the runtime directory, for a socket's
path is short; logs and the home directory are in the state directory, for they may be large.
"""

from __future__ import annotations

import os
import shutil
from dataclasses import dataclass
from pathlib import Path

SHORT = 12
"""Digits of a session's id that name its runtime directory: 48 bits, and a short socket path."""


@dataclass(frozen=True)
class SessionPaths:
    """Every path of one session. ``runtime/s/<short>`` and ``state/desktops/<sid>``."""

    sid: str
    runtime_root: Path
    state_root: Path

    @property
    def runtime(self) -> Path:
        """Sockets, secrets, and what the sandboxes are made of. Mode 0700: sandboxes are shown parts of it."""
        return self.runtime_root / "s" / self.sid[:SHORT]

    @property
    def data(self) -> Path:
        """Logs and home. Mode 0700."""
        return self.state_root / "desktops" / self.sid

    @property
    def x_directory(self) -> Path:
        """Holds the X server's socket; seen as /tmp/.X11-unix inside."""
        return self.runtime / "x"

    @property
    def x_socket(self) -> Path:
        """The X server's socket."""
        return self.x_directory / "X0"

    @property
    def etc(self) -> Path:
        """Files made for the sandbox's /etc."""
        return self.runtime / "etc"

    @property
    def user_runtime(self) -> Path:
        """Seen as XDG_RUNTIME_DIR inside."""
        return self.runtime / "user"

    @property
    def authority(self) -> Path:
        """The Xauthority file."""
        return self.runtime / "authority"

    @property
    def info(self) -> Path:
        """What bubblewrap tells about the sandbox: the pid of its init."""
        return self.runtime / "info.json"

    @property
    def slirp(self) -> Path:
        """Which process connects the sandbox's network."""
        return self.runtime / "slirp.json"

    @property
    def groups(self) -> Path:
        """Which control groups the session has."""
        return self.runtime / "groups.json"

    @property
    def report(self) -> Path:
        """What the start script tells about its progress. Written inside the sandbox: hostile input."""
        return self.runtime / "report"

    @property
    def worker_config(self) -> Path:
        """What the worker is given."""
        return self.runtime / "worker.json"

    @property
    def home(self) -> Path:
        """Seen as /home/user inside."""
        return self.data / "home"

    @property
    def desktop_log(self) -> Path:
        """What the desktop's programs print."""
        return self.data / "desktop.log"

    @property
    def worker_log(self) -> Path:
        """What the worker prints."""
        return self.data / "worker.log"

    @property
    def network_log(self) -> Path:
        """What slirp4netns prints."""
        return self.data / "network.log"

    def make(self) -> None:
        """Make the directories, empty; leftovers of an earlier start are removed. Raises OSError."""
        self.remove()
        self.runtime.parent.mkdir(mode=0o700, exist_ok=True)
        self.data.parent.mkdir(mode=0o700, exist_ok=True)
        modes = {
            self.runtime: 0o700,
            self.etc: 0o755,
            self.x_directory: 0o1777,  # what the X server insists on; who may come here is the parent's business
            self.user_runtime: 0o700,
            self.data: 0o700,
            self.home: 0o700,
        }
        for directory, mode in modes.items():
            directory.mkdir()
            directory.chmod(mode)  # mkdir's own mode is subject to the umask
        (self.runtime / "sid").write_text(self.sid)

    def remove(self) -> None:
        """Remove everything; what is not there is no error."""
        shutil.rmtree(self.runtime, ignore_errors=True)
        shutil.rmtree(self.data, ignore_errors=True)


def known_sessions(runtime_root: Path, state_root: Path) -> set[str]:
    """Return the ids of all sessions that have left a directory here."""
    sids = set()
    for directory in _entries(runtime_root / "s"):
        try:
            sids.add((directory / "sid").read_text().strip())
        except OSError:
            continue
    return sids | {directory.name for directory in _entries(state_root / "desktops")}


def remove_nameless(runtime_root: Path) -> None:
    """Remove runtime directories that do not say whose they are: a crash left them half made."""
    for directory in _entries(runtime_root / "s"):
        if not (directory / "sid").exists():
            shutil.rmtree(directory, ignore_errors=True)


def _entries(directory: Path) -> list[Path]:
    try:
        return [directory / name for name in os.listdir(directory)]
    except OSError:
        return []
