"""Processes that outlive the one who started them: named by pid and start time, watched through pidfds.

A pid alone is reused; a pid with its start time and the boot's id is not. Linux only. Nothing here blocks, except
`end_all`, which callers run in a thread.
"""

from __future__ import annotations

import asyncio
import os
import select
import signal
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any


@cache
def boot_id() -> str:
    """Return the id of this boot of the machine."""
    return Path("/proc/sys/kernel/random/boot_id").read_text().strip()


@dataclass(frozen=True)
class ProcessId:
    """A process that cannot be mistaken for another. ``started`` is in clock ticks since boot."""

    pid: int
    started: int

    @classmethod
    def of(cls, pid: int) -> ProcessId | None:
        """Return the identity of the living process ``pid``, or None if there is none."""
        fields = _stat(pid)
        return None if fields is None else cls(pid, int(fields[19]))

    @classmethod
    def from_state(cls, state: Any) -> ProcessId | None:
        """Read what `to_state` wrote; None if it makes no sense or is of another boot."""
        if not isinstance(state, dict) or state.get("boot") != boot_id():
            return None
        pid, started = state.get("pid"), state.get("started")
        return cls(pid, started) if isinstance(pid, int) and isinstance(started, int) and pid > 1 else None

    def to_state(self) -> dict[str, Any]:
        """Return the identity as JSON values."""
        return {"pid": self.pid, "started": self.started, "boot": boot_id()}

    def alive(self) -> bool:
        """Whether the process runs; a zombie does not."""
        fields = _stat(self.pid)
        return fields is not None and int(fields[19]) == self.started and fields[0] not in "ZX"

    def open(self) -> int | None:
        """Return a pidfd of the process, or None if it is gone. The caller closes it."""
        try:
            descriptor = os.pidfd_open(self.pid)
        except OSError:
            return None
        if not self.alive():  # opened a successor of the same number, or a zombie
            os.close(descriptor)
            return None
        return descriptor

    def signal(self, number: int) -> bool:
        """Send a signal; return whether the process was there to get it."""
        descriptor = self.open()
        if descriptor is None:
            return False
        try:
            signal.pidfd_send_signal(descriptor, number)
        except ProcessLookupError:
            return False
        finally:
            os.close(descriptor)
        return True


def _stat(pid: int) -> list[str] | None:
    """Fields 3 and on of ``/proc/<pid>/stat``: state first, start time at index 19."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text(errors="replace")
    except OSError:
        return None
    return text.rpartition(")")[2].split()


async def wait_ended(process: ProcessId) -> None:
    """Return as soon as ``process`` has ended. Cancellable; costs no wake-up while it lives."""
    descriptor = process.open()
    if descriptor is None:
        return
    loop = asyncio.get_running_loop()
    ended = loop.create_future()

    def readable() -> None:
        loop.remove_reader(descriptor)
        if not ended.done():
            ended.set_result(None)

    loop.add_reader(descriptor, readable)
    try:
        await ended
    finally:
        loop.remove_reader(descriptor)
        os.close(descriptor)


def every_process() -> list[int]:
    """Return the pids of all processes this one can see."""
    return [int(name) for name in os.listdir("/proc") if name.isdigit()]


def in_namespace_of(init: ProcessId) -> list[ProcessId]:
    """Return the processes in the PID namespace whose init is ``init``, without it. Needs rights over them."""
    try:
        namespace = os.readlink(f"/proc/{init.pid}/ns/pid")
        if namespace == os.readlink("/proc/self/ns/pid"):
            return []  # never take the whole machine for a session
    except OSError:
        return []

    def inside(pid: int) -> bool:
        return pid != init.pid and os.readlink(f"/proc/{pid}/ns/pid") == namespace

    return find(inside)


def first_in_namespace_of(init: ProcessId) -> ProcessId | None:
    """Return the process that bubblewrap was to run: number 2 in the namespace, for its own init is number 1."""

    def is_first(pid: int) -> bool:
        status = Path(f"/proc/{pid}/status").read_text(errors="replace")
        return any(line.startswith("NSpid:") and line.split()[-1] == "2" for line in status.splitlines())

    return next((process for process in in_namespace_of(init) if _quietly(is_first, process.pid)), None)


def _quietly(matches: Callable[[int], bool], pid: int) -> bool:
    try:
        return matches(pid)
    except OSError:
        return False


def with_environment(entry: bytes) -> list[ProcessId]:
    """Return the processes started with ``NAME=value`` in their environment."""

    def carries(pid: int) -> bool:
        return entry in Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")

    return find(carries)


def with_argument(part: bytes) -> list[ProcessId]:
    """Return the processes that have ``part`` somewhere in their command line, this one left out."""

    def names(pid: int) -> bool:
        return pid != os.getpid() and part in Path(f"/proc/{pid}/cmdline").read_bytes()

    return find(names)


def program_of(process: ProcessId) -> str:
    """Return the name of the program that ``process`` runs, or "" if it is gone or not to be looked at."""
    try:
        return os.path.basename(os.readlink(f"/proc/{process.pid}/exe"))
    except OSError:
        return ""


def uids_in_use() -> set[int]:
    """Return the uids of all living processes."""
    uids = set()
    for pid in every_process():
        try:
            uids.add(os.stat(f"/proc/{pid}").st_uid)
        except OSError:
            continue
    return uids


def find(matches: Callable[[int], bool]) -> list[ProcessId]:
    """Return every process for which ``matches`` is true; those that go away meanwhile are left out."""
    found = []
    for pid in every_process():
        process = ProcessId.of(pid)
        if process is not None and process.alive() and _quietly(matches, pid):
            found.append(process)
    return found


def end_all(processes: Iterable[ProcessId], grace: float, force: bool = True) -> None:
    """Ask every process to end, wait at most ``grace`` seconds for all of them, then kill the rest. Blocks."""
    remaining = [process for process in processes if process.signal(signal.SIGTERM)]
    _wait(remaining, grace)
    if force:
        killed = [process for process in remaining if process.signal(signal.SIGKILL)]
        _wait(killed, 2.0)


def kill(process: ProcessId) -> None:
    """Kill ``process`` and wait until it is gone, at most 5 s. Blocks."""
    if process.signal(signal.SIGKILL):
        _wait([process], 5.0)


def _wait(processes: Iterable[ProcessId], seconds: float) -> None:
    deadline = time.monotonic() + seconds
    poller = select.poll()
    descriptors = {fd for process in processes if (fd := process.open()) is not None}
    try:
        for fd in descriptors:
            poller.register(fd, select.POLLIN)
        waiting = len(descriptors)
        while waiting and (left := deadline - time.monotonic()) > 0:
            for fd, _ in poller.poll(left * 1000):
                poller.unregister(fd)
                waiting -= 1
    finally:
        for fd in descriptors:
            os.close(fd)
