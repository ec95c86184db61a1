"""A private X server and a small painter, for every test that needs a real screen.

``from tests.stripeengine.fixtures_x11 import XServer, Painter``. Plain context managers, so that they also serve
outside pytest; nothing here touches the environment of this process for longer than one call.
"""

from __future__ import annotations

import contextlib
import fcntl
import mmap
import os
import secrets
import select
import shutil
import socket
import struct
import subprocess
import tempfile
import threading
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from unittest import mock

AUTH_NAME = "MIT-MAGIC-COOKIE-1"
START_SECONDS = 15


def have_xvfb() -> bool:
    """Tell whether there is an Xvfb to start."""
    return shutil.which("Xvfb") is not None


def sealed_memory(data: bytes = b"", seals: int = fcntl.F_SEAL_SHRINK) -> int:
    """Return a descriptor of a file in memory, sealed as a session's screen is."""
    memory = os.memfd_create("screen", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    os.write(memory, data)
    fcntl.fcntl(memory, fcntl.F_ADD_SEALS, seals)
    return memory


class XServer:
    """An Xvfb of our own on a free display, with its own cookie; stopped on exit.

    ``size`` is the first and, for RandR, the largest size. ``without`` names extensions to leave out; ``uid`` runs the
    server as another user (needs root); ``tcp`` lets it listen on TCP too. ``socket``, ``auth``, ``display`` and
    ``environment`` say how to reach it. With ``framebuffer`` its memory is a file, sealed as a session's is: ``screen``
    is a descriptor of it. See `scribble` too.
    """

    def __init__(
        self,
        size: tuple[int, int] = (640, 480),
        *,
        depth: int = 24,
        without: Sequence[str] = (),
        uid: int | None = None,
        tcp: bool = False,
        framebuffer: bool = False,
    ) -> None:
        self.size = size
        self.depth = depth
        self.without = tuple(without)
        self.uid = uid
        self.tcp = tcp
        self.framebuffer = framebuffer
        self.cookie = secrets.token_bytes(16)
        self.screen: int | None = None
        self.number = -1
        self._modes: set[str] = set()
        self._directory = ""
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def display(self) -> str:
        return f":{self.number}"

    @property
    def socket(self) -> str:
        return f"/tmp/.X11-unix/X{self.number}"

    @property
    def auth(self) -> tuple[str, bytes]:
        return AUTH_NAME, self.cookie

    @property
    def authority(self) -> str:
        """Path of the Xauthority file."""
        return os.path.join(self._directory, "Xauthority")

    @property
    def environment(self) -> dict[str, str]:
        """A copy of the environment for programs that draw on this server."""
        return {**os.environ, "DISPLAY": self.display, "XAUTHORITY": self.authority}

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    def start(self) -> Self:
        """Start the server and wait until it listens; raises `RuntimeError` with its log if it does not."""
        self._directory = tempfile.mkdtemp(prefix="x11-test-")
        os.chmod(self._directory, 0o755)
        self._modes.clear()
        if self.framebuffer:
            self._make_screen()
        # With -displayfd alone and -nolisten local the server takes no lock and steals the socket of one that runs: so
        # we name the number, which makes it lock, and use -displayfd only to hear when it listens.
        first = 200 + secrets.randbelow(20_000)
        for number in range(first, first + 20):
            if not os.path.exists(f"/tmp/.X{number}-lock") and self._try(number):
                return self
        log = self._log.read_text(errors="replace")
        self.stop()
        raise RuntimeError(f"Xvfb did not start:\n{log}")

    def _make_screen(self) -> None:
        self.screen = sealed_memory()
        os.symlink(f"/proc/{os.getpid()}/fd/{self.screen}", os.path.join(self._directory, "Xvfb_screen0"))

    @property
    def _log(self) -> Path:
        return Path(self._directory, "log")

    def _command(self, number: int, report: int) -> list[str]:
        size = f"{self.size[0]}x{self.size[1]}x{self.depth}"
        command = ["Xvfb", f":{number}", "-displayfd", str(report), "-screen", "0", size, "-auth", self.authority]
        command += ["-noreset", "-listen" if self.tcp else "-nolisten", "tcp", "-nolisten", "local"]
        command += ["-schedInterval", "1"]  # as sessions/desktop/start.sh does
        if self.screen is not None:
            command += ["-fbdir", self._directory]
        for extension in ("GLX", *self.without):
            command += ["-extension", extension]
        if self.uid is not None:
            user = str(self.uid)
            command = ["setpriv", "--reuid", user, "--regid", user, "--clear-groups", *command]
        return command

    def _try(self, number: int) -> bool:
        self._write_authority(number)
        ready, report = os.pipe()
        try:
            with open(self._log, "wb") as output:
                self._process = subprocess.Popen(
                    self._command(number, report),
                    pass_fds=[report],
                    stdin=subprocess.DEVNULL,
                    stdout=output,
                    stderr=output,
                )
        finally:
            os.close(report)
        # To the end of the line: it comes in two writes, and the server dies if it cannot make the second.
        with open(ready, "rb") as reader:
            listening = bool(select.select([reader], [], [], START_SECONDS)[0] and reader.readline().endswith(b"\n"))
        if listening:
            self.number = number
            return True
        self._end_process()
        return False

    def _write_authority(self, number: int) -> None:
        def counted(data: bytes) -> bytes:
            return struct.pack(">H", len(data)) + data

        # Once for any host, once for ours by name: XCB takes either, python-xlib only the latter.
        addresses = ((0xFFFF, b""), (256, os.uname().nodename.encode()))
        entries = (
            struct.pack(">H", family)
            + b"".join(counted(part) for part in (host, str(number).encode(), AUTH_NAME.encode(), self.cookie))
            for family, host in addresses
        )
        Path(self.authority).write_bytes(b"".join(entries))
        os.chmod(self.authority, 0o600)
        if self.uid is not None:
            os.chown(self.authority, self.uid, -1)

    def _end_process(self) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        process.terminate()
        try:
            process.wait(timeout=5)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()

    def stop(self) -> None:
        """Stop the server and remove its files. Idempotent."""
        self._end_process()
        if self.screen is not None:
            os.close(self.screen)
            self.screen = None
        if self._directory:
            shutil.rmtree(self._directory, ignore_errors=True)

    def kill(self) -> None:
        """Kill the server as a crash would."""
        assert self._process is not None
        self._process.kill()
        self._process.wait()
        # A killed server leaves its socket and lock behind, and the number would stay taken for good.
        for path in (self.socket, f"/tmp/.X{self.number}-lock"):
            with contextlib.suppress(FileNotFoundError):
                os.unlink(path)

    def run(self, *command: str) -> subprocess.CompletedProcess[str]:
        """Run a program against this server and return what it said; raises `RuntimeError` with that if it fails."""
        done = subprocess.run(command, env=self.environment, check=False, capture_output=True, text=True, timeout=20)
        if done.returncode:
            raise RuntimeError(f"{' '.join(command)} ended with {done.returncode}: {done.stderr.strip()}")
        return done

    @contextlib.contextmanager
    def running(self, *command: str) -> Iterator[subprocess.Popen[bytes]]:
        """Keep a program running against this server inside the ``with``."""
        process = subprocess.Popen(
            command,
            env=self.environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        try:
            yield process
        finally:
            process.terminate()
            try:
                process.wait(timeout=5)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()

    def scribble(self, x: int, y: int, pixel: bytes) -> None:
        """Write one BGRX pixel straight into the server's memory: a change it reports to nobody."""
        assert self.screen is not None
        with mmap.mmap(self.screen, 0) as memory:
            # An XWD file: header size first, stride thirteenth, colours twentieth word; 12 bytes a colour.
            words = struct.unpack_from(">20I", memory, 0)
            at = words[0] + words[19] * 12 + y * words[12] + x * 4
            memory[at : at + 4] = pixel

    def resize(self, width: int, height: int) -> None:
        """Give the screen another size through RandR, at most the one it was started with."""
        name = f"t{width}x{height}"
        output = next(line.split()[0] for line in self.run("xrandr").stdout.splitlines() if " connected" in line)
        # The timings do not matter to Xvfb; the sizes in them do.
        horizontal = [str(width + step) for step in (0, 8, 16, 24)]
        vertical = [str(height + step) for step in (0, 3, 6, 10)]
        if name not in self._modes:  # one can be made once, and some 700 are too many for an output
            self.run("xrandr", "--newmode", name, "60", *horizontal, *vertical)
            self.run("xrandr", "--addmode", output, name)
            self._modes.add(name)
        # Without --dpi each change rounds the screen's millimetres down, until there are none and the server refuses.
        self.run("xrandr", "--dpi", "96", "--output", output, "--mode", name)

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()


class Painter:
    """Draws exact pixels on the screen, through python-xlib (a dependency of the tests only)."""

    def __init__(self, server: XServer) -> None:
        from Xlib import display

        with mock.patch.dict(os.environ, {"XAUTHORITY": server.authority}):
            self.display: Any = display.Display(server.display)
        self.screen: Any = self.display.screen()
        self.root: Any = self.screen.root
        self._gc: Any = self.root.create_gc(subwindow_mode=1)  # IncludeInferiors: draw over whatever is there

    def fill(self, x: int, y: int, width: int, height: int, colour: int) -> None:
        """Fill a rectangle of the screen with 0xRRGGBB, and wait until the server has done it."""
        self._gc.change(foreground=colour)
        self.root.fill_rectangle(self._gc, x, y, width, height)
        self.display.sync()

    def image(self, x: int, y: int, width: int, height: int, bgrx: bytes) -> None:
        """Put BGRX pixels on the screen, in bands small enough for one request each."""
        from Xlib import X

        rows = max(1, 200_000 // (width * 4))
        for top in range(0, height, rows):
            part = min(rows, height - top)
            data = bgrx[top * width * 4 : (top + part) * width * 4]
            self.root.put_image(self._gc, x, y + top, width, part, X.ZPixmap, 24, 0, data)
        self.display.sync()

    def close(self) -> None:
        self.display.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


@contextlib.contextmanager
def relay(server: XServer, path: str, rewrite: Callable[[bytes], bytes] = lambda data: data) -> Iterator[str]:
    """A socket in front of the server that passes bytes only: descriptors sent along are lost.

    ``rewrite`` sees each piece the server sends and returns what the client gets: a server that lies.
    """

    def pump(source: socket.socket, sink: socket.socket, change: Callable[[bytes], bytes]) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(65536):
                sink.sendall(change(data))
            sink.shutdown(socket.SHUT_WR)

    def serve() -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = listener.accept()
                upstream = socket.socket(socket.AF_UNIX)
                upstream.connect(server.socket)
                for pair in ((client, upstream, bytes), (upstream, client, rewrite)):
                    threading.Thread(target=pump, args=pair, daemon=True).start()

    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(path)
        listener.listen()
        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        try:
            yield path
        finally:
            listener.shutdown(socket.SHUT_RDWR)
            thread.join()
