"""A message without some of its ops (docs/protocol.md, section 5).

Standard library only, like `wire`. A pure function, safe from any thread; payloads are copied only if something is
really left out.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterable, Sequence
from typing import Final

from .wire import LOSSLESS, Buffer, Message, Op, parse_message

_U32: Final = struct.Struct("<I")
_U16: Final = struct.Struct("<H")
_PAYLOAD_SIZE_OFFSET: Final = 32
_OP_COUNT_OFFSET: Final = 36
_OP_OFFSET_OFFSET: Final = 16


def filter_ops(message: Buffer | Message, keep: Callable[[Op], bool]) -> Buffer:
    """Return the message without the ops that ``keep`` refuses, or the same object if none is.

    A lossless batch can only be read with all its rectangles, so its ops stay or go together: they stay if ``keep``
    wants any of them. Payload bytes nobody refers to any more are left out; the result is never larger than the
    input. The caller answers for the references of later frames. Raises `WireError` if ``message`` is malformed.
    """
    if not isinstance(message, Message):
        message = parse_message(message)
    header, ops = message.header, message.ops
    kept = [op.kind != LOSSLESS and keep(op) for op in ops]
    if any(keep(op) for op in ops if op.kind == LOSSLESS):
        kept = [wanted or op.kind == LOSSLESS for wanted, op in zip(kept, ops, strict=True)]
    if all(kept):
        return message.raw
    spans = _merge((op.offset, op.offset + op.length) for op, wanted in zip(ops, kept, strict=True) if wanted)
    view = memoryview(message.raw)
    output = bytearray(view[: header.header_size])
    _U16.pack_into(output, _OP_COUNT_OFFSET, sum(kept))
    _U32.pack_into(output, _PAYLOAD_SIZE_OFFSET, sum(end - start for start, end in spans))
    for index, (op, wanted) in enumerate(zip(ops, kept, strict=True)):
        if not wanted:
            continue
        record = header.header_size + index * header.op_size
        output += view[record : record + header.op_size]
        _U32.pack_into(output, len(output) - header.op_size + _OP_OFFSET_OFFSET, _moved(op, spans))
    for start, end in spans:
        output += message.payloads[start:end]
    return bytes(output)


def _merge(ranges: Iterable[tuple[int, int]]) -> list[tuple[int, int]]:
    """Return the union of byte ranges as sorted, separate spans, so that shared payloads are copied once."""
    spans: list[tuple[int, int]] = []
    for start, end in sorted(r for r in ranges if r[0] < r[1]):
        if spans and start <= spans[-1][1]:
            spans[-1] = (spans[-1][0], max(end, spans[-1][1]))
        else:
            spans.append((start, end))
    return spans


def _moved(op: Op, spans: Sequence[tuple[int, int]]) -> int:
    """Return where the payload of ``op`` starts once only ``spans`` are left."""
    if not op.length:
        return 0
    moved = 0
    for start, end in spans:
        if op.offset < end:
            return moved + op.offset - start
        moved += end - start
    raise AssertionError("a kept op's payload is always inside a span")
