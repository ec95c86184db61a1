"""Watches one session's use: accounts its processor time, says when it is about to be ended, and has it ended.

A task of the agent's event loop, part of a `Supervisor`. One look every `SAMPLE_S`, with the machine's common `Usage`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from ..models import DesktopSession
from ..spawners.bounds import Bounds
from ..states import Reason
from .ending import Ending, Policy
from .messages import WorkerStatus
from .record import Done, SessionRecord, SpareRecord
from .rhythm import until_beat
from .tools import Tools
from .usage import SAMPLE_S, Meter, boot_time

ACCOUNT_S = 30.0
"""Seconds between two accounts of processor time."""

LEAST_ACCOUNT = 0.05
"""Seconds of processor time below which nothing is written while the session lives."""


MINUTE, HOUR = 60.0, 3600.0

STALE_S = 30.0
"""Seconds after which a worker's word counts no more."""


class Oversight:
    """``stop`` ends the session, ``changed`` is called when there is something new for a later agent to find.

    ``fresh`` tells one that is only starting from one that was found again.
    """

    def __init__(
        self,
        tools: Tools,
        session: DesktopSession,
        stop: Callable[[Reason], None],
        changed: Callable[[], None],
        bounds: Bounds,
        fresh: bool,
    ) -> None:
        self._tools = tools
        self._sid = session.sid
        self._stop = stop
        self._changed = changed
        self._bounds = bounds
        self._stored: int | None = None
        self._kept = session.kept
        self._look = asyncio.Event()
        self._told: Ending | None = None
        self._account: Done | None = None
        now = boot_time()
        self._meter = Meter(now, fresh)
        self._accounted_at = now
        self._policy = self._policy_of(session, now)

    @staticmethod
    def _policy_of(session: DesktopSession, since: float) -> Policy:
        template = session.template
        return Policy(template.idle_minutes * MINUTE, template.maximum_age_hours * HOUR, since)

    def begin(self, session: DesktopSession) -> None:
        """A spare has become ``session``: from now on it ages, and its time counts."""
        now = boot_time()
        self._kept = session.kept
        self._policy = self._policy_of(session, now)
        self._meter.restart(now)

    def kept(self, times: int) -> None:
        """Note how often somebody asked to keep the session; once more than known keeps it for a while."""
        if times > self._kept:
            self._kept = times
            self._policy.keep(boot_time())
            self._changed()
            self._look.set()

    def get_state(self) -> dict[str, Any]:
        """Return what `load_state` needs, as JSON values. Times since boot: a desktop survives no boot either."""
        return {"since": self._policy.since, "kept": self._kept, "kept_until": self._policy.kept_until}

    def load_state(self, state: Any) -> None:
        """Go on where an earlier agent was."""
        if not isinstance(state, dict):
            return
        now = boot_time()
        since, kept, until = state.get("since"), state.get("kept"), state.get("kept_until")
        if isinstance(since, int | float) and 0 <= since <= now:
            self._policy.since = float(since)
        if isinstance(kept, int) and isinstance(until, int | float):
            wished = self._kept
            self._kept, self._policy.kept_until = kept, float(until)
            self.kept(wished)  # asked for while no agent was there

    async def run(
        self,
        record: Callable[[], SessionRecord | SpareRecord],
        status: Callable[[], tuple[float, WorkerStatus] | None],
        root: Callable[[], int | None],
    ) -> None:
        """Look again and again until cancelled."""
        while True:
            now = boot_time()
            self._count(root())
            writes = record()
            if isinstance(writes, SessionRecord):
                self._write_account(writes, now)
                ending = self._policy.look(now, _aged(status()), self._meter.busy_at)
                await self._tell(ending)
                if ending is not None and ending.left_s <= 0:
                    self._stop(ending.reason)
            pause = until_beat(SAMPLE_S)
            if self._told is not None:
                pause = min(pause, max(self._told.left_s, 0.1))
            self._look.clear()
            try:
                async with asyncio.timeout(pause):
                    await self._look.wait()
            except TimeoutError:
                continue

    def _count(self, root: int | None) -> None:
        """Take a sample: the control group's count where there is one, else that of the processes."""
        if (counted := self._bounds.cpu_seconds()) is not None:
            self._meter.note(counted, boot_time())
            return
        total = self._tools.usage.of(root) if root is not None else None
        if total is not None:
            self._meter.note(total, self._tools.usage.at)

    def _write_account(self, record: SessionRecord, now: float) -> None:
        """Write what was used since the last time, unless that is still being written."""
        if now < self._accounted_at + ACCOUNT_S or (self._account is not None and not self._account.done()):
            return
        self._accounted_at = now
        if (stored := self._bounds.stored) != self._stored and stored is not None:
            self._stored = stored
            record.stored(stored)
        if self._meter.unaccounted >= LEAST_ACCOUNT:
            self._account = record.used(self._meter.take())

    async def close(self, record: SessionRecord | SpareRecord, root: int | None) -> None:
        """Account the rest and take back what was announced. The processes are there yet, for the last count."""
        if isinstance(record, SessionRecord):
            if self._bounds.cpu_seconds() is None:
                await asyncio.to_thread(self._tools.usage.sample)
            self._count(root)
            if (stored := self._bounds.stored) is not None:
                record.stored(stored)
            rest = self._meter.take()
            if rest > 0:
                record.used(rest, last=True)
        await self._tell(None)

    async def _tell(self, ending: Ending | None) -> None:
        if ending is None and self._told is None:
            return
        event: dict[str, Any] = {"type": "ending"}
        if ending is not None:
            event |= {"reason": ending.reason.value, "left_s": max(0, round(ending.left_s))}
        self._told = ending
        self._tools.announcer.announce(f"session.{self._sid}", {"type": "session.event", "event": event})
        await self._tools.status.tell_ending(self._sid, event if ending is not None else None)


def _aged(heard: tuple[float, WorkerStatus] | None) -> WorkerStatus | None:
    """Return the worker's newest status with its ages as they are by now; None if it is too old to say anything."""
    if heard is None:
        return None
    at, status = heard
    passed = asyncio.get_running_loop().time() - at
    if passed > STALE_S:
        return None

    def older(age: float | None) -> float | None:
        return None if age is None else age + passed

    ages = (status.input_s, status.picture_s, status.audio_s)
    return WorkerStatus(status.state, status.error, *map(older, ages))
