"""What auto mode takes for text and what for a photograph: a terminal's real text, and the benchmark's photographs."""

from __future__ import annotations

import contextlib
import os
import select
import subprocess
import time

import numpy as np
import numpy.typing as npt
import pytest

pytest.importorskip("stripeengine._stripeengine", reason="the C engine is not built: make setup")

from benchmarks.workloads.content import coloured, photograph, source_text
from stripeengine import Engine, EngineSettings, FramebufferSource, X11Source, wire
from stripeengine.decode import Decoder
from stripeengine.ffi import has_h264
from tests.stripeengine.fixtures_x11 import XServer

Pixels = npt.NDArray[np.uint8]

SIZE = (640, 480)
PATIENCE_S = 10.0
DARK, LIGHT = ("-bg", "#1e1e2e", "-fg", "#d8dee9"), ("-bg", "white", "-fg", "black")


def show(picture: Pixels, before: Pixels | None = None) -> tuple[list[wire.Op], bool]:
    """Change ``before``, or a black screen, into ``picture``; return the change's ops, and if they make it exact."""
    height, width = picture.shape[:2]
    decoder = Decoder()
    source = FramebufferSource(width, height)
    # The repair would come later than the test is patient.
    settings = EngineSettings(mode="auto", repair_delay_ms=5000)
    with contextlib.closing(source), Engine(source, settings) as engine:
        source.submit(np.zeros_like(picture) if before is None else before)
        engine.start()
        _take(engine, decoder)
        source.submit(picture)
        ops = _take(engine, decoder)
    return ops, np.array_equal(decoder.picture, picture)


def _take(engine: Engine, decoder: Decoder) -> list[wire.Op]:
    """Apply the messages of one capture; they come together."""
    ops: list[wire.Op] = []
    until = time.monotonic() + PATIENCE_S
    while not ops:
        assert select.select([engine.fileno()], [], [], until - time.monotonic())[0], "no frame"
        with contextlib.suppress(BlockingIOError):
            os.read(engine.fileno(), 8)
        while (frame := engine.take()) is not None:
            with frame:
                data = bytes(frame.buffer)
            decoder.apply(data)
            ops += wire.parse_message(data).ops
    return ops


def terminal(text: str, face: str, size: int, colours: tuple[str, ...]) -> Pixels:
    """Return what a terminal full of ``text`` looks like."""
    command = ["xterm", "-fa", face, "-fs", str(size), *colours, "-geometry", "250x100+0+0", "-b", "2", "+sb"]
    command += ["-e", "sh", "-c", 'printf %s "$0"; exec sleep 1000000', text]
    with XServer(SIZE) as server:
        program = subprocess.Popen(command, env={**os.environ, **server.environment}, start_new_session=True)
        try:
            with contextlib.closing(X11Source(socket=server.socket, auth=server.auth)) as source:
                before, until = b"", time.monotonic() + PATIENCE_S
                while True:
                    time.sleep(0.2)
                    now = source.read()
                    if now == before and len(set(now)) > 20:
                        break
                    assert time.monotonic() < until, "the terminal shows nothing"
                    before = now
        finally:
            program.kill()
            program.wait()
    pixels = np.frombuffer(now, dtype=np.uint8).reshape(SIZE[1], SIZE[0], 4)
    return np.ascontiguousarray(pixels[:, :, 2::-1])


@pytest.mark.parametrize("face", ["DejaVu Sans Mono", "DejaVu Sans Mono:rgba=1:lcdfilter=1"], ids=["grey", "subpixel"])
@pytest.mark.parametrize(("size", "colours"), [(10, DARK), (7, LIGHT)], ids=["dark", "small"])
def test_text_of_a_terminal_is_exact_at_once(face: str, size: int, colours: tuple[str, ...]) -> None:
    # The densest there is: digits, and coloured source text without its line ends.
    text = " ".join(str(number) for number in range(1000, 3000)) + coloured(source_text()[:6000].replace("\n", " "))
    picture = terminal(text, face, size, colours)
    assert len(np.unique(picture.reshape(-1, 3), axis=0)) > 30, "this text has no soft edges"
    ops, exact = show(picture)
    assert exact
    assert {op.kind for op in ops} <= {wire.LOSSLESS, wire.FILL}


def test_a_few_letters_are_exact_at_once() -> None:
    # Cut close around bold coloured letters, so that hardly any of the paper is in the change.
    text = "\x1b[1;95m" + "except except except except except except except \r\n" * 60
    picture = terminal(text, "DejaVu Sans Mono:rgba=1:lcdfilter=1", 10, DARK)
    paper = picture[-1, -1]
    dense = 0
    for y in range(0, 16):
        before = picture.copy()
        for row in range(y, SIZE[1] - 12, 64):
            for x in range(35, SIZE[0], 64):
                before[row : row + 12, x : x + 29] = paper
        ops, exact = show(picture, before)
        assert exact
        assert {op.kind for op in ops} <= {wire.LOSSLESS, wire.FILL}
        dense += any(op.kind == wire.LOSSLESS for op in ops)
    assert dense


def play(pictures: list[Pixels]) -> set[int]:
    """Show the pictures as a video of 25 a second; return the kinds of the ops that came."""
    height, width = pictures[0].shape[:2]
    source = FramebufferSource(width, height)
    kinds: set[int] = set()
    with contextlib.closing(source), Engine(source, EngineSettings(mode="auto", repair_delay_ms=5000)) as engine:
        source.submit(pictures[0])
        engine.start()
        for picture in pictures:
            source.submit(picture)
            time.sleep(0.04)
            while (frame := engine.take()) is not None:
                with frame:
                    kinds |= {op.kind for op in wire.parse_message(bytes(frame.buffer)).ops}
    return kinds


@pytest.mark.skipif(not has_h264(), reason="built without x264")
def test_text_that_keeps_changing_is_no_video() -> None:
    page = terminal(" ".join(str(number) for number in range(1000, 3000)), "DejaVu Sans Mono", 7, DARK)
    # Mirrored it is as dense, and no copy brings one from the other.
    assert wire.H264 not in play([page, page[::-1], page[:, ::-1], page[::-1, ::-1]] * 8)
    photographs = [photograph(number, 320, 240) for number in range(4)]
    assert wire.H264 in play(photographs * 8)


def test_a_photograph_is_jpeg_first() -> None:
    ops, exact = show(photograph(0, *SIZE))
    assert not exact
    assert sum(op.w * op.h for op in ops if op.kind == wire.JPEG) == SIZE[0] * SIZE[1]


def test_a_photograph_in_a_page_leaves_the_text_exact() -> None:
    picture = terminal(coloured(source_text()[:12000]).replace("\n", "\r\n"), "DejaVu Sans Mono", 10, DARK)
    place = (slice(64, 320), slice(128, 448))
    picture[place] = photograph(3, 320, 256)
    ops, exact = show(picture)
    assert not exact
    for op in ops:
        inside = op.x >= 128 and op.x + op.w <= 448 and op.y >= 64 and op.y + op.h <= 320
        assert op.kind != wire.JPEG or inside, f"text at {op.rectangle} is sent as JPEG"
    assert sum(op.w * op.h for op in ops if op.kind == wire.JPEG) == 320 * 256


def test_grain_is_a_photograph_and_a_dithered_area_is_none() -> None:
    random = np.random.default_rng(4)
    grain = np.clip(100 + random.normal(0, 8, (256, 256, 1)), 0, 255).astype(np.uint8).repeat(3, axis=2)
    dithered = np.where(random.random((256, 256, 1)) < 0.5, (30, 60, 90), (200, 180, 40)).astype(np.uint8)
    assert {op.kind for op in show(grain)[0]} == {wire.JPEG}
    assert show(dithered)[1]
