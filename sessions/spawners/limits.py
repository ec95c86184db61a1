"""What one desktop may use of its machine. Values only; `cgroups` and `sandbox` see to it that they hold."""

from __future__ import annotations

from dataclasses import dataclass

MB = 1 << 20
MEMORY_FILES = 0.75
"""Part of a session's memory that files kept in memory may take: with them full, programs still run."""


@dataclass(frozen=True)
class Limits:
    """Bounds of one desktop, its X server and applications together; its worker has bounds of its own.

    ``cpu`` is in cores; the rest in units of 2**20 bytes, or processes and threads.
    """

    cpu: float = 2.0
    memory_mb: int = 4096
    processes: int = 2048
    tmp_mb: int = 512
    """Of each of /tmp and /dev/shm, which are memory."""
    home_mb: int = 4096
    """Of the home directory. One that is ephemeral is memory too."""

    def tmp_bytes(self) -> int:
        """Return the size of each of /tmp and /dev/shm, so that both together leave memory for programs."""
        return min(self.tmp_mb * MB, int(self.memory_mb * MB * MEMORY_FILES / 4))

    def ephemeral_home_bytes(self) -> int:
        """Return the size of a home directory in memory: what /tmp and /dev/shm leave of it."""
        return min(self.home_mb * MB, int(self.memory_mb * MB * MEMORY_FILES) - 2 * self.tmp_bytes())

    def file_bytes(self) -> int:
        """Return how large a single file may become."""
        return max(self.home_mb, self.memory_mb) * MB


WORKER = Limits(cpu=4.0, memory_mb=1024, processes=256, tmp_mb=16, home_mb=0)
"""Bounds of a worker: far above what one needs (60 MB, 20 threads), and below what hurts others."""


def size_text(megabytes: int) -> str:
    """Return a size for people: ``2 GiB``, ``1.5 GiB``, ``512 MiB``."""
    if megabytes >= 1024:
        return f"{megabytes / 1024:.1f}".removesuffix(".0") + " GiB"
    return f"{megabytes} MiB"
