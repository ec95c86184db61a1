"""Homes that stay: whose they are, and how much they hold.

A persistent home belongs to a user of the platform and to a uid of its own, so that each of the user's sessions on this
host opens it. A project quota bounds it where the file system keeps them; elsewhere it is measured now and then. Its
owner is told when it is full. Everything here blocks.
"""

from __future__ import annotations

import fcntl
import os
import re
import stat
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from ..conf import UIDS_PER_SESSION
from ..states import Reason
from .base import SpawnError
from .limits import MB, size_text
from .quota import ProjectQuota
from .uids import MOST_SLOTS

MOST_ENTRIES = 300_000
"""Files and directories that one measurement looks at: a second's work."""

DEEPEST = 100
LEAST_INTERVAL = 10.0
COST = 50
"""A measurement is repeated after so many times the time it took."""

SLACK = 0.98
"""Full means this part of the limit: a quota never lets the last block be taken."""


@dataclass(frozen=True)
class Usage:
    """What a home holds, in bytes on disk. ``complete`` is False if there was more than could be counted."""

    used: int
    complete: bool = True


@dataclass(frozen=True)
class Home:
    """A persistent home. ``uid`` owns it; ``limit_mb`` bounds it, by ``quota`` if there is one."""

    path: Path
    uid: int
    limit_mb: int
    quota: ProjectQuota | None

    def measure(self) -> Usage:
        """Measure the home. Raises OSError."""
        return Usage(self.quota.used()) if self.quota else measure(self.path)

    def full(self, usage: Usage) -> str:
        """Return what to tell a user whose home is full, or ""."""
        if not usage.complete:
            return f"Your home directory holds over {MOST_ENTRIES} files. Delete some."
        if usage.used < self.limit_mb * MB * SLACK:
            return ""
        return (
            f"Your home directory is full: {size_text(usage.used // MB)} of {size_text(self.limit_mb)}. "
            "Delete something."
        )


def claim_home(state_dir: Path, uid_base: int, owner: str, limit_mb: int) -> Home:
    """Return the home of ``owner``, made if need be, bounded if that can be. Raises `SpawnError` and OSError."""
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}", owner):
        raise SpawnError(Reason.NO_SANDBOX, f"{owner!r:.70} cannot name a home directory.")
    homes = state_dir / "homes"
    homes.mkdir(mode=0o700, exist_ok=True)
    path = homes / owner
    lock = os.open(homes, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not path.exists():
            uid = _free_uid(homes, uid_base + MOST_SLOTS * UIDS_PER_SESSION) if os.geteuid() == 0 else os.geteuid()
            path.mkdir(mode=0o700)
            os.chown(path, uid, uid if os.geteuid() == 0 else -1)
        uid = path.stat().st_uid
    finally:
        os.close(lock)
    home = Home(path, uid, limit_mb, ProjectQuota.of(path, uid))
    if home.quota is not None:
        home.quota.bound(path, limit_mb * MB)
    return home


def _free_uid(homes: Path, first: int) -> int:
    owners = [entry.stat(follow_symlinks=False).st_uid for entry in os.scandir(homes) if entry.is_dir()]
    return max([first - 1, *owners]) + 1


def measure(directory: Path) -> Usage:
    """Return what ``directory`` holds. Follows no link, leaves no file system, and gives up on what is too large.

    Its owner may move things about meanwhile, so directories are opened by name only within opened ones.
    """
    used, entries, complete = 0, 0, True
    seen: set[int] = set()
    flags = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK
    opened: list[tuple[int, Iterator[os.DirEntry[str]]]] = []

    def enter(descriptor: int) -> None:
        opened.append((descriptor, os.scandir(descriptor)))

    enter(os.open(directory, flags))
    device = os.fstat(opened[0][0]).st_dev
    try:
        while opened and entries <= MOST_ENTRIES:
            parent, listing = opened[-1]
            entry = next(listing, None)
            if entry is None:
                os.close(opened.pop()[0])
                continue
            entries += 1
            try:
                status = os.stat(entry.name, dir_fd=parent, follow_symlinks=False)
                if status.st_dev != device or status.st_ino in seen:
                    continue
                if status.st_nlink > 1 and not stat.S_ISDIR(status.st_mode):
                    seen.add(status.st_ino)
                used += status.st_blocks * 512
                if stat.S_ISDIR(status.st_mode) and len(opened) < DEEPEST:
                    enter(os.open(entry.name, flags, dir_fd=parent))
                elif stat.S_ISDIR(status.st_mode):
                    complete = False
            except OSError:  # it has just gone
                continue
        return Usage(used, complete and not opened)
    finally:
        for descriptor, _ in opened:
            os.close(descriptor)


class Meter:
    """Measures one home, as often as its size lets."""

    def __init__(self, home: Home) -> None:
        self.home = home
        self.newest: Usage | None = None
        self._next = 0.0

    def look(self) -> str | None:
        """Return what to tell the user ("" is nothing), or None if it is not yet time. Raises OSError."""
        began = time.monotonic()
        if began < self._next:
            return None
        usage = self.newest = self.home.measure()
        took = time.monotonic() - began
        self._next = began + took + max(LEAST_INTERVAL, COST * took)
        return self.home.full(usage)
