"""What one viewer has asked of the worker, and what became of the frames that came since: by it an answer is judged.

An answer is as of some frame. Frames up to it are contained in it; of later ones the journal knows which tiles they
changed, and whether the viewer was sent them (then the answer must not take these tiles back) or not (then he lacks
them again). Pure state; nothing blocks. The journal holds masks, no frames, and is bounded.
"""

from __future__ import annotations

from typing import NamedTuple

from ..tiles import Grid
from .asks import Ask
from .frames import Answer, Frame
from .references import ALL

MOST_ENTRIES = 512
RETRY_S = 2.0
LONGEST_RETRY_S = 8.0
HEARD_RETRY_S = 0.5
"""So long after a question the answer is not waited for any more of a worker who was not there when it was asked."""


class _Entry(NamedTuple):
    number: int
    grid: Grid | None
    """None: whatever the frame was, it has not changed the picture's size as far as is known."""
    passed: int
    missed: int


class Verdict(NamedTuple):
    """What of an answer counts: not the tiles that are ``newer`` at the viewer; ``again`` are missed after it."""

    ask: Ask
    newer: int
    again: int


class Journal:
    """One viewer's. Times are any monotonic clock's seconds."""

    def __init__(self) -> None:
        self.ask: Ask | None = None
        self._entries: list[_Entry] = []
        self._retry = RETRY_S

    def begin(self, ask: Ask) -> None:
        """An answer to ``ask`` is awaited."""
        self.ask = ask
        self._entries = []

    def end(self) -> None:
        """No answer is awaited."""
        self.ask = None
        self._entries = []

    def renew(self) -> None:
        """Another life of the worker, who knows of no question: the next one is not given longer for it."""
        self.end()
        self._retry = RETRY_S

    def hurry(self) -> None:
        """The worker is heard for the first time: what was asked before may have fallen on deaf ears."""
        if self.ask is not None:
            self._retry = HEARD_RETRY_S

    def give_up(self, now: float) -> bool:
        """Whether an answer has not come in time; the next one is given longer."""
        if self.ask is None or now < self.ask.at + self._retry:
            return False
        self._retry = min(self._retry * 2, LONGEST_RETRY_S)
        self.end()
        return True

    @property
    def gave_up(self) -> bool:
        """Whether the last answer that was awaited has not come."""
        return self._retry > RETRY_S

    def gives_up_at(self) -> float | None:
        """Return when `give_up` will be true."""
        return self.ask.at + self._retry if self.ask is not None else None

    def note(self, frame: Frame, passed: int, missed: int) -> None:
        """Remember what became of a frame (`ALL`: of everything it touches)."""
        if self.ask is None or len(self._entries) > MOST_ENTRIES:
            return
        passed = frame.touched if passed == ALL else passed
        missed = frame.touched if missed == ALL else missed
        grid = Grid(0, 0) if frame.resized else frame.grid
        self._entries.append(_Entry(frame.number, grid, passed, missed))

    def note_gap(self, number: int) -> None:
        """Frames up to ``number`` were lost."""
        if self.ask is not None and len(self._entries) <= MOST_ENTRIES:
            self._entries.append(_Entry(number, None, 0, ALL))

    def judge(self, answer: Answer, known: bool) -> Verdict | None:
        """Return what counts of ``answer``, the one that was awaited; None if nothing. The wait is over.

        ``known``: it is of the epoch that frames came of.
        """
        ask, entries = self.ask, self._entries
        if ask is None:
            return None
        self.end()
        if (known and answer.number < ask.since) or len(entries) > MOST_ENTRIES:
            return None
        newer = again = 0
        for entry in entries:
            if entry.number <= answer.number or not known:
                continue
            if entry.grid is not None and entry.grid != answer.grid:
                return None
            newer |= entry.passed
            again |= entry.missed
        self._retry = RETRY_S
        return Verdict(ask, newer, again & answer.grid.all)

    def awaits(self, answer: Answer) -> bool:
        """Whether this answer was asked for."""
        ask = self.ask
        return ask is not None and ask.whole != answer.partial and (ask.whole or ask.token == answer.token)
