"""`max_kbps` over any two seconds: typing, pages of text, photographs and a video, watched message by message.

A thread takes each message as soon as it is there and notes its time and size; the pictures are decoded afterwards, in
order, so that slow decoding delays nothing.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import select
import threading
import time
from collections.abc import Callable, Iterator

import numpy as np
import numpy.typing as npt
import pytest

pytest.importorskip("stripeengine._stripeengine", reason="the C engine is not built: make setup")

from stripeengine import Engine, EngineSettings, FramebufferSource, wire
from stripeengine.decode import Decoder
from stripeengine.ffi import has_h264

Pixels = npt.NDArray[np.uint8]

WIDTH, HEIGHT = 960, 640
BURST = 65536
WINDOW_S = 2.0
JITTER_S = 0.02  # between the engine's clock and this thread's


class Log:
    """Everything an engine sends, with its time."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self.entries: list[tuple[float, bytes]] = []
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> Log:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join(5)

    def _run(self) -> None:
        while not self._stop.is_set():
            while (frame := self.engine.take()) is not None:
                with frame:
                    self.entries.append((time.monotonic(), bytes(frame.buffer)))
            if select.select([self.engine.fileno()], [], [], 0.1)[0]:
                with contextlib.suppress(BlockingIOError):
                    os.read(self.engine.fileno(), 8)

    def rest(self, quiet: float, patience: float) -> None:
        """Wait until nothing has come for ``quiet`` seconds."""
        until = time.monotonic() + patience
        while time.monotonic() - (self.entries[-1][0] if self.entries else 0) < quiet:
            assert time.monotonic() < until, "messages did not end"
            time.sleep(0.05)


def busiest(entries: list[tuple[float, int]], window: float) -> int:
    """Return the most bytes in any window of that length."""
    most = total = first = 0
    for when, size in entries:
        total += size
        while entries[first][0] <= when - window:
            total -= entries[first][1]
            first += 1
        most = max(most, total)
    return most


def without_burst(entries: list[tuple[float, int]]) -> list[tuple[float, int]]:
    """Take the initial burst off the first messages."""
    burst, rest = BURST, []
    for when, size in entries:
        part = min(size, burst)
        burst -= part
        rest.append((when, size - part))
    return rest


class Screen:
    """What happens on a screen; every method changes `picture` and returns what it has damaged."""

    def __init__(self, seed: int) -> None:
        self.random = np.random.default_rng(seed)
        self.picture: Pixels = np.full((HEIGHT, WIDTH, 3), 255, dtype=np.uint8)
        y, x = np.mgrid[0 : HEIGHT + 64, 0 : WIDTH + 64]
        waves = 90 * np.sin(x / 37) + 60 * np.cos(y / 23 + x / 90)
        grain = self.random.normal(0, 9, waves.shape)
        self.scene = np.clip(np.stack([128 + waves + grain, 128 - waves + grain, 90 + waves / 2 + grain], 2), 0, 255)
        self.scene = np.minimum(self.scene, 249).astype(np.uint8)
        self.glyphs = self.random.random((64, 12, 7)) < 0.4
        self.at = 0

    def page(self) -> tuple[int, int, int, int]:
        """A full page of text."""
        self.picture[:] = 250
        for row, column in itertools.product(range(HEIGHT // 16), range(WIDTH // 8)):
            if self.random.random() < 0.7:
                self._glyph(row * 16 + 2, column * 8)
        return 0, 0, WIDTH, HEIGHT

    def key(self) -> tuple[int, int, int, int]:
        """One character."""
        self.at += 1
        x, y = 600 + self.at % 40 * 8, 560
        self.picture[y : y + 12, x : x + 8] = 250
        self._glyph(y, x)
        return x, y, 8, 12

    def photo(self) -> tuple[int, int, int, int]:
        """A photograph over all of it."""
        self.picture[:] = self.scene[int(self.random.integers(64)) :, int(self.random.integers(64)) :][:HEIGHT, :WIDTH]
        return 0, 0, WIDTH, HEIGHT

    def video(self) -> tuple[int, int, int, int]:
        """The next picture of a video of 320×240."""
        self.at += 1
        y, x = self.at * 3 % 300, self.at * 5 % 600
        noise = self.random.integers(-6, 7, (240, 320, 3))
        self.picture[64:304, 64:384] = np.clip(self.scene[y : y + 240, x : x + 320] + noise, 0, 255)
        return 64, 64, 320, 240

    def film(self) -> tuple[int, int, int, int]:
        """The next picture of a video as large as the screen."""
        self.at += 1
        y, x = self.at * 3 % 64, self.at * 5 % 64
        self.picture[:] = self.scene[y : y + HEIGHT, x : x + WIDTH]
        self.picture += self.random.integers(0, 7, (HEIGHT, WIDTH, 1), dtype=np.uint8)
        return 0, 0, WIDTH, HEIGHT

    def _glyph(self, y: int, x: int) -> None:
        self.picture[y : y + 12, x : x + 7][self.glyphs[int(self.random.integers(64))]] = 30


def paced(seconds: float, rate: float) -> Iterator[None]:
    """Go on ``rate`` times a second for that long."""
    start = time.monotonic()
    for i in itertools.count():
        due = start + i / rate
        if due >= start + seconds:
            return
        time.sleep(max(0.0, due - time.monotonic()))
        yield


def play(screen: Screen, show: Callable[[tuple[int, int, int, int]], None]) -> None:
    """Typing, pages, photographs, a video, and a video with typing and pages beside it."""
    show(screen.page())
    time.sleep(1.0)
    for _ in paced(1.0, 10):
        show(screen.key())
    for _ in paced(2.0, 2):
        show(screen.page())
    for _ in paced(2.0, 3):
        show(screen.photo())
    show(screen.page())
    for i, _ in enumerate(paced(4.0, 30)):
        show(screen.video())
        if i > 45 and i % 3 == 0:
            show(screen.key())
    for _ in paced(1.0, 10):
        show(screen.key())


class Ages:
    """How long each tile that was damaged waited for an op that covers it."""

    def __init__(self) -> None:
        self.events: list[tuple[float, list[tuple[int, int, int, int]]]] = []
        self._before: Pixels | None = None

    def note(self, picture: Pixels) -> None:
        """Note which tiles have changed."""
        if self._before is not None:
            differs = (picture != self._before).any(axis=2).reshape(HEIGHT // 16, 16, WIDTH // 16, 16).any(axis=(1, 3))
            tiles = [(int(x) * 16, int(y) * 16, 16, 16) for y, x in np.argwhere(differs)]
            self.events.append((time.monotonic(), tiles))
        self._before = picture.copy()

    def oldest(self, entries: list[tuple[float, wire.Message]]) -> float:
        """Return the longest wait of any 16×16 tile, in seconds."""
        waiting = np.full((HEIGHT // 16, WIDTH // 16), np.inf)
        changes = [(when, rects, True) for when, rects in self.events]
        changes += [(when, [op.rectangle for op in message.ops], False) for when, message in entries]
        longest = 0.0
        for when, rects, damages in sorted(changes, key=lambda change: change[0]):
            for x, y, w, h in rects:
                tiles = waiting[y // 16 : (y + h + 15) // 16, x // 16 : (x + w + 15) // 16]
                if damages:
                    np.minimum(tiles, when, out=tiles)
                else:
                    longest = max(longest, float(when - tiles.min(initial=when)))
                    tiles[:] = np.inf
        assert np.isinf(waiting).all(), "something was never sent"
        return longest


@pytest.mark.skipif(not has_h264(), reason="built without x264")
@pytest.mark.parametrize(("kbps", "oldest"), [(500, 3.0), (1000, 2.0), (4000, 1.0)])
def test_any_two_seconds_stay_within_the_bound(kbps: int, oldest: float) -> None:
    screen, ages = Screen(kbps), Ages()
    source = FramebufferSource(WIDTH, HEIGHT)

    def show(damage: tuple[int, int, int, int]) -> None:
        ages.note(screen.picture)
        source.submit(screen.picture, [damage])

    with Engine(source, EngineSettings(mode="auto", max_kbps=kbps, framerate=60)) as engine, Log(engine) as log:
        source.submit(screen.picture)
        engine.start()
        play(screen, show)
        log.rest(0.7, 30.0)
    messages = [(when, wire.parse_message(data)) for when, data in log.entries]
    sizes = without_burst([(when, len(data)) for when, data in log.entries])
    ops = [op for _, message in messages for op in message.ops]
    decoder = Decoder()
    for _, message in messages:
        decoder.apply(message)
    assert busiest(sizes, WINDOW_S - JITTER_S) <= kbps * 125 * WINDOW_S * 1.1
    assert np.array_equal(decoder.picture, screen.picture), "not exact at rest"
    assert sum(op.kind == wire.H264 for op in ops) > 8, "the video stood still"
    if kbps <= 1000:
        assert any(op.kind == wire.JPEG and op.pw < op.w for op in ops), "nothing was stretched"
    assert ages.oldest(messages) < oldest


def test_a_film_as_large_as_the_screen_keeps_to_a_thin_link() -> None:
    """Its coarsest key frame is more than the link carries, so it goes out as stretched JPEGs."""
    screen, kbps = Screen(9), 300
    source = FramebufferSource(WIDTH, HEIGHT)
    with Engine(source, EngineSettings(mode="auto", max_kbps=kbps, framerate=60)) as engine, Log(engine) as log:
        source.submit(screen.picture)
        engine.start()
        for _ in paced(5.0, 30):
            source.submit(screen.picture, [screen.film()])
        played = len(log.entries)
        engine.update(max_kbps=0)  # the exact picture of all that grain would take a minute
        log.rest(0.7, 30.0)
    decoder, parts = Decoder(), 0
    for number, (_, data) in enumerate(log.entries):
        message = wire.parse_message(data)
        decoder.apply(message)
        assert not any(op.kind == wire.H264 for op in message.ops if number < played)
        parts += sum(op.pw < op.w for op in message.ops if number < played and op.kind == wire.JPEG)
    sizes = without_burst([(when, len(data)) for when, data in log.entries[:played]])
    assert busiest(sizes, WINDOW_S - JITTER_S) <= kbps * 125 * WINDOW_S * 1.1
    assert parts > 10, "the film stood still"
    assert np.array_equal(decoder.picture, screen.picture), "not exact at rest"


def test_a_page_of_text_is_there_soon_and_exact_later() -> None:
    screen = Screen(3)
    source = FramebufferSource(WIDTH, HEIGHT)
    with Engine(source, EngineSettings(mode="auto", max_kbps=1000, framerate=60)) as engine, Log(engine) as log:
        source.submit(screen.picture)
        engine.start()
        for _ in paced(2.5, 4):  # spends the initial burst
            screen.photo()
            source.submit(screen.picture)
        time.sleep(0.5)
        before = len(log.entries)
        screen.page()
        shown = time.monotonic()
        source.submit(screen.picture)
        log.rest(0.7, 10.0)
    messages = [(when, wire.parse_message(data)) for when, data in log.entries[before:]]
    covered, stretched = np.zeros((HEIGHT, WIDTH), dtype=bool), False
    for when, message in messages:
        for op in message.ops:
            x, y, w, h = op.rectangle
            covered[y : y + h, x : x + w] = True
            stretched = stretched or (op.kind == wire.JPEG and op.pw < op.w)
        if covered.mean() > 0.95:
            assert when - shown < 0.5
            break
    else:
        pytest.fail(f"only {covered.mean():.0%} of the page was covered")
    assert stretched
    assert messages[-1][1].ops[-1].kind == wire.LOSSLESS
    exact = Decoder()
    for _, data in log.entries:
        exact.apply(wire.parse_message(data))
    assert np.array_equal(exact.picture, screen.picture)


def test_a_stretched_place_gets_its_quality_even_without_repairs() -> None:
    screen = Screen(4)
    source = FramebufferSource(WIDTH, HEIGHT)
    settings = EngineSettings(mode="auto", max_kbps=1000, lossless_when_still=False, paint_over=False)
    with Engine(source, settings) as engine, Log(engine) as log:
        source.submit(screen.picture)
        engine.start()
        for _ in paced(2.0, 4):
            screen.photo()
            source.submit(screen.picture)
        log.rest(0.7, 30.0)
    decoder, stretched = Decoder(), np.zeros((HEIGHT, WIDTH), dtype=bool)
    ever = False
    for _, data in log.entries:
        message = wire.parse_message(data)
        decoder.apply(message)
        for op in message.ops:
            x, y, w, h = op.rectangle
            stretched[y : y + h, x : x + w] = op.kind == wire.JPEG and op.pw < op.w
            ever = ever or (op.kind == wire.JPEG and op.pw < op.w)
    assert ever
    assert not stretched.any()
    assert np.abs(decoder.picture.astype(int) - screen.picture).mean() < 12
