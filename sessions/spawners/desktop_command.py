"""The command line of a desktop: `sessions/desktop/start.sh`, in its sandbox or without one."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from ..states import Reason
from . import sandbox
from .base import DesktopSpec, SpawnError
from .paths import SessionPaths
from .storage import Home
from .variables import variables_of

DESKTOP_DIRECTORY = Path(__file__).resolve().parent.parent / "desktop"

MARK = "STRIPEDESK_SESSION"
"""Marks the processes of a desktop that has no sandbox."""


@dataclass(frozen=True)
class Descriptors:
    """What a sandbox inherits: where to write its particulars, what to wait on, its seccomp filter."""

    info: int
    gate: int
    seccomp: int


def environment_of(spec: DesktopSpec, home: str, authority: str, runtime: str) -> dict[str, str]:
    """Return everything that a desktop's environment holds."""
    return {
        "HOME": home,
        "USER": "user",
        "DISPLAY": ":0",
        "XAUTHORITY": authority,
        "XDG_RUNTIME_DIR": runtime,
        "PATH": sandbox.PATH,
        "SHELL": "/bin/bash",
        "TERM": "xterm-256color",
        **variables_of(spec),
    }


def start_line(spec: DesktopSpec, command: Sequence[str], base: str, report: str, display: str) -> list[str]:
    """Return the start script with its arguments (see there)."""
    start = ["/bin/sh", f"{base}/start.sh", report, spec.kind, str(spec.width), str(spec.height)]
    start += [str(spec.maximum_width), str(spec.maximum_height), "gl" if spec.needs_gl else "no-gl"]
    return [*start, display, *command]


def plain(spec: DesktopSpec, command: Sequence[str], paths: SessionPaths) -> tuple[list[str], dict[str, str]]:
    """Return the command line and environment of a desktop without a sandbox."""
    environment = environment_of(spec, str(paths.home), str(paths.authority), str(paths.user_runtime))
    line = start_line(spec, command, str(DESKTOP_DIRECTORY), str(paths.report), "any")
    return line, {**environment, MARK: paths.sid}


def sandboxed(
    spec: DesktopSpec,
    command: Sequence[str],
    paths: SessionPaths,
    uid: int,
    home: Home | None,
    descriptors: Descriptors,
) -> tuple[list[str], dict[str, str]]:
    """Return the command line of a desktop in its sandbox, and the environment to start that with."""
    report, authority, runtime = "/run/report", "/run/authority", f"/run/user/{uid}"
    mounts = [
        (paths.x_directory, "/tmp/.X11-unix", True),  # noqa: S108 - inside the sandbox
        (paths.report, report, True),
        (paths.authority, authority, False),
        (DESKTOP_DIRECTORY, sandbox.OPT, False),
    ]
    if home is not None:
        mounts.append((home.path, sandbox.HOME, True))
    line = sandbox.command_of_desktop(
        uid=uid,
        etc=paths.etc,
        mounts=mounts,
        environment=environment_of(spec, sandbox.HOME, authority, runtime),
        descriptors=(descriptors.info, descriptors.gate, descriptors.seccomp),
        limits=spec.limits,
        gpu=spec.gpu,
        command=start_line(spec, command, sandbox.OPT, report, "0"),
    )
    return line, {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin"}


def split_command(text: str) -> list[str]:
    """Split a template's command like a shell would; raise `SpawnError` if its quotes do not close."""
    try:
        return shlex.split(text)
    except ValueError as error:
        raise SpawnError(
            Reason.COMMAND_NOT_FOUND, f"The template's command cannot be read: {error}. Correct it: {text!r:.200}"
        ) from None
