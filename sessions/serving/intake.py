"""What comes from a session's worker: checked, put in order, and handed to the viewers here.

The worker is not trusted. A gap in the frames' ids is told to every viewer; an answer that has overtaken the last frame
it contains is held until that has come. Runs on the event loop; nothing blocks.
"""

from __future__ import annotations

import logging
from collections import deque
from typing import Any, Protocol

from stripeengine import wire
from stripeengine.errors import WireError

from .frames import Answer, Frame

logger = logging.getLogger(__name__)

MOST_SNAPSHOT_PARTS = 256
MOST_SNAPSHOT_BYTES = 32 * 1024 * 1024
MOST_HELD = 64
"""Answers that wait for the last frame they contain."""


class Sink(Protocol):
    """A viewer, as the bus sees him."""

    id: str
    rank: int
    """Lower ones are handed a frame first."""

    @property
    def watches(self) -> bool:
        """Whether he looks: with nobody who does, nothing is encoded."""

    def on_frame(self, frame: Frame) -> None:
        """Take one frame."""

    def on_answer(self, answer: Answer) -> None:
        """Take a snapshot or repair that was asked for him."""

    def on_gap(self, epoch: int, number: int) -> None:
        """Frames up to ``number`` of that epoch were lost on their way."""


class Intake:
    """One session's messages in this process."""

    def __init__(self, session: str) -> None:
        self.session = session
        self.epoch = 0
        self.last_frame = 0
        self.invalid = 0
        self._adopted = 0  # frames up to this one are old, not wrong
        self._sinks: dict[str, Sink] = {}
        self._order: tuple[Sink, ...] = ()
        self._parts: list[wire.Message] = []
        self._held: deque[tuple[dict[str, int], Answer]] = deque()

    def attach(self, sink: Sink) -> None:
        """Hand every further frame to ``sink``."""
        self._sinks[sink.id] = sink
        self.arrange()

    def detach(self, sink: Sink) -> bool:
        """Hand nothing more to ``sink``; return whether nobody is left."""
        if self._sinks.get(sink.id) is sink:
            del self._sinks[sink.id]
            self.arrange()
        return not self._sinks

    def arrange(self) -> None:
        """Note who there is, and in which order frames are handed on: of one rank, as they came."""
        self._order = tuple(sorted(self._sinks.values(), key=lambda sink: sink.rank))

    def deliver(self, message: Any, now: float) -> None:
        """Take one message of the worker; refuse it, and count it, if it is wrong."""
        kind = message.get("type") if isinstance(message, dict) else None
        try:
            if kind == "frame":
                self._frame(wire.parse_message(_data(message)), now)
            elif kind == "snapshot":
                self._snapshot(_viewers(message.get("viewers")), wire.parse_message(_data(message)))
            elif kind == "head":
                self._head(message.get("epoch"), message.get("frame"))
            else:
                raise WireError(f"unknown message {kind!r:.40}")
        except WireError as error:
            self.refuse(error)

    def _frame(self, message: wire.Message, now: float) -> None:
        header = message.header
        if header.kind != wire.FRAME:
            raise WireError("a snapshot among the frames")
        if header.epoch == self.epoch:
            if header.frame_id <= self.last_frame:
                if header.frame_id <= self._adopted:
                    return
                raise WireError(f"frame {header.frame_id} after {self.last_frame}")
            if header.frame_id != self.last_frame + 1:
                self.lose(header.frame_id - 1)
        else:
            self._begin(header.epoch, 0)
        self.last_frame = header.frame_id
        frame = Frame(message, now)
        for sink in self._order:
            sink.on_frame(frame)
        self._release()

    def _begin(self, epoch: int, frame: int) -> None:
        """Follow another life of the engine, from behind ``frame`` on."""
        self.epoch, self.last_frame, self._adopted = epoch, frame, frame
        self._held.clear()

    def _snapshot(self, viewers: dict[str, int], message: wire.Message) -> None:
        header = message.header
        if header.kind != wire.SNAPSHOT:
            self._parts = []
            raise WireError("a frame among the snapshots")
        if self._parts and _identity(self._parts[0].header) != _identity(header):
            self._parts = []
        self._parts.append(message)
        size = sum(len(part.raw) for part in self._parts)
        if len(self._parts) > MOST_SNAPSHOT_PARTS or size > MOST_SNAPSHOT_BYTES:
            self._parts = []
            raise WireError(f"a snapshot of more than {MOST_SNAPSHOT_BYTES} bytes")
        if header.more:
            return
        parts, self._parts = self._parts, []
        if header.epoch != self.epoch:
            # A life of the engine of which no frame has come here, for its picture is at rest.
            self._begin(header.epoch, header.frame_id)
        self._held.append((viewers, Answer(parts)))
        if len(self._held) > MOST_HELD:
            self._held.popleft()
        self._release()

    def _release(self) -> None:
        """Hand on the answers whose last frame has come: they may overtake it."""
        while self._held and self._held[0][1].number <= self.last_frame:
            viewers, answer = self._held.popleft()
            for viewer, token in viewers.items():
                sink = self._sinks.get(viewer)
                if sink is not None:
                    sink.on_answer(answer.addressed(token))

    def _head(self, epoch: Any, frame: Any) -> None:
        """The worker says which frame was its last: notice a lost tail, and a new life of an engine at rest."""
        if type(epoch) is not int or type(frame) is not int or not 0 < epoch < 2**32 or not 0 <= frame < 2**32:
            raise WireError("a head without epoch and frame")
        if (epoch, frame) == (self.epoch, self.last_frame):
            return
        if epoch != self.epoch or frame > self.last_frame:
            if epoch != self.epoch:
                self._begin(epoch, frame)
            self.last_frame = self._adopted = frame
            self.lose(frame)
            self._release()

    def lose(self, number: int | None = None) -> None:
        """Frames were lost, up to ``number`` or nobody knows which."""
        number = self.last_frame if number is None else number
        for sink in self._order:
            sink.on_gap(self.epoch, number)

    def refuse(self, error: Exception) -> None:
        """Count a message that is wrong."""
        self.invalid += 1
        if self.invalid & (self.invalid - 1) == 0:  # 1, 2, 4, 8 …: a hostile worker does not fill the log
            logger.warning("session %s: message refused (%d so far): %s", self.session, self.invalid, error)


def _data(message: dict[str, Any]) -> bytes:
    data = message.get("data")
    if not isinstance(data, bytes):
        raise WireError("a message without data")
    return data


def _viewers(value: Any) -> dict[str, int]:
    """Return who an answer is for, and the token of what he asked; a plain list names viewers of a snapshot."""
    if isinstance(value, list) and all(isinstance(viewer, str) for viewer in value):
        value = dict.fromkeys(value, 0)
    if not isinstance(value, dict) or not all(isinstance(v, str) and type(t) is int for v, t in value.items()):
        raise WireError("an answer to nobody")
    return value


def _identity(header: wire.Header) -> tuple[int, int, int, int, bool]:
    return (header.epoch, header.frame_id, header.width, header.height, header.partial)
