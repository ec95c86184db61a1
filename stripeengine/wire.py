"""The binary message of docs/protocol.md: parse, check, pack and stamp; `wire_filter` leaves ops out.

Standard library only, for the worker and the web tier import it. Pure functions without state, safe from any thread;
nothing here blocks, or copies payloads except `pack_message` and `address`.
Every length is checked before it is used: `parse_message` either returns a message that keeps all rules, or raises
`WireError` whose text begins with the name of the field at fault.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple, TypeAlias

from .errors import WireError

Buffer: TypeAlias = bytes | bytearray | memoryview

VERSION: Final = 1
HEADER_SIZE: Final = 48
OP_SIZE: Final = 32

MAX_MESSAGE: Final = 8 * 1024 * 1024
MESSAGE_AIM: Final = 256 * 1024
MAX_OPS: Final = 4096
MAX_DIMENSION: Final = 16384
MAX_STREAMS: Final = 16

# header.kind
FRAME: Final = 1
SNAPSHOT: Final = 2

# header.flags
RESIZED: Final = 1
MORE: Final = 2
PARTIAL: Final = 4

# op.kind
FILL: Final = 1
COPY: Final = 2
LOSSLESS: Final = 3
JPEG: Final = 4
H264: Final = 5
OP_NAMES: Final = {FILL: "fill", COPY: "copy", LOSSLESS: "lossless", JPEG: "jpeg", H264: "h264"}

# op.flags
KEY: Final = 1
CROP: Final = 2
FINAL: Final = 4
CHROMA_444: Final = 8

_HEADER: Final = struct.Struct("<BBBBIIHHQQIHHII")
_OP: Final = struct.Struct("<BBHHHHHHHIIHHI")
_U64: Final = struct.Struct("<Q")
_U32: Final = struct.Struct("<I")
_U16: Final = struct.Struct("<H")
_PUBLISH_OFFSET: Final = 24
_FRAME_ID_OFFSET: Final = 8
_FLAGS_OFFSET: Final = 38
_SERIAL_OFFSET: Final = 44


class Header(NamedTuple):
    """The fixed part of a message, in wire order. Times are µs of the host's monotonic clock."""

    version: int
    kind: int
    header_size: int
    op_size: int
    epoch: int
    frame_id: int
    width: int
    height: int
    capture_us: int
    publish_us: int
    payload_size: int
    op_count: int
    flags: int
    encode_us: int
    serial: int = 0

    @property
    def resized(self) -> bool:
        """Whether the picture has a new size and starts from black."""
        return bool(self.flags & RESIZED)

    @property
    def more(self) -> bool:
        """Whether this snapshot continues in the next message."""
        return self.kind == SNAPSHOT and bool(self.flags & MORE)

    @property
    def partial(self) -> bool:
        """Whether this is a repair: a snapshot of some rectangles, the rest stays as it is."""
        return self.kind == SNAPSHOT and bool(self.flags & PARTIAL)


class Op(NamedTuple):
    """One op record, in wire order. ``pw, ph`` is the size of the decoded payload in pixels."""

    kind: int
    flags: int
    stream: int
    x: int
    y: int
    w: int
    h: int
    sx: int
    sy: int
    offset: int
    length: int
    pw: int
    ph: int
    value: int

    @property
    def rectangle(self) -> tuple[int, int, int, int]:
        """The destination, ``(x, y, w, h)``."""
        return (self.x, self.y, self.w, self.h)


@dataclass(frozen=True, slots=True)
class Message:
    """A checked message. ``raw`` is the buffer it was parsed from, ``payloads`` a view into it."""

    header: Header
    ops: tuple[Op, ...]
    raw: Buffer
    payloads: memoryview

    def payload(self, op: Op) -> memoryview:
        """Return the bytes of one op, without a copy."""
        return self.payloads[op.offset : op.offset + op.length]


def peek(buffer: Buffer) -> Header:
    """Return the header, checked by itself and against the length of the message, without a look at the ops.

    For the relay's hot path. Raises `WireError`.
    """
    size = len(buffer)
    if size < HEADER_SIZE:
        raise WireError(f"header: a message has at least {HEADER_SIZE} bytes, this one {size}")
    if size > MAX_MESSAGE:
        raise WireError(f"message: at most {MAX_MESSAGE} bytes are allowed, this one has {size}")
    header = Header._make(_HEADER.unpack_from(buffer))
    if header.version != VERSION:
        raise WireError(f"version: {header.version} is unknown, this reader knows {VERSION}")
    if header.kind != FRAME and header.kind != SNAPSHOT:
        raise WireError(f"kind: {header.kind} is neither frame (1) nor snapshot (2)")
    if header.header_size < HEADER_SIZE:
        raise WireError(f"header_size: at least {HEADER_SIZE}, not {header.header_size}")
    if header.op_size < OP_SIZE:
        raise WireError(f"op_size: at least {OP_SIZE}, not {header.op_size}")
    if header.epoch == 0:
        raise WireError("epoch: must not be 0")
    if header.frame_id == 0 and header.kind == FRAME:
        raise WireError("frame_id: a frame's id starts at 1")
    if not 1 <= header.width <= MAX_DIMENSION:
        raise WireError(f"width: 1…{MAX_DIMENSION} pixels, not {header.width}")
    if not 1 <= header.height <= MAX_DIMENSION:
        raise WireError(f"height: 1…{MAX_DIMENSION} pixels, not {header.height}")
    if header.op_count > MAX_OPS:
        raise WireError(f"op_count: at most {MAX_OPS}, not {header.op_count}")
    expected = header.header_size + header.op_count * header.op_size + header.payload_size
    if expected != size:
        raise WireError(f"payload_size: header, op table and payloads make {expected} bytes, the message has {size}")
    return header


def parse_message(buffer: Buffer) -> Message:
    """Return the checked message in ``buffer``, which must not change while the message is in use.

    Raises `WireError`, naming the field, for everything docs/protocol.md forbids that can be seen without decoding a
    payload.
    """
    header = peek(buffer)
    view = memoryview(buffer)
    table_end = header.header_size + header.op_count * header.op_size
    if header.op_size == OP_SIZE:
        records = _OP.iter_unpack(view[header.header_size : table_end])
        ops = tuple(map(Op._make, records))
    else:
        starts = range(header.header_size, table_end, header.op_size)
        ops = tuple(Op._make(_OP.unpack_from(view, start)) for start in starts)
    check_ops(header, ops)
    return Message(header, ops, buffer, view[table_end:])


def check_ops(header: Header, ops: Sequence[Op]) -> None:
    """Raise `WireError` if an op, or the ops together, break the rules of sections 2.2, 3 and 4."""
    batch: Op | None = None
    batch_count = batch_pixels = 0
    for index, op in enumerate(ops):
        kind, flags, stream, x, y, w, h, sx, sy, offset, length, pw, ph, value = op
        if w < 1 or h < 1:
            raise _op_error(index, "w" if w < 1 else "h", "must be at least 1")
        if x + w > header.width or y + h > header.height:
            name = "x" if x + w > header.width else "y"
            raise _op_error(index, name, f"{w}×{h} at ({x}, {y}) leaves the {header.width}×{header.height} picture")
        if offset + length > header.payload_size:
            raise _op_error(index, "length", f"{offset} + {length} passes the {header.payload_size} payload bytes")
        if kind in (FILL, COPY):
            if length or pw or ph:
                name = "length" if length else "pw" if pw else "ph"
                raise _op_error(index, name, f"must be 0, a {OP_NAMES[kind]} has no payload")
        elif kind in (LOSSLESS, JPEG, H264):
            if length < 1:
                raise _op_error(index, "length", f"a {OP_NAMES[kind]} op needs a payload")
            if not (1 <= pw <= MAX_DIMENSION and 1 <= ph <= MAX_DIMENSION):
                name = "ph" if 1 <= pw <= MAX_DIMENSION else "pw"
                raise _op_error(index, name, f"a payload is 1…{MAX_DIMENSION} pixels wide and high, not {pw}×{ph}")
            if flags & CROP and (pw < w or ph < h):
                name = "pw" if pw < w else "ph"
                raise _op_error(index, name, f"CROP needs a payload of at least {w}×{h}, not {pw}×{ph}")
        else:
            raise _op_error(index, "kind", f"{kind} is unknown")
        if stream and (kind != H264 or stream >= MAX_STREAMS):
            raise _op_error(index, "stream", f"{stream} is not allowed: H.264 has 0…{MAX_STREAMS - 1}, others 0")
        if kind == COPY:
            if sx + w > header.width or sy + h > header.height:
                name = "sx" if sx + w > header.width else "sy"
                raise _op_error(index, name, f"source {w}×{h} at ({sx}, {sy}) leaves the picture")
        elif sx or sy:
            raise _op_error(index, "sx" if sx else "sy", "must be 0, only a copy has a source")
        if kind == LOSSLESS:
            if batch is None:
                batch = op
            elif offset != batch.offset or length != batch.length:
                name = "offset" if offset != batch.offset else "length"
                raise _op_error(index, name, "all lossless ops of a message share one payload")
            if value != batch_count:
                raise _op_error(index, "value", f"lossless rectangles count 0, 1, 2…: {batch_count}, not {value}")
            batch_count += 1
            batch_pixels += pw * ph
            if batch_pixels > header.width * header.height:
                raise _op_error(index, "pw", "the lossless rectangles hold more pixels than the picture")
        elif value > (0xFFFFFF if kind == FILL else 0):
            raise _op_error(index, "value", f"{value:#x} is not allowed here")
        if header.kind == SNAPSHOT and (kind == COPY or (kind == H264 and not flags & KEY)):
            raise _op_error(index, "kind", "a snapshot holds stateless ops only")


def _op_error(index: int, name: str, text: str) -> WireError:
    return WireError(f"ops[{index}].{name}: {text}")


def is_stateful(op: Op) -> bool:
    """Return whether ``op`` needs the state left by earlier ops: a copy, or an H.264 delta frame."""
    return op.kind == COPY or (op.kind == H264 and not op.flags & KEY)


def pack_message(
    *,
    epoch: int,
    frame_id: int,
    width: int,
    height: int,
    ops: Iterable[Op] = (),
    payloads: bytes = b"",
    kind: int = FRAME,
    flags: int = 0,
    capture_us: int = 0,
    publish_us: int = 0,
    encode_us: int = 0,
) -> bytes:
    """Return one wire message. ``payloads`` is the payload area the ops' offsets point into.

    Raises `WireError` for what `parse_message` would refuse.
    """
    table = tuple(ops)
    numbers = (epoch, frame_id, width, height, capture_us, publish_us, len(payloads), len(table), flags, encode_us)
    header = Header(VERSION, kind, HEADER_SIZE, OP_SIZE, *numbers)
    try:
        message = b"".join((_HEADER.pack(*header), *(_OP.pack(*op) for op in table), payloads))
    except struct.error as error:
        raise WireError(f"message: a field does not fit: {error}") from None
    peek(message)
    check_ops(header, table)
    return message


class PayloadArea:
    """Collects the payloads of a message being packed; `op` makes the record that points at the bytes just added."""

    def __init__(self) -> None:
        self._parts: list[bytes] = []
        self.size = 0

    def add(self, data: bytes) -> tuple[int, int]:
        """Append ``data``; return its ``(offset, length)``."""
        place = (self.size, len(data))
        self._parts.append(data)
        self.size += len(data)
        return place

    def op(
        self,
        kind: int,
        rectangle: tuple[int, int, int, int],
        data: bytes,
        size: tuple[int, int] | None = None,
        *,
        flags: int = 0,
        stream: int = 0,
    ) -> Op:
        """Append ``data`` and return a JPEG or H.264 op for it; ``size`` is the decoded size if not the rectangle's."""
        offset, length = self.add(data)
        pw, ph = size or rectangle[2:]
        return Op(kind, flags, stream, *rectangle, 0, 0, offset, length, pw, ph, 0)

    def lossless(self, rectangles: Sequence[tuple[int, int, int, int]], batch: bytes, *, flags: int = 0) -> list[Op]:
        """Append a batch and return its ops, in the order in which its rectangles were encoded."""
        offset, length = self.add(batch)
        return [
            Op(LOSSLESS, flags, 0, x, y, w, h, 0, 0, offset, length, w, h, index)
            for index, (x, y, w, h) in enumerate(rectangles)
        ]

    def getvalue(self) -> bytes:
        """Return the payload area."""
        return b"".join(self._parts)


def fill_op(rectangle: tuple[int, int, int, int], colour: int, *, flags: int = 0) -> Op:
    """Return an op that makes the rectangle ``colour``, ``0xRRGGBB``."""
    return Op(FILL, flags, 0, *rectangle, 0, 0, 0, 0, 0, 0, colour)


def copy_op(rectangle: tuple[int, int, int, int], sx: int, sy: int) -> Op:
    """Return an op that makes the rectangle what was at ``(sx, sy)``."""
    return Op(COPY, 0, 0, *rectangle, sx, sy, 0, 0, 0, 0, 0)


def stamp_publish(buffer: bytearray | memoryview, us: int) -> None:
    """Write ``publish_us`` into a message in place. Raises `WireError` if the buffer is too short for a header."""
    if len(buffer) < HEADER_SIZE:
        raise WireError(f"header: a message has at least {HEADER_SIZE} bytes, this one {len(buffer)}")
    _U64.pack_into(buffer, _PUBLISH_OFFSET, us)


def published_us(buffer: Buffer) -> int:
    """Return when a frame was published, 0 for a snapshot or if it is not known."""
    return int(_U64.unpack_from(buffer, _PUBLISH_OFFSET)[0]) if buffer[1] == FRAME else 0


def address(buffer: Buffer, frame_id: int, serial: int, more: bool) -> bytes:
    """Return a message of a snapshot or repair with another as-of and serial; ``more``: it is not the last one."""
    if len(buffer) < HEADER_SIZE:
        raise WireError(f"header: a message has at least {HEADER_SIZE} bytes, this one {len(buffer)}")
    output = bytearray(buffer)
    _U32.pack_into(output, _FRAME_ID_OFFSET, frame_id)
    _U32.pack_into(output, _SERIAL_OFFSET, serial)
    (flags,) = _U16.unpack_from(output, _FLAGS_OFFSET)
    _U16.pack_into(output, _FLAGS_OFFSET, flags | MORE if more else flags & ~MORE)
    return bytes(output)
