"""The pump: one sender, text before pictures, bounded when nobody reads."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest

from sessions.serving import pump as pump_module
from sessions.serving.asks import Ask
from sessions.serving.frames import Answer, Frame
from sessions.serving.pump import MOST_TEXTS, Pump
from sessions.serving.window import FrameWindow, KeyFrames
from stripeengine import wire
from tests.sessions.fixtures_frames import EPOCH, parsed


class Socket:
    """Takes what is sent; ``readable`` is cleared by a client that does not read."""

    def __init__(self) -> None:
        self.sent: list[dict[str, Any]] = []
        self.readable = asyncio.Event()
        self.readable.set()

    async def send(self, message: dict[str, Any]) -> None:
        self.sent.append(message)
        if message["type"] == "websocket.send":
            await self.readable.wait()

    @property
    def texts(self) -> list[Any]:
        return [json.loads(m["text"]) for m in self.sent if "text" in m]

    @property
    def code(self) -> int | None:
        return next((m["code"] for m in self.sent if m["type"] == "websocket.close"), None)


@pytest.fixture
async def parts() -> Any:
    socket, window, requests = Socket(), FrameWindow(), list[Ask | KeyFrames]()
    pump = Pump(socket.send, window, requests.append)
    yield socket, window, pump, requests
    await pump.stop()


def start(window: FrameWindow) -> None:
    assert window.answer(Answer([parsed(0, kind=wire.SNAPSHOT)]), 0)


def push(window: FrameWindow, number: int) -> None:
    now = asyncio.get_running_loop().time()
    window.frame(Frame(parsed(number), now), now)


async def settle() -> None:
    for _ in range(10):
        await asyncio.sleep(0)


async def test_pictures_wait_until_they_are_started_and_then_flow(parts: Any) -> None:
    socket, window, pump, requests = parts
    await settle()
    assert requests == [] and socket.sent == []
    pump.start_pictures()
    await settle()
    (asked,) = requests
    assert asked.whole
    start(window)
    push(window, 1)
    pump.wake()
    await settle()
    assert [wire.peek(m["bytes"]).frame_id for m in socket.sent] == [0, 1]
    assert all(type(m["bytes"]) is bytes for m in socket.sent)


async def test_the_error_is_the_last_message_before_the_close(parts: Any) -> None:
    socket, _, pump, _ = parts
    pump.text({"type": "welcome"})
    pump.close(4411, {"type": "error", "code": "session-ended"})
    pump.close(4400)
    pump.text({"type": "late"})
    await settle()
    assert [m["type"] for m in socket.texts] == ["welcome", "error"] and socket.code == 4411


async def test_of_newest_only_messages_a_slow_reader_gets_one(parts: Any) -> None:
    socket, _, pump, _ = parts
    socket.readable.clear()
    pump.text({"type": "first"})
    await settle()
    for serial in range(1000):
        pump.text({"type": "cursor", "serial": serial}, newest="cursor")
        pump.text({"type": "stats", "n": serial}, newest="stats")
    socket.readable.set()
    await settle()
    assert socket.texts == [{"type": "first"}, {"type": "cursor", "serial": 999}, {"type": "stats", "n": 999}]


async def test_a_reader_of_nothing_is_closed_when_text_piles_up(parts: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pump_module, "CLOSE_S", 0.05)
    socket, _, pump, _ = parts
    socket.readable.clear()
    for number in range(MOST_TEXTS + 2):
        pump.text({"type": "state", "n": number})
    await asyncio.sleep(0.2)
    assert socket.code == 1013 and len(socket.sent) <= 2


async def test_a_close_does_not_wait_for_a_reader_for_ever(parts: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pump_module, "CLOSE_S", 0.05)
    socket, _, pump, _ = parts
    socket.readable.clear()
    pump.text({"type": "state"})
    await settle()
    pump.close(4410, {"type": "error"})
    await asyncio.sleep(0.2)
    assert socket.code == 4410


async def test_acknowledgements_let_the_next_frames_go(parts: Any) -> None:
    socket, window, pump, _ = parts
    pump.start_pictures()
    await settle()
    start(window)
    for number in range(1, 7):
        push(window, number)
    pump.wake()
    await settle()
    assert len(socket.sent) == 4  # the snapshot is one of the window
    window.ack(EPOCH, 2, asyncio.get_running_loop().time())
    pump.wake()
    await settle()
    assert 3 + window.flight.window - 1 <= len(socket.sent) <= 7
