"""The database changes of one session, in order, made by a task of their own.

A database that is away delays the changes and nothing else: the stream goes on, and a dead worker is replaced. What
waits is bounded: of each kind only the newest. Runs on the agent's event loop.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from functools import partial
from typing import Any

from asgiref.sync import sync_to_async
from django.db import Error as DatabaseTrouble

logger = logging.getLogger(__name__)
db = sync_to_async

FIRST_DELAY, LAST_DELAY = 0.2, 5.0
"""Seconds before a change is tried again: doubled each time, up to the second."""

CLOSE_S = 1.0


class Writes:
    """Makes changes with functions that block on the database. ``name`` is for the log."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._waiting: dict[str, tuple[Callable[[], Any], asyncio.Future[None]]] = {}
        self._task: asyncio.Task[None] | None = None

    def soon(self, kind: str, change: Callable[..., Any], *arguments: Any, **named: Any) -> asyncio.Future[None]:
        """Make a change after those before it; one of the same kind that still waits is replaced by it.

        The future is done when the change, or the one that replaced it, needs no more waiting; its failure is logged.
        """
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        replaced = self._waiting.pop(kind, None)
        if replaced is not None and not replaced[1].done():
            replaced[1].set_result(None)
        self._waiting[kind] = partial(change, *arguments, **named), done
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._run())
        return done

    async def close(self) -> None:
        """Give the changes that wait a last moment, then forget them."""
        if self._task is not None:
            await asyncio.wait([self._task], timeout=CLOSE_S)
            self._task.cancel()
            await asyncio.wait([self._task])

    async def _run(self) -> None:
        delay = FIRST_DELAY
        while self._waiting:
            kind, (change, done) = next(iter(self._waiting.items()))
            try:
                await db(change)()
                delay = FIRST_DELAY
            except DatabaseTrouble as error:
                logger.warning("session %s: the database did not take a change: %s", self._name, error)
                await asyncio.sleep(delay)
                delay = min(delay * 2, LAST_DELAY)
                continue
            except Exception:
                logger.exception("session %s: a change of its state failed", self._name)
            if self._waiting.get(kind, (None, None))[1] is done:
                del self._waiting[kind]
            if not done.done():
                done.set_result(None)
