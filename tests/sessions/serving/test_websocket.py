"""The server's WebSocket, byte by byte: what is read and written on its short ways is what the RFC says."""

from __future__ import annotations

import asyncio
import struct
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import pytest
from websockets.asyncio.client import unix_connect
from websockets.exceptions import ConnectionClosed

from tests.sessions.serving.fixtures_server import Process, flood, start

__all__ = ["flood", "start"]

TEXT, CONTINUATION, CLOSE, FIN = 1, 0, 8, 0x80


def framed(payload: bytes, first: int = FIN | TEXT, mask: bytes = b"\x12\x9a\xff\x00") -> bytes:
    size = len(payload)
    head = bytes((first, 0x80 | size)) if size < 126 else struct.pack("!BBH", first, 0x80 | 126, size)
    return head + mask + bytes(byte ^ mask[place % 4] for place, byte in enumerate(payload))


class Raw:
    """A client that says just what it is told to, after the handshake."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self._writer = reader, writer

    async def say(self, data: bytes) -> None:
        """Send so that the server reads just this."""
        self._writer.write(data)
        await self._writer.drain()
        await asyncio.sleep(0.02)

    async def hear(self) -> tuple[int, bytes]:
        """Return opcode and payload of the next frame."""
        async with asyncio.timeout(10):
            first, size = await self._reader.readexactly(2)
            if size == 126:
                (size,) = struct.unpack("!H", await self._reader.readexactly(2))
            return first & 15, await self._reader.readexactly(size)


@asynccontextmanager
async def echoing(flood: Callable[[int], tuple[Process, str]]) -> AsyncIterator[Raw]:
    _, path = flood(0)
    reader, writer = await asyncio.open_unix_connection(path)
    lines = ("GET /echo/0 HTTP/1.1", "Host: localhost", "Upgrade: websocket", "Connection: Upgrade")
    lines += ("Sec-WebSocket-Key: MDEyMzQ1Njc4OWFiY2RlZg==", "Sec-WebSocket-Version: 13", "", "")
    writer.write("\r\n".join(lines).encode())
    assert b" 101 " in await reader.readuntil(b"\r\n\r\n")
    yield Raw(reader, writer)
    writer.transport.abort()


async def test_messages_that_come_together_in_pieces_or_in_fragments(
    flood: Callable[[int], tuple[Process, str]],
) -> None:
    async with echoing(flood) as client:
        texts = [b'{"type":"ack"}', b"x" * 125, b"y", b"z" * 126, b"q" * 70]
        await client.say(b"".join(map(framed, texts)))
        assert [await client.hear() for _ in texts] == [(TEXT, text) for text in texts]

        for cut in (1, 2, 5, 6, 7, 40):
            message = framed(b"a" * 60) + framed(b"b" * 60)
            await client.say(message[:cut])
            await client.say(message[cut : cut + 66])
            await client.say(message[cut + 66 :])
            assert [(await client.hear())[1][:1] for _ in range(2)] == [b"a", b"b"]

        await client.say(framed(b"one ", TEXT))
        await client.say(framed(b"two", FIN | CONTINUATION) + framed(b"three"))
        assert [(await client.hear())[1] for _ in range(2)] == [b"one two", b"three"]

        await client.say(framed("déjà".encode()) + framed(b"end", mask=bytes(4)))
        assert [(await client.hear())[1] for _ in range(2)] == ["déjà".encode(), b"end"]


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (framed(b"\xff\xfe not text"), 1007),
        (bytes((FIN | TEXT, 3)) + b"abc", 1002),
        (framed(b"abc", FIN | 0x40 | TEXT), 1002),
        (framed(b"abc", TEXT) + framed(b"def"), 1002),
        ([framed(b"abc", TEXT), framed(b"def")], 1002),
    ],
    ids=["not UTF-8", "not masked", "reserved bit", "inside another message", "inside another message that waits"],
)
async def test_what_is_wrong_is_refused(
    flood: Callable[[int], tuple[Process, str]], data: bytes | list[bytes], code: int
) -> None:
    async with echoing(flood) as client:
        await client.say(framed(b"before"))
        assert (await client.hear())[1] == b"before"
        for part in [data] if isinstance(data, bytes) else data:
            await client.say(part)
        try:
            opcode, payload = await client.hear()
        except asyncio.IncompleteReadError as error:
            assert not error.partial  # cut off without a word, as RFC 6455 allows (section 7.1.7)
        else:
            assert opcode == CLOSE and int.from_bytes(payload[:2], "big") == code


@pytest.mark.parametrize("reads", [True, False])
async def test_messages_arrive_whole_and_in_order(flood: Callable[[int], tuple[Process, str]], reads: bool) -> None:
    """More than the kernel holds: some are taken at once, some in part, some wait."""
    _, path = flood(0)
    sizes = [1, 125, 126, 4000, 65_535, 65_536, 240_000, 7, 250_000, 260_000, 3, 1_000_000, 30_000, 5]
    queue = None if reads else 1
    async with unix_connect(path, "ws://localhost/sizes", max_queue=queue, max_size=None, compression=None) as client:
        for round_number in range(3):
            await client.send(" ".join(map(str, sizes)))
            await asyncio.sleep(0 if reads else 0.3)
            for size in sizes:
                data = await asyncio.wait_for(client.recv(), 20)
                assert data == bytes(n % 251 for n in range(size)), f"round {round_number}, {size} bytes"
        await client.send("")
        with pytest.raises(ConnectionClosed) as closed:
            await client.recv()
        assert closed.value.rcvd is not None and closed.value.rcvd.code == 4411
