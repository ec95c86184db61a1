"""The browser's lossless decoder (`stripeengine/wasm`), compiled natively, against the Python decoder and zlib."""

from __future__ import annotations

import ctypes
import json
import random
import shutil
import subprocess
import time
import zlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from stripeengine import wire
from stripeengine.errors import DecodeError
from stripeengine.lossless import decode_batch, encode_batch
from stripeengine.prediction import Pixels

ROOT = Path(__file__).resolve().parents[2]
SOURCES = [
    ROOT / "stripeengine" / "wasm" / name for name in ("huffman.c", "inflate.c", "lossless_decoder.c", "predicted.c")
]
VECTORS = ROOT / "tests" / "vectors"
INFLATE_EARLY, INFLATE_LONG = -2, -4


class _Size(ctypes.Structure):
    _fields_ = [("width", ctypes.c_uint32), ("height", ctypes.c_uint32)]


class _Decoder(ctypes.Structure):
    _fields_ = [
        ("sizes", ctypes.POINTER(_Size)),
        ("count", ctypes.c_size_t),
        ("body", ctypes.c_void_p),
        ("body_size", ctypes.c_size_t),
        ("deflated", ctypes.c_int),
        ("has_forms", ctypes.c_int),
        ("palette_size", ctypes.c_uint),
        ("op_bytes", ctypes.c_size_t),
        ("pixels", ctypes.c_uint64),
        ("palette", ctypes.c_uint32 * 256),
    ]


class Native:
    """The decoder as a shared library. Memory around what it may write is marked and looked at afterwards."""

    def __init__(self, path: Path) -> None:
        self._library = ctypes.CDLL(str(path))
        self._library.se_inflate.argtypes = [ctypes.c_char_p, ctypes.c_size_t, ctypes.c_void_p, ctypes.c_size_t]
        self._library.se_lossless_decoder_open.argtypes = [
            ctypes.POINTER(_Decoder),
            ctypes.c_char_p,
            ctypes.c_size_t,
            ctypes.POINTER(_Size),
            ctypes.c_size_t,
        ]
        self._library.se_lossless_decoder_run.argtypes = [ctypes.POINTER(_Decoder), ctypes.c_void_p, ctypes.c_void_p]
        self._library.se_lossless_decoder_message.restype = ctypes.c_char_p

    def inflate(self, data: bytes, size: int) -> bytes | int:
        """The inflated bytes, or the error."""
        out = np.full(size + 64, 0xA5, np.uint8)
        error = self._library.se_inflate(data, len(data), out.ctypes.data + 32, size)
        assert (out[:32] == 0xA5).all() and (out[32 + size :] == 0xA5).all(), "written outside"
        return int(error) if error else out[32 : 32 + size].tobytes()

    def decode(self, payload: bytes, sizes: list[tuple[int, int]]) -> list[Pixels]:
        """As `stripeengine.lossless.decode_batch`."""
        decoder = _Decoder()
        table = (_Size * len(sizes))(*sizes)
        error = self._library.se_lossless_decoder_open(decoder, payload, len(payload), table, len(sizes))
        if not error:
            scratch = np.zeros(decoder.op_bytes + 1, np.uint8)
            scratch[-1] = 0xA5
            pixels = np.full((decoder.pixels + 4 + 8, 4), 0xA5, np.uint8)
            error = self._library.se_lossless_decoder_run(decoder, scratch.ctypes.data, pixels.ctypes.data)
            assert scratch[-1] == 0xA5 and (pixels[-8:] == 0xA5).all(), "written outside"
        if error:
            raise DecodeError(self._library.se_lossless_decoder_message(error).decode())
        rectangles = []
        for width, height in sizes:
            assert (pixels[: width * height, 3] == 255).all()
            rectangles.append(pixels[: width * height, :3].reshape(height, width, 3))
            pixels = pixels[width * height :]
        return rectangles


@pytest.fixture(scope="module")
def native(tmp_path_factory: pytest.TempPathFactory) -> Native:
    compiler = shutil.which("cc") or pytest.skip("no C compiler")
    path = tmp_path_factory.mktemp("wasm") / "decoder.so"
    command = [compiler, "-std=c11", "-O2", "-Wall", "-Wextra", "-Werror", "-shared", "-fPIC", "-o", str(path)]
    subprocess.run([*command, *map(str, SOURCES)], check=True, timeout=60)
    return Native(path)


def batches_of_the_vectors() -> Iterator[tuple[str, bytes, list[tuple[int, int]]]]:
    for vector in json.loads((VECTORS / "manifest.json").read_text())["vectors"]:
        if vector["valid"] or vector["stage"] == "decode":
            for name in vector["messages"]:
                message = wire.parse_message((VECTORS / name).read_bytes())
                ops = [op for op in message.ops if op.kind == wire.LOSSLESS]
                if ops:
                    yield vector["name"], bytes(message.payload(ops[0])), [(op.pw, op.ph) for op in ops]


def assert_alike(native: Native, payload: bytes, sizes: list[tuple[int, int]]) -> bool:
    """Both decoders say the same of a batch. Returns whether it is right."""
    try:
        expected = decode_batch(payload, sizes)
    except DecodeError:
        with pytest.raises(DecodeError, match="^lossless"):
            native.decode(payload, sizes)
        return False
    decoded = native.decode(payload, sizes)
    assert all(np.array_equal(a, b) for a, b in zip(decoded, expected, strict=True))
    return True


def test_vectors_decode_as_in_python(native: Native) -> None:
    verdicts = {name: assert_alike(native, payload, sizes) for name, payload, sizes in batches_of_the_vectors()}
    assert sum(verdicts.values()) >= 4 and sum(not right for right in verdicts.values()) >= 10, verdicts


def random_rectangle(dice: random.Random, most: int = 60) -> Pixels:
    """Like text, flat or noise, of any number of colours."""
    width, height = dice.randint(1, most), dice.randint(1, most // 2)
    numbers = np.random.default_rng(dice.getrandbits(32))
    colours = numbers.integers(0, 256, (dice.choice([1, 2, 40, 255, 300, 4000]), 3), np.uint8)
    chosen = numbers.integers(0, len(colours), (height, width))
    if dice.random() < 0.7:  # runs to the right and downwards
        for y in range(height):
            for x in range(1, width):
                if numbers.random() < 0.8:
                    chosen[y, x] = chosen[y, x - 1] if y == 0 or numbers.random() < 0.5 else chosen[y - 1, x]
    return colours[chosen]


def test_random_batches_whole_and_broken(native: Native) -> None:
    dice = random.Random(5)
    broken = 0
    for _ in range(150):
        rectangles = [random_rectangle(dice) for _ in range(dice.randint(1, 5))]
        sizes = [(r.shape[1], r.shape[0]) for r in rectangles]
        predicted = {index for index in range(len(rectangles)) if dice.random() < dice.choice([0, 0.5])}
        payload = encode_batch(rectangles, deflate=dice.choice([True, False]), predicted=predicted)
        decoded = native.decode(payload, sizes)
        assert all(np.array_equal(a, b) for a, b in zip(decoded, rectangles, strict=True))
        for _ in range(10):
            changed = bytearray(payload)
            for _ in range(dice.randint(1, 3)):
                changed[dice.randrange(len(changed))] = dice.randrange(256)
            del changed[len(changed) - dice.choice([0, 0, 1, 5]) :]
            broken += not assert_alike(native, bytes(changed), sizes)
    assert broken > 300


def deflate(data: bytes, level: int, strategy: int) -> bytes:
    packer = zlib.compressobj(level, zlib.DEFLATED, -15, 9, strategy)
    return (
        packer.compress(data[: len(data) // 2])
        + packer.flush(zlib.Z_FULL_FLUSH)
        + packer.compress(data[len(data) // 2 :])
        + packer.flush()
    )


def zlib_inflate(data: bytes, size: int) -> bytes | None:
    """The exact contract of `se_inflate`, by zlib."""
    inflater = zlib.decompressobj(-15)
    try:
        out = inflater.decompress(data, size + 1)
    except zlib.error:
        return None
    right = inflater.eof and not inflater.unused_data and not inflater.unconsumed_tail and len(out) == size
    return out if right else None


def sample(dice: random.Random) -> bytes:
    """Bytes with matches near and far, of few or many values."""
    out = bytearray(dice.randbytes(dice.randint(0, 50)))
    values = bytes(range(dice.choice([1, 2, 30, 256])))
    while len(out) < dice.choice([0, 10, 1000, 40000]):
        if out and dice.random() < 0.6:
            distance = dice.randint(1, min(len(out), dice.choice([1, 2, 9, 40, 32768])))
            for _ in range(dice.choice([3, 4, 17, 258])):
                out.append(out[-distance])
        else:
            out += bytes(dice.choices(values, k=dice.randint(1, 30)))
    return bytes(out)


def test_inflate_agrees_with_zlib_about_right_and_broken_streams(native: Native) -> None:
    dice = random.Random(6)
    right = broken = 0
    for _ in range(150):
        data = sample(dice)
        packed = deflate(
            data, dice.choice([0, 1, 6, 9]), dice.choice([zlib.Z_DEFAULT_STRATEGY, zlib.Z_FIXED, zlib.Z_RLE])
        )
        assert native.inflate(packed, len(data)) == data
        assert isinstance(native.inflate(packed, len(data) + 1), int)
        if data:
            assert native.inflate(packed, len(data) - 1) == INFLATE_LONG
        for _ in range(20):
            changed = bytearray(packed)
            # The front of a dynamic block, its tables, is where most rules are.
            place = dice.randrange(min(len(changed), dice.choice([4, 60, 100000])))
            changed[place] ^= 1 << dice.randrange(8)
            if dice.random() < 0.2:
                del changed[dice.randrange(len(changed)) :]
            expected = zlib_inflate(bytes(changed), len(data))
            got = native.inflate(bytes(changed), len(data))
            assert got == expected if expected is not None else isinstance(got, int)
            right, broken = right + (expected is not None), broken + (expected is None)
    assert right > 100 and broken > 1000


def test_random_bytes_are_no_deflate_for_both(native: Native) -> None:
    dice = random.Random(7)
    for _ in range(20000):
        data = bytes([dice.choice([0, 1, 2, 3, 4, 5])]) + dice.randbytes(dice.randint(0, 40))
        size = dice.choice([0, 1, 5, 300])
        expected = zlib_inflate(data, size)
        got = native.inflate(data, size)
        assert got == expected if expected is not None else isinstance(got, int)


class Bits:
    """Bits in deflate's order: a number's lowest first, a code's highest."""

    def __init__(self) -> None:
        self.value = self.count = 0

    def number(self, value: int, count: int) -> None:
        self.value |= value << self.count
        self.count += count

    def code(self, value: int, count: int) -> None:
        self.number(int(f"{value:0{count}b}"[::-1], 2), count)


def empty_dynamic_block() -> Bits:
    """A block without content whose tables are as large as so few bits can make them."""
    bits = Bits()
    bits.number(0b100, 3)
    bits.number(0, 5)  # 257 literals, among them codes of 1 to 15 bits
    bits.number(0, 5)  # one distance
    bits.number(15, 4)
    order = [16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15]
    lengths = {18: 4, **dict.fromkeys(range(1, 16), 4)}  # sixteen codes of four bits
    for symbol in order:
        bits.number(lengths.get(symbol, 0), 3)
    codes = {symbol: index for index, symbol in enumerate(sorted(lengths))}
    for length in [2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 15]:
        bits.code(codes[length], 4)
    for zeros in (138, 103):
        bits.code(codes[18], 4)
        bits.number(zeros - 11, 7)
    bits.code(codes[1], 4)  # the end of the block
    bits.code(codes[1], 4)  # the distance
    bits.code(0, 1)
    return bits


def test_time_goes_with_the_bytes_not_with_the_blocks_in_them(native: Native) -> None:
    """8 MiB of blocks that give nothing: the most a message can hold, each block with tables of its own."""
    dynamic, fixed = empty_dynamic_block(), Bits()
    fixed.number(0b010, 10)  # a fixed block that ends at once
    for block in (dynamic, fixed):
        unit = (block.value | sum(block.value << (block.count * i) for i in range(1, 8))).to_bytes(
            block.count, "little"
        )
        data = unit * ((8 << 20) // len(unit))
        assert zlib.decompressobj(-15).decompress(unit) == b"", "the block is right"
        start = time.process_time()
        assert native.inflate(data, 10) == INFLATE_EARLY
        assert time.process_time() - start < 6


def test_each_error_has_words_of_its_own(native: Native) -> None:
    message = native._library.se_lossless_decoder_message
    words = {message(-error) for error in range(18)}
    assert len(words) == 18 and all(word.startswith(b"lossless") for word in words)
    assert message(-18) == message(1) == message(-(2**31)) == b"lossless batch fails for an unknown reason"


@pytest.mark.parametrize(
    ("payload", "sizes", "words"),
    [
        (b"", [(1, 1)], "inside its header"),
        (b"\0\xff" + bytes(768), [(1, 1)], "inside its header"),
        (b"\0\0\xff\xff\xff\xff", [(1, 1)], "more bytes than its pixels"),
        (b"\0\0\1\0\0\0", [(0xFFFFFFFF, 0xFFFFFFFF)], "more bytes than its pixels"),
        (b"\0\0\2\0\0\0\0", [(1, 1)], "not as long"),
        (b"\1\0\2\0\0\0\7", [(1, 1)], "not raw deflate"),
        (b"\1\0\2\0\0\0\1", [(1, 1)], "deflate that ends early"),
        (b"\1\0\0\0\0\0\3\0\0", [(1, 1)], "goes on after its deflate"),
        (b"\1\0\2\0\0\0\3\0", [(1, 1)], "more or fewer bytes"),
        (b"\0\0\1\0\0\0\0", [(1, 1)], "op stream ends early"),
        (b"\0\0\4\0\0\0\0\xff\1\2", [(1, 1)], "op stream ends early"),
        (b"\0\1\1\2\3\3\0\0\0\0\0\0", [(1, 1)], "after its last rectangle"),
        (b"\0\1\1\2\3\3\0\0\0\1\0\0", [(1, 1)], "literals run past"),
        (b"\0\1\1\2\3\2\0\0\0\0\1", [(1, 1)], "outside the palette"),
        (b"\0\1\1\2\3\3\0\0\0\0\0\xa1", [(2, 1)], "run goes past"),
        (b"\0\1\1\2\3\1\0\0\0\xa0", [(2, 1)], "repeat at the first"),
        (b"\0\1\1\2\3\3\0\0\0\0\0\x80", [(2, 1)], "above in the first row"),
        (b"\4\0\1\0\0\0\0", [(1, 1)], "flag that this reader does not know"),
        (b"\2\0\1\0\0\0\2", [(1, 1)], "form that this reader does not know"),
        (b"\2\0\1\0\0\0\0", [(1, 1), (1, 1)], "op stream ends early"),
        (b"\2\0\3\0\0\0\1\0\0", [(1, 1)], "inside the planes"),
        (b"\2\0\5\0\0\0\1\0\0\0\0", [(1, 1)], "after its last rectangle"),
    ],
)
def test_refusals_name_the_cause(native: Native, payload: bytes, sizes: list[tuple[int, int]], words: str) -> None:
    with pytest.raises(DecodeError, match=words):
        native.decode(payload, sizes)
