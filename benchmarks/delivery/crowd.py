"""Many viewers in a process of their own, told what to do by lines of JSON on stdin; an answer for each.

``python -m benchmarks.delivery.crowd HOST PORT COOKIE``. An order is ``{"do": name, …}`` with the arguments of the
method of that name. One event loop; it ends with its input.
"""

from __future__ import annotations

import asyncio
import gc
import json
import os
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

from benchmarks.clocks import monotonic_us
from benchmarks.delivery.viewer import Counts, Options, Viewer, Where

ORDERS = ("open", "mark", "figures", "shape", "pause", "resume", "input", "say", "close", "since", "commits", "state")
ORDERS += ("compare",)


class Crowd:
    """The viewers of this process, by number."""

    def __init__(self, host: str, port: int, cookie: str) -> None:
        self._address = host, port, cookie
        self._viewers: dict[int, Viewer] = {}
        self._next = 0

    async def open(
        self, session: str, count: int = 1, options: dict[str, Any] | None = None, full: bool = False
    ) -> dict[str, Any]:
        """Let ``count`` viewers in, all at once; return their numbers and how long each took.

        ``full``: wait until each has a picture with all its pixels.
        """
        host, port, cookie = self._address
        where = Where(host, port, f"/ws/session/{session}/", cookie)
        viewers = [Viewer(where, Options(**(options or {}))) for _ in range(count)]
        await asyncio.gather(*(viewer.open(full=full) for viewer in viewers))
        numbers = list(range(self._next, self._next + count))
        self._next += count
        self._viewers.update(zip(numbers, viewers, strict=True))
        return {
            "viewers": numbers,
            "welcomed_s": [viewer.welcomed_s for viewer in viewers],
            "pictured_s": [viewer.pictured_s for viewer in viewers],
            "full_s": [viewer.full_s for viewer in viewers],
        }

    def mark(self) -> dict[str, Any]:
        """Count from here."""
        for viewer in self._viewers.values():
            viewer.counts = Counts()
        return {"at_us": monotonic_us()}

    def figures(self, viewers: list[int]) -> dict[str, Any]:
        """Return the counts of these viewers since the mark."""
        return {"at_us": monotonic_us(), "counts": [asdict(self._viewers[number].counts) for number in viewers]}

    def shape(self, viewer: int, **changes: Any) -> dict[str, Any]:
        """Change a viewer's link."""
        self._viewers[viewer].shape(**changes)
        return {}

    def pause(self, viewer: int) -> dict[str, Any]:
        """Let a viewer stop reading."""
        self._viewers[viewer].pause()
        return {}

    def resume(self, viewer: int) -> dict[str, Any]:
        """Let a viewer read again."""
        self._viewers[viewer].resume()
        return {}

    def input(self, viewer: int, events: list[list[Any]]) -> dict[str, Any]:
        """Send input; return when."""
        return {"sent_us": self._viewers[viewer].input(events)}

    def say(self, viewer: int, message: dict[str, Any]) -> dict[str, Any]:
        """Send any text message."""
        self._viewers[viewer].say(message)
        return {}

    async def close(self, viewers: list[int]) -> dict[str, Any]:
        """Let viewers leave."""
        for number in viewers:
            await self._viewers.pop(number).close()
        return {}

    def since(self, viewer: int, captured_us: int) -> dict[str, Any]:
        """Return when the first picture captured after a moment was committed, None if none was."""
        commits = self._viewers[viewer].commits
        return {"committed_us": next((at for at, captured, _ in commits if captured > captured_us), None)}

    def commits(self, viewer: int, since_us: int) -> dict[str, Any]:
        """Return the commits of a viewer who keeps them, from a moment on: [committed, captured, kind]."""
        return {"commits": [commit for commit in self._viewers[viewer].commits if commit[0] >= since_us]}

    def compare(self, viewer: int, framebuffer: str) -> dict[str, Any]:
        """Compare what a decoding viewer sees with an X server's framebuffer, which is at rest."""
        self._viewers[viewer].compare(Path(framebuffer))
        return {"at_us": monotonic_us()}

    def state(self, viewer: int) -> dict[str, Any]:
        """Return the viewer's last text messages and close codes."""
        seen = self._viewers[viewer]
        return {
            "texts": seen.texts[-20:],
            "closes": seen.closes,
            "undecodable": seen.undecodable,
            "exact_us": seen.exact_us,
        }

    def end(self) -> None:
        """Let nobody decode any more: the process would wait for what is left."""
        for viewer in self._viewers.values():
            if viewer.eye is not None:
                viewer.eye.close()

    async def obey(self, line: bytes) -> None:
        """Do what a line says and answer it."""
        order = json.loads(line)
        name = order.pop("do")
        try:
            if name not in ORDERS:
                raise ValueError(f"there is no order {name!r}")
            answer = getattr(self, name)(**order)
            if asyncio.iscoroutine(answer):
                answer = await answer
        except Exception as error:  # whoever gave the order decides
            answer = {"error": f"{type(error).__name__}: {error}"}
        os.write(1, json.dumps(answer).encode() + b"\n")


async def run(crowd: Crowd) -> None:
    """Obey until the input ends."""
    reader = asyncio.StreamReader(limit=1 << 20)
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin.buffer)
    while line := await reader.readline():
        await crowd.obey(line)
    crowd.end()


if __name__ == "__main__":
    gc.freeze()
    asyncio.run(run(Crowd(sys.argv[1], int(sys.argv[2]), sys.argv[3])))
