"""What the count of a dictionary's savings takes for known."""

from __future__ import annotations

import numpy as np

from benchmarks.dictionary import Dictionary, saving, unknown
from stripeengine import wire
from stripeengine.lossless import encode_batch

NOISE = np.random.default_rng(5).integers(0, 256, (64, 64, 3), np.uint8)


def message(number: int, pixels: np.ndarray) -> bytes:
    height, width = pixels.shape[:2]
    area = wire.PayloadArea()
    ops = area.lossless([(0, 0, width, height)], encode_batch([pixels]), flags=wire.FINAL)
    flags = wire.RESIZED if number == 1 else 0
    return wire.pack_message(
        epoch=1, frame_id=number, width=width, height=height, ops=ops, payloads=area.getvalue(), flags=flags
    )


def test_what_was_shown_need_not_be_sent_again() -> None:
    dictionary = Dictionary()
    rest, hits = unknown(dictionary, NOISE, (0, 0, 64, 64))
    assert hits == 0 and [part.shape for part in rest] == [(16, 64, 3)] * 4
    changed = NOISE.copy()
    changed[20, 20] ^= 1
    rest, hits = unknown(dictionary, changed, (8, 8, 40, 24))
    assert hits == 5
    assert len(rest) == 1 and np.array_equal(rest[0], changed[16:32, 16:32])


def test_only_so_many_tiles_are_known() -> None:
    dictionary = Dictionary(2)
    tiles = [NOISE[:16, left : left + 16] for left in (0, 16, 32)]
    assert [dictionary.knows(tile) for tile in (*tiles, tiles[0], tiles[2])] == [False, False, False, False, True]


def test_a_picture_that_comes_back_is_saved_but_for_its_references() -> None:
    black = np.zeros_like(NOISE)
    messages = [message(1, NOISE), message(2, black), message(3, NOISE)]
    batch = len(encode_batch([NOISE]))
    found = saving(messages, 0)
    assert found.total == sum(map(len, messages))
    assert found.exact == 2 * batch + len(encode_batch([black]))
    assert batch <= found.saved <= batch + len(encode_batch([black]))
    assert saving(messages, 100).saved < found.saved - 1000
