"""Photographs in the engine's lossless batches: predicted, exact, and in messages of the right size; text is not."""

from __future__ import annotations

import contextlib
import select
import time
from collections.abc import Iterator

import numpy as np
import numpy.typing as npt
import pytest

pytest.importorskip("stripeengine._stripeengine", reason="the C engine is not built: make setup")

from benchmarks.decoder import text_page
from benchmarks.workloads.content import photograph, source_text
from stripeengine import Engine, EngineSettings, FramebufferSource, wire
from stripeengine.decode import Decoder
from stripeengine.lossless import FORMS, encode_batch

Pixels = npt.NDArray[np.uint8]

AIM = 256 << 10
PATIENCE_S = 20.0


def page(width: int, height: int) -> Pixels:
    """Return source text."""
    return text_page([line for line in source_text().splitlines() if line.strip()], (width, height))


@contextlib.contextmanager
def shown(picture: Pixels, settings: EngineSettings) -> Iterator[tuple[Engine, list[bytes]]]:
    """The engine and its messages, once black has become ``picture`` exactly."""
    decoder = Decoder()
    source = FramebufferSource(picture.shape[1], picture.shape[0])
    messages: list[bytes] = []
    with contextlib.closing(source), Engine(source, settings) as engine:
        source.submit(np.zeros_like(picture))
        engine.start()
        submitted, until = False, time.monotonic() + PATIENCE_S
        while not submitted or not np.array_equal(decoder.picture, picture):
            assert time.monotonic() < until, "the picture does not become exact"
            select.select([engine.fileno()], [], [], 0.1)
            while (frame := engine.take()) is not None:
                with frame:
                    messages.append(bytes(frame.buffer))
                decoder.apply(messages[-1])
            if messages and not submitted:
                source.submit(picture)
                submitted = True
        yield engine, messages


def batches(messages: list[bytes]) -> Iterator[tuple[bytes, list[wire.Op]]]:
    """The lossless batch of each message that has one, with its ops."""
    for data in messages:
        message = wire.parse_message(data)
        ops = [op for op in message.ops if op.kind == wire.LOSSLESS]
        if ops:
            yield bytes(message.payload(ops[0])), ops


def test_repairs_of_a_photograph_are_predicted() -> None:
    picture = photograph(3, 320, 256)
    with shown(picture, EngineSettings(mode="auto", repair_delay_ms=50)) as (_, messages):
        found = list(batches(messages))
    assert found and all(payload[0] & FORMS for payload, _ in found)
    size, area = sum(len(payload) for payload, _ in found), sum(op.w * op.h for _, ops in found for op in ops)
    assert area >= 0.9 * picture.shape[0] * picture.shape[1], "most of it went out with losses"
    plain = len(encode_batch([picture[:128, :128]])) / 128**2
    assert size / area < 0.8 * plain, f"{size / area:.2f} bytes a pixel instead of {plain:.2f}"
    assert all(len(data) <= 65536 * 1.25 for data in messages), "about 64 kB of repairs a frame"


def test_text_is_not_predicted() -> None:
    with shown(page(640, 400), EngineSettings(mode="lossless")) as (engine, messages):
        flags = [payload[0] for payload, _ in [*batches(messages), *batches(engine.snapshot())]]
    assert flags and not any(flag & FORMS for flag in flags)


def test_text_beside_a_photograph_shares_its_batch() -> None:
    picture = page(640, 384).copy()
    picture[64:320, 128:448] = photograph(4, 320, 256)
    with shown(picture, EngineSettings(mode="lossless")) as (engine, messages):
        sent = [*batches(messages), *batches(engine.snapshot())]
    mixed = [ops for payload, ops in sent if payload[0] & FORMS]
    assert mixed and any(any(op.y + op.h <= 64 for op in ops) for ops in mixed), "text in a batch with forms"


@pytest.mark.parametrize("noisy", [False, True])
def test_messages_stay_below_their_aim(noisy: bool) -> None:
    """Noise is the worst that prediction can meet: three bytes a pixel and no deflate."""
    size = (1000, 700)
    random = np.random.default_rng(8)
    picture = random.integers(0, 256, (size[1], size[0], 3), dtype=np.uint8) if noisy else photograph(5, *size)
    with shown(picture, EngineSettings(mode="lossless")) as (engine, messages):
        everything = [*messages, *engine.snapshot()]
        decoder = Decoder()
        for data in engine.snapshot():
            decoder.apply(data)
        assert np.array_equal(decoder.picture, picture)
    assert any(payload[0] & FORMS for payload, _ in batches(everything))
    assert max(map(len, everything)) <= AIM
