"""A viewer's window in a test's hands. No I/O: time is a number."""

from __future__ import annotations

from sessions.serving.asks import Ask
from sessions.serving.frames import Answer, Frame
from sessions.serving.window import FrameWindow
from stripeengine import wire
from tests.sessions.fixtures_frames import EPOCH, parsed

H264 = frozenset({"h264"})


def snap(number: int, epoch: int = EPOCH) -> Answer:
    return Answer([parsed(number, kind=wire.SNAPSHOT, epoch=epoch)])


def repair(ask: Ask, number: int, size: int = 0) -> Answer:
    """The newest state of the one tile there is."""
    message = parsed(number, kind=wire.SNAPSHOT, flags=wire.PARTIAL, size=size)
    return Answer([message], ask.token)


def push(window: FrameWindow, number: int, now: float = 1, *ops: wire.Op, epoch: int = EPOCH, size: int = 0) -> None:
    window.frame(Frame(parsed(number, *ops, epoch=epoch, size=size), now), now)


def asked(window: FrameWindow, now: float) -> Ask:
    """The one question that the window has now."""
    (ask,) = window.poll(now)
    assert isinstance(ask, Ask)
    return ask


def ids(unit: list[wire.Buffer]) -> list[int]:
    return [wire.peek(data).frame_id for data in unit]


def drain(window: FrameWindow, now: float) -> list[int]:
    """Everything the pump would send now."""
    sent: list[int] = []
    while unit := window.next_unit(now):
        sent += ids(unit)
    return sent


def live(codecs: frozenset[str] = H264, as_of: int = 0) -> FrameWindow:
    """A viewer who has just got his snapshot."""
    window = FrameWindow(codecs)
    assert asked(window, 0).whole
    assert window.answer(snap(as_of), 0)
    assert drain(window, 0) == [as_of]
    assert window.ack(EPOCH, as_of, 0.001)
    return window
