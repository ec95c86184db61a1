"""The pump: one sender, text before pictures, bounded when nobody reads."""

from __future__ import annotations

import asyncio
import json
import tracemalloc
from collections.abc import AsyncIterator
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
    """Takes what is sent, by both ways; ``readable`` is cleared by a client that does not read."""

    def __init__(self) -> None:
        self.sent: list[dict[str, Any]] = []
        self.readable = asyncio.Event()
        self.readable.set()

    async def send(self, message: dict[str, Any]) -> None:
        self.sent.append(message)
        if message["type"] == "websocket.send":
            await self.readable.wait()

    @property
    def writable(self) -> bool:
        return self.readable.is_set()

    def write(self, data: wire.Buffer) -> None:
        self.sent.append({"type": "websocket.send", "bytes": bytes(data)})

    async def wait(self) -> None:
        await self.readable.wait()

    @property
    def frames(self) -> list[int]:
        return [wire.peek(m["bytes"]).frame_id for m in self.sent if "bytes" in m]

    @property
    def texts(self) -> list[Any]:
        return [json.loads(m["text"]) for m in self.sent if "text" in m]

    @property
    def code(self) -> int | None:
        return next((m["code"] for m in self.sent if m["type"] == "websocket.close"), None)


Parts = tuple[Socket, FrameWindow, Pump, list[Ask | KeyFrames]]


async def made(direct: bool) -> AsyncIterator[Parts]:
    socket, window, requests = Socket(), FrameWindow(), list[Ask | KeyFrames]()
    pump = Pump(socket.send, window, requests.append, lambda size: None, socket if direct else None)
    yield socket, window, pump, requests
    await pump.stop()


@pytest.fixture(params=["by its task", "directly"])
async def parts(request: pytest.FixtureRequest) -> AsyncIterator[Parts]:
    async for it in made(request.param == "directly"):
        yield it


@pytest.fixture
async def streaming() -> AsyncIterator[Parts]:
    """A viewer with a picture and a direct way to him, whose pump rests."""
    async for it in made(True):
        _, window, pump, _ = it
        pump.start_pictures()
        await settle()
        start(window)
        pump.push()
        await settle()
        assert window.ack(EPOCH, 0, asyncio.get_running_loop().time(), 1)
        pump.wake()
        await settle()
        yield it


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
    pump.push()
    await settle()
    assert socket.frames == [0, 1]
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
        pump.push()
    await settle()
    assert len(socket.sent) == 4  # the snapshot is one of the window
    window.ack(EPOCH, 2, asyncio.get_running_loop().time())
    pump.push()
    await settle()
    assert 3 + window.flight.window - 1 <= len(socket.sent) <= 7


@pytest.mark.parametrize(("size", "asks"), [(256 * 1024, False), (30_000, False), (256 * 1024, True)])
async def test_a_viewer_who_reads_nothing_costs_at_most_two_megabytes(parts: Any, size: int, asks: bool) -> None:
    """Sixty frames; with ``asks`` he also waits for an answer, for which frames are kept."""
    socket, window, pump, _ = parts
    window.poll(0)
    start(window)
    pump.start_pictures()
    await settle()
    if asks:
        window.resync()
        window.poll(asyncio.get_running_loop().time() + 1)
    socket.readable.clear()
    tracemalloc.start()
    try:
        for number in range(1, 61):
            push_large(window, number, size)
            pump.push()
            await settle()
        held, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert len(socket.sent) < 12 and held < 2e6
    assert window.dropped.total() > 30, "what he was not sent is noted as missed"


def push_large(window: FrameWindow, number: int, size: int) -> None:
    now = asyncio.get_running_loop().time()
    window.frame(Frame(parsed(number, size=size), now), now)


async def test_a_defect_closes_the_connection_so_that_the_page_comes_back(
    parts: Any, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    socket, window, pump, _ = parts
    pump.start_pictures()
    monkeypatch.setattr(window, "poll", lambda now: 1 / 0)
    pump.wake()
    await settle()
    assert socket.code == 1011 and "division" in caplog.text


async def test_a_defect_on_the_direct_way_is_this_connection_s_alone(
    streaming: Any, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    socket, window, pump, _ = streaming
    monkeypatch.setattr(window, "next_unit", lambda now: 1 / 0)
    push(window, 1)
    pump.push()
    await settle()
    assert socket.code == 1011 and "division" in caplog.text


async def test_a_frame_and_what_an_acknowledgement_lets_go_are_sent_without_a_turn_of_the_task(streaming: Any) -> None:
    socket, window, pump, _ = streaming
    del socket.sent[:]
    for number in range(1, window.flight.window + 3):
        push(window, number)
        pump.push()
    assert socket.frames == list(range(1, window.flight.window + 1)), "no more than his window"
    await settle()
    assert window.ack(EPOCH, 2, asyncio.get_running_loop().time())
    pump.push()
    assert socket.frames == list(range(1, number + 1))


async def test_text_that_waits_goes_before_a_frame_that_comes(streaming: Any) -> None:
    socket, window, pump, _ = streaming
    del socket.sent[:]
    pump.text({"type": "state"})
    push(window, 1)
    pump.push()
    assert socket.sent == []
    await settle()
    assert socket.texts == [{"type": "state"}] and socket.frames == [1] and "text" in socket.sent[0]


async def test_nothing_is_written_to_a_full_socket_and_nothing_is_lost(streaming: Any) -> None:
    socket, window, pump, _ = streaming
    del socket.sent[:]
    socket.readable.clear()
    push(window, 1)
    pump.push()
    pump.text({"type": "state"})
    await settle()
    assert socket.sent == []
    push(window, 2)
    pump.push()
    socket.readable.set()
    await settle()
    assert socket.frames == [1, 2] and socket.texts == [{"type": "state"}]


async def test_an_answer_is_sent_by_the_task_which_waits_between_its_parts(streaming: Any) -> None:
    socket, window, pump, requests = streaming
    del socket.sent[:], requests[:]
    window.resync()
    now = asyncio.get_running_loop().time()
    pump._requests(window.poll(now + 1)[0])
    parts = [parsed(1, kind=wire.SNAPSHOT, flags=wire.MORE), parsed(1, kind=wire.SNAPSHOT)]
    assert window.answer(Answer(parts), now)
    push(window, 2)
    pump.push()
    assert socket.sent == []
    socket.readable.clear()
    await settle()
    assert socket.sent == []
    socket.readable.set()
    await settle()
    assert socket.frames == [1, 1, 2]


async def test_a_connection_that_is_gone_is_not_closed_again(parts: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    socket, _, pump, _ = parts

    async def gone(message: dict[str, Any]) -> None:
        socket.sent.append(message)
        raise ConnectionResetError

    monkeypatch.setattr(pump, "_send", gone)
    pump.text({"type": "state"})
    await settle()
    assert socket.code is None
