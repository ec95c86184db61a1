"""What a process has cost so far, read from outside and for every engine alike. Linux only; nothing blocks.

The kernel's processor-time clock of a process counts in ns and includes threads that have ended; the ticks of
/proc/PID/stat are 10 ms, more than a second of typing costs.
"""

from __future__ import annotations

import contextlib
import time
from pathlib import Path

_CPUCLOCK_SCHED = 2  # of linux/posix-timers.h: what the scheduler has counted, for the whole process


def cpu_seconds(pid: int) -> float:
    """Return the processor time of all threads of a process; raises `ProcessLookupError` if there is none."""
    try:
        return time.clock_gettime((~pid << 3) | _CPUCLOCK_SCHED)
    except OSError:
        raise ProcessLookupError(f"there is no process {pid} to measure: it ended during the run") from None


def waited_seconds(pid: int) -> float:
    """Return how long the threads that a process has were ready to run and had no processor; 0 if it is gone."""
    waited = 0
    for path in Path(f"/proc/{pid}/task").glob("*/schedstat"):
        with contextlib.suppress(OSError, IndexError):  # a thread has ended, or the kernel does not count
            waited += int(path.read_text(encoding="ascii").split()[1])
    return waited / 1e9


def resident_mb(pid: int | str = "self") -> float:
    """Return the resident memory of a process in 10⁶ bytes, shared pages included; 0 if it is gone."""
    try:
        status = Path(f"/proc/{pid}/status").read_text(encoding="ascii", errors="replace")
    except OSError:
        return 0.0
    for line in status.splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) * 1024 / 1e6
    return 0.0


def monotonic_us() -> int:
    """Return the clock all times of the benchmark are in: that of ``capture_us`` on the wire."""
    return time.monotonic_ns() // 1000
