"""Ending tasks for certain. Standard library only: the worker imports it too.

A task that is cancelled in the middle of a Redis command may go on as if nothing had been said: redis-py 7.4 swallows
some cancellations (`tests/sessions/test_tasks.py` cancels at every moment of a command). Who waits for the end of a
task therefore says it again.
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
