"""What keeps sessions apart: bubblewrap, namespaces, control groups, uids, networks. Makes one sandbox and ends it."""

from __future__ import annotations

import os
import pwd
import shutil
from collections.abc import Iterator
from pathlib import Path

from ..conf import UIDS_PER_SESSION, conf
from ..spawners import sandbox
from .finding import Finding, fail, ok, warn

NAMESPACES = ("mnt", "pid", "ipc", "uts", "net", "user")
CONTROLLERS = ("cpu", "memory", "pids")


def bubblewrap() -> Iterator[Finding]:
    """Whether a sandbox can be made."""
    problem = sandbox.problem()
    if not problem:
        yield ok("a sandbox can be made")
    elif conf().allow_unsandboxed:
        yield warn(f"sessions run WITHOUT A SANDBOX: {problem}", "see docs/explanation/sandbox.md; trust all users")
    else:
        yield fail(problem, "make setup; see docs/explanation/sandbox.md")


def namespaces(directory: Path = Path("/proc")) -> Iterator[Finding]:
    """What the kernel offers to sandboxes and to browsers inside them."""
    missing = [name for name in NAMESPACES if not (directory / "self" / "ns" / name).exists()]
    if missing:
        yield fail(f"this kernel has no namespaces of: {', '.join(missing)}", "use a kernel that has them")
        return
    try:
        most = int((directory / "sys/user/max_user_namespaces").read_text())
    except (OSError, ValueError):
        most = -1
    if most == 0:
        remedy = "sysctl user.max_user_namespaces=15000"
        yield warn("user namespaces are switched off: browsers have no sandbox of their own", remedy)
    else:
        yield ok("all that are needed")


def cgroups(root: Path = Path("/sys/fs/cgroup")) -> Iterator[Finding]:
    """Whether CPU, memory and processes of a session can be bounded."""
    remedy = "mount cgroup v2 writable; in a container: --cgroupns=private with delegation"
    unified = root / "cgroup.controllers"
    if unified.exists():
        missing = [name for name in CONTROLLERS if name not in unified.read_text().split()]
        if missing:
            yield warn(f"cgroup v2 lacks: {', '.join(missing)}", "enable them in cgroup.subtree_control of the parent")
        elif not os.access(root, os.W_OK):
            yield warn("cgroup v2 cannot be written: limits are kept less strictly", remedy)
        else:
            yield ok("cgroup v2, writable")
        return
    there = [name for name in CONTROLLERS if os.access(root / name, os.W_OK)]
    if len(there) == len(CONTROLLERS):
        yield ok("cgroup v1, writable")
    else:
        missing = [name for name in CONTROLLERS if name not in there]
        yield warn(f"no control group for: {', '.join(missing)}; limits are kept less strictly", remedy)


def uids() -> Iterator[Finding]:
    """Uids of sessions: whether there are any, and nobody else's."""
    if os.geteuid() != 0:
        yield warn(
            "not root: sessions share this user's uid and are apart by namespaces alone", "run the agent as root"
        )
        return
    base = conf().uid_base
    last = base + UIDS_PER_SESSION * max(conf().host_capacity, 1) - 1
    taken = [user.pw_name for user in pwd.getpwall() if base - 1 <= user.pw_uid <= last]
    if taken:
        yield fail(f"{base} to {last} hold users of this machine: {', '.join(taken[:5])}", "change STRIPEDESK_UID_BASE")
    else:
        yield ok(f"{base} to {last} are free of other users")


def network(device: Path = Path("/dev/net/tun")) -> Iterator[Finding]:
    """What templates with internet need."""
    if shutil.which("slirp4netns") is None or shutil.which("ip") is None:
        yield warn("templates with internet cannot start", "apt-get install slirp4netns iproute2")
    elif not device.exists():
        yield warn(f"there is no {device}: templates with internet cannot start", "modprobe tun, or pass the device in")
    else:
        yield ok("slirp4netns and tun are there")
