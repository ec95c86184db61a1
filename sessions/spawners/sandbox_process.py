"""The processes of a sandbox, found by what bubblewrap tells and by their command lines. Nothing here blocks."""

from __future__ import annotations

import asyncio
import json
import subprocess
from pathlib import Path

from . import processes
from .paths import SessionPaths
from .processes import ProcessId


async def sandbox_init(info: Path, monitor: subprocess.Popen[bytes]) -> int | None:
    """Return the pid of the sandbox's init from what bubblewrap wrote; None if it ended first. At most 10 s."""
    for _ in range(1000):
        ended = monitor.poll() is not None
        pid = read_info(info)
        if pid is not None or ended:
            return pid
        await asyncio.sleep(0.01)
    return None


def read_info(info: Path) -> int | None:
    """Return the pid in bubblewrap's particulars, or None if it is not there (yet)."""
    try:
        pid = json.loads(info.read_text())["child-pid"]
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return pid if isinstance(pid, int) and pid > 1 else None


def strays(paths: SessionPaths) -> list[ProcessId]:
    """Return the session's sandboxes, desktop's and worker's: also ones made just before an agent died.

    A sandbox of the session has its directory on its command line, and bubblewrap is its outside and its init.
    """
    found = processes.with_argument(str(paths.runtime).encode())
    return [process for process in found if processes.program_of(process) == "bwrap"]
