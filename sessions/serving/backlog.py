"""What waits to be sent to one viewer: frames and answers, in the order in which they will be. Bounded.

Pure state on one event loop; nothing blocks. What falls out of it is handed back, so that it can be noted as missed.
"""

from __future__ import annotations

from collections import deque
from typing import NamedTuple

from stripeengine import wire

from .frames import Answer, Frame

MOST_PENDING = 12
MOST_AGE_S = 0.3
"""A frame that has waited for so long is old."""
MOST_KEPT = 64
"""Frames kept while an answer is on its way; of older ones it must know."""
MOST_BYTES = 3 * 512 * 1024
"""With what the pump and the socket hold, a viewer who reads nothing costs less than 2 MB."""


class Due(NamedTuple):
    """An answer that waits for its turn; ``tiles`` are those it may be trusted for."""

    answer: Answer
    parts: tuple[wire.Message, ...]
    tiles: int
    tier: int

    @property
    def number(self) -> int:
        """The frame that it is as of."""
        return self.answer.number


class Backlog:
    """One viewer's."""

    def __init__(self) -> None:
        self._items: deque[Frame | Due] = deque()
        self.bytes = 0
        """Of the frames."""
        self._limit = MOST_PENDING

    def __len__(self) -> int:
        return len(self._items)

    @property
    def head(self) -> Frame | Due | None:
        """What is sent next."""
        return self._items[0] if self._items else None

    @property
    def has_answer(self) -> bool:
        """Whether an answer waits."""
        return any(isinstance(item, Due) for item in self._items)

    @property
    def overflows(self) -> bool:
        """Whether more waits than a viewer may owe who is pushed frames."""
        return len(self._items) > self._limit or self._is_heavy

    @property
    def exceeds(self) -> bool:
        """Whether more waits than is kept for an answer."""
        return len(self._items) > MOST_KEPT or self._is_heavy

    @property
    def _is_heavy(self) -> bool:
        return self.bytes > MOST_BYTES and len(self._items) > 1

    def append(self, frame: Frame) -> None:
        """Let a frame wait."""
        self._items.append(frame)
        self.bytes += frame.size

    def pop(self) -> Frame | Due:
        """Take what is sent next; the limit shrinks with what waits."""
        item = self._items.popleft()
        if isinstance(item, Frame):
            self.bytes -= item.size
            self._limit = max(MOST_PENDING, min(self._limit, len(self._items) + MOST_PENDING))
        return item

    def clear(self) -> tuple[Frame | Due, ...]:
        """Let nothing wait; return what did."""
        items = tuple(self._items)
        self._items.clear()
        self.bytes = 0
        self._limit = MOST_PENDING
        return items

    def before(self, number: int) -> int:
        """Return how many at the front are as of frame ``number`` or earlier."""
        place = 0
        while place < len(self._items) and self._items[place].number <= number:
            place += 1
        return place

    def insert(self, due: Due, place: int = 0) -> None:
        """Let an answer wait behind the first ``place``."""
        self._items.insert(place, due)

    def grant(self) -> None:
        """What came during an encode is more than a viewer may owe otherwise; he gets the chance to catch up."""
        self._limit = len(self._items) + MOST_PENDING

    def old_at(self) -> float | None:
        """Return when the frame at the front is old; None if there is none."""
        head = self.head
        return head.received + MOST_AGE_S if isinstance(head, Frame) else None
