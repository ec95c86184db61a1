"""A desktop's screen as a file in memory: its X server draws into it, its worker reads it. Nothing here blocks.

Whoever reads mapped memory of a file that somebody else cuts off is killed by the kernel (SIGBUS). So the file is
sealed against that before anything of the desktop has it, and no other file is ever handed to a worker. It can still
grow: the X server does that by writing.
"""

from __future__ import annotations

import fcntl
import os
import stat
from typing import Any

from .processes import ProcessId

NAME = "stripedesk-screen"
"""The start script knows the file by it."""

READ = os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC
"""The rest is for what may lie there in place of the file."""

Identity = tuple[int, int]
"""Device and inode of a file."""


def make_screen(uid: int) -> int:
    """Return a descriptor of a new, empty screen that ``uid`` alone may open. The caller closes it. Raises OSError."""
    descriptor = os.memfd_create(NAME, os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    try:
        fcntl.fcntl(descriptor, fcntl.F_ADD_SEALS, fcntl.F_SEAL_SHRINK)
        os.fchmod(descriptor, 0o600)
        if os.geteuid() == 0:
            os.fchown(descriptor, uid, uid)
    except OSError:
        os.close(descriptor)
        raise
    return descriptor


def open_screen(path: str) -> int | None:
    """Return a descriptor to read the screen at ``path`` by, or None if that is none. The caller closes it."""
    try:
        descriptor = os.open(path, READ)
    except OSError:
        return None
    if _sealed(descriptor):
        return descriptor
    os.close(descriptor)
    return None


def reopen_screen(descriptor: int) -> int | None:
    """As `open_screen`, of what ``descriptor`` is open on, which may be open for writing."""
    return open_screen(f"/proc/self/fd/{descriptor}")


def find_screen(process: ProcessId, identity: Identity) -> int | None:
    """As `open_screen`, of the one file that a hostile ``process`` should have open; None if it has not."""
    directory = f"/proc/{process.pid}/fd"
    try:
        paths = [f"{directory}/{name}" for name in os.listdir(directory)]
    except OSError:
        return None
    for path in paths:
        if not _named(path) or (descriptor := open_screen(path)) is None:
            continue
        if identity_of(descriptor) == identity:
            return descriptor
        os.close(descriptor)
    return None


def identity_of(descriptor: int) -> Identity:
    """Return what tells the file from every other."""
    status = os.fstat(descriptor)
    return status.st_dev, status.st_ino


def identity_from(state: Any) -> Identity | None:
    """Read an identity that was kept as JSON; None if it makes no sense."""
    if not isinstance(state, list) or len(state) != 2 or not all(type(part) is int for part in state):
        return None
    return state[0], state[1]


def _named(path: str) -> bool:
    """Opening certain other things has effects."""
    try:
        return os.readlink(path).startswith(f"/memfd:{NAME}")
    except OSError:
        return False


def _sealed(descriptor: int) -> bool:
    try:
        seals = fcntl.fcntl(descriptor, fcntl.F_GET_SEALS)
        return stat.S_ISREG(os.fstat(descriptor).st_mode) and bool(seals & fcntl.F_SEAL_SHRINK)
    except OSError:  # no file in memory
        return False
