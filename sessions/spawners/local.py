"""Desktops as child processes of the host agent, each in a bubblewrap sandbox. Runs in the agent's event loop.

Two processes count, and are remembered by pid and start time: the start script, whose end is the desktop's end, and the
sandbox's init, with which the kernel ends everything inside. Neither the agent's death nor the worker's touches them.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import os
import shutil
import subprocess
from collections.abc import Callable
from dataclasses import asdict, replace
from io import FileIO
from typing import Any

from ..conf import Conf
from ..states import Reason, Stage
from . import desktop_command, network, processes, screen, seccomp, uids, xauth
from .base import DesktopSpec, Display, Exit, Spawner, SpawnError
from .bounds import Bounds
from .desktop_command import MARK, Descriptors, split_command
from .files import write_etc, write_private
from .limits import Limits
from .paths import SessionPaths
from .processes import ProcessId, wait_ended
from .report import Report, explain, of_os_error, read_report
from .sandbox_process import sandbox_init, strays
from .storage import Home, claim_home

logger = logging.getLogger(__name__)

START_WITHIN = 30.0
"""Seconds from the sandbox's start until applications may draw."""

ATTEMPTS = 3
"""How often a sandbox is tried whose network namespace could not be set up."""

GRACE = 1.5
"""Seconds that applications have to save and quit."""


class LocalSpawner(Spawner):
    """A desktop on this machine. ``sandboxed`` False runs it as plain children: only where the operator allows it."""

    def __init__(self, conf: Conf, sid: str, sandboxed: bool) -> None:
        super().__init__(conf, sid, sandboxed)
        self.paths = SessionPaths(sid, conf.runtime_dir, conf.state_dir)
        self.identity: uids.Identity = uids.own_identity()
        self.bounds = Bounds(self.paths)
        self._conf = conf
        self._home: Home | None = None
        self._init: ProcessId | None = None
        self._script: ProcessId | None = None
        self._monitor: subprocess.Popen[bytes] | None = None
        self._slirp: subprocess.Popen[bytes] | None = None
        self._slirp_id: ProcessId | None = None
        self._display_number: int | None = None
        self._screen: FileIO | None = None
        self._screen_identity: screen.Identity | None = None

    async def start(self, spec: DesktopSpec, on_stage: Callable[[Stage], None]) -> Display:
        on_stage(Stage.SANDBOX)
        command = split_command(spec.command)
        try:
            for attempts_left in reversed(range(ATTEMPTS)):
                cookie = await asyncio.to_thread(self._prepare, spec)
                try:
                    self._init = await self._launch(spec, command)
                    return await self._until_drawable(self._init, cookie, on_stage)
                except SpawnError as error:
                    # bubblewrap 0.8 now and then fails to bring up the loopback interface of a new network namespace.
                    if not attempts_left or "bwrap: loopback" not in str(error):
                        raise
                    logger.info("session %s: another attempt: %s", self.sid, error)
                    await self.stop()
                    self._init = self._script = self._monitor = self._slirp = self._slirp_id = None
        except OSError as error:
            raise of_os_error(error) from error
        raise AssertionError("the last attempt returns or raises")

    def _prepare(self, spec: DesktopSpec) -> bytes:
        """Make the session's files and control groups. Blocks."""
        self.paths.make()
        root = os.geteuid() == 0
        if root and self.sandboxed:
            self.identity = uids.claim(self._conf.runtime_dir, self._conf.uid_base, self.sid)
        if spec.home == "persistent" and self.sandboxed:
            self._home = claim_home(self._conf.state_dir, self._conf.uid_base, spec.owner, spec.limits.home_mb)
            self.identity = replace(self.identity, desktop=self._home.uid)
        self.bounds.make(spec.limits, self._home)
        cookie = xauth.make_cookie()
        uid = self.identity.desktop
        # Where display numbers are shared with the machine the number is not known yet: the entry then fits any.
        write_private(self.paths.authority, xauth.pack(cookie, 0 if self.sandboxed else None), uid)
        for path in (self.paths.report, self.paths.desktop_log):
            write_private(path, b"", uid, 0o600)
        if self.sandboxed:
            write_etc(self.paths.etc, uid)
        if root:
            for path in (self.paths.home, self.paths.user_runtime):
                os.chown(path, uid, uid)
        return cookie

    async def _launch(self, spec: DesktopSpec, command: list[str]) -> ProcessId:
        """Start the sandbox, connect its network, let it run; return its init."""
        internet = spec.network == "internet" and self.sandboxed
        interfaces = await asyncio.to_thread(network.host_interfaces) if internet else []
        subnet = network.choose_network(interfaces) if internet else None
        if subnet is not None:
            (self.paths.etc / "resolv.conf").write_text(f"nameserver {network.resolver_of(subnet)}\n")
        info = os.open(self.paths.info, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        gate_read, gate_write = os.pipe()
        log = os.open(self.paths.desktop_log, os.O_WRONLY | os.O_APPEND)
        rules = seccomp.descriptor_of(seccomp.desktop_filter()) if self.sandboxed else -1
        pixels = self._make_screen()
        try:
            if self.sandboxed:
                inherited = Descriptors(info, gate_read, rules)
                uid = self.identity.desktop
                line, environment = desktop_command.sandboxed(spec, command, self.paths, uid, self._home, inherited)
            else:
                line, environment = desktop_command.plain(spec, command, self.paths)
            try:
                self._monitor = subprocess.Popen(  # noqa: S603, ASYNC220 - forking takes a millisecond
                    self.bounds.desktop.joined(line),
                    # A shell redirects only from descriptors of one digit, and no other is sure to be free.
                    stdin=pixels if pixels >= 0 else subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                    pass_fds=(info, gate_read, rules) if self.sandboxed else (),
                    start_new_session=True,
                    env=environment,
                    cwd="/" if self.sandboxed else self.paths.home,
                )
            except FileNotFoundError as error:
                raise SpawnError(Reason.NO_SANDBOX, f"{error.filename} is not installed.") from None
            init = await self._find_init(self._monitor)
            if subnet is not None:
                try:
                    self._slirp = await network.connect(init, subnet, interfaces, self.paths.network_log)
                except SpawnError:
                    if not init.alive():  # the sandbox failed first, and its log says why
                        raise self._no_sandbox() from None
                    raise
                self._slirp_id = ProcessId.of(self._slirp.pid)
                if self._slirp_id is not None:
                    self.paths.slirp.write_text(json.dumps(self._slirp_id.to_state()))
            os.write(gate_write, b"1")
        finally:
            for descriptor in (info, gate_read, gate_write, log, rules, pixels):
                if descriptor >= 0:
                    os.close(descriptor)
        return init

    def _make_screen(self) -> int:
        """Make the file that the X server draws into; return a descriptor to hand to it, or -1. Another is kept."""
        try:
            pixels = screen.make_screen(self.identity.desktop)
        except OSError as error:
            logger.warning("session %s: its screen is not in shared memory: %s", self.sid, error)
            return -1
        self._screen_identity = screen.identity_of(pixels)
        if (readable := screen.reopen_screen(pixels)) is not None:
            self._screen = FileIO(readable)
        return pixels

    def _close_screen(self) -> None:
        if self._screen is not None:
            self._screen.close()
        self._screen = self._screen_identity = None

    def screen(self) -> int | None:
        if self._screen is None and self._screen_identity is not None and self._init is not None:
            # An earlier agent made it. The X server has it open for as long as it lives.
            for process in self._members(self._init):
                if processes.program_of(process) != "Xvfb":
                    continue
                if (found := screen.find_screen(process, self._screen_identity)) is not None:
                    self._screen = FileIO(found)
                    break
        return self._screen.fileno() if self._screen is not None else None

    async def _find_init(self, monitor: subprocess.Popen[bytes]) -> ProcessId:
        """Return the process whose end is the desktop's end."""
        if not self.sandboxed:
            init = ProcessId.of(monitor.pid)
        else:
            pid = await sandbox_init(self.paths.info, monitor)
            init = ProcessId.of(pid) if pid is not None else None
        if init is None:
            raise self._no_sandbox()
        return init

    def _no_sandbox(self) -> SpawnError:
        exit = explain(Report(None, None, None), self.paths.desktop_log)
        return SpawnError(exit.reason, exit.message)

    async def _until_drawable(self, init: ProcessId, cookie: bytes, on_stage: Callable[[Stage], None]) -> Display:
        """Follow the start script's report until the desktop is there; return its display."""
        told: Stage | None = None
        deadline = asyncio.get_running_loop().time() + START_WITHIN
        while True:
            report = read_report(self.paths.report)
            self._script = self._script or (processes.first_in_namespace_of(init) if self.sandboxed else init)
            if report.end is not None or not init.alive() or (self._script and not self._script.alive()):
                exit = self._explain()
                raise SpawnError(exit.reason, exit.message)
            if report.stage is Stage.STREAM and report.display is not None:
                self._display_number = report.display
                return self._display(cookie)
            if report.stage is not None and report.stage is not told:
                told = report.stage
                on_stage(told)
            if asyncio.get_running_loop().time() > deadline:
                raise SpawnError(Reason.NO_DISPLAY, f"The desktop did not come up within {START_WITHIN:.0f} seconds.")
            await asyncio.sleep(0.02)

    def _display(self, cookie: bytes) -> Display:
        number = self._display_number or 0
        socket = str(self.paths.x_socket) if self.sandboxed else f"/tmp/.X11-unix/X{number}"  # noqa: S108
        return Display(socket, number, xauth.AUTH_NAME, cookie.hex())

    async def stop(self) -> None:
        self._close_screen()
        try:
            await asyncio.to_thread(self._end_processes)
            await asyncio.to_thread(self.remove_files)
        except Exception:
            logger.exception("session %s: cleaning up failed; the next start of the agent tries again", self.sid)

    def _end_processes(self) -> None:
        """End everything of the desktop. Blocks, a few seconds at most."""
        if self._init is not None:
            # The start script, which is the oldest, and the X server are there for the others and end last.
            members = sorted(self._members(self._init), key=lambda process: process.started)
            polite = [process for process in members[1:] if processes.program_of(process) != "Xvfb"]
            processes.end_all(polite, GRACE, force=not self.sandboxed)
            processes.kill(self._init)
            for process in [] if self.sandboxed else self._members(self._init):
                processes.kill(process)
        for stray in strays(self.paths):
            processes.kill(stray)
        if (slirp := self._slirp_id or self._noted_slirp()) is not None:
            processes.kill(slirp)
        for child in (self._monitor, self._slirp):
            if child is not None:
                self._reap(child)
        self.bounds.remove()

    def _noted_slirp(self) -> ProcessId | None:
        try:
            return ProcessId.from_state(json.loads(self.paths.slirp.read_text()))
        except (OSError, ValueError):
            return None

    def _members(self, init: ProcessId) -> list[ProcessId]:
        if self.sandboxed:
            return processes.in_namespace_of(init)
        return processes.with_environment(f"{MARK}={self.sid}".encode())

    @staticmethod
    def _reap(child: subprocess.Popen[bytes]) -> None:
        try:
            child.wait(3)
        except subprocess.TimeoutExpired:
            child.kill()
            with contextlib.suppress(subprocess.TimeoutExpired):
                child.wait(1)

    def remove_files(self) -> None:
        """Remove the session's files and give back its uids. Blocks."""
        self.paths.remove()
        uids.release(self._conf.runtime_dir, self.sid)

    async def poll(self) -> Exit | None:
        if self._script is not None and self._script.alive():
            return None
        return self._explain()

    def _explain(self) -> Exit:
        exit = explain(read_report(self.paths.report), self.paths.desktop_log)
        cause = self.bounds.cause()
        return Exit(Reason.OUT_OF_RESOURCES, f"{cause} {exit.message}", failed=True) if cause else exit

    async def wait(self) -> Exit:
        while (exit := await self.poll()) is None:
            if self._script is not None:
                await wait_ended(self._script)
            await asyncio.sleep(0)
        return exit

    def _find_bounds(self, state: dict[str, Any]) -> None:
        limits, owner = _limits_of(state.get("limits")), state.get("home")
        try:
            if isinstance(owner, str):
                self._home = claim_home(self._conf.state_dir, self._conf.uid_base, owner, limits.home_mb)
                self.identity = replace(self.identity, desktop=self._home.uid)
        except (OSError, SpawnError) as error:
            logger.warning("session %s: its home directory is not watched: %s", self.sid, error)
        self.bounds.find(limits, self._home)

    def get_state(self) -> dict[str, Any]:
        return {
            "spawner": "local",
            "sandboxed": self.sandboxed,
            "init": self._init.to_state() if self._init else None,
            "script": self._script.to_state() if self._script else None,
            "network": self._slirp_id.to_state() if self._slirp_id else None,
            "slot": self.identity.slot,
            "limits": asdict(self.bounds.limits),
            "home": self._home.path.name if self._home else None,
            "display": self._display_number,
            "screen": list(self._screen_identity) if self._screen_identity else None,
        }

    def load_state(self, state: dict[str, Any]) -> Display | None:
        self._init = ProcessId.from_state(state.get("init"))
        self._script = ProcessId.from_state(state.get("script"))
        self._slirp_id = ProcessId.from_state(state.get("network"))
        self.sandboxed = state.get("sandboxed") is not False
        slot, number = state.get("slot"), state.get("display")
        if isinstance(slot, int):
            self.identity = uids.identity_of(self._conf.uid_base, slot)
        self._display_number = number if isinstance(number, int) else None
        self._screen_identity = screen.identity_from(state.get("screen"))
        self._find_bounds(state)
        if self._script is None or not self._script.alive() or self._display_number is None:
            return None
        try:
            return self._display(xauth.unpack(self.paths.authority.read_bytes()))
        except (OSError, ValueError):
            return None


def _limits_of(state: Any) -> Limits:
    """Read what ``dataclasses.asdict`` made of limits; the defaults if that makes no sense."""
    try:
        return Limits(**state)
    except TypeError:
        return Limits()


def missing_programs() -> list[str]:
    """Return the programs every desktop needs and this machine lacks, as ``program (Debian package)``."""
    needed = {"Xvfb": "xvfb", "xrandr": "x11-xserver-utils", "openbox": "openbox", "xkbcomp": "x11-xkb-utils"}
    return [f"{program} ({package})" for program, package in needed.items() if shutil.which(program) is None]
