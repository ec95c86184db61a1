"""What a client may say, checked (docs/protocol.md, section 6.2). Pure functions and a counter; nothing blocks."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from ..worker.messages import MAX_SEQ, MAX_SIDE, Event, MessageError, check_int, check_number, check_text, parse_events

MOST_BYTES = 65536
MOST_A_SECOND = 500
MOST_CODECS = 16
MOST_TICKET = 128
MOST_AREAS = 64
MOST_STREAMS = 16
MOST_MEASURED = 1e9
"""Of what a client measures; `sessions.latency` bounds it further."""


class Garbage(MessageError):
    """Not even a JSON object: whoever sends it speaks another protocol."""


@dataclass(frozen=True, slots=True)
class Hello:
    """The opening message."""

    versions: tuple[int, ...]
    codecs: frozenset[str]
    ticket: str


@dataclass(frozen=True, slots=True)
class Ack:
    """Everything up to ``frame`` is committed, and of snapshots and repairs up to ``serial``."""

    epoch: int
    frame: int
    serial: int | None
    decode_ms: float | None = None
    paint_ms: float | None = None
    queue: int = 0


@dataclass(frozen=True, slots=True)
class Missed:
    """These areas of a frame were not shown."""

    epoch: int
    frame: int
    areas: tuple[tuple[int, int, int, int], ...]
    streams: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Input:
    """Input events."""

    seq: int
    events: tuple[Event, ...]


@dataclass(frozen=True, slots=True)
class Resync:
    """The client lost the thread."""

    reason: str


@dataclass(frozen=True, slots=True)
class Preset:
    """Use another quality preset."""

    id: int


@dataclass(frozen=True, slots=True)
class Visibility:
    """The page was hidden or shown."""

    hidden: bool


@dataclass(frozen=True, slots=True)
class Ping:
    """Answered with the same ``t``."""

    t: float


ClientMessage = Hello | Ack | Missed | Input | Resync | Preset | Visibility | Ping


def parse(text: str) -> ClientMessage:
    """Return the checked message; raise `MessageError`, or `Garbage` if it is no JSON object."""
    # A character is at least a byte, so the first test is cheap and enough for most.
    if len(text) > MOST_BYTES or (len(text) > MOST_BYTES // 4 and len(text.encode("utf-8", "replace")) > MOST_BYTES):
        raise MessageError(f"a message has at most {MOST_BYTES} bytes")
    try:
        message = _DECODER.decode(text)
    except (ValueError, RecursionError) as error:
        raise Garbage(f"not JSON: {error}") from None
    if not isinstance(message, dict):
        raise Garbage("a message must be a JSON object")
    kind = message.get("type")
    build = _TYPES.get(kind) if isinstance(kind, str) else None
    if build is None:
        raise MessageError(f"unknown type {kind!r:.40}")
    checked: ClientMessage = build(message)
    return checked


def _refuse_constant(name: str) -> Any:
    raise ValueError(f"{name} is not a number")


_DECODER = json.JSONDecoder(parse_constant=_refuse_constant)


def _hello(message: dict[str, Any]) -> Hello:
    versions = message.get("versions")
    codecs = message.get("codecs", [])
    if not isinstance(versions, list) or not 1 <= len(versions) <= 16:
        raise MessageError("versions must be a list of 1 to 16 numbers")
    if not isinstance(codecs, list) or len(codecs) > MOST_CODECS:
        raise MessageError(f"codecs must be a list of at most {MOST_CODECS} names")
    return Hello(
        tuple(check_int(version, "version", 0, 2**31) for version in versions),
        frozenset(check_text(codec, "codec", 32) for codec in codecs),
        check_text(message.get("ticket", ""), "ticket", MOST_TICKET),
    )


def _ack(message: dict[str, Any]) -> Ack:
    decode, paint, queue = (_measured(message, name) for name in ("decode_ms", "paint_ms", "queue"))
    serial = message.get("serial")
    number = None if serial is None else check_int(serial, "serial", 0, 2**32 - 1)
    return Ack(*_place(message), number, decode, paint, int(queue or 0))


def _measured(message: dict[str, Any], name: str) -> float | None:
    return check_number(message[name], name, 0, MOST_MEASURED) if name in message else None


def _place(message: dict[str, Any]) -> tuple[int, int]:
    epoch = check_int(message.get("epoch"), "epoch", 1, 2**32 - 1)
    return epoch, check_int(message.get("frame"), "frame", 0, 2**32 - 1)


def _missed(message: dict[str, Any]) -> Missed:
    areas, streams = message.get("areas"), message.get("streams", [])
    if not isinstance(areas, list) or not 1 <= len(areas) <= MOST_AREAS:
        raise MessageError(f"areas must be a list of 1 to {MOST_AREAS} rectangles")
    if not isinstance(streams, list) or len(streams) > MOST_STREAMS:
        raise MessageError(f"streams must be a list of at most {MOST_STREAMS} numbers")
    epoch, frame = _place(message)
    checked = (check_int(stream, "stream", 0, MOST_STREAMS - 1) for stream in streams)
    return Missed(epoch, frame, tuple(map(_area, areas)), tuple(checked))


def _area(value: Any) -> tuple[int, int, int, int]:
    if not isinstance(value, list) or len(value) != 4:
        raise MessageError("an area must be a list of x, y, w and h")
    x, y = (check_int(number, "area", 0, MAX_SIDE - 1) for number in value[:2])
    w, h = (check_int(number, "area", 1, MAX_SIDE) for number in value[2:])
    return (x, y, w, h)


def _visibility(message: dict[str, Any]) -> Visibility:
    if type(message.get("hidden")) is not bool:
        raise MessageError("hidden must be true or false")
    return Visibility(message["hidden"])


_TYPES: dict[str, Any] = {
    "hello": _hello,
    "ack": _ack,
    "missed": _missed,
    "input": lambda m: Input(check_int(m.get("seq"), "seq", 0, MAX_SEQ), parse_events(m.get("events"))),
    "resync": lambda m: Resync(check_text(m.get("reason", ""), "reason", 200)),
    "preset": lambda m: Preset(check_int(m.get("id"), "id", 0, 2**63 - 1)),
    "visibility": _visibility,
    "ping": lambda m: Ping(check_number(m.get("t"), "t", -1e18, 1e18)),
}


class Allowance:
    """A bucket of `MOST_A_SECOND` messages, refilled continuously."""

    def __init__(self, rate: float = MOST_A_SECOND) -> None:
        self._rate = rate
        self._left = rate
        self._at = 0.0

    def take(self, now: float) -> bool:
        """Whether one more message is allowed at ``now``."""
        self._left = min(self._rate, self._left + (now - self._at) * self._rate)
        self._at = now
        if self._left < 1:
            return False
        self._left -= 1
        return True
