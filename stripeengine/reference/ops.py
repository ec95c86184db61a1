"""Encoded ops before they have a place in a message, and how messages are filled. Pure functions and plain data."""

from __future__ import annotations

from dataclasses import dataclass

from .. import wire

Rectangle = tuple[int, int, int, int]


@dataclass(frozen=True, slots=True)
class Encoded:
    """One op before its place in a message is known. ``size`` is the decoded payload's."""

    kind: int
    flags: int
    stream: int
    rectangle: Rectangle
    size: tuple[int, int]
    payload: bytes


def fill_messages(encoded: list[Encoded]) -> list[list[Encoded]]:
    """Group ops, in order, into messages of at most `wire.MESSAGE_AIM` bytes; one too large for that goes alone.

    A message holds one lossless batch at most.
    """
    groups: list[list[Encoded]] = [[]]
    size = wire.HEADER_SIZE
    for item in encoded:
        cost = wire.OP_SIZE + len(item.payload)
        full = size + cost > wire.MESSAGE_AIM or len(groups[-1]) == wire.MAX_OPS
        if groups[-1] and (full or (item.kind == wire.LOSSLESS and any(e.kind == wire.LOSSLESS for e in groups[-1]))):
            groups.append([])
            size = wire.HEADER_SIZE
        groups[-1].append(item)
        size += cost
    return groups
