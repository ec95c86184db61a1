"""The benchmark's viewer keeps to the protocol as the page does."""

from __future__ import annotations

import asyncio
import json
from typing import Any

from websockets.asyncio.server import serve

from benchmarks.delivery.viewer import Options, Viewer, Where


async def test_nothing_goes_before_the_greeting_or_between_it_and_the_welcome() -> None:
    """Under load a ping falls due while a connection is being made; the server ends who does not greet first."""
    heard: list[str] = []
    greeted, told = asyncio.Event(), asyncio.Event()

    async def handle(socket: Any) -> None:
        heard.append(json.loads(await socket.recv())["type"])
        greeted.set()
        await told.wait()
        await socket.send(json.dumps({"type": "welcome"}))
        async for text in socket:
            heard.append(json.loads(text)["type"])

    async def slowly(connection: Any, request: Any) -> None:
        viewer.say({"type": "ping", "t": 1})  # the connection is there, the upgrade is not

    async with serve(handle, "127.0.0.1", 0, process_request=slowly) as server:
        port = server.sockets[0].getsockname()[1]
        viewer = Viewer(Where("127.0.0.1", port, "/", ""), Options())
        opening = asyncio.create_task(viewer.open(10))
        async with asyncio.timeout(10):
            await greeted.wait()
            viewer.say({"type": "ping", "t": 2})
            told.set()
            while not viewer.texts:
                await asyncio.sleep(0.01)
            viewer.say({"type": "resync", "reason": "test"})
            while len(heard) < 2:
                await asyncio.sleep(0.01)
        opening.cancel()
        await asyncio.wait([opening])
        await viewer.close()
    assert heard == ["hello", "resync"]
