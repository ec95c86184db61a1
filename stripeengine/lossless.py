"""The lossless batch of docs/protocol.md section 4: a complete decoder and a simple encoder.

Photographs are predicted (`prediction`), everything else is byte ops.

Pure functions on numpy arrays, safe from any thread. Work and memory are bounded by the number of pixels the caller
announces: a batch that would inflate or run further is refused with `DecodeError`.
"""

from __future__ import annotations

import struct
import zlib
from collections import Counter
from collections.abc import Collection, Sequence
from typing import Final

import numpy as np
import numpy.typing as npt

from .errors import DecodeError
from .prediction import Pixels, predict, restore

DEFLATED: Final = 1
FORMS: Final = 2
OPS: Final = 0  # forms
PREDICTED: Final = 1
ESCAPE: Final = 255
MAX_RUN: Final = 8192  # of the two long ops
DEFLATE_FROM: Final = 1024  # op stream bytes from which raw deflate pays

_SHORT_RUN: Final = 32
_MAX_LITERALS: Final = 128
_UP: Final = 0x80
_LEFT: Final = 0xA0
_LONG: Final = 0x40


def decode_batch(payload: bytes | memoryview, sizes: Sequence[tuple[int, int]]) -> list[Pixels]:
    """Return the rectangles of a batch as H×W×3 uint8 arrays.

    ``sizes`` are their ``(width, height)`` in order. Raises `DecodeError` if the batch breaks section 4.
    """
    areas = [width * height for width, height in sizes]
    flags, palette, stream = _open_batch(payload, sum(areas))
    forms = _read_forms(stream, len(sizes)) if flags & FORMS else bytes(len(sizes))
    predicted = sum(area for area, form in zip(areas, forms, strict=True) if form == PREDICTED)
    position, end = len(sizes) if flags & FORMS else 0, len(stream) - 3 * predicted
    if end < position:
        raise DecodeError("lossless: the stream ends inside the planes of its predicted rectangles")
    planes = np.frombuffer(stream, np.uint8, 3 * predicted, end).reshape(3, predicted)
    ops = stream[:end]
    rectangles = []
    used = 0
    for (width, height), area, form in zip(sizes, areas, forms, strict=True):
        if form == PREDICTED:
            rectangles.append(restore(planes[:, used : used + area].reshape(3, height, width)))
            used += area
            continue
        pixels = np.zeros((area, 3), dtype=np.uint8)
        position = _decode_rectangle(ops, position, palette, pixels, width)
        rectangles.append(pixels.reshape(height, width, 3))
    if position != end:
        raise DecodeError(f"lossless: {end - position} bytes follow the last rectangle")
    return rectangles


def _read_forms(stream: bytes, count: int) -> bytes:
    """Return the form of each rectangle."""
    forms = stream[:count]
    if len(forms) < count:
        raise DecodeError("lossless: the stream ends inside the forms of its rectangles")
    for form in forms:
        if form not in (OPS, PREDICTED):
            raise DecodeError(f"lossless: form {form} is not known to this reader: the batch is of a newer version")
    return forms


def _open_batch(payload: bytes | memoryview, pixels: int) -> tuple[int, Pixels, bytes]:
    """Return the flags, the palette and the op stream, inflated."""
    data = bytes(payload)
    if len(data) < 2 or len(data) < 6 + 3 * data[1]:
        raise DecodeError("lossless: the batch ends inside its header")
    flags, palette_size = data[0], data[1]
    if flags & ~(DEFLATED | FORMS):
        raise DecodeError(f"lossless: flags {flags:#x} are not known to this reader: the batch is of a newer version")
    palette_end = 2 + 3 * palette_size
    palette = np.frombuffer(data, np.uint8, 3 * palette_size, 2).reshape(palette_size, 3)
    (op_bytes,) = struct.unpack_from("<I", data, palette_end)
    if op_bytes > 4 * pixels + 64:
        raise DecodeError(f"lossless: op_bytes {op_bytes} is more than {pixels} pixels can need")
    body = data[palette_end + 4 :]
    if flags & DEFLATED:
        inflater = zlib.decompressobj(-zlib.MAX_WBITS)
        try:
            # One byte more than announced: a stream that goes on is noticed without inflating the rest of it.
            body = inflater.decompress(body, op_bytes + 1)
        except zlib.error as error:
            raise DecodeError(f"lossless: the body is not raw deflate: {error}") from None
        if inflater.unconsumed_tail or inflater.unused_data or not inflater.eof:
            raise DecodeError("lossless: the deflated body ends early or late")
    if len(body) != op_bytes:
        raise DecodeError(f"lossless: op_bytes says {op_bytes}, the stream has {len(body)}")
    return flags, palette, body


def _decode_rectangle(stream: bytes, position: int, palette: Pixels, pixels: Pixels, width: int) -> int:
    """Run byte ops from ``position`` until ``pixels`` (N×3, scan order) is full; return where the stream stands."""
    done, total, end = 0, len(pixels), len(stream)
    while done < total:
        if position >= end:
            raise DecodeError("lossless: the stream ends before its rectangle is full")
        byte = stream[position]
        position += 1
        if byte < _UP:
            count = byte + 1
            if count > total - done:
                raise DecodeError("lossless: literals run past the end of their rectangle")
            position = _read_literals(stream, position, palette, pixels[done : done + count])
            done += count
            continue
        if byte < _UP + _LONG:
            count = (byte & 0x1F) + 1
        else:
            if position >= end:
                raise DecodeError("lossless: the stream ends inside a long op")
            count = ((byte & 0x1F) << 8 | stream[position]) + 1
            position += 1
        if count > total - done:
            raise DecodeError("lossless: a run passes the end of its rectangle")
        if byte & 0x20:
            if done == 0:
                raise DecodeError("lossless: a repeat at the first pixel of a rectangle")
            pixels[done : done + count] = pixels[done - 1]
        else:
            if done < width:
                raise DecodeError("lossless: a copy from above in the first row")
            # A run longer than a row copies rows it has just written: one row at a time keeps that order.
            for start in range(done, done + count, width):
                stop = min(start + width, done + count)
                pixels[start:stop] = pixels[start - width : stop - width]
        done += count
    return position


def _read_literals(stream: bytes, position: int, palette: Pixels, target: Pixels) -> int:
    """Fill ``target`` (N×3) with literals; return the position after them."""
    count = len(target)
    plain = np.frombuffer(stream, np.uint8, min(count, len(stream) - position), position)
    if len(plain) == count and plain.max() < len(palette):
        target[:] = palette[plain]
        return position + count
    for index in range(count):
        if position >= len(stream):
            raise DecodeError("lossless: the stream ends inside literals")
        literal = stream[position]
        position += 1
        if literal == ESCAPE:
            if position + 3 > len(stream):
                raise DecodeError("lossless: the stream ends inside an escaped colour")
            target[index] = (stream[position], stream[position + 1], stream[position + 2])
            position += 3
        elif literal < len(palette):
            target[index] = palette[literal]
        else:
            raise DecodeError(f"lossless: literal {literal} is outside the palette of {len(palette)}")
    return position


def encode_batch(
    rectangles: Sequence[Pixels], *, deflate: bool | None = None, predicted: Collection[int] = ()
) -> bytes:
    """Return the batch of H×W×3 uint8 ``rectangles``.

    ``deflate`` forces or forbids raw deflate; None deflates from `DEFLATE_FROM` bytes on where that is smaller.
    ``predicted`` are the indices of those that show photographs.
    """
    others = [rectangle for index, rectangle in enumerate(rectangles) if index not in predicted]
    palette, ops = _encode_ops(others)
    flags, body = 0, ops
    if predicted:
        flags = FORMS
        forms = bytes(PREDICTED if index in predicted else OPS for index in range(len(rectangles)))
        planes = [predict(rectangle) for index, rectangle in enumerate(rectangles) if index in predicted]
        body = forms + ops + b"".join(part[plane].tobytes() for plane in range(3) for part in planes)
    head = bytes((len(palette),)) + b"".join(colour.to_bytes(3, "big") for colour in palette)
    head += struct.pack("<I", len(body))
    if deflate or (deflate is None and len(body) >= DEFLATE_FROM):
        packer = zlib.compressobj(1, zlib.DEFLATED, -zlib.MAX_WBITS)
        packed = packer.compress(body) + packer.flush()
        if deflate or len(packed) < len(body):
            return bytes((flags | DEFLATED,)) + head + packed
    return bytes((flags,)) + head + body


def _encode_ops(rectangles: Sequence[Pixels]) -> tuple[list[int], bytes]:
    """Return the palette, 0xRRGGBB each, and the byte ops of all rectangles."""
    passes = [_find_runs(rectangle) for rectangle in rectangles]
    counts = Counter(colour for runs in passes for kind, _, literals in runs if kind is None for colour in literals)
    palette = [colour for colour, _ in counts.most_common(255)]
    indices = {colour: index for index, colour in enumerate(palette)}
    stream = bytearray()
    for runs in passes:
        for kind, count, literals in runs:
            if kind is None:
                stream.append(count - 1)
                for colour in literals:
                    index = indices.get(colour, ESCAPE)
                    stream.append(index)
                    if index == ESCAPE:
                        stream += colour.to_bytes(3, "big")
            elif count <= _SHORT_RUN:
                stream.append(kind | count - 1)
            else:
                stream += bytes((kind | _LONG | (count - 1) >> 8, (count - 1) & 0xFF))
    return palette, bytes(stream)


_Run = tuple[int | None, int, Sequence[int]]  # op byte (None: literals), pixels, colours of the literals


def _find_runs(rectangle: Pixels) -> list[_Run]:
    """Cut a rectangle, in scan order, into the longest runs from above or from the left, and literals between them."""
    height, width = rectangle.shape[:2]
    wide = rectangle.reshape(-1, 3).astype(np.uint32)
    colours = wide[:, 0] << 16 | wide[:, 1] << 8 | wide[:, 2]
    total = width * height
    left = np.zeros(total, dtype=bool)
    left[1:] = colours[1:] == colours[:-1]
    above = np.zeros(total, dtype=bool)
    above[width:] = colours[width:] == colours[:-width] if height > 1 else False
    left_runs, above_runs = _run_lengths(left), _run_lengths(above)
    values = colours.tolist()
    runs: list[_Run] = []
    position = start = 0
    while position < total:
        count, kind = max((above_runs[position], _UP), (left_runs[position], _LEFT))
        if count == 0:
            position += 1
            continue
        runs += _literal_runs(values[start:position])
        count = min(count, MAX_RUN)
        runs.append((kind, count, ()))
        position += count
        start = position
    return runs + _literal_runs(values[start:])


def _literal_runs(colours: list[int]) -> list[_Run]:
    pieces = (colours[at : at + _MAX_LITERALS] for at in range(0, len(colours), _MAX_LITERALS))
    return [(None, len(piece), piece) for piece in pieces]


def _run_lengths(matches: npt.NDArray[np.bool_]) -> list[int]:
    """Return for each position how many matches follow without a gap, itself included."""
    positions = np.arange(len(matches))
    gaps = np.where(matches, len(matches), positions)
    next_gap = np.minimum.accumulate(gaps[::-1])[::-1]
    lengths: list[int] = (next_gap - positions).tolist()
    return lengths
