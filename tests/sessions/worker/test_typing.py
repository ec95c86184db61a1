"""Typing into a real program: what `cat` in an xterm wrote is what the browser saw."""

from __future__ import annotations

import asyncio
import shlex
import time
from pathlib import Path

import pytest

from sessions.worker.injector import Injector
from sessions.worker.messages import Input, parse_events
from stripeengine.x11 import X11Input
from tests.stripeengine.fixtures_x11 import XServer


class Terminal:
    """An xterm that runs `cat` into a file, and an injector on its display."""

    def __init__(self, display: XServer, path: Path) -> None:
        self.path = path
        self.injector = Injector(X11Input(socket=display.socket, auth=display.auth))
        self._seq = 0

    async def send(self, *events: list[object]) -> None:
        self._seq += 1
        self.injector.put(Input("v", self._seq, parse_events([*events])))

    async def line(self, timeout: float = 8) -> str:
        """Press Enter and return what `cat` has written."""
        await self.send(["key", "Enter", "Enter", True], ["key", "Enter", "Enter", False])
        deadline = time.monotonic() + timeout
        while not self.path.read_text().endswith("\n"):
            assert time.monotonic() < deadline, f"nothing arrived: {self.path.read_bytes()!r}"
            await asyncio.sleep(0.05)
        text = self.path.read_text()
        self.path.write_text("")
        return text.rstrip("\n")


@pytest.fixture
async def terminal(display: XServer, tmp_path: Path):  # type: ignore[no-untyped-def]
    path, ready = tmp_path / "typed", tmp_path / "ready"
    typed = shlex.quote(str(path))
    script = f"stty -echo; : > {typed}; touch {shlex.quote(str(ready))}; exec cat >> {typed}"
    with display.running("xterm", "-u8", "-geometry", "100x30+0+0", "-e", "sh", "-c", script):
        async with asyncio.timeout(10):
            while not ready.exists():
                await asyncio.sleep(0.05)
        terminal = Terminal(display, path)
        task = asyncio.create_task(terminal.injector.run())
        await terminal.send(["move", 200, 150])  # xterm takes the keys of the window under the pointer
        await asyncio.sleep(0.3)
        yield terminal
        task.cancel()
        await asyncio.wait([task])
        terminal.injector.close()


def stroke(code: str, key: str) -> list[list[object]]:
    return [["key", code, key, True], ["key", code, key, False]]


async def test_keys_of_many_layouts(terminal: Terminal) -> None:
    await terminal.send(
        *stroke("KeyA", "a"),
        ["key", "ShiftLeft", "Shift", True],
        *stroke("KeyB", "B"),
        *stroke("Digit7", "/"),  # German
        ["key", "ShiftLeft", "Shift", False],
        ["key", "AltRight", "AltGraph", True],
        *stroke("KeyQ", "@"),
        *stroke("KeyE", "€"),
        ["key", "AltRight", "AltGraph", False],
        *stroke("Minus", "ß"),
        *stroke("Digit2", "é"),
        *stroke("", "漢"),
        *stroke("KeyY", "z"),
    )
    assert await terminal.line() == "aB/@€ßé漢z"


async def test_text_arrives_whole_and_in_order(terminal: Terminal) -> None:
    text = "Grüße, 世界! Ὀδυσσεύς €@ñ «Привет» 日本語の入力テスト"
    await terminal.send(["text", text], *stroke("KeyX", "x"))
    assert await terminal.line() == text + "x"


async def test_a_long_text_with_more_new_characters_than_spare_keys(terminal: Terminal) -> None:
    text = "".join(chr(0x4E00 + 7 * i) for i in range(80))
    await terminal.send(["text", text])
    assert await terminal.line(20) == text


async def test_control_c_is_a_shortcut(terminal: Terminal) -> None:
    await terminal.send(*stroke("KeyA", "a"), ["key", "ControlLeft", "Control", True], *stroke("KeyU", "u"))
    await terminal.send(["key", "ControlLeft", "Control", False], *stroke("KeyB", "b"))
    assert await terminal.line() == "b"  # Control+U erased the line
