"""A spawner that does everything wrong, as the template's command says. Real displays, where it starts any."""

from __future__ import annotations

import asyncio
import contextlib
import os
import subprocess
from collections.abc import Callable
from typing import Any

from sessions.spawners.base import DesktopSpec, Display, Exit, Spawner, SpawnError
from sessions.spawners.guard import gone
from sessions.states import Reason, Stage

DEAF = int(os.environ.get("TEST_DEAF", "2"))
"""How often a call goes on that is cancelled: the guard does it once, an event loop that is closed a second time."""


class Surprise(Exception):
    """Nobody outside of this module knows it."""


class FailingSpawner(Spawner):
    """``spec.command`` is the failure: see `start` and the rest."""

    failure = ""
    server: subprocess.Popen[bytes] | None = None

    @property
    def number(self) -> int:
        return 25_000 + int(self.sid[:4], 16) % 5000

    def display(self) -> Display:
        return Display(f"/tmp/.X11-unix/X{self.number}", self.number, "", "")

    async def start(self, spec: DesktopSpec, on_stage: Callable[[Stage], None]) -> Display:
        self.failure = spec.command
        match self.failure:
            case "slow":
                on_stage(Stage.DISPLAY)
                await asyncio.sleep(2)
            case "never":
                await asyncio.Event().wait()
            case "never, and deaf":
                for _ in range(DEAF):
                    with contextlib.suppress(asyncio.CancelledError):
                        await asyncio.sleep(3600)
            case "raises":
                raise Surprise("the cloud \x1b[31mis down")
            case "refuses":
                raise SpawnError("no reason of ours", "Not here.\nNot\tnow.")  # type: ignore[arg-type]
            case "cancels":
                raise asyncio.CancelledError
            case "nonsense":
                on_stage("no stage")  # type: ignore[arg-type]
                return "localhost:0"  # type: ignore[return-value]
            case "nowhere":
                return Display("/nonexistent/X0", 0, "", "")
        line = ["Xvfb", f":{self.number}", "-screen", "0", "320x200x24", "-nolisten", "tcp"]
        self.server = await asyncio.to_thread(subprocess.Popen, line, stderr=subprocess.DEVNULL, start_new_session=True)
        while gone(self.display()):
            await asyncio.sleep(0.05)
        return self.display()

    async def stop(self) -> None:
        if self.failure == "stop hangs":
            for _ in range(DEAF):
                with contextlib.suppress(asyncio.CancelledError):
                    await asyncio.sleep(3600)
        self.kill()
        if self.failure == "stop raises":
            raise Surprise("it is gone already")

    def kill(self) -> None:
        if self.server is not None:
            self.server.kill()
            self.server.wait(5)

    async def poll(self) -> Exit | None:
        match self.failure:
            case "dies":
                return Exit(Reason.DESKTOP_EXITED, "It died.\x00", failed=True)
            case "says nonsense":
                return "alive"  # type: ignore[return-value]
            case "poll raises":
                raise Surprise("no answer")
            case "poll hangs":
                await asyncio.Event().wait()
        return None  # whatever is true

    def get_state(self) -> dict[str, Any]:
        states: dict[str, Any] = {
            "huge": {"x": "y" * 100_000},
            "no JSON": {"x": object()},
            "not a number": {"x": float("nan")},
            "a NUL": {"x": "\0"},
            "half a character": {"x": "\ud800"},
            "no dict": ["x"],
        }
        if self.failure == "state raises":
            raise Surprise("no state")
        state: dict[str, Any] = states.get(self.failure, {"failure": self.failure})
        return state

    def load_state(self, state: dict[str, Any]) -> Display | None:
        self.failure = str(state.get("failure", ""))
        if self.failure == "load raises":
            raise Surprise("what is this?")
        return "yes" if self.failure == "loads nonsense" else self.display()  # type: ignore[return-value]
