"""Writes the test vectors of the wire format: messages, expected pictures and ``manifest.json``.

Run ``python tests/vectors/generate.py`` from the root. The output is deterministic: the payloads of foreign encoders
(JPEG, H.264, deflate) are taken over from the committed vectors when they exist, unless ``--encode`` asks for new ones,
so that another version of an encoder does not change every file.
"""

from __future__ import annotations

import argparse
import itertools
import json
import struct
import sys
from collections.abc import Callable, Collection
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent.parent))

from stripeengine import wire  # noqa: E402
from stripeengine.colour import Colour  # noqa: E402
from stripeengine.decode import Decoder  # noqa: E402
from stripeengine.errors import DecodeError, WireError  # noqa: E402
from stripeengine.lossless import encode_batch  # noqa: E402

Pixels = npt.NDArray[np.uint8]
EPOCH = 0x51A1B2C3
WIDTH, HEIGHT = 48, 32
NONE = 0  # tolerance of exact forms


def gradient(width: int, height: int) -> Pixels:
    """Return a smooth picture, which every lossy codec keeps within a few levels."""
    y, x = np.mgrid[0:height, 0:width]
    return np.stack((x * 200 // width + 30, y * 200 // height + 30, (x + y) * 100 // (width + height) + 80), 2).astype(
        np.uint8
    )


def text_like(width: int, height: int) -> Pixels:
    """Return dark strokes on a light ground."""
    picture = np.full((height, width, 3), (250, 248, 240), dtype=np.uint8)
    for row in range(2, height - 6, 9):
        for column in range(2, width - 4, 6):
            picture[row : row + 6, column + (row + column) % 3] = (20, 24, 40)
            picture[row + (row * column) % 6, column : column + 4] = (120, 110, 100)
    return picture


def many_colours(width: int, height: int) -> Pixels:
    """Return more than 255 colours without runs, so that literals need the escape."""
    return np.random.default_rng(7).integers(0, 256, (height, width, 3), dtype=np.uint8)


class Payloads:
    """Payloads of foreign encoders by name: committed ones, or new ones from the reference pipeline's encoders."""

    def __init__(self, renew: bool) -> None:
        self._path = HERE / "payloads"
        self._renew = renew

    def get(self, name: str, make: Callable[[], list[bytes]]) -> list[bytes]:
        """Return the payloads called ``name``."""
        self._path.mkdir(exist_ok=True)
        files = sorted(self._path.glob(f"{name}.*.bin"))
        if self._renew or not files:
            made = make()
            for index, payload in enumerate(made):
                (self._path / f"{name}.{index}.bin").write_bytes(payload)
            return made
        return [file.read_bytes() for file in files]

    def jpeg(self, name: str, pixels: Pixels, chroma: str) -> bytes:
        """Return a JPEG of quality 92."""

        def make() -> list[bytes]:
            from stripeengine.reference.encoders import encode_jpeg

            return [encode_jpeg(pixels, 92, chroma)]

        return self.get(name, make)[0]

    def deflated(self, name: str, rectangles: list[Pixels], predicted: Collection[int] = ()) -> bytes:
        """Return a batch whose op stream is deflated."""
        return self.get(name, lambda: [encode_batch(rectangles, deflate=True, predicted=predicted)])[0]

    def h264(
        self, name: str, pictures: list[Pixels], chroma: str, space: str = "bt709", levels: str = "limited"
    ) -> list[bytes]:
        """Return a key frame and delta frames, rate factor 12."""

        def make() -> list[bytes]:
            from stripeengine.reference.encoders import VideoEncoder

            encoder = VideoEncoder(pictures[0].shape[1], pictures[0].shape[0], 12, chroma, Colour(space, levels))
            return [encoder.encode(picture, key=index == 0) for index, picture in enumerate(pictures)]

        return self.get(name, make)


def message(
    frame_id: int, area: wire.PayloadArea | None = None, ops: list[wire.Op] | None = None, **header: Any
) -> bytes:
    """Pack a message of the usual size and epoch."""
    values: dict[str, Any] = {"epoch": EPOCH, "width": WIDTH, "height": HEIGHT, "capture_us": 1_000_000 + frame_id}
    values.update(header)
    return wire.pack_message(frame_id=frame_id, ops=ops or [], payloads=area.getvalue() if area else b"", **values)


def snapshot(
    frame_id: int = 0, ops: list[wire.Op] | None = None, area: wire.PayloadArea | None = None, **header: Any
) -> bytes:
    """Pack a snapshot; without ops a grey picture."""
    ground = [wire.fill_op((0, 0, header.get("width", WIDTH), header.get("height", HEIGHT)), 0x404850)]
    return message(frame_id, area, ground if ops is None else ops, kind=wire.SNAPSHOT, **header)


def lossless_frame(frame_id: int, rectangles: list[tuple[int, int, Pixels]], batch: bytes | None = None) -> bytes:
    """Pack a frame of one lossless batch, not deflated unless ``batch`` is given."""
    area = wire.PayloadArea()
    batch = batch or encode_batch([pixels for _, _, pixels in rectangles], deflate=False)
    places = [(x, y, pixels.shape[1], pixels.shape[0]) for x, y, pixels in rectangles]
    return message(frame_id, area, area.lossless(places, batch))


def raw_batch(
    frame_id: int, width: int, height: int, body: bytes, palette: bytes = b"", op_bytes: int = -1, flags: int = 0
) -> bytes:
    """Pack a frame of one lossless rectangle whose op stream is written by hand."""
    head = bytes((flags, len(palette) // 3)) + palette + struct.pack("<I", len(body) if op_bytes < 0 else op_bytes)
    area = wire.PayloadArea()
    return message(frame_id, area, area.lossless([(0, 0, width, height)], head + body))


def valid_vectors(payloads: Payloads) -> list[dict[str, Any]]:
    """Return the sequences every reader must accept."""
    vectors: list[dict[str, Any]] = []

    def add(name: str, description: str, messages: list[bytes], tolerance: float = NONE, **more: Any) -> None:
        vectors.append({"name": name, "description": description, "messages": messages, "tolerance": tolerance, **more})

    smooth, text = gradient(WIDTH, HEIGHT), text_like(WIDTH, HEIGHT)
    add("empty-frame", "A frame without ops changes nothing.", [snapshot(), message(1)])
    add(
        "fill",
        "Fills, the second over part of the first.",
        [
            snapshot(),
            message(1, ops=[wire.fill_op((3, 2, 30, 20), 0x112233), wire.fill_op((20, 10, 28, 22), 0xFF8000)]),
        ],
    )
    textual = lossless_frame(1, [(0, 0, text)])
    add("lossless-plain", "One lossless rectangle, op stream as it is.", [snapshot(), textual])
    two = [(0, 0, text[:16]), (5, 17, smooth[:13, :40])]
    packed = payloads.deflated("lossless-deflate", [pixels for _, _, pixels in two])
    add(
        "lossless-deflate",
        "Two lossless rectangles in one raw-deflated batch.",
        [snapshot(), lossless_frame(1, two, packed)],
    )
    add(
        "lossless-escape",
        "More colours than a palette holds: literals with the RGB escape.",
        [snapshot(), lossless_frame(1, [(4, 4, many_colours(40, 24))])],
    )
    literals = b"\x03\x00\x01\x02\xff\x09\x08\x07"
    add(
        "lossless-runs",
        "Every op by hand: literals, repeats short and long, copies from above short, long and over several rows.",
        [
            snapshot(),
            raw_batch(1, 40, 31, literals + b"\xa3" + b"\xe0\x1f" + b"\x87" + b"\xc4\xa7", bytes(range(40, 49))),
        ],
    )
    photo = (smooth + np.random.default_rng(5).integers(0, 9, smooth.shape, dtype=np.uint8)).astype(np.uint8)
    mixed = [(0, 0, photo[:16, :30]), (30, 0, text[:16, :18]), (0, 16, many_colours(20, 7)), (20, 16, photo[16:, 20:])]
    parts = [pixels for _, _, pixels in mixed]
    add(
        "lossless-predicted",
        "Photograph, text, noise and photograph: the second as byte ops, the others predicted.",
        [snapshot(), lossless_frame(1, mixed, encode_batch(parts, deflate=False, predicted=(0, 2, 3)))],
    )
    packed = payloads.deflated("lossless-predicted-deflate", parts, (0, 3))
    add(
        "lossless-predicted-deflate",
        "Two photographs predicted between text and noise as byte ops, deflated.",
        [snapshot(), lossless_frame(1, mixed, packed)],
    )
    green, red, blue = b"\x40\x05\xfe\x03\x00\xff", b"\x0a\xf6\x00\x00\x01\x02", b"\xf6\x00\x00\x80\x80\x00"
    add(
        "lossless-planes",
        "Three pixels by two, predicted, every residual by hand.",
        [snapshot(), raw_batch(1, 3, 2, b"\x01" + green + red + blue, flags=2)],
    )
    add(
        "copy",
        "Copies that overlap their source down, up, left and right, and one of what the op before it drew.",
        [
            snapshot(),
            textual,
            message(
                2,
                ops=[
                    wire.copy_op((0, 5, 48, 27), 0, 0),
                    wire.copy_op((0, 0, 40, 20), 0, 7),
                    wire.copy_op((0, 3, 40, 10), 6, 3),
                    wire.copy_op((9, 15, 39, 12), 2, 14),
                    wire.fill_op((40, 0, 8, 8), 0x00FF00),
                    wire.copy_op((0, 24, 8, 8), 40, 0),
                ],
            ),
        ],
    )
    for chroma in ("420", "444"):
        area = wire.PayloadArea()
        payload = payloads.jpeg(f"jpeg-{chroma}", smooth, chroma)
        flags = wire.CHROMA_444 if chroma == "444" else 0
        add(
            f"jpeg-{chroma}",
            f"One JPEG, 4:{chroma[1]}:{chroma[2]}.",
            [snapshot(), message(1, area, [area.op(wire.JPEG, (0, 0, WIDTH, HEIGHT), payload, flags=flags)])],
            2.5,
        )
    area = wire.PayloadArea()
    payload = payloads.jpeg("jpeg-crop", gradient(32, 32), "420")
    op = area.op(wire.JPEG, (10, 3, 27, 19), payload, (32, 32), flags=wire.CROP | wire.FINAL)
    add("jpeg-crop", "A padded JPEG: only its top left is shown.", [snapshot(), message(1, area, [op])], 2.5)
    area = wire.PayloadArea()
    payload = payloads.jpeg("jpeg-stretch", gradient(24, 16), "444")
    op = area.op(wire.JPEG, (0, 0, WIDTH, HEIGHT), payload, (24, 16))
    add("jpeg-stretch", "A JPEG of half the size, scaled bilinearly.", [snapshot(), message(1, area, [op])], 4.0)
    area = wire.PayloadArea()
    batch = encode_batch([text_like(12, 8)])
    ops = [op._replace(w=24, h=16) for op in area.lossless([(4, 6, 12, 8)], batch)]
    add("lossless-stretch", "A lossless payload of half the size.", [snapshot(), message(1, area, ops)], 2.0)
    for chroma in ("420", "444"):
        needs = "h264" if chroma == "420" else "h264-444"
        moved = np.roll(smooth, 4, axis=1)
        key, delta, last = payloads.h264(f"h264-{chroma}", [smooth, moved, smooth], chroma)
        flags = wire.CHROMA_444 if chroma == "444" else 0
        sequence = [snapshot()]
        for frame_id, payload in enumerate((key, delta, last), 1):
            area = wire.PayloadArea()
            kind_flags = flags | (wire.KEY if frame_id == 1 else 0)
            op = area.op(wire.H264, (0, 0, WIDTH, HEIGHT), payload, flags=kind_flags, stream=3)
            sequence.append(message(frame_id, area, [op]))
        name = f"h264-{chroma}"
        add(name, f"A key frame and two delta frames, 4:{chroma[1]}:{chroma[2]}.", sequence, 3.0, requires=[needs])
    colours = np.zeros((HEIGHT, WIDTH, 3), dtype=np.uint8)
    for index, colour in enumerate(((255, 255, 255), (255, 0, 0), (0, 255, 0), (0, 0, 255), (255, 255, 0), (0, 0, 0))):
        colours[:, index * WIDTH // 6 : (index + 1) * WIDTH // 6] = colour
    colours[HEIGHT // 2 :] = smooth[HEIGHT // 2 :]
    for chroma, (space, levels) in itertools.product(
        ("420", "444"), (("bt709", "full"), ("bt601", "limited"), ("bt601", "full"))
    ):
        name = f"h264-{space}-{levels}-{chroma}"
        area = wire.PayloadArea()
        (payload,) = payloads.h264(name, [colours], chroma, space, levels)
        flags = wire.KEY | (wire.CHROMA_444 if chroma == "444" else 0)
        op = area.op(wire.H264, (0, 0, WIDTH, HEIGHT), payload, flags=flags, stream=1)
        add(
            name, f"{space.upper()}, {levels} range, 4:{chroma[1]}:{chroma[2]}.", [snapshot(), message(1, area, [op])],
            3.0, requires=["h264" if chroma == "420" else "h264-444"],
        )  # fmt: skip
    sequence = [snapshot()]
    for space, levels in (("bt709", "limited"), ("bt601", "full"), ("bt601", "limited"), ("bt709", "full")):
        pictures = [np.roll(colours, 8 * len(sequence), axis=1), np.roll(colours, 8 * len(sequence) + 8, axis=1)]
        for number, payload in enumerate(
            payloads.h264(f"h264-{space}-{levels}-change", pictures, "420", space, levels)
        ):
            area = wire.PayloadArea()
            op = area.op(wire.H264, (0, 0, WIDTH, HEIGHT), payload, flags=0 if number else wire.KEY, stream=2)
            sequence.append(message(len(sequence), area, [op]))
    add("h264-colours-change", "A stream whose key frames change matrix and range.", sequence, 3.0, requires=["h264"])
    padded = np.pad(gradient(41, 27), ((0, 5), (0, 7), (0, 0)), mode="edge")
    key, delta = payloads.h264("h264-crop", [padded, padded[::-1]], "420")
    sequence = [snapshot()]
    for frame_id, payload in enumerate((key, delta), 1):
        area = wire.PayloadArea()
        flags = wire.CROP | (wire.KEY if frame_id == 1 else 0)
        op = area.op(wire.H264, (2, 1, 41, 27), payload, (48, 32), flags=flags, stream=15)
        sequence.append(message(frame_id, area, [op]))
    add("h264-crop", "An odd rectangle in a padded video.", sequence, 3.0, requires=["h264"])
    area = wire.PayloadArea()
    parts = [
        snapshot(5, [wire.fill_op((0, 0, WIDTH, 16), 0x223344)], flags=wire.MORE),
        snapshot(5, area.lossless([(0, 16, WIDTH, 16)], encode_batch([text[:16]])), area),
    ]
    late = message(5, ops=[wire.fill_op((0, 0, 9, 9), 0xFF0000)])
    after = message(7, ops=[wire.copy_op((0, 0, WIDTH, 8), 0, 16)])
    add(
        "snapshot-more",
        "A snapshot in two parts as of frame 5; frame 5 comes again and is ignored; frame 7 follows without a frame 6.",
        [*parts, late, after],
        frame_id=7,
    )
    small = message(2, ops=[wire.fill_op((1, 1, 20, 9), 0x778899)], width=30, height=17, flags=wire.RESIZED)
    add(
        "resized",
        "The picture gets another size and starts from black.",
        [snapshot(), message(1, ops=[wire.fill_op((0, 0, 9, 9), 0xFFFFFF)]), small],
        width=30,
        height=17,
    )
    add(
        "new-epoch",
        "A frame of another epoch is ignored until its snapshot comes.",
        [
            snapshot(),
            message(9, ops=[wire.fill_op((0, 0, 9, 9), 0xFF0000)], epoch=EPOCH + 1),
            snapshot(9, [wire.fill_op((0, 0, WIDTH, HEIGHT), 0x0000FF)], epoch=EPOCH + 1),
            message(10, ops=[wire.fill_op((9, 9, 9, 9), 0xFFFF00)], epoch=EPOCH + 1),
        ],
        epoch=EPOCH + 1,
        frame_id=10,
    )
    extended = bytearray(message(1, ops=[wire.fill_op((2, 2, 5, 5), 0xABCDEF), wire.copy_op((20, 20, 5, 5), 2, 2)]))
    head, table = extended[:48], extended[48:]
    head[2], head[3] = 56, 40
    extended = head + b"\xee" * 8 + table[:32] + b"\xdd" * 8 + table[32:] + b"\xdd" * 8
    add("extended", "A longer header and longer records of a later minor version.", [snapshot(), bytes(extended)])
    unknown_flags = message(1, ops=[wire.fill_op((2, 2, 5, 5), 0xABCDEF, flags=0xF0)], flags=0xFFF0)
    add("unknown-flags", "Flag bits without a meaning yet are ignored.", [snapshot(), unknown_flags])
    return vectors


def patched(base: bytes, offset: int, layout: str, value: int) -> bytes:
    """Return ``base`` with one field overwritten."""
    copy = bytearray(base)
    struct.pack_into("<" + layout, copy, offset, value)
    return bytes(copy)


def malformed_vectors(payloads: Payloads) -> list[dict[str, Any]]:
    """Return messages every reader must refuse whole. ``error`` is the field at fault, ``stage`` where it shows."""
    vectors: list[dict[str, Any]] = []

    def add(name: str, error: str, data: bytes, stage: str = "parse") -> None:
        vectors.append({"name": f"bad-{name}", "messages": [snapshot(), data], "error": error, "stage": stage})

    area = wire.PayloadArea()
    jpeg = payloads.jpeg("jpeg-444", gradient(WIDTH, HEIGHT), "444")
    jpeg_op = area.op(wire.JPEG, (0, 0, WIDTH, HEIGHT), jpeg)
    good = message(1, area, [jpeg_op])
    fill = message(1, ops=[wire.fill_op((1, 1, 4, 4), 1)])
    copy = message(1, ops=[wire.copy_op((1, 1, 4, 4), 8, 8)])
    batch = lossless_frame(1, [(0, 0, text_like(16, 16)), (16, 0, text_like(16, 16))])
    record = wire.HEADER_SIZE
    second = record + wire.OP_SIZE

    add("empty", "header", b"")
    add("short-header", "header", good[:47])
    add("version", "version", patched(good, 0, "B", 2))
    add("kind", "kind", patched(good, 1, "B", 3))
    add("header-size", "header_size", patched(good, 2, "B", 40))
    add("op-size", "op_size", patched(good, 3, "B", 16))
    add("epoch", "epoch", patched(good, 4, "I", 0))
    add("frame-id", "frame_id", patched(good, 8, "I", 0))
    add("width-zero", "width", patched(good, 12, "H", 0))
    add("width-large", "width", patched(good, 12, "H", 16385))
    add("height-zero", "height", patched(good, 14, "H", 0))
    add("truncated", "payload_size", good[:-1])
    add("trailing-byte", "payload_size", good + b"\0")
    add("payload-size", "payload_size", patched(good, 32, "I", 0xFFFFFFFF))
    add("op-count-more-than-there", "payload_size", patched(good, 36, "H", 2))
    add("op-count-large", "op_count", patched(good, 36, "H", 4097))
    add("op-kind", "ops[0].kind", patched(fill, record, "B", 6))
    add("op-kind-zero", "ops[0].kind", patched(fill, record, "B", 0))
    add("op-width", "ops[0].w", patched(fill, record + 8, "H", 0))
    add("op-height", "ops[0].h", patched(fill, record + 10, "H", 0))
    add("op-outside-x", "ops[0].x", patched(fill, record + 4, "H", WIDTH - 3))
    add("op-outside-y", "ops[0].y", patched(fill, record + 6, "H", 65535))
    add("fill-colour", "ops[0].value", patched(fill, record + 28, "I", 0x01000000))
    add("fill-payload-size", "ops[0].pw", patched(fill, record + 24, "H", 4))
    add("fill-source", "ops[0].sx", patched(fill, record + 12, "H", 1))
    add("fill-stream", "ops[0].stream", patched(fill, record + 2, "H", 1))
    add("copy-outside", "ops[0].sx", patched(copy, record + 12, "H", WIDTH - 3))
    add("copy-outside-y", "ops[0].sy", patched(copy, record + 14, "H", HEIGHT))
    add("copy-value", "ops[0].value", patched(copy, record + 28, "I", 1))
    add("op-payload-outside", "ops[0].length", patched(good, record + 20, "I", len(jpeg) + 1))
    add("op-payload-overflow", "ops[0].length", patched(good, record + 16, "I", 0xFFFFFFFF))
    add("op-payload-empty", "ops[0].length", patched(good, record + 20, "I", 0))
    add("op-payload-zero-wide", "ops[0].pw", patched(good, record + 24, "H", 0))
    add("op-payload-large", "ops[0].ph", patched(good, record + 26, "H", 16385))
    smaller = patched(patched(good, record + 1, "B", wire.CROP), record + 24, "H", WIDTH - 1)
    add("crop-too-small", "ops[0].pw", smaller)
    add("stream-large", "ops[0].stream", patched(patched(good, record, "B", wire.H264), record + 2, "H", 16))
    add("lossless-index", "ops[1].value", patched(batch, second + 28, "I", 2))
    (length,) = struct.unpack_from("<I", batch, second + 20)
    add("lossless-two-payloads", "ops[1].length", patched(batch, second + 20, "I", length - 1))
    add("snapshot-copy", "ops[0].kind", patched(copy, 1, "B", wire.SNAPSHOT))
    add("snapshot-delta", "ops[0].kind", patched(patched(good, 1, "B", wire.SNAPSHOT), record, "B", wire.H264))

    def add_batch(name: str, data: bytes) -> None:
        add(f"lossless-{name}", "lossless", data, "decode")

    add_batch("short-header", patched(raw_batch(1, 2, 1, b"\xff" * 8), 48 + 32 + 1, "B", 200))
    add_batch("op-bytes-large", raw_batch(1, 2, 1, b"\x01\0\0", b"\1\2\3", op_bytes=73))
    add_batch("op-bytes-wrong", raw_batch(1, 2, 1, b"\x01\0\0", b"\1\2\3", op_bytes=4))
    add_batch("ends-early", raw_batch(1, 4, 1, b"\x00\x00", b"\1\2\3"))
    add_batch("ends-late", raw_batch(1, 1, 1, b"\x00\x00\x00", b"\1\2\3"))
    add_batch("ends-in-literals", raw_batch(1, 4, 1, b"\x03\x00\x00", b"\1\2\3"))
    add_batch("ends-in-escape", raw_batch(1, 1, 1, b"\x00\xff\x01\x02", b"\1\2\3"))
    add_batch("ends-in-long-op", raw_batch(1, 4, 1, b"\x00\x00\xe0", b"\1\2\3"))
    add_batch("palette-index", raw_batch(1, 1, 1, b"\x00\x01", b"\1\2\3"))
    add_batch("above-first-row", raw_batch(1, 4, 2, b"\x00\x00\x80", b"\1\2\3"))
    add_batch("left-first-pixel", raw_batch(1, 4, 2, b"\xa7", b"\1\2\3"))
    add_batch("literals-past-end", raw_batch(1, 2, 1, b"\x02\x00\x00\x00", b"\1\2\3"))
    add_batch("run-past-end", raw_batch(1, 4, 1, b"\x00\x00\xa3", b"\1\2\3"))
    add_batch("flags", raw_batch(1, 1, 1, b"\x00\x00", b"\1\2\3", flags=4))
    add_batch("form", raw_batch(1, 1, 1, b"\x02\x00\x00\x00", flags=2))
    add_batch("forms-missing", raw_batch(1, 1, 1, b"", flags=2))
    add_batch("planes-early", raw_batch(1, 2, 1, b"\x01" + bytes(5), flags=2))
    add_batch("planes-late", raw_batch(1, 2, 1, b"\x01" + bytes(7), flags=2))
    picture = text_like(WIDTH, HEIGHT)
    deflated = lossless_frame(1, [(0, 0, picture)], payloads.deflated("lossless-cut", [picture]))
    add_batch("not-deflate", deflated[:-40] + b"\xff" * 40)
    shorter = patched(patched(deflated[:-4], 32, "I", len(deflated) - 84), 48 + 20, "I", len(deflated) - 84)
    add_batch("deflate-cut", shorter)

    add("jpeg-size", "jpeg", patched(good, record + 24, "H", WIDTH - 8), "decode")
    start = good.index(b"\xff\xd8")
    add("jpeg-garbage", "jpeg", good[: start + 2] + b"\x55" * (len(good) - start - 2), "decode")
    progressive = good.replace(b"\xff\xc0", b"\xff\xc2", 1)
    add("jpeg-progressive", "jpeg", progressive, "decode")
    garbage = patched(patched(good, record, "B", wire.H264), record + 1, "B", wire.KEY)
    add("h264-garbage", "h264", garbage, "decode")
    add("size-without-resized", "width", message(1, width=WIDTH - 1), "decode")
    return vectors


def finish(vector: dict[str, Any], valid: bool) -> dict[str, Any]:
    """Check a vector against the Python reader, write its files and return its manifest entry."""
    name, messages = vector["name"], vector.pop("messages")
    files = []
    for index, data in enumerate(messages):
        # The snapshot most sequences begin with is one file.
        file = "start.bin" if data == snapshot() else f"{name}.{index}.bin"
        (HERE / "messages" / file).write_bytes(data)
        files.append(f"messages/{file}")
    decoder = Decoder()
    problem: Exception | None = None
    for data in messages:
        try:
            decoder.apply(data)
        except (WireError, DecodeError) as error:
            problem = error
    entry: dict[str, Any] = {
        "name": name,
        "valid": valid,
        "width": WIDTH,
        "height": HEIGHT,
        "messages": files,
    }
    if valid:
        assert problem is None, (name, problem)
        height, width = decoder.picture.shape[:2]
        tolerance = vector.pop("tolerance")
        (HERE / "pictures" / f"{name}.rgb").write_bytes(decoder.picture.tobytes())
        entry |= {"epoch": EPOCH, "frame_id": len(files) - 1, "requires": []}
        entry["expected"] = {"file": f"pictures/{name}.rgb", "mean_error": tolerance, "max_error": int(tolerance * 12)}
        entry |= vector
        assert (entry["width"], entry["height"]) == (width, height), name
        assert (entry["epoch"], entry["frame_id"]) == (decoder.epoch, decoder.frame_id), name
    else:
        stage = WireError if vector["stage"] == "parse" else DecodeError
        assert type(problem) is stage, (name, problem)
        assert str(problem).startswith(vector["error"] + ":"), (name, problem)
        entry |= vector
        entry["reason"] = str(problem)
    return entry


def main() -> None:
    """Write everything."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--encode", action="store_true", help="encode the JPEG, H.264 and deflate payloads anew")
    payloads = Payloads(parser.parse_args().encode)
    for folder in ("messages", "pictures"):
        (HERE / folder).mkdir(exist_ok=True)
        for file in (HERE / folder).iterdir():
            file.unlink()
    entries = [finish(vector, True) for vector in valid_vectors(payloads)]
    entries += [finish(vector, False) for vector in malformed_vectors(payloads)]
    text = json.dumps({"version": wire.VERSION, "vectors": entries}, indent=1, ensure_ascii=False)
    (HERE / "manifest.json").write_text(text + "\n", encoding="utf-8")
    print(f"{len(entries)} vectors")


if __name__ == "__main__":
    main()
