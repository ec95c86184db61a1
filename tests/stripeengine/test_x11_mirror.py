"""X11Source's mirror: pixels that come with the list of what has changed, in one round trip."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest

from stripeengine.x11 import X11Source
from tests.stripeengine.fixtures_x11 import Painter, XServer, have_xvfb

pytestmark = pytest.mark.skipif(not have_xvfb(), reason="Xvfb is not installed")

WIDTH, HEIGHT = 640, 480
RED, BLUE = 0xFF0000, 0x0000FF


@pytest.fixture
def source(server: XServer, painter: Painter) -> Iterator[X11Source]:
    with X11Source(socket=server.socket, auth=server.auth) as opened:
        opened.poll()
        opened.read()  # from now on it is kept current
        yield opened


def poll_damage(source: X11Source) -> None:
    """Poll once there is damage: the drawing was waited for, its event is on the way at most."""
    deadline = time.monotonic() + 5
    while time.monotonic() < deadline:
        if source.poll().damage:
            return
        time.sleep(0.005)
    raise AssertionError("no damage within 5 s")


def pixel(source: X11Source, x: int, y: int) -> int:
    row = source.read(y, y + 1)
    return int.from_bytes(row[x * 4 : x * 4 + 3], "little")


def test_what_is_read_after_a_poll_came_with_it(source: X11Source, painter: Painter) -> None:
    painter.fill(10, 20, 30, 40, RED)
    poll_damage(source)
    painter.fill(10, 20, 30, 40, BLUE)
    assert pixel(source, 39, 59) == RED
    assert pixel(source, 40, 59) == 0
    assert pixel(source, 39, 59) == BLUE, "a second read asks the server"


def test_what_nobody_reads_is_not_copied_for_ever(source: X11Source, painter: Painter) -> None:
    for number in range(4):
        painter.fill(0, 0, 8, 8, RED + number)
        poll_damage(source)
    painter.fill(0, 0, 8, 8, BLUE)
    assert pixel(source, 0, 0) == BLUE
    poll_damage(source)
    painter.fill(0, 0, 8, 8, RED)
    assert pixel(source, 0, 0) == BLUE, "it follows again"


def test_windows_are_copied_too(source: X11Source, painter: Painter) -> None:
    window = painter.root.create_window(100, 100, 50, 50, 0, 24, background_pixel=RED, override_redirect=True)
    window.map()
    painter.display.sync()
    poll_damage(source)
    window.destroy()
    painter.display.sync()
    assert pixel(source, 120, 120) == RED


def test_a_part_of_the_screen_is_copied_to_its_place(server: XServer, painter: Painter) -> None:
    with X11Source(socket=server.socket, auth=server.auth, rect=(100, 50, 300, 200)) as source:
        source.poll()
        source.read()
        painter.fill(90, 40, 20, 20, RED)
        poll_damage(source)
        painter.fill(90, 40, 20, 20, BLUE)
        assert pixel(source, 9, 9) == RED
        painter.fill(90, 40, 20, 20, 0)
        assert pixel(source, 10, 9) == 0


def test_a_copy_after_a_resize_has_the_new_width() -> None:
    with XServer((800, 600)) as server, X11Source(socket=server.socket, auth=server.auth) as source:
        source.poll()
        source.read()
        server.resize(400, 300)
        deadline = time.monotonic() + 5
        while not source.poll().resized and time.monotonic() < deadline:
            time.sleep(0.005)
        source.read()
        with Painter(server) as painter:
            painter.fill(0, 0, 400, 300, 0)
            painter.fill(399, 299, 1, 1, RED)
            poll_damage(source)
            painter.fill(0, 0, 400, 300, BLUE)
            assert pixel(source, 399, 299) == RED
