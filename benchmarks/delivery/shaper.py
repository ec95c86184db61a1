"""A link in user space: a TCP proxy that delays, thins and halts what passes, for one viewer.

Runs on the event loop of the process that hosts the viewer. Everything may be changed while it runs. What waits in it
is bounded, as in a router: a link of few bits a second holds the server up, it does not hide it.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
import socket
from collections import deque
from dataclasses import dataclass

SERVER_WINDOW = 16 * 1024
"""Bytes of the kernel's receive buffer towards the server: so much a real link has on its way too."""
MOST_QUEUED = 32 * 1024
PIECE = 1460


@dataclass
class LinkShape:
    """What a link is like, downwards: ``kbps`` 0 for no bound; times in seconds, each way for ``delay``."""

    kbps: float = 0.0
    delay: float = 0.0
    jitter: float = 0.0
    stalled: bool = False


class Shaper:
    """A listening proxy for ``host:port``; `port` is its own. ``shape`` may be changed at any time."""

    def __init__(self, host: str, port: int, shape: LinkShape, seed: int = 1) -> None:
        self.shape = shape
        self.port = 0
        self.passed = 0
        """Bytes that have come through, downwards."""
        self._upstream = host, port
        self._random = random.Random(seed)  # noqa: S311 - jitter, the same in every run
        self._server: asyncio.Server | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    async def start(self) -> None:
        """Listen on a free port of the loopback interface."""
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        """Close everything."""
        if self._server is not None:
            self._server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None  # noqa: S101 - a callback of the server runs in a task
        self._tasks.add(task)
        try:
            link = socket.socket()
            link.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, SERVER_WINDOW)
            link.setblocking(False)
            await asyncio.get_running_loop().sock_connect(link, self._upstream)
            from_server, to_server = await asyncio.open_connection(sock=link, limit=PIECE)
            async with asyncio.TaskGroup() as group:
                group.create_task(self._pass(from_server, writer, down=True))
                group.create_task(self._pass(reader, to_server, down=False))
        except* (OSError, asyncio.CancelledError):
            pass
        finally:
            self._tasks.discard(task)
            for end in (writer, locals().get("to_server")):
                if end is not None:
                    end.close()

    async def _pass(self, source: asyncio.StreamReader, sink: asyncio.StreamWriter, down: bool) -> None:
        """Pass one direction on until it ends, then end the other: `ConnectionResetError`."""
        loop = asyncio.get_running_loop()
        queue: deque[tuple[float, bytes]] = deque()
        state = {"size": 0, "ended": False}
        changed = asyncio.Event()

        async def take() -> None:
            free_at = due = loop.time()
            while True:
                while state["size"] > MOST_QUEUED or (down and self.shape.stalled):  # noqa: ASYNC110 - a shape is data
                    await asyncio.sleep(0.005)
                data = await source.read(PIECE if down else 65536)
                if not data:
                    state["ended"] = True
                    changed.set()
                    return
                now = loop.time()
                if down and self.shape.kbps:
                    free_at = max(now, free_at) + len(data) / (self.shape.kbps * 125)
                    await asyncio.sleep(max(0.0, free_at - now))
                late = self.shape.delay + self._random.random() * self.shape.jitter
                due = max(due, loop.time() + late)  # a link does not reorder
                queue.append((due, data))
                state["size"] += len(data)
                changed.set()

        async def give() -> None:
            while True:
                if not queue:
                    if state["ended"]:
                        raise ConnectionResetError("the other end has closed")
                    changed.clear()
                    await changed.wait()
                    continue
                due, data = queue[0]
                if (wait := due - loop.time()) > 0:
                    await asyncio.sleep(wait)
                queue.popleft()
                state["size"] -= len(data)
                self.passed += len(data) if down else 0
                sink.write(data)
                await sink.drain()

        async with asyncio.TaskGroup() as group:
            group.create_task(take())
            group.create_task(give())

    async def __aenter__(self) -> Shaper:
        await self.start()
        return self

    async def __aexit__(self, *error: object) -> None:
        with contextlib.suppress(Exception):
            await self.stop()
