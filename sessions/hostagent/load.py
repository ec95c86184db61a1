"""How busy this machine is: share of its cores and of its memory in use. Reads /proc; blocks for a moment."""

from __future__ import annotations

from pathlib import Path


class MachineLoad:
    """Each `look` covers the time since the one before."""

    def __init__(self) -> None:
        self._busy, self._all = _ticks()
        self.cpu = 0.0

    def look(self) -> tuple[float, float]:
        """Return the shares of processor time and of memory in use, 0…1; what cannot be read counts as 0."""
        busy, everything = _ticks()
        if everything > self._all:
            share = min(1.0, max(0.0, (busy - self._busy) / (everything - self._all)))
            self.cpu = (self.cpu + share) / 2  # one busy moment is no load
        self._busy, self._all = busy, everything
        return round(self.cpu, 3), round(_memory(), 3)


def _ticks() -> tuple[int, int]:
    try:
        numbers = [int(word) for word in Path("/proc/stat").read_text().splitlines()[0].split()[1:9]]
    except (OSError, ValueError, IndexError):
        return 0, 0
    idle = numbers[3] + numbers[4]
    return sum(numbers) - idle, sum(numbers)


def _memory() -> float:
    try:
        lines = dict(line.split(":", 1) for line in Path("/proc/meminfo").read_text().splitlines() if ":" in line)
        total, free = (int(lines[name].split()[0]) for name in ("MemTotal", "MemAvailable"))
    except (OSError, ValueError, KeyError, IndexError):
        return 0.0
    return 1 - free / total if total else 0.0


def score(cpu: float, memory: float, sessions: int, capacity: int) -> float:
    """Return how full a host is, 0…1: by whatever it has least left of."""
    return max(cpu, memory, sessions / capacity if capacity else 1.0)
