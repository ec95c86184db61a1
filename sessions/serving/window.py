"""What one viewer is sent, and when: frames while he keeps up, else the newest state of what he lacks.

A pure state machine without I/O: the FrameBus feeds it, the pump asks it what to send and what to ask of the worker,
and the consumer brings acknowledgements. All on one event loop. Every queue in it is bounded; what overflows is never
sent late but noted as missed (`references.py`), so a slow viewer sees fewer pictures, never old ones.

::

    START ──snapshot──→ PUSH ──too much waits, a gap, hidden──→ PULL
      ↑                  ↑                                       │
      └ new epoch, resync, missed resize    └──repair, or nothing is missed──┘
"""

from __future__ import annotations

import enum
from collections import Counter
from collections.abc import Iterable
from typing import NamedTuple

from stripeengine import wire

from ..pictures import empty_repair
from ..tiles import Rectangle
from .asks import EXACT, TIERS, Ask, Costs
from .backlog import Backlog, Due
from .caps import Caps
from .flight import Flight
from .frames import Answer, Frame
from .journal import Journal, Verdict
from .rate import PLENTY
from .references import ALL, References

SNAPSHOT_INTERVAL_S = 0.25
STILL_INTERVAL_S = 1 / 15
"""Between two repairs of a viewer who is pushed frames: stills of a video that he cannot decode (yet)."""
PULL_INTERVAL_S = 1 / 30
REFINE_AFTER_S = 0.1
"""What he has with fewer pixels is left to rest for so long, for it may be about to change."""


class Phase(enum.Enum):
    """Where a viewer is."""

    START = "start"
    PULL = "pull"
    PUSH = "push"


class KeyFrames(NamedTuple):
    """A request: the viewer lacks the base of a video."""


class FrameWindow:
    """One viewer's state. Times are any monotonic clock's seconds."""

    def __init__(self, codecs: frozenset[str] = frozenset()) -> None:
        self.phase = Phase.START
        self.hidden = False
        self.missing_codec = ""
        """The codec the session uses and this viewer lacks, once seen."""
        self.dropped: Counter[str] = Counter()
        self.counts: Counter[str] = Counter()
        self.shrink = 1
        self.flight = Flight()
        self.caps = Caps()
        self.references = References(codecs)
        self._costs = Costs()
        self._epoch = 0
        self._seen = 0  # newest frame that has come
        self._token = 0
        self._backlog = Backlog()
        self._journal = Journal()
        self._not_before = 0.0
        self._began_small = False  # with fewer pixels, for nobody knows what the link carries
        self._lacked_at = 0.0  # when tiles that he lacks were last asked for

    # ---- from the bus --------------------------------------------------------------------------------------------

    def frame(self, frame: Frame, now: float) -> None:
        """Take one frame, in id order."""
        self._follow(frame.epoch)
        self._seen = frame.number
        self.flight.note_frame(now)
        if self.hidden:
            self._skip(frame, "hidden")
        elif self.phase is not Phase.PUSH and self._journal.ask is None:
            self._skip(frame, "behind")
        else:
            self._backlog.append(frame)
            self._bound()

    def answer(self, answer: Answer, now: float) -> bool:
        """Take a snapshot or a repair; return whether it was asked for and can be used."""
        if not self._journal.awaits(answer):
            return False
        known = answer.epoch == self._epoch
        if answer.partial and not known:
            self.restart(answer.epoch)
            return False
        if answer.partial and answer.grid != self.references.grid:
            self.references.outsized = True
            self._journal.end()
            return False
        verdict = self._journal.judge(answer, known)
        if verdict is None:
            self._hold_off(now, PULL_INTERVAL_S if answer.partial else SNAPSHOT_INTERVAL_S)
            return False
        if not known:
            self.restart(answer.epoch)
        if answer.partial:
            self._take_repair(answer, verdict)
        else:
            self._take_snapshot(answer, verdict)
        self.phase = Phase.PUSH
        self._backlog.grant()
        return True

    def gap(self, epoch: int, number: int) -> None:
        """Frames up to ``number`` were lost on their way."""
        self._follow(epoch)
        self.fall_behind("gap")
        self.references.lose()
        self.dropped["gap"] += 1
        self._seen = max(self._seen, number)
        self._journal.note_gap(number)

    def restart(self, epoch: int) -> None:
        """A new life of the engine: ids and references of the old one mean nothing."""
        self.fall_behind("gap" if self._epoch else "behind")
        self.phase = Phase.START
        self.flight.forget()
        self.flight.newest = 0
        self._epoch, self._seen = epoch, 0
        self._journal.renew()
        self.references.lose()

    def fall_behind(self, reason: str = "behind") -> None:
        """Send nothing of what is queued: the newest state of it is asked for when the viewer is ready."""
        for item in (items := self._backlog.clear()):
            if isinstance(item, Frame):
                self._skip(item, reason)
        if any(isinstance(item, Due) and not item.answer.partial for item in items):
            self.phase = Phase.START  # the snapshot that he was to start from
            self.references.lose()
        elif self.phase is Phase.PUSH:
            self.phase = Phase.PULL

    # ---- from the viewer -----------------------------------------------------------------------------------------

    def ack(self, epoch: int, frame: int, now: float, serial: int | None = None) -> bool:
        """Note what is on the viewer's screen; return False for a number never sent.

        Without ``serial`` a snapshot or repair counts by its frame id.
        """
        if epoch != self._epoch:
            return True  # of the life before; in flight when it ended
        known = self.flight.acked(frame, serial, now, len(self._backlog) > 0 or self.phase is Phase.PULL)
        if self._began_small:
            self._sharpen(now)
        return known

    def missed(self, epoch: int, frame: int, areas: Iterable[Rectangle], streams: Iterable[int]) -> None:
        """The viewer could not show these areas of a frame that he has not acknowledged yet."""
        if epoch == self._epoch:
            self.references.report(areas, streams, self.flight.copies_after(frame))

    def resync(self) -> None:
        """The viewer lost the thread: what is in flight will not be acknowledged."""
        self.fall_behind()
        self.phase = Phase.START
        self.references.lose()
        if self._journal.ask is not None and not self._journal.ask.whole:
            self._journal.end()
        self.flight.forget()

    def set_hidden(self, hidden: bool) -> None:
        """A hidden viewer is sent nothing; one who is visible again is sent what has changed."""
        if hidden == self.hidden:
            return
        self.hidden = hidden
        self.fall_behind("hidden")
        self.references.lose_streams()
        self._journal.end()
        if not hidden:
            self.flight.forget()

    @property
    def rests(self) -> bool:
        """Whether there is nothing to send or to ask for, however much room there is."""
        return not (len(self._backlog) or self._lacks_something() or self._journal.ask is not None)

    @property
    def frames_wait(self) -> bool:
        """Whether frames wait to be sent, and no answer among them."""
        return len(self._backlog) > 0 and not self._backlog.has_answer

    # ---- to the pump ---------------------------------------------------------------------------------------------

    def next_unit(self, now: float) -> list[wire.Buffer]:
        """Return the messages to send now: all of a snapshot or repair, or one frame; empty if there is no room."""
        while (head := self._backlog.head) is not None and not self.hidden and now >= self.caps.free_at():
            if isinstance(head, Due):
                self._backlog.pop()
                return self._send_answer(head, now)
            if self.phase is not Phase.PUSH or not self.flight.has_room(head.size):
                return []
            if self.counts["snapshots"] and self.flight.wants_probe(now):
                return [self._send_probe(now)]
            self._backlog.pop()
            raw = self._admit(head)
            if raw is not None:
                self.flight.sent(head.number, len(raw), now, head.copies)
                self.caps.spend(len(raw), now)
                self.counts["sent"] += 1
                return [raw]
        if self._refines and head is None and self.flight.wants_probe(now):
            return [self._send_probe(now)]  # while the worker makes what was asked for
        return []

    def poll(self, now: float) -> list[Ask | KeyFrames]:
        """Return what to ask of the worker now, and notice what has taken too long."""
        if self.hidden:
            return []
        old_at = self._backlog.old_at()
        if self.phase is Phase.PUSH and old_at is not None and now >= old_at:
            self.fall_behind("cap" if now < self.caps.free_at() else "behind")
        self._journal.give_up(now)
        requests: list[Ask | KeyFrames] = []
        may = self._journal.ask is None and now >= max(self._not_before, self.caps.free_at())
        if may and (ask := self._need(now)) is not None:
            self._journal.begin(ask)
            requests.append(ask)
        if self.phase is Phase.PUSH and self.references.wants_key_frames(now):
            requests.append(KeyFrames())
        return requests

    def due(self, now: float) -> float | None:
        """Return after how many seconds `poll` should be called even if nothing happens; None for never."""
        if self.hidden:
            return None
        times: list[float] = []
        if (retry := self._journal.gives_up_at()) is not None:
            times.append(retry)
        elif self._lacks_something() and self._has_room_for_answer():
            refine = self._lacked_at + REFINE_AFTER_S if self._only_refines() else 0.0
            times.append(max(self._not_before, refine, self.caps.free_at()))
        if len(self._backlog) and now < self.caps.free_at():
            times.append(self.caps.free_at())
        if self.phase is Phase.PUSH:
            times += [at for at in (self._backlog.old_at(), self.references.key_frames_due()) if at is not None]
        return max(0.005, min(times) - now) if times else None

    # ---- inside --------------------------------------------------------------------------------------------------

    def _follow(self, epoch: int) -> None:
        if not self._epoch:
            self._epoch = epoch
            self._journal.hurry()
        elif epoch != self._epoch:
            self.restart(epoch)

    def _bound(self) -> None:
        """Keep what waits bounded."""
        if self.phase is Phase.PUSH:
            if self._backlog.overflows:
                self.fall_behind()
            return
        while self._backlog.exceeds:
            self._skip_oldest()

    def _skip_oldest(self) -> None:
        oldest = self._backlog.pop()
        if isinstance(oldest, Frame):
            self._skip(oldest, "behind")

    def _sharpen(self, now: float) -> None:
        """Start again with all pixels if the link has shown that it carries them; one that is thin is refined."""
        if self.flight.rate.bytes_per_s or not self.references.inexact:
            self._began_small = False
        elif self._proven() >= PLENTY and self.phase is not Phase.START:
            self._began_small = False
            self.fall_behind()
            self._journal.end()
            self.phase = Phase.START
            self._not_before = now

    def _proven(self) -> float:
        return min(self.flight.rate.proven, self.caps.bytes_per_s)

    def _skip(self, frame: Frame, reason: str) -> None:
        self.references.skip(frame)
        self.dropped[reason] += 1
        self._journal.note(frame, 0, ALL)

    def _admit(self, frame: Frame) -> wire.Buffer | None:
        self.missing_codec = self.references.missing_codec(frame) or self.missing_codec
        admitted = self.references.admit(frame)
        self._journal.note(frame, admitted.passed, admitted.refused)
        return admitted.raw

    def _take_snapshot(self, answer: Answer, verdict: Verdict) -> None:
        for _ in range(self._backlog.before(answer.number)):
            self._backlog.pop()
        self.references.start(answer.grid)
        self.references.missed |= verdict.again
        self.references.inexact |= answer.blurred
        self._began_small = answer.blurred != 0
        self._backlog.insert(Due(answer, answer.parts, 0, EXACT))

    def _take_repair(self, answer: Answer, verdict: Verdict) -> None:
        """Put a repair behind the frames that it contains: what is not sent of them is not needed any more."""
        place = self._backlog.before(answer.number)
        while self.phase is Phase.PULL and place:
            self._skip_oldest()
            place -= 1
        parts, tiles = answer.parts, answer.covers
        if tiles & verdict.newer:
            parts = answer.without(verdict.newer)
            tiles = Answer(parts).covers if parts else 0
        if parts:
            self._backlog.insert(Due(answer, parts, tiles & ~verdict.again, verdict.ask.tier), place)

    def _send_answer(self, due: Due, now: float) -> list[wire.Buffer]:
        self.flight.serial += 1
        number = max(due.number, self.flight.newest)
        last = len(due.parts) - 1
        unit: list[wire.Buffer] = [
            wire.address(part.raw, number, self.flight.serial, at < last) for at, part in enumerate(due.parts)
        ]
        size = sum(map(len, unit))
        if due.answer.partial:
            self.references.repaired(due.tiles, due.tier == EXACT)
            self._costs.learn(due.tier, due.tiles.bit_count(), size)
            self.counts["repairs"] += 1
        else:
            if not due.answer.blurred:
                self._costs.learn(EXACT, due.answer.covers.bit_count(), size)
            self.counts["snapshots"] += 1
        self.flight.sent(number, size, now, serial=self.flight.serial)
        self.caps.spend(size, now)
        return unit

    def _send_probe(self, now: float) -> wire.Buffer:
        """Send a repair of nothing: its acknowledgement tells the round trip."""
        self.flight.serial += 1
        data = empty_repair(self._epoch, self.flight.newest, *self.references.grid)
        data = wire.address(data, self.flight.newest, self.flight.serial, False)
        self.flight.sent(self.flight.newest, len(data), now, serial=self.flight.serial)
        return data

    def _need(self, now: float) -> Ask | None:
        """Return what to ask for now, if the viewer is ready for it."""
        references = self.references
        if references.outsized and self.phase is not Phase.START:
            self.fall_behind()
            self.phase = Phase.START
        if self.phase is Phase.START:
            self._hold_off(now, SNAPSHOT_INTERVAL_S)
            # What was lost is asked for whole: a worker of an older release refuses to make a small one.
            small = not self._journal.gave_up and self._proven() < PLENTY
            return self._new_ask(True, references.grid.all, EXACT, now)._replace(small=small)
        if not references.missed and self.phase is Phase.PULL:
            self.phase = Phase.PUSH
        early = self._only_refines() and now < self._lacked_at + REFINE_AFTER_S
        if early or not (references.missed or references.inexact) or not self._has_room_for_answer():
            return None
        speed = min(self.flight.rate.bytes_per_s or float("inf"), self.caps.bytes_per_s)
        if not references.missed:
            self._hold_off(now, PULL_INTERVAL_S)
            return self._new_ask(False, self._costs.refine(references.inexact, speed, self.flight.rate), EXACT, now)
        moving = references.take_video_lost()
        self._lacked_at = now
        self._hold_off(now, STILL_INTERVAL_S if self.phase is Phase.PUSH else PULL_INTERVAL_S)
        tier = self._costs.choose(references.missed, speed, moving)
        self.shrink = TIERS[tier].shrink
        return self._new_ask(False, references.missed, tier, now)

    def _new_ask(self, whole: bool, tiles: int, tier: int, now: float) -> Ask:
        self._token = self._token % (2**31 - 1) + 1
        return Ask(self._token, whole, self.references.grid, tiles, tier, self._seen, now)

    def _lacks_something(self) -> bool:
        return self.phase is not Phase.PUSH or self.references.missed != 0 or self.references.inexact != 0

    def _has_room_for_answer(self) -> bool:
        """Whether an answer could be sent soon; what is inexact gives way to frames that wait."""
        blocked = self._backlog.has_answer or (len(self._backlog) > 0 and self._only_refines())
        return not blocked and self.flight.is_ready()

    @property
    def _refines(self) -> bool:
        return self._only_refines() and self._journal.ask is not None and not self._journal.ask.whole

    def _only_refines(self) -> bool:
        return self.phase is Phase.PUSH and not self.references.missed

    def _hold_off(self, now: float, seconds: float) -> None:
        self._not_before = max(self._not_before, now + seconds)
