"""The wire format: round trips, the relay's operations, and hostile input."""

from __future__ import annotations

import json
import struct
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from stripeengine import wire
from stripeengine.errors import WireError
from stripeengine.wire_filter import filter_ops

VECTORS = Path(__file__).resolve().parent.parent / "vectors"
MESSAGES = sorted((VECTORS / "messages").glob("*.bin"))
GOOD = [
    (VECTORS / name).read_bytes()
    for vector in json.loads((VECTORS / "manifest.json").read_text(encoding="utf-8"))["vectors"]
    if vector["valid"]
    for name in vector["messages"]
]

SIZE = (300, 200)


@st.composite
def rectangles(draw: st.DrawFn) -> tuple[int, int, int, int]:
    x, y = draw(st.integers(0, SIZE[0] - 1)), draw(st.integers(0, SIZE[1] - 1))
    return (x, y, draw(st.integers(1, SIZE[0] - x)), draw(st.integers(1, SIZE[1] - y)))


@st.composite
def messages(draw: st.DrawFn) -> bytes:
    """A valid frame of random ops; payload bytes are arbitrary."""
    area = wire.PayloadArea()
    ops: list[wire.Op] = []
    batch: list[tuple[int, int, int, int]] = []
    for kind in draw(st.lists(st.sampled_from(sorted(wire.OP_NAMES)), max_size=8)):
        place = draw(rectangles())
        if kind == wire.FILL:
            ops.append(wire.fill_op(place, draw(st.integers(0, 0xFFFFFF))))
        elif kind == wire.COPY:
            sx, sy = draw(st.integers(0, SIZE[0] - place[2])), draw(st.integers(0, SIZE[1] - place[3]))
            ops.append(wire.copy_op(place, sx, sy))
        elif kind == wire.LOSSLESS:
            if not batch:
                batch = [(0, y, SIZE[0], 8) for y in range(0, 8 * draw(st.integers(1, 4)), 8)]
                ops += area.lossless(batch, draw(st.binary(min_size=1, max_size=50)))
        else:
            payload = draw(st.binary(min_size=1, max_size=200))
            stream = draw(st.integers(0, 15)) if kind == wire.H264 else 0
            flags = draw(st.sampled_from((0, wire.KEY, wire.FINAL, wire.CHROMA_444 | wire.KEY)))
            ops.append(area.op(kind, place, payload, flags=flags, stream=stream))
    return wire.pack_message(
        epoch=draw(st.integers(1, 0xFFFFFFFF)),
        frame_id=draw(st.integers(1, 0xFFFFFFFF)),
        width=SIZE[0],
        height=SIZE[1],
        ops=ops,
        payloads=area.getvalue(),
        flags=draw(st.sampled_from((0, wire.RESIZED))),
        capture_us=draw(st.integers(0, 2**64 - 1)),
    )


def pack(ops: list[wire.Op] | None = None, **changes: Any) -> bytes:
    values: dict[str, Any] = {"epoch": 1, "frame_id": 1, "width": 64, "height": 48}
    values.update(changes)
    return wire.pack_message(ops=ops or [], **values)


@given(messages())
def test_pack_inverts_parse(data: bytes) -> None:
    message = wire.parse_message(data)
    header = message.header
    again = wire.pack_message(
        epoch=header.epoch,
        frame_id=header.frame_id,
        width=header.width,
        height=header.height,
        ops=message.ops,
        payloads=bytes(message.payloads),
        flags=header.flags,
        capture_us=header.capture_us,
    )
    assert again == data
    assert wire.peek(data) == header


@given(messages(), st.integers(0, 255))
def test_filter_keeps_exactly_what_is_wanted(data: bytes, mask: int) -> None:
    message = wire.parse_message(data)
    wanted = {id(op): bool(mask >> index % 8 & 1) for index, op in enumerate(message.ops)}
    lossless = any(wanted[id(op)] for op in message.ops if op.kind == wire.LOSSLESS)
    expected = [op for op in message.ops if (lossless if op.kind == wire.LOSSLESS else wanted[id(op)])]

    output = filter_ops(message, lambda op: wanted[id(op)])
    if len(expected) == len(message.ops):
        assert output is data
        return
    left = wire.parse_message(output)
    assert [op._replace(offset=0) for op in left.ops] == [op._replace(offset=0) for op in expected]
    assert [bytes(left.payload(op)) for op in left.ops] == [bytes(message.payload(op)) for op in expected]
    assert left.header == message.header._replace(op_count=len(expected), payload_size=left.header.payload_size)
    assert len(left.payloads) == sum({(op.offset, op.length): op.length for op in expected}.values())


def test_filter_copies_a_shared_payload_once() -> None:
    area = wire.PayloadArea()
    op = area.op(wire.JPEG, (0, 0, 8, 8), b"x" * 1000)
    data = pack(
        [op, op._replace(x=8), op._replace(offset=10, length=900), wire.fill_op((0, 0, 1, 1), 0)],
        payloads=area.getvalue(),
    )
    left = wire.parse_message(filter_ops(data, lambda op: op.kind == wire.JPEG))
    assert len(left.payloads) == 1000
    assert [(op.offset, op.length) for op in left.ops] == [(0, 1000), (0, 1000), (10, 900)]


def test_filter_keeps_what_a_later_version_added() -> None:
    data = (VECTORS / "messages" / "extended.1.bin").read_bytes()
    left = filter_ops(data, lambda op: op.kind == wire.COPY)
    message = wire.parse_message(left)
    assert [op.kind for op in message.ops] == [wire.COPY]
    assert bytes(left[48:56]) == b"\xee" * 8
    assert bytes(left[56 + 32 : 56 + 40]) == b"\xdd" * 8


def test_filter_refuses_a_malformed_message() -> None:
    with pytest.raises(WireError, match="^payload_size:"):
        filter_ops(pack()[:-1] + b"\0\0", lambda op: False)


def test_stateful_ops_are_copies_and_deltas() -> None:
    area = wire.PayloadArea()
    video = area.op(wire.H264, (0, 0, 16, 16), b"x")
    stateful = [wire.copy_op((0, 0, 1, 1), 1, 1), video]
    key = video._replace(flags=wire.KEY)
    stateless = [wire.fill_op((0, 0, 1, 1), 0), area.op(wire.JPEG, (0, 0, 9, 9), b"x", flags=wire.KEY), key]
    assert all(wire.is_stateful(op) for op in stateful)
    assert not any(wire.is_stateful(op) for op in stateless)


def test_an_address_changes_as_of_and_serial_and_nothing_else() -> None:
    snapshot = wire.pack_message(
        epoch=7,
        frame_id=5,
        width=64,
        height=64,
        ops=[wire.fill_op((0, 0, 64, 64), 3)],
        kind=wire.SNAPSHOT,
        flags=wire.PARTIAL,
    )
    header = wire.peek(wire.address(snapshot, 9, 4, False))
    assert header == wire.peek(snapshot)._replace(frame_id=9, serial=4) and header.partial and not header.more
    assert wire.peek(wire.address(wire.address(snapshot, 9, 4, True), 5, 0, False)) == wire.peek(snapshot)
    assert wire.peek(wire.address(snapshot, 9, 4, True)).more
    assert not wire.peek(snapshot.replace(bytes([1, 2]), bytes([1, 1]), 1)).partial  # a frame never is
    with pytest.raises(WireError, match="header"):
        wire.address(snapshot[:40], 9, 4, True)


def test_publish_stamp_changes_nothing_else() -> None:
    data = pack([wire.fill_op((1, 2, 3, 4), 5)])
    buffer = bytearray(data)
    wire.stamp_publish(buffer, 0x1122334455667788)
    assert wire.peek(buffer).publish_us == 0x1122334455667788
    wire.stamp_publish(memoryview(buffer), 0)
    assert buffer == data
    with pytest.raises(WireError, match="^header:"):
        wire.stamp_publish(bytearray(47), 1)


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"epoch": 0}, "epoch"),
        ({"frame_id": 0}, "frame_id"),
        ({"frame_id": 2**32}, "message"),
        ({"width": 0}, "width"),
        ({"height": 16385}, "height"),
        ({"kind": 4}, "kind"),
        ({"ops": [wire.fill_op((60, 0, 5, 5), 0)]}, r"ops\[0\].x"),
        ({"ops": [wire.fill_op((-1, 0, 5, 5), 0)]}, "message"),
        ({"ops": [wire.fill_op((0, 0, 1, 1), 0)] * 4097}, "op_count"),
        ({"payloads": bytes(wire.MAX_MESSAGE)}, "message"),
    ],
)
def test_pack_refuses_what_parse_would(changes: dict[str, Any], field: str) -> None:
    with pytest.raises(WireError, match=f"^{field}:"):
        pack(**changes)


def test_lossless_rectangles_are_bounded_by_the_picture() -> None:
    area = wire.PayloadArea()
    with pytest.raises(WireError, match=r"^ops\[1\].pw:.*more pixels than the picture"):
        pack(area.lossless([(0, 0, 64, 40), (0, 0, 64, 9)], b"x"), payloads=area.getvalue())


def test_limits_are_accepted_at_their_edge() -> None:
    area = wire.PayloadArea()
    op = area.op(wire.JPEG, (0, 0, 16384, 16384), b"x" * (wire.MAX_MESSAGE - 48 - 32 * 4096))
    data = pack([op] * 4096, width=16384, height=16384, payloads=area.getvalue())
    assert len(data) == wire.MAX_MESSAGE
    assert len(wire.parse_message(data).ops) == 4096
    assert wire.parse_message(pack(kind=wire.SNAPSHOT, frame_id=0)).header.frame_id == 0


@given(st.binary(max_size=400))
def test_random_bytes_raise_only_wire_errors(data: bytes) -> None:
    with pytest.raises(WireError):
        wire.parse_message(data)


@settings(max_examples=400, suppress_health_check=[HealthCheck.too_slow])
@given(st.sampled_from(GOOD), st.data())
def test_mutated_messages_parse_or_raise_wire_errors(good: bytes, data: st.DataObject) -> None:
    mutated = bytearray(good)
    for _ in range(data.draw(st.integers(1, 4))):
        mutated[data.draw(st.integers(0, min(len(mutated) - 1, 200)))] = data.draw(st.integers(0, 255))
    mutated = mutated[: data.draw(st.integers(len(mutated) - 3, len(mutated)))]
    try:
        message = wire.parse_message(mutated)
    except WireError as error:
        assert ":" in str(error)
        return
    header = message.header
    for op in message.ops:
        assert op.x + op.w <= header.width and op.y + op.h <= header.height
        assert op.sx + (op.w if op.kind == wire.COPY else 0) <= header.width
        assert len(message.payload(op)) == op.length
    assert wire.parse_message(filter_ops(mutated, lambda op: op.kind == wire.JPEG)).header.epoch == header.epoch


@given(messages(), st.integers(0, 47), st.integers(0, 255))
def test_every_header_byte_is_checked_or_free(data: bytes, offset: int, value: int) -> None:
    """A changed header byte either shows, or is one of those that may hold anything."""
    assume(data[offset] != value)
    mutated = bytearray(data)
    mutated[offset] = value
    try:
        changed = wire.parse_message(mutated).header
    except WireError:
        return
    assert changed != wire.peek(data)


def test_module_needs_the_standard_library_only() -> None:
    code = (
        "import sys; sys.path.insert(0, sys.argv[1]); import stripeengine.wire; "
        "sys.exit(any(name in sys.modules for name in ('numpy', 'av', 'cffi', 'turbojpeg', '_cffi_backend')))"
    )
    root = str(VECTORS.parent.parent)
    subprocess.run([sys.executable, "-c", code, root], check=True, timeout=30)


def test_hot_path_is_fast_enough_for_every_frame_and_viewer() -> None:
    area = wire.PayloadArea()
    data = pack([area.op(wire.JPEG, (0, 0, 16, 16), b"x" * 2000) for _ in range(20)], payloads=area.getvalue())

    def fastest(call: Any) -> float:
        times = []
        for _ in range(50):
            start = time.perf_counter()
            call()
            times.append(time.perf_counter() - start)
        return min(times)

    # About 35 µs and 1 µs on a slow core: the bounds only catch a change of order.
    assert fastest(lambda: wire.parse_message(data)) < 500e-6
    assert fastest(lambda: wire.peek(data)) < 50e-6


def test_layout_is_that_of_the_protocol_page() -> None:
    """Offsets written out once more, from the tables of docs/protocol.md."""
    area = wire.PayloadArea()
    area.add(b"????")
    op = area.op(wire.H264, (5, 6, 7, 8), b"abc", (16, 32), flags=wire.CROP, stream=9)
    data = pack([op], payloads=area.getvalue(), capture_us=10, publish_us=11, encode_us=12, flags=wire.RESIZED)
    assert data[:4] == bytes((1, 1, 48, 32))
    assert struct.unpack_from("<II", data, 4) == (1, 1)
    assert struct.unpack_from("<HH", data, 12) == (64, 48)
    assert struct.unpack_from("<QQ", data, 16) == (10, 11)
    assert struct.unpack_from("<IHHII", data, 32) == (7, 1, 1, 12, 0)
    assert data[48:50] == bytes((5, 2))
    assert struct.unpack_from("<H4H2H", data, 50) == (9, 5, 6, 7, 8, 0, 0)
    assert struct.unpack_from("<IIHHI", data, 64) == (4, 3, 16, 32, 0)
    assert data[80:] == b"????abc"
