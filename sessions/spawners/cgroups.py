"""Control groups: what bounds the CPU, memory and processes of a desktop, and of its worker, as a whole.

A session's groups lie below the agent's own, so that whoever bounded the agent has bounded its sessions; their names
carry the session's id. `find` chooses version 2, else version 1, else none. Files of the kernel: nothing here blocks
but `Group.remove`, which callers run in a thread.
"""

from __future__ import annotations

import contextlib
import errno
import logging
import os
import signal
import time
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from .limits import MB, Limits

logger = logging.getLogger(__name__)

PERIOD_US = 100_000
CONTROLLERS = ("cpu", "memory", "pids")
COUNTER = "cpuacct"
"""What counts processor time in version 1, alone or together with ``cpu``."""

PREFIX = "stripedesk-"
AGENT = "agent"
"""The group that the agent moves to, below its own of version 2: only groups without processes bound their children."""

REMOVE_WITHIN = 3.0
JOIN = 'while [ "$1" != -- ]; do echo 0 >"$1" || exit 1; shift; done; shift; exec "$@"'
"""Shell: enter every group named before ``--``, then become what is named behind it."""

REMEDY = "Run the agent as root, or let systemd delegate control groups to it (Delegate=yes)."


@dataclass(frozen=True)
class Hits:
    """How often a group ran into its limits since it was made: programs killed for memory, forks refused."""

    memory: int = 0
    processes: int = 0


class Group(ABC):
    """One control group: the directory of it below each controller that is there."""

    def __init__(self, directories: Mapping[str, Path]) -> None:
        self.directories = dict(directories)

    @abstractmethod
    def make(self, limits: Limits, weight: int) -> None:
        """Make the group with ``limits``; CPU that is fought over is shared by ``weight``. Raises OSError."""

    @abstractmethod
    def hits(self) -> Hits:
        """Return how often the limits were met; zeros for a group that is gone."""

    @abstractmethod
    def cpu_seconds(self) -> float | None:
        """Return the processor time used in the group so far; None where it is not counted."""

    def bounds(self, controller: str) -> bool:
        """Whether ``controller``, one of `CONTROLLERS`, works here."""
        return controller in self.directories

    def joined(self, command: Sequence[str]) -> list[str]:
        """Return the command line that enters the group and then becomes ``command``."""
        entrances = [str(directory / "cgroup.procs") for directory in self._distinct()]
        return ["/bin/sh", "-c", JOIN, "stripedesk", *entrances, "--", *command] if entrances else list(command)

    def remove(self) -> None:
        """Kill what is still inside and remove the group; what is not there is no error. Blocks ≤ 3 s."""
        deadline = time.monotonic() + REMOVE_WITHIN
        for directory in self._distinct():
            while directory.exists() and not _remove_tree(directory):
                if time.monotonic() > deadline:
                    logger.warning("the control group %s does not empty", directory)
                    break
                time.sleep(0.01)

    def _distinct(self) -> list[Path]:
        return list(dict.fromkeys(self.directories.values()))


class UnifiedGroup(Group):
    """A group of version 2: one directory for all controllers."""

    def make(self, limits: Limits, weight: int) -> None:
        (directory,) = self._distinct()
        directory.mkdir(exist_ok=True)
        _write(directory / "memory.max", limits.memory_mb * MB)
        with contextlib.suppress(FileNotFoundError):  # a kernel without swap
            # A hog is stopped at its limit instead of taking the machine's swap as well.
            _write(directory / "memory.swap.max", 0)
        _write(directory / "pids.max", limits.processes)
        _write(directory / "cpu.weight", 100 * weight)
        _write(directory / "cpu.max", f"{int(limits.cpu * PERIOD_US)} {PERIOD_US}")

    def hits(self) -> Hits:
        (directory,) = self._distinct()
        return Hits(_counter(f"{directory}/memory.events", "oom_kill"), _counter(f"{directory}/pids.events", "max"))

    def cpu_seconds(self) -> float | None:
        (directory,) = self._distinct()
        return used / 1e6 if (used := _counter(f"{directory}/cpu.stat", "usage_usec")) > 0 else None


class LegacyGroup(Group):
    """A group of version 1: one directory for each controller."""

    def make(self, limits: Limits, weight: int) -> None:
        for directory in self._distinct():
            directory.mkdir(exist_ok=True)
        if memory := self.directories.get("memory"):
            _write(memory / "memory.limit_in_bytes", limits.memory_mb * MB)
            with contextlib.suppress(FileNotFoundError):  # a kernel that does not account swap
                _write(memory / "memory.memsw.limit_in_bytes", limits.memory_mb * MB)
        if pids := self.directories.get("pids"):
            _write(pids / "pids.max", limits.processes)
        if cpu := self.directories.get("cpu"):
            _write(cpu / "cpu.shares", 1024 * weight)
            try:
                _write(cpu / "cpu.cfs_period_us", PERIOD_US)
                _write(cpu / "cpu.cfs_quota_us", int(limits.cpu * PERIOD_US))
            except FileNotFoundError:  # a kernel without bandwidth control: the shares have to do
                pass
            except OSError as error:
                if error.errno != errno.EINVAL:  # EINVAL: a group above has less than that, which bounds this one too
                    raise

    def hits(self) -> Hits:
        memory, pids = self.directories.get("memory"), self.directories.get("pids")
        return Hits(
            _counter(f"{memory}/memory.oom_control", "oom_kill") if memory else 0,
            _counter(f"{pids}/pids.events", "max") if pids else 0,
        )

    def cpu_seconds(self) -> float | None:
        for name in (COUNTER, "cpu"):  # often one directory
            with contextlib.suppress(KeyError, ValueError):
                return int(_read(f"{self.directories[name]}/cpuacct.usage")) / 1e9
        return None


class NoGroup(Group):
    """Where no groups can be made: limits on single processes have to do."""

    def __init__(self) -> None:
        super().__init__({})

    def make(self, limits: Limits, weight: int) -> None:
        """Nothing to make."""

    def hits(self) -> Hits:
        return Hits()

    def cpu_seconds(self) -> float | None:
        return None


@dataclass(frozen=True)
class Hierarchy:
    """Where on this machine groups can be made. ``bases`` holds the directory for each controller that works."""

    version: int
    bases: Mapping[str, Path]

    def group(self, sid: str, part: str) -> Group:
        """Return the group of one ``part``, "desktop" or "worker", of the session ``sid``; `Group.make` makes it."""
        return group_of(self.version, {name: base / f"{PREFIX}{sid}-{part}" for name, base in self.bases.items()})

    def problem(self) -> str:
        """Return what is not bounded here and what to do about it, in a sentence or two; "" if everything is."""
        words = {"cpu": "CPU", "memory": "memory", "pids": "processes"}
        missing = [words[name] for name in CONTROLLERS if name not in self.bases]
        if not missing:
            return ""
        return f"No control groups for {', '.join(missing)}: sessions can hurt each other there. {REMEDY}"


def group_of(version: int, directories: Mapping[str, Path]) -> Group:
    """Return the group that lives in ``directories``."""
    if not directories:
        return NoGroup()
    return UnifiedGroup(directories) if version == 2 else LegacyGroup(directories)


def find(proc: Path = Path("/proc/self")) -> Hierarchy:
    """Return where this process can make groups. Moves it into a group of its own where version 2 asks for that."""
    try:
        mounts = _mounts((proc / "mountinfo").read_text())
        own = _own_groups((proc / "cgroup").read_text())
    except OSError as error:
        logger.info("no control groups: %s", error)
        return Hierarchy(0, {})
    if (mount := mounts.get("")) is not None:
        base = mount.place(own.get("", "/"))
        # With DelegateSubgroup=agent systemd has put this process where it would go itself.
        candidates = [base.parent if base.name == AGENT else base]
        if os.geteuid() == 0:
            candidates.append(mount.point)
        for candidate in candidates:
            if _unified_usable(candidate):
                return Hierarchy(2, dict.fromkeys(CONTROLLERS, candidate))
    bases = {}
    for name in (*CONTROLLERS, COUNTER):
        if (mount := mounts.get(name)) is not None:
            base = mount.place(own.get(name, "/"))
            if os.access(base, os.W_OK) and _mounted_writable(base):
                bases[name] = base
    return Hierarchy(1, bases)


@dataclass(frozen=True)
class _Mount:
    point: Path
    root: str

    def place(self, group: str) -> Path:
        """Return the directory of ``group``; in a container its path may be told as the host sees it."""
        below = group.removeprefix(self.root.rstrip("/")) if group.startswith(self.root) else group
        directory = self.point / below.lstrip("/")
        return directory if ".." not in directory.parts and directory.is_dir() else self.point


def _mounts(mountinfo: str) -> dict[str, _Mount]:
    """Return where each controller is mounted; version 2 is under ""."""
    found: dict[str, _Mount] = {}
    for line in mountinfo.splitlines():
        before, _, after = line.partition(" - ")
        fields, (kind, _, *options) = before.split(), (after.split() + ["", ""])[:3]
        if kind not in ("cgroup", "cgroup2") or len(fields) < 5:
            continue
        mount = _Mount(Path(fields[4].replace("\\040", " ")), fields[3])
        names = [""] if kind == "cgroup2" else "".join(options).split(",")
        for name in names:
            found.setdefault(name, mount)
    return found


def _own_groups(cgroup: str) -> dict[str, str]:
    """Return the path of this process's group below each controller; version 2 is under ""."""
    groups = {}
    for line in cgroup.splitlines():
        _, names, path = (line.split(":", 2) + ["", ""])[:3]
        for name in names.split(","):
            groups[name] = path
    return groups


def _unified_usable(base: Path) -> bool:
    """Let ``base`` hand its controllers down; return whether it does and lets this process make groups."""
    try:
        if not set(CONTROLLERS) <= set((base / "cgroup.controllers").read_text().split()):
            return False
        _hand_down(base)
        return os.access(base, os.W_OK)
    except OSError as error:
        logger.info("no control groups in %s: %s", base, error)
        return False


def _hand_down(base: Path) -> None:
    control = base / "cgroup.subtree_control"
    wanted = [name for name in CONTROLLERS if name not in control.read_text().split()]
    if not wanted:
        return
    change = " ".join(f"+{name}" for name in wanted)
    try:
        _write(control, change)
    except OSError as error:
        # Busy: a group with processes hands nothing down. If this process is the only one, it can step aside.
        if error.errno != errno.EBUSY or (base / "cgroup.procs").read_text().split() != [str(os.getpid())]:
            raise
        (base / AGENT).mkdir(exist_ok=True)
        _write(base / AGENT / "cgroup.procs", 0)
        _write(control, change)


def _mounted_writable(base: Path) -> bool:
    return not os.statvfs(base).f_flag & os.ST_RDONLY


def _write(path: Path, value: int | str) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CLOEXEC)
    try:
        os.write(descriptor, str(value).encode())
    finally:
        os.close(descriptor)


def _counter(path: str, name: str) -> int:
    """Return the number behind a name in a group's file; 0 if there is none."""
    values = dict(line.partition(" ")[::2] for line in _read(path).splitlines())
    return int(value) if (value := values.get(name, "")).isdigit() else 0


def _read(path: str) -> str:
    """Return what a group's file says, "" if it is gone. Every session's are read every two seconds."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return ""
    try:
        return os.read(descriptor, 4096).decode()
    except OSError:
        return ""
    finally:
        os.close(descriptor)


def _remove_tree(directory: Path) -> bool:
    """Kill the processes in a group and below it and remove them; return whether it is gone."""
    for place, _, _ in os.walk(directory, topdown=False):
        try:
            for pid in map(int, (Path(place) / "cgroup.procs").read_text().split()):
                if pid > 1:
                    with contextlib.suppress(ProcessLookupError):
                        os.kill(pid, signal.SIGKILL)
            os.rmdir(place)
        except FileNotFoundError:
            continue
        except (OSError, ValueError):
            return False
    return not directory.exists()
