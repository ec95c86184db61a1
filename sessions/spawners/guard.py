"""What stands between a host agent and a spawner, which may be slow, never finish, die, or not tell the truth.

Every call has an end in bounded time, every answer is checked, and a display is believed only while it listens. The
agent sees the methods of a `Spawner` that keeps the contract. Runs in the agent's event loop; a spawner that blocks
the loop itself cannot be helped from here. What a spawner leaves undone is named in `left_behind`.
"""

from __future__ import annotations

import asyncio
import errno
import json
import logging
import os
import socket
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

from ..conf import Conf
from ..states import Reason, Stage
from . import uids
from .base import POLL_INTERVAL, DesktopSpec, Display, Exit, Spawner, SpawnError
from .bounds import Bounds
from .local import LocalSpawner
from .paths import SessionPaths
from .registry import spawner_class
from .report import printable
from .uids import Identity

logger = logging.getLogger(__name__)

START_LIMIT = 120.0
"""Seconds a start may take. The local spawner ends its own attempts within 90."""

STOP_LIMIT = 30.0
CALL_LIMIT = 5.0
"""Seconds for `stop`, and for one `poll`."""

LET_GO = 2.0
"""Seconds a call has that was cancelled; then it is left to itself."""

LOOK_INTERVAL = 10.0
"""Seconds between two looks at whether the display still listens."""

GONE_AFTER = 2
"""Looks in a row that must find nobody before a desktop is taken to be gone, whatever its spawner says."""

POLL_FAILURES = 5
"""Polls in a row that may fail."""

STATE_LIMIT = 32 << 10
"""Bytes of JSON that a spawner's state may have."""

T = TypeVar("T")


class GuardedSpawner:
    """``inner`` for one session, with the paths and uids that its worker needs."""

    def __init__(self, conf: Conf, sid: str, sandboxed: bool, inner: Spawner) -> None:
        self.sid = sid
        self.paths = SessionPaths(sid, conf.runtime_dir, conf.state_dir)
        self.left_behind = ""
        self._bounds = Bounds(self.paths)
        self._conf = conf
        self._name = type(inner).__name__
        self._inner = inner
        self._sandboxed = sandboxed
        self._identity: Identity | None = None
        self._display: Display | None = None
        self._state: dict[str, Any] = {}

    @property
    def sandboxed(self) -> bool:
        """Whether this session's worker runs in a sandbox."""
        return bool(getattr(self._inner, "sandboxed", self._sandboxed))

    @property
    def identity(self) -> Identity:
        """The uids of the session: the spawner's own, or claimed here for its worker."""
        return self._inner.identity or self._identity or uids.own_identity()

    @property
    def bounds(self) -> Bounds:
        """The limits at work: the spawner's, or none where it keeps them itself, out of the agent's sight."""
        bounds = getattr(self._inner, "bounds", None)
        return bounds if isinstance(bounds, Bounds) else self._bounds

    # ---- the contract ------------------------------------------------------------------------------------------

    async def start(self, spec: DesktopSpec, on_stage: Callable[[Stage], None]) -> Display:
        def tell(stage: Stage) -> None:
            if isinstance(stage, Stage):
                on_stage(stage)

        if self._inner.identity is None:
            await asyncio.to_thread(self._prepare)
        try:
            display = await _bounded(self._inner.start(spec, tell), START_LIMIT, self._whose("start"))
        except SpawnError as error:
            reason = error.reason if isinstance(error.reason, Reason) else Reason.NO_DISPLAY
            raise SpawnError(reason, printable(str(error)) or reason.label) from error
        except TimeoutError:
            raise SpawnError(
                Reason.NO_DISPLAY, f"The desktop did not come up within {START_LIMIT:.0f} seconds ({self._name})."
            ) from None
        except Exception as error:
            logger.exception("session %s: %s", self.sid, self._whose("start"))
            raise SpawnError(Reason.NO_DISPLAY, self._failed("starting it", error)) from error
        if not is_display(display):
            raise SpawnError(Reason.NO_DISPLAY, f"{self._name} started something that is no display. See its guide.")
        self._display = display
        return display

    async def stop(self) -> None:
        self.left_behind = ""
        try:
            await _bounded(self._inner.stop(), STOP_LIMIT, self._whose("stop"))
        except TimeoutError:
            self.left_behind = f"{self._name} did not end it within {STOP_LIMIT:.0f} seconds: parts may be left."
        except Exception as error:
            logger.exception("session %s: %s", self.sid, self._whose("stop"))
            self.left_behind = f"{self._failed('ending it', error)} Parts may be left."
        if self.left_behind:
            logger.error("session %s: %s", self.sid, self.left_behind)
        if self._inner.identity is None:
            await asyncio.to_thread(self._tidy)

    async def poll(self) -> Exit | None:
        """As the spawner says, unless it fails or the display is gone."""
        try:
            exit = await _bounded(self._inner.poll(), CALL_LIMIT, self._whose("poll"))
        except Exception as error:
            logger.warning("session %s: %s: %r", self.sid, self._whose("poll"), error)
            return self._unknown() if self._display is None or gone(self._display) else None
        if exit is None:
            return self.unseen()
        return self._checked(exit)

    def get_state(self) -> dict[str, Any]:
        """The spawner's state if it is one, else the last that was."""
        try:
            state = self._inner.get_state()
            if not isinstance(state, dict):
                raise TypeError(f"the state is {type(state).__name__}, not a dict")
            text = json.dumps(state, allow_nan=False, ensure_ascii=False)
            if len(text.encode()) > STATE_LIMIT:
                raise ValueError(f"the state is longer than {STATE_LIMIT} bytes")
            if "\\u0000" in text:
                raise ValueError("the state holds a NUL, which databases refuse")
            self._state = json.loads(text)
        except Exception as error:
            logger.error("session %s: %s, the last state counts: %s", self.sid, self._whose("get_state"), error)
        return dict(self._state)

    def load_state(self, state: dict[str, Any]) -> Display | None:
        """The display the spawner finds, if somebody listens there."""
        try:
            display = self._inner.load_state(state)
        except Exception:
            logger.exception("session %s: %s", self.sid, self._whose("load_state"))
            return None
        if display is None:
            return None
        if not is_display(display) or gone(display):
            logger.error("session %s: %s found a display at which nobody listens", self.sid, self._name)
            return None
        self._state = dict(state)
        self._display = display
        if self._inner.identity is None:
            self._identity = uids.claimed(self._conf.runtime_dir, self._conf.uid_base, self.sid)
        return display

    async def wait(self) -> Exit:
        """Return why the desktop ended: as the spawner says, or because nobody listens at its display any more."""
        if isinstance(self._inner, LocalSpawner):
            # The kernel tells it of every end. Looking, 0.3 ms each time (docs/how-to/spawners.md), would cost more.
            return await self._told()
        told, seen = asyncio.create_task(self._told()), asyncio.create_task(self._seen())
        try:
            done, _ = await asyncio.wait({told, seen}, return_when=asyncio.FIRST_COMPLETED)
            return done.pop().result() if told not in done else told.result()
        finally:
            for task in (told, seen):
                await _end(task, self._whose("wait"))

    async def screen(self) -> int | None:
        """As the spawner says, which keeps the descriptor; None if it fails."""
        try:
            found = await _bounded(asyncio.to_thread(self._inner.screen), CALL_LIMIT, self._whose("screen"))
        except Exception as error:
            logger.warning("session %s: %s: %r", self.sid, self._whose("screen"), error)
            return None
        return found if type(found) is int else None

    def unseen(self) -> Exit | None:
        """Return that the desktop is over, if nobody listens at its display now; None if somebody may."""
        return self._lied() if self._display is not None and gone(self._display) else None

    # ---- how it is done ----------------------------------------------------------------------------------------

    async def _told(self) -> Exit:
        failures = 0
        while True:
            try:
                exit = await self._inner.wait()
                if isinstance(exit, Exit):
                    return self._checked(exit)
                problem: object = f"it returned {type(exit).__name__}"
            except Exception as error:
                problem = repr(error)
            failures += 1
            logger.warning("session %s: %s: %.300s", self.sid, self._whose("wait"), problem)
            if failures >= POLL_FAILURES:
                return self._unknown()
            await asyncio.sleep(POLL_INTERVAL)

    async def _seen(self) -> Exit:
        looks = 0
        while True:
            await asyncio.sleep(LOOK_INTERVAL if not looks else LOOK_INTERVAL / 5)
            looks = looks + 1 if self._display is not None and gone(self._display) else 0
            if looks >= GONE_AFTER:
                return self._lied()

    def _checked(self, exit: Exit) -> Exit:
        if not isinstance(exit, Exit):
            return self._unknown()
        reason = exit.reason if isinstance(exit.reason, Reason) else Reason.DESKTOP_EXITED
        return Exit(reason, printable(str(exit.message)) or reason.label, bool(exit.failed))

    def _unknown(self) -> Exit:
        message = f"{self._name} can no longer tell whether the desktop lives; the host agent's log says more."
        return Exit(Reason.DESKTOP_EXITED, message, failed=True)

    def _lied(self) -> Exit:
        message = f"The desktop's display is gone, though {self._name} took it for alive."
        return Exit(Reason.DESKTOP_EXITED, message, failed=True)

    def _failed(self, doing: str, error: BaseException) -> str:
        return printable(f"{self._name} failed at {doing}: {type(error).__name__}: {error}")[:400]

    def _whose(self, method: str) -> str:
        return f"{self._name}.{method}"

    def _prepare(self) -> None:
        """Make the directories and claim the uids of the worker. Blocks. Raises `SpawnError`, OSError."""
        self.paths.make()
        if os.geteuid() == 0:
            self._identity = uids.claim(self._conf.runtime_dir, self._conf.uid_base, self.sid)

    def _tidy(self) -> None:
        self.paths.remove()
        uids.release(self._conf.runtime_dir, self.sid)


def guarded(conf: Conf, sid: str, sandboxed: bool) -> GuardedSpawner:
    """Return the configured spawner for a session, guarded; raise `SpawnerUnusable`."""
    return GuardedSpawner(conf, sid, sandboxed, spawner_class(conf.spawner)(conf, sid, sandboxed))


def is_display(display: object) -> bool:
    """Whether ``display`` is a `Display` whose parts are what they should be."""
    return (
        isinstance(display, Display)
        and all(isinstance(text, str) for text in (display.socket, display.auth_name, display.auth_data))
        and display.socket.startswith("/")
        and "\0" not in display.socket
        and type(display.number) is int
    )


def gone(display: Display) -> bool:
    """Whether certainly nobody listens at a display. One that is only slow is there. Does not block."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_NONBLOCK) as client:
        try:
            code = client.connect_ex(display.socket)
        except OSError:  # longer than a socket's path can be
            return True
    return code in (errno.ENOENT, errno.ECONNREFUSED, errno.ENOTDIR, errno.ENOTSOCK, errno.EPROTOTYPE)


async def _bounded(call: Coroutine[Any, Any, T], limit: float, whose: str) -> T:
    """Return what ``call`` returns; raise TimeoutError after ``limit`` seconds, also if it will not be cancelled."""
    if not asyncio.iscoroutine(call):
        raise TypeError(f"{whose} is no coroutine function")
    task = asyncio.ensure_future(call)
    try:
        done, _ = await asyncio.wait({task}, timeout=limit)
        if not done:
            raise TimeoutError
        if task.cancelled():
            raise RuntimeError(f"{whose} cancelled itself")
        return task.result()
    finally:
        await _end(task, whose)


async def _end(task: asyncio.Task[Any], whose: str) -> None:
    """Cancel a task, give it `LET_GO` seconds and leave it to itself if it goes on."""
    if not task.done():
        _cancelled.add(task)
        task.add_done_callback(_forget)
        task.cancel()
        await asyncio.wait({task}, timeout=LET_GO)
        if not task.done():
            logger.error("%s does not end when it is cancelled; left to itself", whose)


def _forget(task: asyncio.Task[Any]) -> None:
    _cancelled.discard(task)
    if not task.cancelled():
        task.exception()  # nobody waits for it any more


def deaf() -> bool:
    """Whether a call that was cancelled goes on: the event loop would wait for it for ever when it is closed."""
    return bool(_cancelled)


_cancelled: set[asyncio.Task[Any]] = set()
"""Keeps tasks that will not end from being collected while they run."""
