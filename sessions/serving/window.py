"""What one viewer is sent, and when: the window of frames in flight, the small queue before it, and catching up.

A pure state machine without I/O: the FrameBus feeds it, the pump asks it what to send and what to request, and the
consumer brings acknowledgements. All on one event loop. Every queue in it is bounded; what overflows is dropped whole
and replaced by a snapshot, so a slow viewer never sees stale frames and never costs memory.

::

    BEHIND ──acknowledgements caught up──→ WAITING ──snapshot──→ LIVE
      ↑                                      │ (kept: frames after it)  │
      └──────── queue full, gap, new epoch, resync, hidden ─────────────┘
"""

from __future__ import annotations

import enum
from collections import deque
from collections.abc import Sequence
from typing import NamedTuple

from stripeengine import wire

from .link import Link
from .references import References

WINDOW = 4
"""Frames in flight; the client learns it from `welcome`."""
MOST_PENDING = 6
MOST_KEPT = 64
"""Frames kept while a snapshot is on its way; of older ones the snapshot must know."""
MOST_BYTES = 2 * 1024 * 1024
ACK_TIMEOUT_S = 15.0
SNAPSHOT_INTERVAL_S = 0.25
STILL_INTERVAL_S = 1.0
"""Between two stills of a viewer who cannot decode the session's codec."""
RETRY_S = 2.0
LONGEST_RETRY_S = 8.0


class Phase(enum.Enum):
    """Where a viewer is."""

    BEHIND = "behind"
    WAITING = "waiting"
    LIVE = "live"


class Request(enum.Enum):
    """What a viewer needs from the worker."""

    SNAPSHOT = "snapshot"
    KEY_FRAMES = "key-frames"


class _InFlight(NamedTuple):
    frame: int
    sent_at: float
    size: int


class FrameWindow:
    """One viewer's state. Times are any monotonic clock's seconds."""

    def __init__(self, codecs: frozenset[str] = frozenset(), window: int = WINDOW) -> None:
        self.phase = Phase.BEHIND
        self.hidden = False
        self.missing_codec = ""
        """The codec the session uses and this viewer lacks, once seen."""
        self.dropped = 0
        self.invalid_acks = 0
        self.link = Link()
        self._window = window
        self._references = References(codecs)
        self._epoch = 0
        self._sent = 0  # newest frame id sent in this epoch
        self._in_flight: deque[_InFlight] = deque()
        self._snapshot: Sequence[wire.Message] | None = None
        self._pending: deque[wire.Message] = deque()
        self._pending_bytes = 0
        self._limit = MOST_PENDING
        self._dropped_until = 0  # newest frame id not passed on: a usable snapshot has seen it
        self._asked_at = 0.0
        self._retry = RETRY_S
        self._not_before = 0.0

    # ---- from the bus --------------------------------------------------------------------------------------------

    def frame(self, message: wire.Message) -> None:
        """Take one frame, in id order."""
        epoch, number = message.header.epoch, message.header.frame_id
        self._follow(epoch)
        if self.phase is Phase.BEHIND:
            self._dropped_until = number
            self.dropped += 1
            return
        self._pending.append(message)
        self._pending_bytes += len(message.raw)
        if self.phase is Phase.WAITING:
            while len(self._pending) > MOST_KEPT or (self._pending_bytes > MOST_BYTES and len(self._pending) > 1):
                self._drop_oldest()
        elif len(self._pending) > self._limit or (self._pending_bytes > MOST_BYTES and len(self._pending) > 1):
            self.fall_behind()

    def snapshot(self, parts: Sequence[wire.Message], now: float) -> bool:
        """Take a snapshot (all its messages); return whether it was asked for and is new enough."""
        header = parts[0].header
        if self.phase is not Phase.WAITING:
            return False
        self._follow(header.epoch)
        if header.frame_id < self._dropped_until:
            self.phase = Phase.BEHIND  # frames after it are gone: ask for a newer one
            self._hold_off(now, SNAPSHOT_INTERVAL_S)
            return False
        while self._pending and self._pending[0].header.frame_id <= header.frame_id:
            self._pending_bytes -= len(self._pending.popleft().raw)
        self._snapshot = parts
        self._references.reset()
        self._retry = RETRY_S
        self.phase = Phase.LIVE
        # What came during the encode is more than a viewer may owe otherwise; he gets the chance to catch up.
        self._limit = len(self._pending) + MOST_PENDING
        return True

    def restart(self, epoch: int) -> None:
        """A new life of the engine: ids and references of the old one mean nothing."""
        self.fall_behind()
        self._snapshot = None
        self._in_flight.clear()
        self._epoch, self._sent, self._dropped_until = epoch, 0, 0

    def fall_behind(self) -> None:
        """Drop the frames that are queued; a snapshot follows when the viewer has caught up."""
        self.phase = Phase.BEHIND
        if self._pending:
            self._dropped_until = self._pending[-1].header.frame_id
            self.dropped += len(self._pending)
        self._pending.clear()
        self._pending_bytes = 0
        self._limit = MOST_PENDING
        self._references.reset()

    def set_codecs(self, codecs: frozenset[str]) -> None:
        """What the viewer can decode, as of his hello: before the first frame."""
        self._references = References(codecs)

    # ---- from the viewer -----------------------------------------------------------------------------------------

    def ack(self, epoch: int, frame: int, now: float) -> bool:
        """Everything up to ``frame`` is on the viewer's screen; return False for a number never sent."""
        if epoch != self._epoch:
            return True  # of the life before; in flight when it ended
        if frame > self._sent:
            self.invalid_acks += 1
            return False
        size, sent_at = 0, now
        while self._in_flight and self._in_flight[0].frame <= frame:
            _, sent_at, part = self._in_flight.popleft()
            size += part
        if size:
            self.link.acked(size, max(0.0, now - sent_at), now, bool(self._pending) or self.phase is Phase.BEHIND)
        return True

    def resync(self) -> None:
        """The viewer lost the thread: what is in flight will not be acknowledged."""
        if self.phase is not Phase.WAITING:
            self.fall_behind()
        self._snapshot = None
        self._in_flight.clear()

    def set_hidden(self, hidden: bool) -> None:
        """A hidden viewer is sent nothing; one who is visible again starts from a snapshot."""
        if hidden == self.hidden:
            return
        self.hidden = hidden
        self.fall_behind()
        self._snapshot = None
        if not hidden:
            self._in_flight.clear()

    # ---- to the pump ---------------------------------------------------------------------------------------------

    def next_unit(self, now: float) -> list[wire.Buffer]:
        """Return the messages to send now: all of a snapshot, or one frame; empty if there is nothing or no room."""
        if self.hidden:
            return []
        if self._snapshot is not None:
            parts, self._snapshot = self._snapshot, None
            unit = [raw for part in parts if (raw := self._references.admit_snapshot(part)) is not None]
            self._note_sent(parts[0].header.frame_id, now, sum(map(len, unit)))
            self._hold_off(now, SNAPSHOT_INTERVAL_S)
            return unit
        while self.phase is Phase.LIVE and self._pending and len(self._in_flight) < self._window:
            message = self._pending.popleft()
            self._pending_bytes -= len(message.raw)
            self._limit = max(MOST_PENDING, min(self._limit, len(self._pending) + MOST_PENDING))
            missing = self._references.missing_codec(message.ops)
            if missing:
                self.missing_codec = missing
                self.fall_behind()
                self._dropped_until = max(self._dropped_until, message.header.frame_id)
                self._hold_off(now, STILL_INTERVAL_S)
                return []
            raw = self._references.admit(message, now)
            if raw is not None:
                self._note_sent(message.header.frame_id, now, len(raw))
                return [raw]
        return []

    def poll(self, now: float) -> list[Request]:
        """Return what to ask of the worker now, and notice what has taken too long."""
        if self.hidden:
            return []
        if self.phase is Phase.LIVE and (self._ack_overdue(now) or self._references.repair_due(now)):
            self.fall_behind()
        requests = []
        if self._caught_up() and now >= self._not_before:
            self.phase = Phase.WAITING
            self._asked_at = now
            self._hold_off(now, SNAPSHOT_INTERVAL_S)  # a worker whose frames have gaps is not asked at each
            requests.append(Request.SNAPSHOT)
        elif self.phase is Phase.WAITING and now >= self._asked_at + self._retry:
            self._asked_at = now
            self._retry = min(self._retry * 2, LONGEST_RETRY_S)
            requests.append(Request.SNAPSHOT)
        if self.phase is Phase.LIVE and self._references.wants_key_frames(now):
            requests.append(Request.KEY_FRAMES)
        return requests

    def due(self, now: float) -> float | None:
        """Return after how many seconds `poll` should be called even if nothing happens; None for never."""
        if self.hidden:
            return None
        times: list[float] = []
        if self._caught_up():
            times.append(self._not_before)
        if self.phase is Phase.WAITING:
            times.append(self._asked_at + self._retry)
        if self.phase is Phase.LIVE:
            if self._in_flight:
                times.append(self._in_flight[0].sent_at + ACK_TIMEOUT_S)
            repair = self._references.next_check()
            if repair is not None:
                times.append(repair)
        return max(0.01, min(times) - now) if times else None

    # ---- inside --------------------------------------------------------------------------------------------------

    def _follow(self, epoch: int) -> None:
        if not self._epoch:
            self._epoch = epoch
        elif epoch != self._epoch:
            waiting = self.phase is Phase.WAITING
            self.restart(epoch)
            if waiting:
                self.phase = Phase.WAITING  # what was asked for will be of the new epoch

    def _caught_up(self) -> bool:
        return self.phase is Phase.BEHIND and not self._in_flight and self._snapshot is None

    def _note_sent(self, frame: int, now: float, size: int) -> None:
        self._sent = max(self._sent, frame)
        self._in_flight.append(_InFlight(frame, now, size))

    def _hold_off(self, now: float, seconds: float) -> None:
        self._not_before = max(self._not_before, now + seconds)

    def _ack_overdue(self, now: float) -> bool:
        return bool(self._in_flight) and now >= self._in_flight[0].sent_at + ACK_TIMEOUT_S

    def _drop_oldest(self) -> None:
        oldest = self._pending.popleft()
        self._pending_bytes -= len(oldest.raw)
        self._dropped_until = oldest.header.frame_id
        self.dropped += 1
