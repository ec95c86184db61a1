"""The spawner contract: five methods that start a desktop, find it again, and end it without a trace.

A spawner is made for one session and lives in the host agent's event loop. It knows nothing of the database. What
blocks longer than a few milliseconds runs in a thread. docs/how-to/spawners.md says how to write one; `guard` holds
the agent harmless of one that does not keep the contract.
"""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from ..states import Reason, Stage
from .limits import Limits

if TYPE_CHECKING:
    from ..conf import Conf
    from .uids import Identity

POLL_INTERVAL = 0.4
"""Seconds between polls of a spawner that has no better way to notice an end."""


class SpawnError(Exception):
    """A desktop could not be started. ``str(error)`` is a sentence for people that names cause and remedy."""

    def __init__(self, reason: Reason, message: str) -> None:
        super().__init__(message)
        self.reason = reason


@dataclass(frozen=True)
class DesktopSpec:
    """What is to be started. ``kind`` and ``network`` are values of the template's choices; sizes are pixels.

    ``environment`` is the template's own, checked; ``keyboard_layout`` is as XKB writes it, such as
    ``de(nodeadkeys),us``. A desktop of the kind "kiosk" starts its command again whenever it ends.
    ``home`` is "persistent" or "ephemeral"; a persistent one is ``owner``'s, a name fit for a directory.
    """

    sid: str
    kind: str
    command: str
    width: int
    height: int
    maximum_width: int
    maximum_height: int
    network: str
    needs_gl: bool
    limits: Limits = Limits()  # noqa: RUF009 - frozen
    home: str = "ephemeral"
    owner: str = ""
    gpu: bool = False
    environment: Mapping[str, str] = field(default_factory=dict)
    locale: str = "C.UTF-8"
    keyboard_layout: str = "us"
    dpi: int = 96


@dataclass(frozen=True)
class Display:
    """Where a worker finds the X server of a running desktop. ``auth_data`` is the cookie in hex."""

    socket: str
    number: int
    auth_name: str
    auth_data: str


@dataclass(frozen=True)
class Exit:
    """Why a desktop is no longer there. ``failed`` tells an accident from an ordinary end."""

    reason: Reason
    message: str
    failed: bool


class Spawner(ABC):
    """One desktop. The agent calls `start` or `load_state` first, then the rest in any order.

    `stop` may also be the first: it removes what an earlier agent left of the session.
    """

    identity: Identity | None = None
    """The uids, where the spawner makes the `SessionPaths` and claims uids itself. None: the agent does both."""

    def __init__(self, conf: Conf, sid: str, sandboxed: bool) -> None:
        """``sid`` is 32 hex digits; ``sandboxed`` False: this machine can make no sandbox, and its operator knows."""
        self.conf = conf
        self.sid = sid
        self.sandboxed = sandboxed

    @abstractmethod
    async def start(self, spec: DesktopSpec, on_stage: Callable[[Stage], None]) -> Display:
        """Start the desktop and return once applications may draw; ``on_stage`` hears of progress.

        Raises `SpawnError`; whatever had been made by then is removed by `stop`.
        """

    @abstractmethod
    async def stop(self) -> None:
        """End the desktop and remove every process, mount, file and socket of it. Idempotent; never raises."""

    @abstractmethod
    async def poll(self) -> Exit | None:
        """Return None while the desktop lives, else why it ended."""

    @abstractmethod
    def get_state(self) -> dict[str, Any]:
        """Return what `load_state` needs, as JSON values. Holds no secret."""

    @abstractmethod
    def load_state(self, state: dict[str, Any]) -> Display | None:
        """Find the desktop that ``state`` describes, or return None if it is gone or the state makes no sense."""

    def screen(self) -> int | None:
        """Return a readable descriptor of what the X server draws into, if it is a file `screen` takes for one.

        It stays the spawner's. None: the worker asks the X server for its picture, which costs more. May block.
        """
        return None

    async def wait(self) -> Exit:
        """Return why the desktop ended, as soon as it has. Spawners that can be woken override this."""
        while (exit := await self.poll()) is None:  # noqa: ASYNC110 - nothing to wait on
            await asyncio.sleep(POLL_INTERVAL)
        return exit
