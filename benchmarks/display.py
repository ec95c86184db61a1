"""The private X server of a benchmark run, its true picture, and what an application needs to run on it.

A `Display` is an Xvfb whose framebuffer is a file in memory: `truth` copies it without asking the server, so that
looking costs the server nothing. A `Stage` adds a window manager, input by XTest and programs that end with it. Used by
one thread; starting programs waits for their windows.
"""

from __future__ import annotations

import contextlib
import mmap
import os
import signal
import struct
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import TracebackType
from typing import Self

import numpy as np
import numpy.typing as npt

from stripeengine.x11 import X11Input
from tests.stripeengine.fixtures_x11 import Painter, XServer

Pixels = npt.NDArray[np.uint8]

SHARED_MEMORY = Path("/dev/shm")  # noqa: S108 - a file system in memory: writing to it does not disturb the run
WINDOW_SECONDS = 20
ANSWER_SECONDS = 0.3
LEFT, WHEEL_UP, WHEEL_DOWN = 1, 4, 5
KEYSYMS = {
    "a": 0x61,
    "space": 0x20,
    "Alt_L": 0xFFE9,
    "Right": 0xFF53,
    "b": 0x62,
    "Return": 0xFF0D,
    "Home": 0xFF50,
    "g": 0x67,
}


def scratch_directory() -> tempfile.TemporaryDirectory[str]:
    """Return a temporary directory, in memory where the machine has that."""
    return tempfile.TemporaryDirectory(prefix="bench-", dir=SHARED_MEMORY if SHARED_MEMORY.is_dir() else None)


class Display:
    """The X server; ``truth`` is its picture as height×width×3 uint8 RGB."""

    def __init__(self, size: tuple[int, int]) -> None:
        self.server = XServer(size, framebuffer=True)
        self.size = size

    @property
    def screen(self) -> Path:
        """The file in which the server keeps its framebuffer."""
        return Path(self.server.authority).with_name("Xvfb_screen0")

    def truth(self) -> Pixels:
        """Copy the framebuffer as it is now, BGRX."""
        return self._pixels.copy()

    def __enter__(self) -> Self:
        before = tempfile.tempdir
        # The server's directory holds the framebuffer: on a disk the kernel would write it back all the time.
        tempfile.tempdir = str(SHARED_MEMORY) if SHARED_MEMORY.is_dir() else before
        try:
            self.server.start()
        finally:
            tempfile.tempdir = before
        self._pixels = map_framebuffer(self.screen)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.server.stop()


def map_framebuffer(path: Path) -> Pixels:
    """Return the pixels of a true-colour XWD file as height×width×4 BGRX, mapped; raises `ValueError` for others."""
    with open(path, "rb") as file:
        memory = mmap.mmap(file.fileno(), 0, prot=mmap.PROT_READ)
    words = struct.unpack_from(">25I", memory, 0)
    header_size, depth, width, height, stride = words[0], words[3], words[4], words[5], words[12]
    if depth != 24 or words[11] != 32:
        raise ValueError(f"{path}: pixels of {words[11]} bits and depth {depth} cannot be compared, only 32 and 24")
    start = header_size + words[19] * 12  # after the colour map, 12 bytes an entry
    rows = np.frombuffer(memory, np.uint8, count=stride * height, offset=start).reshape(height, stride)
    return rows[:, : width * 4].reshape(height, width, 4)


def rgb(bgrx: Pixels) -> Pixels:
    """Return a copy of the framebuffer as RGB."""
    return np.ascontiguousarray(bgrx[:, :, 2::-1])


class Stage:
    """A window manager, a pointer and a keyboard on a `Display`; programs started here end with the stage."""

    def __init__(self, display: Display) -> None:
        self.display = display
        self.width, self.height = display.size
        self._programs: list[subprocess.Popen[bytes]] = []
        self._directory = scratch_directory()
        self.files = Path(self._directory.name)
        self._serial = 0

    def __enter__(self) -> Self:
        try:
            self.start("openbox", "--sm-disable")
            self.start("xsetroot", "-solid", "#2e3440")
            self._hide_cursor()
            server = self.display.server
            self.input = X11Input(socket=server.socket, auth=server.auth)
            self._codes = {
                keysyms[0]: code for code, keysyms in reversed(list(enumerate(self.input.keymap()))) if keysyms
            }
            time.sleep(0.5)
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _hide_cursor(self) -> None:
        """Hide the pointer: Xvfb draws it into its framebuffer, and engines leave it out of the picture."""
        self._painter = Painter(self.display.server)
        self._painter.display.xfixes_query_version()
        self._painter.root.xfixes_hide_cursor()
        self._painter.display.sync()

    def close(self) -> None:
        """End every program, the last first, and remove the files. Idempotent."""
        if hasattr(self, "input"):
            with contextlib.suppress(Exception):
                self.input.close()
        if hasattr(self, "_painter"):
            with contextlib.suppress(Exception):
                self._painter.close()
        while self._programs:
            end_group(self._programs.pop())
        self._directory.cleanup()

    def start(self, *command: str) -> subprocess.Popen[bytes]:
        """Start a program in a process group of its own."""
        environment = {**self.display.server.environment, "SDL_VIDEODRIVER": "x11", "SDL_RENDER_DRIVER": "software"}
        # A file the application would share with the person's own: none of it may decide what is drawn.
        environment |= {"HOME": str(self.files), "XDG_CONFIG_HOME": str(self.files), "XENVIRONMENT": os.devnull}
        try:
            program = subprocess.Popen(
                command,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                start_new_session=True,
            )
        except FileNotFoundError:
            raise RuntimeError(f"this workload needs {command[0]}: apt-get install {_package(command[0])}") from None
        self._programs.append(program)
        return program

    def window(self, title: str, *command: str) -> tuple[subprocess.Popen[bytes], int]:
        """Start a program and wait for the window of that title; returns the process and the window's id."""
        program = self.start(*command)
        deadline = time.monotonic() + WINDOW_SECONDS
        while time.monotonic() < deadline:
            found = self.ask("search", "--onlyvisible", "--name", f"^{title}")
            if found:
                return program, int(found.split()[-1])
            if program.poll() is not None:
                raise RuntimeError(f"{command[0]} ended with {program.returncode} before it showed a window")
            time.sleep(0.1)
        raise RuntimeError(f"{command[0]} showed no window called {title} within {WINDOW_SECONDS} s")

    @property
    def whole_screen(self) -> str:
        """The geometry of a terminal that fills the screen, decorations and all, in the font of `terminal`."""
        return f"{self.width * 234 // 1920}x{self.height * 62 // 1080}+0+0"

    def terminal(self, geometry: str, *command: str, face: str = "DejaVu Sans Mono", size: int = 10) -> int:
        """Open an xterm with a command in it; returns its window."""
        self._serial += 1
        title = f"terminal-{os.getpid()}-{self._serial}"
        options = ["-title", title, "-fa", face, "-fs", str(size), "-bg", "#1e1e2e", "-fg", "#d8dee9"]
        options += ["-geometry", geometry, "-b", "2", "+sb", "-xrm", "XTerm*allowTitleOps: false"]
        self.last, window = self.window(title, "xterm", *options, "-e", *command)
        return window

    def ask(self, *arguments: str) -> str:
        """Run xdotool and return what it says; empty if it finds nothing."""
        done = subprocess.run(
            ["xdotool", *arguments], env=self.display.server.environment, capture_output=True, text=True, timeout=20
        )
        return done.stdout.strip()

    def tap(self, name: str) -> int:
        """Press and release a key; returns when (monotonic µs)."""
        code = self.keycode(name)
        self.input.key(code, True)
        self.input.key(code, False)
        return self._send()

    def tapping(self, name: str) -> Callable[[], None]:
        """Return what presses and releases a key when it is called, and lets the answer come."""

        def tap() -> None:
            self.tap(name)
            time.sleep(ANSWER_SECONDS)

        return tap

    def click(self, button: int = LEFT) -> int:
        """Press and release a button where the pointer is; returns when."""
        self.input.button(button, True)
        self.input.button(button, False)
        return self._send()

    def point(self, x: int, y: int) -> int:
        """Move the pointer; returns when."""
        self.input.move(x, y)
        return self._send()

    def keycode(self, name: str) -> int:
        """Return the keycode of a key of `KEYSYMS`."""
        return self._codes[KEYSYMS[name]]

    def _send(self) -> int:
        now = time.monotonic_ns() // 1000
        self.input.flush()
        return now

    @contextlib.contextmanager
    def frozen(self, *programs: subprocess.Popen[bytes]) -> Iterator[None]:
        """Inside, the programs are stopped; what they have drawn stays."""
        for program in programs:
            signal_group(program, signal.SIGSTOP)
        try:
            yield
        finally:
            for program in programs:
                signal_group(program, signal.SIGCONT)


def signal_group(program: subprocess.Popen[bytes], number: int) -> None:
    """Signal a program and its children, if they still run."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(program.pid, number)


def end_group(program: subprocess.Popen[bytes]) -> None:
    """End a program that `Stage.start` started, and its children."""
    for number, seconds in ((signal.SIGTERM, 3.0), (signal.SIGKILL, 5.0)):
        signal_group(program, number)
        signal_group(program, signal.SIGCONT)
        with contextlib.suppress(subprocess.TimeoutExpired):
            program.wait(seconds)
            break
    signal_group(program, signal.SIGKILL)  # children that outlived it


def _package(command: str) -> str:
    return {"ffplay": "ffmpeg", "xsetroot": "x11-xserver-utils"}.get(command, command)
