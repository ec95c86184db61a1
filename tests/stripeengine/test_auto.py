"""Modes auto and lossless through random histories, decoded in Python, video included.

After every message: what lies outside of its ops is as it was, and each op is inside the picture (the decoder and
`wire` check that). In lossless mode the picture is the source's after every change, in auto mode at rest.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

pytest.importorskip("stripeengine._stripeengine", reason="the C engine is not built: make setup")

from stripeengine import wire
from stripeengine.decode import Decoder
from stripeengine.ffi import has_h264
from tests.stripeengine.fixtures_rest import PATIENCE_S
from tests.stripeengine.fixtures_session import AT_END_S, AT_REST_S, ATTEMPTS, Session

REST_S = 1.2
h264 = pytest.mark.skipif(not has_h264(), reason="built without x264")


def resize(session: Session) -> None:
    """Give the source another size."""
    width, height = (int(n) for n in session.random.integers(1, 400, 2))
    session.source.resize(width, height)
    session.picture = np.zeros((height, width, 3), dtype=np.uint8)
    session.text((slice(0, height), slice(0, width)))


@pytest.mark.parametrize("seed", range(3))
def test_lossless_is_exact_after_every_change(seed: int) -> None:
    with Session("lossless", seed=seed) as session:
        for step in range(40):
            if step % 13 == 12:
                resize(session)
            session.change()
            session.show()
            session.settle(f"step {step}")
        assert session.kinds[wire.JPEG] == session.kinds[wire.H264] == 0
        assert session.kinds[wire.COPY] and session.kinds[wire.LOSSLESS]


@pytest.mark.parametrize("seed", range(4))
def test_auto_is_exact_at_rest(seed: int) -> None:
    with Session("auto", seed=seed, settings={"chroma": "444" if seed % 2 else "420"}) as session:
        for step in range(36):
            if step % 12 == 5:
                session.play(session.place(120), 12)
            elif step % 17 == 16:
                resize(session)
            session.change()
            session.show()
            session.take(0.02)
            if step % 9 == 8:
                session.settle(f"step {step}")
                assert session.take(0.2) == 0, "something was sent at rest"
        session.settle("the end")


def test_every_mode_follows_every_other_in_mid_stream() -> None:
    modes = ["auto", "lossless", "jpeg", "auto", "jpeg", "lossless", "auto"]
    if has_h264():
        modes += ["h264", "auto", "h264", "lossless", "h264", "jpeg", "h264", "auto"]
    with Session("jpeg", seed=3, settings={"paint_over_trigger_frames": 5}) as session:
        session.text(session.place(200))
        session.photo(session.place(150))
        session.show()
        session.take(0.03)
        for mode in modes:
            session.play(session.place(100), 5)
            session.engine.update(mode=mode)
            session.change()
            session.show()
            session.take(0.04)
            if mode in ("auto", "lossless"):
                session.settle(f"after a change to {mode}")
        session.settle("the end")


def test_a_mode_switch_alone_repairs_what_was_lossy() -> None:
    with Session("jpeg", settings={"paint_over": False, "jpeg_quality": 30}) as session:
        session.photo((slice(0, 240), slice(0, 320)))
        session.show()
        session.take(0.2)
        assert session.error() > 0
        session.engine.update(mode="auto")
        session.settle("auto")


def test_what_keeps_changing_delays_nobody_elses_repair() -> None:
    with Session("auto") as session:
        session.show()
        session.take(0.1)
        photo, caret = (slice(0, 128), slice(0, 128)), (slice(200, 216), slice(300, 302))
        session.photo(photo)
        for _ in range(round(REST_S / 0.03)):
            session.picture[caret] ^= 255
            session.show()
            session.take(0.03)
            if np.array_equal(session.decoder.picture[photo], session.picture[photo]):
                break
        else:
            pytest.fail(f"{session.error()} off while something else changes")


def test_without_lossless_when_still_photographs_are_painted_over() -> None:
    with Session("auto", settings={"lossless_when_still": False, "jpeg_quality": 20}) as session:
        session.photo((slice(0, 240), slice(0, 320)))
        session.show()
        session.take(0.04)
        coarse = session.error()
        session.take(0.5)
        assert 0 < session.error() < coarse
        session.engine.update(paint_over=False, jpeg_quality=10)
        session.photo((slice(0, 240), slice(0, 320)))
        session.show()
        session.take(0.1)
        assert session.take(0.3) == 0
        session.engine.update(lossless_when_still=True)
        session.settle("switched on")


@h264
def test_a_video_is_one_stream_and_ends_exact() -> None:
    with Session("auto", width=640, height=480) as session:
        session.text((slice(0, 480), slice(0, 640)))
        session.show()
        session.settle("text")
        place = (slice(96, 336), slice(128, 448))
        session.play_on(lambda: session.photo(place))
        assert session.kinds[wire.H264] > 10
        # Text elsewhere stays exact while the video plays.
        outside = np.ones((480, 640), dtype=bool)
        outside[64:368, 96:480] = False
        assert np.array_equal(session.decoder.picture[outside], session.picture[outside])
        session.settle("at rest")


@h264
def test_a_film_at_an_odd_place_keeps_its_colours() -> None:
    """Its squares of 2×2 pixels with one colour are the stream's: else each would be mixed with its neighbours'."""
    with Session("auto", width=640, height=480) as session:
        session.text((slice(0, 480), slice(0, 640)))
        session.show()
        session.settle("text")
        session.take(1.5)  # what changed before is no part of the film any more
        place = (slice(101, 341), slice(133, 453))

        def draw() -> None:
            squares = session.random.choice(np.array(((220, 40, 40), (40, 60, 220)), dtype=np.uint8), (120, 160))
            grain = session.random.integers(-6, 7, (240, 320, 3))
            session.picture[place] = squares.repeat(2, axis=0).repeat(2, axis=1) + grain

        session.play_on(draw)
        session.take(0.1)
        assert session.videos and all((x, y) == (129, 97) for x, y, *_ in session.videos), session.videos
        difference = session.decoder.picture[place].astype(float) - session.picture[place]
        # Squares of red and blue that lie across the stream's own are off by 100 and more.
        assert np.sqrt((difference**2).mean()) < 40
        # Pixels that share a tile with the film are text, and exact.
        beside = (slice(90, 350), slice(110, 129))
        assert np.array_equal(session.decoder.picture[beside], session.picture[beside])
        session.text((slice(60, 130), slice(100, 160)))
        session.show()
        session.settle("text over its corner")


def play_film(session: Session, width: int, height: int, pictures: int = 20) -> None:
    """Let a film as large as the screen run, and end."""
    films = []
    for _ in range(4):
        coarse = session.random.integers(20, 236, (height // 8, width // 8, 3)).repeat(8, axis=0).repeat(8, axis=1)
        films.append((coarse + session.random.integers(-12, 13, coarse.shape)).astype(np.uint8))
    for number in range(pictures):
        session.show(films[number % 4])
        session.take(0.012)
    session.take(0.05)


@contextlib.contextmanager
def after_film(settings: dict[str, Any]) -> Iterator[Session]:
    """A session after a film, which began anew if the machine stood still for so long that the film was at rest."""
    for attempt in range(ATTEMPTS):
        with Session("auto", width=832, height=512, settings=settings) as session:
            play_film(session, 832, 512)
            if session.pause < AT_REST_S or attempt == ATTEMPTS - 1:
                assert session.videos == {(0, 0, 832, 512)}
                session.pause = 0
                yield session
                return


# Where exact pixels take more than a second, or none come at all, a better picture comes first.
@h264
@pytest.mark.parametrize(
    ("settings", "painted"),
    [
        ({"lossless_when_still": False}, True),
        ({"max_kbps": 400000}, True),
        ({}, False),
        ({"max_kbps": 400000, "paint_over": False}, False),
    ],
)
def test_a_video_at_rest_is_painted_over_unless_it_is_soon_exact(settings: dict[str, Any], painted: bool) -> None:
    with after_film(settings) as session:
        wanted = 2 if painted else 1  # the film's first picture is one
        until = time.monotonic() + PATIENCE_S
        while session.keys < wanted and time.monotonic() < until:
            session.take(0.01)
        assert session.keys == wanted
        if settings.get("lossless_when_still", True):
            session.settle("exact in the end", 3 * PATIENCE_S)
        else:
            session.take(REST_S)
        assert session.keys == wanted


@h264
def test_a_video_that_pauses_is_repaired_and_goes_on_as_it_was() -> None:
    """Its stream lives on under the exact pixels, and the picture after them needs no key frame."""
    for attempt in range(ATTEMPTS):
        with after_film({}) as session:
            session.keys, session.kinds[wire.LOSSLESS] = 0, 0
            until = time.monotonic() + PATIENCE_S
            while not session.kinds[wire.LOSSLESS] and time.monotonic() < until:
                session.take(0.01, most=1)  # holding all of them against the rules takes longer than the region lives
            assert session.kinds[wire.LOSSLESS], "nothing was repaired"
            session.kinds[wire.H264] = 0
            play_film(session, 832, 512, 3)
            if session.pause > AT_END_S and attempt < ATTEMPTS - 1:
                continue  # the machine stood still until the region was no more
            assert session.videos == {(0, 0, 832, 512)}
            assert session.kinds[wire.H264] and not session.keys, "it began anew"
            session.settle("exact in the end", 2 * PATIENCE_S)
            return


def test_a_snapshot_is_what_everybody_has() -> None:
    with Session("auto") as session:
        session.text((slice(0, 240), slice(0, 320)))
        session.photo((slice(20, 200), slice(20, 200)))
        session.show()
        session.settle("photograph")
        newcomer = Decoder()
        for message in session.engine.snapshot():
            newcomer.apply(message)
        assert np.array_equal(newcomer.picture, session.picture)
        # Whoever names a quality gets photographs as JPEG, text exactly all the same.
        small, large = session.engine.snapshot(30), session.engine.snapshot()
        assert sum(map(len, small)) < sum(map(len, large)) / 2
        for message in small:
            newcomer.apply(message)
        assert np.array_equal(newcomer.picture[210:], session.picture[210:])


@pytest.mark.parametrize("kbps", [1000, 4000])
def test_max_kbps_bounds_any_two_seconds(kbps: int) -> None:
    seconds = 2.0
    with Session("auto", width=640, height=480, settings={"max_kbps": kbps, "framerate": 60}) as session:
        session.show()
        session.take(0.1)
        spent: list[tuple[float, int]] = []
        start = time.monotonic()
        while time.monotonic() - start < 1.5 * seconds:
            session.text((slice(0, 480), slice(0, 640)))
            session.show()
            before = session.bytes
            session.take(0.03)
            spent.append((time.monotonic() - start, session.bytes - before))
        total = sum(size for when, size in spent if when > seconds / 2)
        # A frame's size is known only when it is made: what it takes too much is paid back by the next.
        assert total < kbps * 125 * seconds * 1.1 + 65536 + 32768
        # A change takes 38 kB; a busy machine does not show enough of them to need the whole budget.
        shown = sum(when > seconds / 2 for when, _ in spent)
        assert total > min(kbps * 125 * seconds * 0.4, shown * 19_000)
        session.engine.update(max_kbps=0)
        session.settle("without a bound")


def test_a_slow_consumer_gets_the_newest_picture() -> None:
    with Session("auto") as session:
        session.show()
        for _ in range(30):
            session.change()
            session.show()
            time.sleep(0.01)
        assert session.engine.stats().frames <= 3
        session.settle("late")
        session.take(0.1)
        assert session.engine.stats().dropped > 0
