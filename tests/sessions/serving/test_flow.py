"""What every server keeps: a slow client costs no memory and holds up nobody, and closing works while he does not read.

Under our flow-controlled Daphne and under uvicorn (docs/reference/uvicorn.md), both as processes of their own.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import signal
import time
from collections.abc import Callable

import pytest
from websockets.asyncio.client import unix_connect
from websockets.exceptions import ConnectionClosed

from tests.sessions.serving.fixtures_server import Process, flood, start

__all__ = ["flood", "start"]


async def test_a_client_that_never_reads_costs_no_memory_and_does_not_hold_up_others(
    flood: Callable[[int], tuple[Process, str]],
) -> None:
    process, path = flood(2000)
    before = process.rss_mb()
    # max_queue=1: the library stops reading when one message waits.
    async with unix_connect(path, "ws://localhost/", max_queue=1, max_size=None, compression=None) as dead:
        await asyncio.sleep(1.5)
        assert process.rss_mb() < before + 12, "200 MB were waiting to be buffered"
        count = 0
        async with unix_connect(path, "ws://localhost/", max_size=None, compression=None) as good:
            with pytest.raises(ConnectionClosed) as closed:
                while True:
                    await good.recv()
                    count += 1
        assert count == 2000 and closed.value.rcvd is not None and closed.value.rcvd.code == 4411
        assert process.rss_mb() < before + 16
        # His application waits for him, so nobody takes what he sends.
        with contextlib.suppress(TimeoutError):  # one server drops it, the other does not read it
            async with asyncio.timeout(5):
                for _ in range(1000):
                    await dead.send(b"x" * 60_000)
        assert process.rss_mb() < before + 40, "60 MB were sent"
        dead.transport.abort()
    # The one who was paused is gone: his application must have been let go.
    await asyncio.to_thread(process.wait_for, "sent 2000")
    deadline = time.monotonic() + 10
    while process.log.read_text().count("sent ") < 2:
        assert time.monotonic() < deadline, process.log.read_text()
        await asyncio.sleep(0.05)


async def test_sigterm_while_a_client_is_paused(flood: Callable[[int], tuple[Process, str]]) -> None:
    process, path = flood(2000)
    async with unix_connect(path, "ws://localhost/", max_queue=1, max_size=None, compression=None):
        await asyncio.sleep(0.5)
        # uvicorn ends by the signal, which it raises again when it is done.
        assert await asyncio.to_thread(process.stop, 15) in (0, -signal.SIGTERM)


async def test_incoming_messages_are_limited(flood: Callable[[int], tuple[Process, str]]) -> None:
    _, path = flood(0)
    async with unix_connect(path, "ws://localhost/", compression=None) as client:
        with pytest.raises(ConnectionClosed) as closed:
            await client.send(b"x" * 65_537)
            while True:
                await client.recv()
    assert closed.value.rcvd is not None and closed.value.rcvd.code in (1009, 4411)


async def test_a_client_who_does_not_read_can_be_closed(flood: Callable[..., tuple[Process, str]]) -> None:
    process, path = flood(0)
    async with unix_connect(path, "ws://localhost/shut", max_queue=1, max_size=None, compression=None) as dead:
        await asyncio.to_thread(process.wait_for, "kept waiting")
        await asyncio.to_thread(process.wait_for, "shut", 20)
        dead.transport.abort()


@pytest.mark.parametrize("hours", [25, -25])
async def test_no_age_and_no_jump_of_the_clock_ends_a_connection(
    flood: Callable[..., tuple[Process, str]], hours: int, caplog: pytest.LogCaptureFixture
) -> None:
    """Daphne would close every socket after a day, and count the day by the clock of the wall."""
    process, path = flood(0)
    logger = logging.getLogger("a client's wire")
    with caplog.at_level(logging.DEBUG, logger.name):
        async with unix_connect(path, f"ws://localhost/echo/{hours}", compression=None, logger=logger) as client:
            for number in range(2):
                await client.send(str(number))
                assert await asyncio.wait_for(client.recv(), 10) == str(number)
                await asyncio.sleep((1 - number) * 4.5)  # the servers look at their connections every two seconds
    await asyncio.to_thread(process.wait_for, "echoed 2")
    if "daphne" in process.process.args:  # type: ignore[operator]
        pings = [record for record in caplog.records if "< PING" in record.getMessage()]
        assert 1 <= len(pings) <= 4, "keep-alive follows the clock of the wall"
