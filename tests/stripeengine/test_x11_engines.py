"""Several engines in one process, each on its own part of one screen: exact, independent of each other, and quiet."""

from __future__ import annotations

import contextlib
import random
import threading
import time
from collections.abc import Iterator

import numpy as np
import pytest

from stripeengine.engine import Engine
from stripeengine.errors import EngineError, SourceError
from stripeengine.settings import EngineSettings
from stripeengine.x11 import X11Source
from tests.stripeengine.fixtures_engine import Pixels, Viewer
from tests.stripeengine.fixtures_x11 import Painter, XServer, have_xvfb

pytestmark = pytest.mark.skipif(not have_xvfb(), reason="Xvfb is not installed")

Rect = tuple[int, int, int, int]
WIDTH, HEIGHT = 800, 400
LEFT, RIGHT = (0, 0, 411, 400), (387, 29, 401, 353)  # they share some columns


@contextlib.contextmanager
def watching(server: XServer, rect: Rect, **settings: object) -> Iterator[Viewer]:
    """An engine on that part of the screen, started, and its viewer."""
    with (
        X11Source(socket=server.socket, auth=server.auth, rect=rect) as source,
        Engine(source, EngineSettings().replace({"mode": "auto", **settings})) as engine,
    ):
        engine.start()
        yield Viewer(engine)


def truth(server: XServer) -> Pixels:
    """What is on the screen, H×W×3."""
    with X11Source(socket=server.socket, auth=server.auth) as source:
        width, height = source.size
        bgrx = np.frombuffer(source.read(), np.uint8).reshape(height, width, 4)
    return np.ascontiguousarray(bgrx[..., 2::-1])


def check_exact(server: XServer, viewer: Viewer, rect: Rect) -> None:
    """Wait for rest; the viewer must see that part of the screen exactly."""
    x, y, width, height = rect
    viewer.drain(0.5)
    assert viewer.engine.failure is None
    assert np.array_equal(viewer.picture, truth(server)[y : y + height, x : x + width])


def scribble(painter: Painter, numbers: random.Random, steps: int) -> None:
    """Draw flat and noisy rectangles anywhere, across the borders of all parts."""
    for _ in range(steps):
        width, height = numbers.randint(1, 300), numbers.randint(1, 200)
        x, y = numbers.randint(0, WIDTH - width), numbers.randint(0, HEIGHT - height)
        if numbers.random() < 0.4:
            painter.image(x, y, width, height, numbers.randbytes(width * height * 4))
        else:
            painter.fill(x, y, width, height, numbers.randrange(1 << 24))


@pytest.mark.parametrize("mode", ["auto", "lossless"])
def test_two_engines_on_one_screen_come_to_rest_exactly(mode: str) -> None:
    numbers = random.Random(7)
    with (
        XServer((WIDTH, HEIGHT)) as server,
        Painter(server) as painter,
        watching(server, LEFT, mode=mode) as left,
        watching(server, RIGHT, mode=mode) as right,
    ):
        for _ in range(2):
            for _ in range(20):
                scribble(painter, numbers, 2)
                for viewer in (left, right):
                    viewer.wait(0.01)
                    viewer.take()
            check_exact(server, left, LEFT)
            check_exact(server, right, RIGHT)


def test_a_part_is_cut_and_grows_back_with_resized_frames() -> None:
    with XServer((WIDTH, HEIGHT)) as server, Painter(server) as painter, watching(server, RIGHT) as viewer:
        x, y, width, height = RIGHT
        for number, size in enumerate([(WIDTH, HEIGHT), (500, 300), (x + 1, y + 1), (WIDTH, HEIGHT)]):
            before = len(viewer.messages)
            if number:
                server.resize(*size)
            painter.fill(0, 0, WIDTH, HEIGHT, 0x405060 + number)
            left = (x, y, min(width, size[0] - x), min(height, size[1] - y))
            check_exact(server, viewer, left)
            assert any(message.header.resized for message in viewer.messages[before:])


def test_the_end_of_one_part_is_not_the_end_of_the_other() -> None:
    with (
        XServer((WIDTH, HEIGHT)) as server,
        Painter(server) as painter,
        watching(server, (0, 0, 300, 200)) as stays,
        watching(server, (600, 0, 200, 200)) as goes,
    ):
        stays.drain()
        goes.drain()
        server.resize(500, 300)
        deadline = time.monotonic() + 5
        while goes.engine.failure is None:
            assert time.monotonic() < deadline
            goes.wait(0.1)
        failure: EngineError = goes.engine.failure
        assert isinstance(failure, SourceError)
        assert "nothing is left to show: 200x200+600+0" in str(failure)
        painter.fill(10, 10, 250, 150, 0x99AA00)
        check_exact(server, stays, (0, 0, 300, 200))


def test_engines_that_come_and_go_do_not_disturb_one_that_stays() -> None:
    """Threads start and stop engines, one of them in every fourth round on a part that is not there."""
    failures: list[BaseException] = []

    def come_and_go(server: XServer, seed: int) -> None:
        numbers = random.Random(seed)
        try:
            for number in range(12):
                if number % 4 == 3:
                    with pytest.raises(SourceError, match="nothing is left"), watching(server, (WIDTH, 0, 5, 5)):
                        pass
                    continue
                x, y = numbers.randint(0, 400), numbers.randint(0, 200)
                mode = ("auto", "jpeg", "lossless")[number % 3]
                with watching(server, (x, y, numbers.randint(1, 400), numbers.randint(1, 200)), mode=mode) as viewer:
                    viewer.wait(1)
                    for _ in range(numbers.randint(0, 3)):
                        viewer.take()
        except BaseException as error:
            failures.append(error)

    with XServer((WIDTH, HEIGHT)) as server, Painter(server) as painter, watching(server, LEFT) as viewer:
        threads = [threading.Thread(target=come_and_go, args=(server, seed)) for seed in range(3)]
        for thread in threads:
            thread.start()
        numbers = random.Random(3)
        while any(thread.is_alive() for thread in threads):
            scribble(painter, numbers, 1)
            viewer.wait(0.005)
            viewer.take()
        for thread in threads:
            thread.join()
        assert not failures
        check_exact(server, viewer, LEFT)


def test_a_flood_beside_it_does_not_wake_a_part() -> None:
    with (
        XServer((WIDTH, HEIGHT)) as server,
        Painter(server) as painter,
        watching(server, (0, 0, 300, 400), verify_interval_ms=0) as viewer,
    ):
        painter.fill(300, 0, 500, 400, 0x010203)
        viewer.drain(0.6)
        before = viewer.engine.stats()
        for number in range(300):
            painter.fill(310 + number % 50, 10, 400, 300, number)
        after = viewer.engine.stats()
        assert after.wakeups - before.wakeups <= 1  # of 300
        assert after.frames == before.frames
