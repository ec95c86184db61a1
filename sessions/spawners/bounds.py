"""Holds one session's control groups, and notices when its desktop meets a limit. The agent looks every two seconds.

What groups there are is noted beside the session's sockets, so that a later agent, or the sweep, finds them. Methods
block for microseconds, `measure` and `remove` longer: they are called in a thread.
"""

from __future__ import annotations

import json
import logging
import os
import time
from functools import cache
from pathlib import Path
from typing import Any

from . import cgroups
from .cgroups import Group, Hits, NoGroup
from .files import write_private
from .limits import WORKER, Limits, size_text
from .paths import SessionPaths
from .report import REPORT_LIMIT
from .storage import Home, Meter

logger = logging.getLogger(__name__)

DESKTOP_WEIGHT, WORKER_WEIGHT = 1, 4
"""Shares of CPU that is fought over. A worker needs little, but that at once, whatever its neighbours do."""

RECENT = 10.0
"""Seconds for which a killed program may be the cause of the desktop's end."""


@cache
def hierarchy() -> cgroups.Hierarchy:
    """Return where this agent makes groups. The first call may move this process (`cgroups.find`)."""
    return cgroups.find()


class Bounds:
    """The limits of one session at work."""

    def __init__(self, paths: SessionPaths) -> None:
        self._paths = paths
        self._report = str(paths.report)
        self.limits = Limits()
        self.desktop: Group = NoGroup()
        self.worker: Group = NoGroup()
        self._told = Hits()
        self._worker_told = Hits()
        self._killed_at = -RECENT
        self._meter: Meter | None = None

    def make(self, limits: Limits, home: Home | None) -> None:
        """Make the groups. Raises OSError."""
        here = hierarchy()
        self.limits = limits
        self.desktop, self.worker = here.group(self._paths.sid, "desktop"), here.group(self._paths.sid, "worker")
        groups = {name: _state_of(group) for name, group in (("desktop", self.desktop), ("worker", self.worker))}
        note = {"version": here.version, "groups": groups}
        write_private(self._paths.groups, json.dumps(note).encode(), os.geteuid(), 0o600)
        self.desktop.make(limits, DESKTOP_WEIGHT)
        self.worker.make(WORKER, WORKER_WEIGHT)
        self._watch_home(home)

    def find(self, limits: Limits, home: Home | None) -> None:
        """Find the groups that an earlier agent made; there may be none."""
        self.limits = limits
        self.desktop, self.worker = noted(self._paths, "desktop"), noted(self._paths, "worker")
        # What happened while nobody looked is told, if it was more than nothing.
        self._watch_home(home)

    def _watch_home(self, home: Home | None) -> None:
        self._meter = Meter(home) if home is not None else None

    def look(self) -> str | None:
        """Return what to tell the user: a sentence, "" to take back the last one, None to leave it as it is."""
        self._shorten_report()
        hits, worker_hits = self.desktop.hits(), self.worker.hits()
        said: str | None = None
        if hits.processes > self._told.processes:
            said = f"Programs could not be started: the limit of {self.limits.processes} processes is reached."
        if worker_hits.memory > self._worker_told.memory:
            said = "The stream ran out of memory and was started again."
        if hits.memory > self._told.memory:
            self._killed_at = time.monotonic()
            said = f"A program was ended: the session {self._out_of_memory()}"
        self._told, self._worker_told = hits, worker_hits
        return said

    @property
    def measures(self) -> bool:
        """Whether there is a home to `measure`."""
        return self._meter is not None

    def measure(self) -> str | None:
        """Measure the home, if it is time; return what to tell the user, as `look` does."""
        try:
            return self._meter.look() if self._meter is not None else None
        except OSError as error:
            logger.warning("session %s: its home directory cannot be measured: %s", self._paths.sid, error)
            return None

    @property
    def stored(self) -> int | None:
        """Bytes in the persistent home as last measured; None without one, or before the first time."""
        return self._meter.newest.used if self._meter is not None and self._meter.newest is not None else None

    def cpu_seconds(self) -> float | None:
        """Return the processor time of everything that ever ran in the desktop's group; None where no group counts."""
        return self.desktop.cpu_seconds()

    def cause(self) -> str:
        """Return the limit that may have ended the desktop just now, as a sentence, or ""."""
        if self.desktop.hits().memory > self._told.memory or time.monotonic() < self._killed_at + RECENT:
            return f"It {self._out_of_memory()}"
        return ""

    def _out_of_memory(self) -> str:
        return f"ran out of its memory limit of {size_text(self.limits.memory_mb)}."

    def _shorten_report(self) -> None:
        """The report is read once, from its beginning; what a program appends to it later only takes up space."""
        try:
            if os.stat(self._report).st_size > REPORT_LIMIT:
                os.truncate(self._report, REPORT_LIMIT)
        except OSError:
            return

    def remove(self) -> None:
        """Kill what is left inside the groups, and remove them. Idempotent."""
        for part in ("desktop", "worker"):
            noted(self._paths, part).remove()


def noted(paths: SessionPaths, part: str) -> Group:
    """Return the session's group of ``part`` as it was noted; `NoGroup` if there is no note or it makes no sense."""
    try:
        note = json.loads(paths.groups.read_text())
        directories = {str(name): Path(path) for name, path in note["groups"][part].items()}
        version = int(note["version"])
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return NoGroup()
    if any(directory.name != f"{cgroups.PREFIX}{paths.sid}-{part}" for directory in directories.values()):
        return NoGroup()
    return cgroups.group_of(version, directories)


def _state_of(group: Group) -> dict[str, Any]:
    return {name: str(directory) for name, directory in group.directories.items()}
