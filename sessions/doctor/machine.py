"""The machine: packages, disk, shared memory, open files, clocks. Looks only; runs `dpkg-query`."""

from __future__ import annotations

import os
import resource
import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import redis
from django.conf import settings
from django.db import Error as DatabaseTrouble
from django.db import connection

from ..conf import conf
from ..models.session_host import LOST_AFTER
from ..redis_client import RedisUnavailable
from .finding import Finding, fail, ok, warn

GIB = 1 << 30
FULL, NEARLY_FULL = GIB // 4, 2 * GIB
LEAST_INODES = 2000
LEAST_SHARED = GIB // 4
LEAST_FILES = 4096
LEAST_PROCESSES = 4096
SKEW = 2.0
"""Seconds that clocks may differ before times in lists look wrong."""


def packages(listed: Path | None = None) -> Iterator[Finding]:
    """Debian packages that sessions need (packages.txt)."""
    path = listed or settings.BASE_DIR / "packages.txt"
    try:
        wanted = run_packages(path.read_text())
    except OSError:
        yield ok("there is no packages.txt here: an installed wheel; the other probes say what lacks")
        return
    if shutil.which("dpkg-query") is None:
        yield ok("this system has no dpkg; the other probes say what lacks")
        return
    line = ["dpkg-query", "-W", "-f=${Package} ${db:Status-Status}\n", *wanted]
    said = subprocess.run(line, capture_output=True, text=True, timeout=20, check=False).stdout  # noqa: S603
    there = {row.split()[0] for row in said.splitlines() if row.endswith(" installed")}
    missing = [
        name for name, command in wanted.items() if name not in there and not (command and shutil.which(command))
    ]
    if missing:
        yield warn(
            f"not installed: {', '.join(missing)}", f"apt-get install --no-install-recommends {' '.join(missing)}"
        )
    else:
        yield ok(f"all {len(wanted)} are installed")


def run_packages(text: str) -> dict[str, str]:
    """Return the packages of the section [run], each with the command that may stand for it."""
    section, found = "", {}
    for line in text.splitlines():
        words = line.split()
        if line.startswith("["):
            section = line.strip("[] ")
        elif words and not line.startswith("#") and section == "run":
            found[words[0]] = words[1] if len(words) > 1 else ""
    return found


def disk(directory: Path | None = None) -> Iterator[Finding]:
    """Room for database, logs and homes."""
    path = directory or conf().state_dir
    if not os.access(path, os.W_OK | os.X_OK):
        yield fail(f"{path} cannot be written", "give it to the user of the host agent, or set STRIPEDESK_STATE_DIR")
        return
    state = os.statvfs(path)
    free = state.f_bavail * state.f_frsize
    text = f"{free / GIB:.1f} GiB free below {path}"
    if free < FULL:
        yield fail(text, "free some space: no session can start soon")
    elif state.f_files and state.f_favail < LEAST_INODES:
        yield fail(f"{state.f_favail} files can be made below {path}", "remove files, or make a larger file system")
    elif free < NEARLY_FULL:
        yield warn(text, "free some space, or set STRIPEDESK_STATE_DIR to a larger disk")
    else:
        yield ok(text)


def shared_memory(path: str = "/dev/shm") -> Iterator[Finding]:  # noqa: S108 - only its size is looked at
    """Size of the shared memory, for programs outside of a sandbox."""
    try:
        state = os.statvfs(path)
    except OSError as error:
        yield warn(f"{path}: {error.strerror}", "mount a tmpfs there")
        return
    size = state.f_blocks * state.f_frsize
    if size < LEAST_SHARED:
        yield warn(f"{size >> 20} MiB at {path}", "mount it larger; for a container: --shm-size=1g")
    else:
        yield ok(f"{size / GIB:.1f} GiB at {path}")


def limits() -> Iterator[Finding]:
    """How many files and processes this user may have."""
    remedy = "raise it: ulimit, LimitNOFILE= and LimitNPROC= of the service, or /etc/security/limits.conf"
    files, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    if files != resource.RLIM_INFINITY and files < LEAST_FILES:
        yield warn(f"{files} open files a process (hard limit {most}); {LEAST_FILES} are sensible", remedy)
    else:
        yield ok(f"{'unlimited' if files == resource.RLIM_INFINITY else files} open files a process")
    processes, _ = resource.getrlimit(resource.RLIMIT_NPROC)
    if processes != resource.RLIM_INFINITY and processes < LEAST_PROCESSES:
        yield warn(f"{processes} processes; {LEAST_PROCESSES} are sensible", remedy)


def clocks(now: float | None = None) -> Iterator[Finding]:
    """This machine's clock against those of Redis and the database."""
    remedy = "set the clocks by NTP (timedatectl set-ntp true, or chrony) on every machine"
    others: dict[str, float] = {}
    try:
        with redis.Redis.from_url(settings.REDIS_URL, socket_timeout=1, socket_connect_timeout=1) as client:
            seconds, microseconds = client.time()
            others["Redis"] = seconds + microseconds / 1e6 - (now or time.time())
    except (*RedisUnavailable, ValueError):
        pass  # the probe of Redis says so
    if connection.vendor == "postgresql":
        try:
            with connection.cursor() as cursor:
                cursor.execute("SELECT extract(epoch FROM clock_timestamp())")
                others["the database"] = float(cursor.fetchone()[0]) - (now or time.time())
        except DatabaseTrouble:
            pass
    for name, skew in others.items():
        text = f"{name}'s clock is {abs(skew):.1f} s {'ahead' if skew > 0 else 'behind'}"
        if abs(skew) > LOST_AFTER.total_seconds():
            yield fail(f"{text}: hosts look lost that are not", remedy)
        elif abs(skew) > SKEW:
            yield warn(text, remedy)
        else:
            yield ok(f"{name}'s clock agrees")
    if not others:
        yield ok("nothing to compare with")
