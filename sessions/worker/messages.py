"""Everything that crosses Redis between the web tier and a worker: names of groups and keys, messages, input events.

Both sides build and check messages with this module, so that neither trusts the other. Standard library only: the web
tier imports it, and the worker must stay small. Nothing here blocks or keeps state.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

CONTROL_PREFIX = "stripedesk"
FRAMES_PREFIX = "stripedesk-frames"
"""Prefixes of the two channel layers; `stripedesk.settings` states the same."""

MAX_WORKER_MESSAGE = 128 * 1024
"""Bytes of one packed worker message; larger ones are refused unread."""
MAX_EVENTS = 64
MAX_TEXT = 256
MAX_KEY = 32
MAX_COORDINATE = 16383
MAX_WHEEL = 100
MAX_SEQ = 2**53
MAX_VIEWER = 16
MAX_BUS = 32
MAX_SETTINGS = 200
TILE = 64
"""Pixels of the tiles, each way, that a repair is asked of."""
MAX_SIDE = 16384
SHRINKS = (1, 2, 4)
MAX_TOKEN = 2**31
MAX_WATCHERS = 1_000_000
MIN_LINK_KBPS = 256
MAX_LINK_KBPS = 1_000_000
MAX_CURSOR_SIDE = 256
MAX_CURSOR_PNG = 64 * 1024

_SESSION = re.compile(r"[0-9a-f]{32}")
_NAME = re.compile(r"[A-Za-z0-9_-]+")

Event = tuple[Any, ...]
"""One checked input event: its name, then its members (protocol, section 6.4)."""


class MessageError(ValueError):
    """A message breaks the contract. The text names the member and what it should have been."""


# ---- names -------------------------------------------------------------------------------------------------------


def frames_group(session: str) -> str:
    """Return the group, on the frames layer, that every frame of a session is published to."""
    return f"session.{session}.frames"


def snapshots_group(session: str, bus: str) -> str:
    """Return the group, on the frames layer, of the snapshots that one FrameBus has asked for."""
    return f"session.{session}.snapshots.{bus}"


def session_group(session: str) -> str:
    """Return the group, on the control layer, that the consumers of a session listen to."""
    return f"session.{session}"


def worker_group(session: str) -> str:
    """Return the group, on the control layer, that the session's worker listens to."""
    return f"session.{session}.worker"


def status_key(session: str) -> str:
    """Return the key of the worker's status."""
    return f"stripedesk:session:{session}:status"


def viewers_key(session: str) -> str:
    """Return the key of the sorted set of viewers, scored by when each was last seen."""
    return f"stripedesk:session:{session}:viewers"


def viewer_key(session: str, viewer: str) -> str:
    """Return the key of what the web tier tells of one viewer; no worker reaches it."""
    return f"stripedesk:session:{session}:viewer:{viewer}"


def group_channel(prefix: str, group: str) -> str:
    """Return the Redis channel that `RedisPubSubChannelLayer` uses for a group (a test pins it)."""
    return f"{prefix}__group__{group}"


def check_session_id(value: Any) -> str:
    """Return ``value`` if it is a session id of 32 hex digits; raise `MessageError` otherwise."""
    if not isinstance(value, str) or not _SESSION.fullmatch(value):
        raise MessageError("session must be 32 hexadecimal digits")
    return value


# ---- messages to a worker -----------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Input:
    """Input of one viewer, applied in order and as a whole."""

    viewer: str
    seq: int
    events: tuple[Event, ...]


@dataclass(frozen=True, slots=True)
class Release:
    """Release every key and button the viewer holds."""

    viewer: str


@dataclass(frozen=True, slots=True)
class Alive:
    """The viewer, who holds something, is still connected."""

    viewer: str


@dataclass(frozen=True, slots=True)
class Settings:
    """Complete resolved engine settings; ranges are `EngineSettings`' business."""

    settings: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Link:
    """What to send at most because of the link of a viewer who may control the session; 0 lifts the bound."""

    viewer: str
    kbps: int


@dataclass(frozen=True, slots=True)
class Snapshot:
    """Publish a snapshot for one viewer to the bus that asks.

    ``small``: with fewer pixels if it is large, for nobody knows yet what his link carries.
    """

    viewer: str
    bus: str
    small: bool = False


@dataclass(frozen=True, slots=True)
class Repair:
    """Publish the newest state of some tiles for one viewer to the bus that asks.

    ``tiles`` is a bit for each 64×64 tile of a picture of ``width`` × ``height``, row after row, the lowest bit first.
    ``shrink`` 1, 2 or 4 times fewer pixels each way. ``quality`` of JPEG, 0 for the best anybody has.
    """

    viewer: str
    bus: str
    token: int
    width: int
    height: int
    tiles: int
    shrink: int
    quality: int


@dataclass(frozen=True, slots=True)
class Watch:
    """How many viewers look at the session through one bus: with nobody looking, nothing is encoded."""

    bus: str
    viewers: int


@dataclass(frozen=True, slots=True)
class KeyFrames:
    """A viewer cannot decode a moving stripe."""


@dataclass(frozen=True, slots=True)
class Cursor:
    """Send the current cursor to the group again."""


@dataclass(frozen=True, slots=True)
class Stop:
    """Finish and exit 0."""


WorkerMessage = Input | Release | Alive | Settings | Link | Snapshot | Repair | Watch | KeyFrames | Cursor | Stop


def parse_worker_message(message: Any) -> WorkerMessage:
    """Return the checked form of an unpacked worker message; raise `MessageError` for everything else."""
    if not isinstance(message, Mapping):
        raise MessageError("a worker message must be a map")
    kind = message.get("type")
    shape = _SHAPES.get(kind) if isinstance(kind, str) else None
    if shape is None:
        raise MessageError(f"unknown worker message {kind!r:.40}")
    build, members = shape
    unknown = message.keys() - members - _OPTIONAL.get(str(kind), frozenset()) - {"type"}
    missing = members - message.keys()
    if unknown or missing:
        what = f"unknown member {min(map(repr, unknown)):.40}" if unknown else f"no member {min(missing)}"
        raise MessageError(f"{kind}: {what}")
    checked: WorkerMessage = build(message)
    return checked


def _input(message: Mapping[str, Any]) -> Input:
    return Input(
        _name(message["viewer"], "viewer", MAX_VIEWER),
        check_int(message["seq"], "seq", 0, MAX_SEQ),
        parse_events(message["events"]),
    )


def _settings(message: Mapping[str, Any]) -> Settings:
    values = message["settings"]
    if not isinstance(values, dict) or len(values) > MAX_SETTINGS:
        raise MessageError("settings must be a map of names and values")
    for name, value in values.items():
        if not isinstance(name, str) or not isinstance(value, bool | int | float | str) or len(str(value)) > 200:
            raise MessageError(f"settings: {name!r:.40} has no plain value")
    return Settings(dict(values))


def _link(message: Mapping[str, Any]) -> Link:
    kbps = check_int(message["kbps"], "kbps", 0, MAX_LINK_KBPS)
    if 0 < kbps < MIN_LINK_KBPS:
        raise MessageError(f"kbps must be 0 or a whole number from {MIN_LINK_KBPS} to {MAX_LINK_KBPS}")
    return Link(_name(message["viewer"], "viewer", MAX_VIEWER), kbps)


def _snapshot(message: Mapping[str, Any]) -> Snapshot:
    small = message.get("small", False)
    if type(small) is not bool:
        raise MessageError("small must be true or false")
    return Snapshot(_name(message["viewer"], "viewer", MAX_VIEWER), _name(message["bus"], "bus", MAX_BUS), small)


def pack_tiles(tiles: int, width: int, height: int) -> bytes:
    """Return a mask of tiles as `Repair` carries it."""
    return tiles.to_bytes((_tile_count(width, height) + 7) // 8, "little")


def _tile_count(width: int, height: int) -> int:
    return -(-width // TILE) * -(-height // TILE)


def _repair(message: Mapping[str, Any]) -> Repair:
    width = check_int(message["width"], "width", 1, MAX_SIDE)
    height = check_int(message["height"], "height", 1, MAX_SIDE)
    count, data, shrink = _tile_count(width, height), message["tiles"], message["shrink"]
    if not isinstance(data, bytes) or len(data) != (count + 7) // 8:
        raise MessageError(f"tiles must be {(count + 7) // 8} bytes, a bit for each tile")
    tiles = int.from_bytes(data, "little")
    if not tiles or tiles >> count:
        raise MessageError("tiles must name at least one tile and none outside of the picture")
    if type(shrink) is not int or shrink not in SHRINKS:
        raise MessageError("shrink must be 1, 2 or 4")
    return Repair(
        _name(message["viewer"], "viewer", MAX_VIEWER),
        _name(message["bus"], "bus", MAX_BUS),
        check_int(message["token"], "token", 0, MAX_TOKEN),
        width,
        height,
        tiles,
        shrink,
        check_int(message["quality"], "quality", 0, 100),
    )


_SHAPES: dict[str, tuple[Any, frozenset[str]]] = {
    "worker.input": (_input, frozenset({"viewer", "seq", "events"})),
    "worker.release": (lambda m: Release(_name(m["viewer"], "viewer", MAX_VIEWER)), frozenset({"viewer"})),
    "worker.alive": (lambda m: Alive(_name(m["viewer"], "viewer", MAX_VIEWER)), frozenset({"viewer"})),
    "worker.settings": (_settings, frozenset({"settings"})),
    "worker.link": (_link, frozenset({"viewer", "kbps"})),
    "worker.snapshot": (_snapshot, frozenset({"viewer", "bus"})),
    "worker.repair": (
        _repair,
        frozenset({"viewer", "bus", "token", "width", "height", "tiles", "shrink", "quality"}),
    ),
    "worker.watch": (
        lambda m: Watch(_name(m["bus"], "bus", MAX_BUS), check_int(m["viewers"], "viewers", 0, MAX_WATCHERS)),
        frozenset({"bus", "viewers"}),
    ),
    "worker.key_frames": (lambda m: KeyFrames(), frozenset()),
    "worker.cursor": (lambda m: Cursor(), frozenset()),
    "worker.stop": (lambda m: Stop(), frozenset()),
}


_OPTIONAL = {"worker.snapshot": frozenset({"small"})}
"""Members that a message may lack: a web process and a worker may be of two releases while one is being replaced."""


# ---- input events ---------------------------------------------------------------------------------------------------


def parse_events(value: Any) -> tuple[Event, ...]:
    """Return the checked events of one `input` message; raise `MessageError` if any of them is wrong."""
    if not isinstance(value, list | tuple) or not 1 <= len(value) <= MAX_EVENTS:
        raise MessageError(f"events must be a list of 1 to {MAX_EVENTS}")
    return tuple(_event(item) for item in value)


def _event(item: Any) -> Event:
    if not isinstance(item, list | tuple) or not item or not isinstance(item[0], str):
        raise MessageError("an event must be a list that starts with its name")
    shape = _EVENTS.get(item[0])
    if shape is None:
        raise MessageError(f"unknown event {item[0]!r:.40}")
    if len(item) != len(shape) + 1:
        raise MessageError(f"event {item[0]} has {len(shape)} members")
    return (item[0], *(check(member) for check, member in zip(shape, item[1:], strict=True)))


def check_int(value: Any, name: str, low: int, high: int) -> int:
    """Return a whole number inside its range; ``true`` and ``1.0`` are not whole numbers."""
    if type(value) is not int or not low <= value <= high:
        raise MessageError(f"{name} must be a whole number from {low} to {high}")
    return value


def check_number(value: Any, name: str, low: float, high: float) -> float:
    """Return a finite number inside its range."""
    if type(value) not in (int, float) or not math.isfinite(value) or not low <= value <= high:
        raise MessageError(f"{name} must be a finite number from {low} to {high}")
    return float(value)


def check_text(value: Any, name: str, longest: int) -> str:
    """Return text of at most ``longest`` characters that can be encoded as UTF-8."""
    if not isinstance(value, str) or len(value) > longest:
        raise MessageError(f"{name} must be text of at most {longest} characters")
    if any("\ud800" <= c <= "\udfff" for c in value):
        raise MessageError(f"{name} holds half a surrogate pair")
    return value


def _name(value: Any, name: str, longest: int) -> str:
    if not isinstance(value, str) or len(value) > longest or not _NAME.fullmatch(value):
        raise MessageError(f"{name} must be 1 to {longest} letters, digits, hyphens or underscores")
    return value


def _coordinate(value: Any) -> int:
    # Browsers compute positions in fractions of a pixel; a client that rounds late is not malformed.
    return int(check_number(value, "coordinate", -MAX_COORDINATE, MAX_COORDINATE))


def _wheel(value: Any) -> float:
    return check_number(value, "wheel", -MAX_WHEEL, MAX_WHEEL)


def _down(value: Any) -> bool:
    if type(value) is bool:
        return value
    if type(value) is int and value in (0, 1):
        return bool(value)
    raise MessageError("down must be true or false")


def _key(value: Any) -> str:
    return check_text(value, "key", MAX_KEY)


def _text(value: Any) -> str:
    text = check_text(value, "text", MAX_TEXT)
    if not text:
        raise MessageError("text must not be empty")
    return text


_EVENTS: dict[str, tuple[Any, ...]] = {
    "move": (_coordinate, _coordinate),
    "button": (lambda v: check_int(v, "button", 0, 4), _down),
    "wheel": (_wheel, _wheel),
    "key": (_key, _key, _down),
    "text": (_text,),
    "release": (),
}
