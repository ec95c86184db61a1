"""Ending tasks for certain. Standard library only: the worker imports it too.

A task that is cancelled in the middle of a Redis command may go on as if nothing had been said: redis-py with a
``socket_timeout`` uses `asyncio.wait_for`, which before Python 3.12 swallows a cancellation that comes as the command
ends. `sessions.redis_client` and the channel layers therefore have none, and who waits for the end of a task says it
again, for there may be others (`tests/sessions/test_tasks.py` cancels at every moment of a command).
"""

from __future__ import annotations

import asyncio
from typing import Any

AGAIN_S = 0.5


async def end_tasks(*tasks: asyncio.Task[Any], again: float = AGAIN_S) -> None:
    """Cancel tasks until all have ended, every ``again`` seconds; what they raise or return is dropped.

    Give tasks that clean up after themselves more time than that takes: the next cancellation would cut it short.
    """
    while waiting := [task for task in tasks if not task.done()]:
        for task in waiting:
            task.cancel()
        await asyncio.wait(waiting, timeout=again)
    await asyncio.gather(*tasks, return_exceptions=True)


_ending: set[asyncio.Task[None]] = set()


def end_soon(*tasks: asyncio.Task[Any], again: float = AGAIN_S) -> asyncio.Task[None]:
    """Begin to end tasks; return what is done when they have ended. Nobody has to wait for it."""
    ending = asyncio.create_task(end_tasks(*tasks, again=again))
    _ending.add(ending)
    ending.add_done_callback(_ending.discard)
    return ending
