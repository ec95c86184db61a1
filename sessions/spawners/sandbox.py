"""bubblewrap command lines: what a desktop and a worker see of the machine, and what is left out.

Where the agent is root, bubblewrap runs as root without a user namespace (so no path's permissions hinder its mounts)
and setpriv drops to the session's uid inside. Elsewhere an unprivileged user namespace keeps the agent's own uid.
"""

from __future__ import annotations

import glob
import os
import platform
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

from . import seccomp
from .limits import MB, WORKER, Limits

OPT = "/opt/stripedesk"
"""Where `sessions/desktop` is seen inside."""

HOME = "/home/user"
PATH = "/usr/local/bin:/usr/bin:/bin:/usr/games"
LANG = "C.UTF-8"
HOST_NAME = "desktop"

RUNTIME_BYTES = 64 * MB
"""Size of XDG_RUNTIME_DIR, which holds sockets."""

GPU_NODES = ("/dev/dri/renderD*", "/dev/nvidia[0-9]*", "/dev/nvidiactl", "/dev/nvidia-uvm*")
"""Devices that draw. Those that show (card0) stay outside: there is no screen."""

OWN_PROCESSES = (5, 14)
"""From this version of Linux on, processes are counted for each user namespace."""

ETC = (
    *("alternatives", "bash.bashrc", "chromium", "chromium.d", "dbus-1", "debian_version", "fonts", "gai.conf"),
    *("gtk-2.0", "gtk-3.0", "host.conf", "inputrc", "ld.so.cache", "ld.so.conf", "ld.so.conf.d", "locale.alias"),
    *("localtime", "mailcap", "mime.types", "nsswitch.conf", "os-release", "profile", "protocols", "services"),
    *("shells", "ssl/certs", "ssl/openssl.cnf", "terminfo", "timezone", "vim", "X11", "xdg", "xfce4"),
)
"""The part of /etc that programs need and that says nothing about the host."""

SEALED = ("--remount-ro", "/dev", "--remount-ro", "/")
"""What bubblewrap lays the mounts on is memory without a limit: nobody may write there."""

WORKER_ETC = ["ld.so.cache", "ld.so.conf", "ld.so.conf.d", "localtime", "ssl/certs", "ssl/openssl.cnf"]
NETWORKED_ETC = ["hosts", "resolv.conf", "nsswitch.conf", "gai.conf", "host.conf", "services"]


def command_of_desktop(
    *,
    uid: int,
    etc: Path,
    mounts: Sequence[tuple[Path, str, bool]],
    environment: dict[str, str],
    descriptors: tuple[int, int, int],
    limits: Limits,
    gpu: bool,
    command: Sequence[str],
) -> list[str]:
    """Return the command line of a desktop's sandbox.

    ``mounts`` are (source, destination, writable); ``descriptors`` are the ones to write the sandbox's particulars to,
    to wait on before anything runs inside, and to read the seccomp filter from. A home that is not among the mounts
    is ephemeral: memory.
    """
    info, block, rules = descriptors
    line = _namespaces(network=False) + ["--info-fd", str(info), "--block-fd", str(block), "--seccomp", str(rules)]
    line += _system(ETC, limits.tmp_bytes())
    for name in sorted(os.listdir(etc)):
        line += _mount("--ro-bind", etc / name, f"/etc/{name}")
    line += _memory("/dev/shm", limits.tmp_bytes())  # noqa: S108
    line += _memory("/run/user", RUNTIME_BYTES)
    if HOME not in (destination for _, destination, _ in mounts):
        line += _memory(os.path.dirname(HOME), limits.ephemeral_home_bytes())
    line += _mount("--ro-bind-try", "/var/cache/fontconfig", "/var/cache/fontconfig")
    line += ["--symlink", "/tmp", "/var/tmp"]  # noqa: S108
    for source, destination, writable in mounts:
        line += _mount("--bind" if writable else "--ro-bind", source, destination)
    for name, value in environment.items():
        line += ["--setenv", name, value]
    nodes = gpu_nodes() if gpu else []
    for node in nodes:
        line += _mount("--dev-bind", node, node)
    groups = sorted({os.stat(node).st_gid for node in nodes} - {0})
    line += [*SEALED, "--chdir", "/", "--", *_limited(limits), *_dropped(uid, groups)]
    # The directories of its own are made by the user: bubblewrap would make them for root.
    make = 'mkdir -p -m 700 "$HOME" "$XDG_RUNTIME_DIR" && cd "$HOME" && exec "$@"'
    return [*line, "/bin/sh", "-c", make, "sh", *command]


def gpu_nodes() -> list[str]:
    """Return this machine's devices that draw."""
    return sorted(node for pattern in GPU_NODES for node in glob.glob(pattern))


def command_of_worker(
    *,
    uid: int,
    groups: Sequence[int],
    code: Sequence[Path],
    mounts: Sequence[tuple[Path, str, bool]],
    environment: dict[str, str],
    descriptors: tuple[int, int],
    network: bool,
    command: Sequence[str],
) -> list[str]:
    """Return the command line of a worker's sandbox. ``code`` is shown read-only, at the paths where it is.

    ``descriptors`` are the ones to write the sandbox's particulars to and to read the seccomp filter from.
    """
    info, rules = descriptors
    line = _namespaces(network=network) + ["--info-fd", str(info), "--seccomp", str(rules)]
    line += _system([*WORKER_ETC, *(NETWORKED_ETC if network else ())], WORKER.tmp_bytes())
    for directory in code:
        if not directory.is_relative_to("/usr"):
            line += _mount("--ro-bind", directory, str(directory))
    for source, destination, writable in mounts:
        line += _mount("--bind" if writable else "--ro-bind", source, destination)
    for name, value in environment.items():
        line += ["--setenv", name, value]
    return [*line, *SEALED, "--chdir", "/", "--", *_limited(WORKER), *_dropped(uid, groups), *command]


def missing_programs() -> list[str]:
    """Return the programs without which no sandbox can be made, as ``program (Debian package)``."""
    needed = {"bwrap": "bubblewrap", "prlimit": "util-linux"}
    if os.geteuid() == 0:
        needed |= {"setpriv": "util-linux"}
    return [f"{program} ({package})" for program, package in needed.items() if shutil.which(program) is None]


def problem() -> str:
    """Try to make a sandbox. Return "", or a sentence that says exactly what is missing. Blocks ≤ 10 s."""
    if missing := missing_programs():
        return f"Not installed: {', '.join(missing)}."
    uid = os.geteuid() or 65534
    if unfiltered := seccomp.problem():
        return f"{unfiltered}."
    for _ in range(3):  # see `LocalSpawner.start` for why it may fail now and then
        rules = seccomp.descriptor_of(seccomp.desktop_filter())
        line = [*_namespaces(network=False), "--seccomp", str(rules), *_system((), MB), *SEALED, "--"]
        line += [*_limited(Limits()), *_dropped(uid), "/bin/true"]
        try:
            result = subprocess.run(  # noqa: S603
                line, capture_output=True, text=True, timeout=10, check=False, pass_fds=(rules,)
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            return f"bubblewrap could not be run: {error}."
        finally:
            os.close(rules)
        if result.returncode == 0:
            return ""
    said = (result.stderr.strip().splitlines() or [f"exit status {result.returncode}"])[-1]
    if os.geteuid() != 0 and "namespace" in said.lower():
        return f"{said}. Allow user namespaces (sysctl kernel.unprivileged_userns_clone=1) or run the agent as root."
    return f"bubblewrap cannot make a sandbox here: {said:.150}. In a container, allow it namespaces and mounts."


def _namespaces(*, network: bool) -> list[str]:
    line = ["bwrap", "--new-session", "--clearenv", "--unshare-pid", "--unshare-ipc", "--unshare-uts"]
    line += ["--unshare-cgroup-try", "--hostname", HOST_NAME]
    if not network:
        line.append("--unshare-net")
    if os.geteuid() != 0:
        line += ["--unshare-user", "--uid", str(os.geteuid()), "--gid", str(os.getegid())]
    else:
        # What setpriv needs to become somebody else, and nothing more, not even for a moment.
        line += ["--cap-drop", "ALL"]
        for capability in ("CAP_SETUID", "CAP_SETGID", "CAP_SETPCAP", "CAP_SYS_RESOURCE"):
            line += ["--cap-add", capability]
    return line


def _system(etc: Sequence[str], tmp_bytes: int) -> list[str]:
    """/usr and the links to it, a chosen part of /etc, and private /proc, /dev, /run and /tmp."""
    line = ["--ro-bind", "/usr", "/usr"]
    for name in ("bin", "sbin", "lib", "lib32", "lib64", "libx32"):
        path = Path("/") / name
        if path.is_symlink():
            line += ["--symlink", os.readlink(path), str(path)]
        elif path.is_dir():
            line += ["--ro-bind", str(path), str(path)]
    for name in etc:
        line += _mount("--ro-bind-try", f"/etc/{name}", f"/etc/{name}")
    line += ["--proc", "/proc", "--dev", "/dev", "--dir", "/run"]
    return [*line, *_memory("/tmp", tmp_bytes)]  # noqa: S108


def _memory(destination: str, size: int) -> list[str]:
    """A directory in memory that everybody inside may write to, of at most ``size`` bytes."""
    return ["--perms", "1777", "--size", str(size), "--tmpfs", destination]


def _mount(option: str, source: Path | str, destination: str) -> list[str]:
    """A mount with its parent directories, which bubblewrap would make for root alone."""
    parents = [str(parent) for parent in reversed(Path(destination).parents) if str(parent) not in ("/", "/tmp")]  # noqa: S108
    return [part for parent in parents for part in ("--dir", parent)] + [option, str(source), destination]


def _dropped(uid: int, groups: Sequence[int] = ()) -> list[str]:
    """The prefix that runs a command as ``uid`` without any privilege or a way to get one."""
    if os.geteuid() != 0:
        return []
    setpriv = ["setpriv", "--reuid", str(uid), "--regid", str(uid), "--no-new-privs"]
    setpriv += ["--groups", ",".join(map(str, groups))] if groups else ["--clear-groups"]
    return [*setpriv, "--inh-caps=-all", "--ambient-caps=-all", "--bounding-set=-all", "--"]


def _limited(limits: Limits) -> list[str]:
    """The prefix that bounds every single process: what there is where no control groups are, and a second line."""
    line = ["prlimit", "--core=0", f"--data={limits.memory_mb * MB}", f"--fsize={limits.file_bytes()}"]
    if os.geteuid() == 0 or tuple(int(part) for part in platform.release().split(".")[:2]) >= OWN_PROCESSES:
        line.append(f"--nproc={limits.processes}")
    return [*line, "--"]
