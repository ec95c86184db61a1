"""Processor time of sessions' programs: one pass over /proc for all sessions of the host, every `SAMPLE_S`.

A session's processes are the descendants of its sandbox's init, to which the kernel gives every orphan inside. Counted
is what each has used with its ended children, so what ends between two passes is counted with its parent. Blocks for
milliseconds, in a thread.
"""

from __future__ import annotations

import os
import time
from dataclasses import dataclass

SAMPLE_S = 5.0
_TICK = os.sysconf("SC_CLK_TCK")

BUSY_SHARE = 0.02
"""More of one core than this, over one sample, and the session's programs are at work."""


def boot_time() -> float:
    """Return the seconds since the machine started, sleep included: what nobody can set."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


@dataclass
class _Seen:
    total: float
    at: float


class Usage:
    """The newest sample: who is whose child, what each has used, and when that was, in seconds since boot."""

    def __init__(self) -> None:
        self.at = 0.0
        self.wanted = False
        """Whether somebody has asked since the last sample: control groups count by themselves."""
        self._children: dict[int, list[int]] = {}
        self._used: dict[int, float] = {}

    def sample(self) -> None:
        """Look at every process once."""
        self.wanted = False
        children: dict[int, list[int]] = {}
        used: dict[int, float] = {}
        for name in os.listdir("/proc"):
            if not name.isdigit():
                continue
            try:
                with open(f"/proc/{name}/stat", "rb") as file:
                    fields = file.read(1024).rpartition(b")")[2].split()
            except OSError:  # it has just ended, or is not to be looked at
                continue
            used[int(name)] = sum(map(int, fields[11:15])) / _TICK
            children.setdefault(int(fields[1]), []).append(int(name))
        self._children, self._used = children, used
        self.at = boot_time()

    def of(self, root: int) -> float | None:
        """Return the seconds used so far by ``root`` and what descends from it; None if it was not seen."""
        self.wanted = True
        if root not in self._used:
            return None
        total, waiting = 0.0, [root]
        while waiting:
            pid = waiting.pop()
            total += self._used[pid]
            waiting += self._children.get(pid, ())
        return total


class Meter:
    """Turns one session's total into what is new since, and notes when it was last busy.

    ``fresh`` is one that is only beginning: all it uses is new. What one that is found again used before is not known.
    """

    def __init__(self, now: float, fresh: bool = False) -> None:
        self.busy_at = now
        self._seen = _Seen(0.0, now) if fresh else None
        self.unaccounted = 0.0

    def note(self, total: float, at: float) -> None:
        """Take a sample of ``at``, once; a total that shrinks, for a process ended unseen, starts anew from there."""
        if self._seen is not None:
            if at <= self._seen.at:
                return
            new = max(0.0, total - self._seen.total)
            self.unaccounted += new
            if new / (at - self._seen.at) > BUSY_SHARE:
                self.busy_at = at
        self._seen = _Seen(total, at)

    def take(self) -> float:
        """Return the seconds not accounted yet, and start again from zero."""
        taken, self.unaccounted = self.unaccounted, 0.0
        return taken

    def restart(self, now: float) -> None:
        """Forget what was used: it was nobody's."""
        self.unaccounted, self.busy_at = 0.0, now
