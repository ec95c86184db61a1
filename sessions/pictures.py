"""Answers of a worker in forms that worker and web tier share. Pure functions; nothing blocks."""

from __future__ import annotations

from collections.abc import Sequence

from stripeengine import wire


def empty_repair(epoch: int, frame_id: int, width: int, height: int) -> bytes:
    """Return a repair of nothing: it tells the picture's size, or is sent for its acknowledgement."""
    return wire.pack_message(
        epoch=epoch, frame_id=frame_id, width=width, height=height, kind=wire.SNAPSHOT, flags=wire.PARTIAL
    )


def as_snapshot(parts: Sequence[wire.Buffer]) -> list[bytes]:
    """Return a repair of the whole picture as a snapshot. Raises `WireError` if it is malformed."""
    whole = []
    for number, part in enumerate(parts, 1):
        message = wire.parse_message(part)
        header = message.header
        data = wire.pack_message(
            epoch=header.epoch,
            frame_id=header.frame_id,
            width=header.width,
            height=header.height,
            ops=message.ops,
            payloads=bytes(message.payloads),
            kind=wire.SNAPSHOT,
            flags=wire.MORE if number < len(parts) else 0,
            capture_us=header.capture_us,
            encode_us=header.encode_us,
        )
        whole.append(data)
    return whole
