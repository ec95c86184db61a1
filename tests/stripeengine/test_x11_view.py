"""Parts of a screen: rectangles and monitors as sources, what they follow, and input that hits them."""

from __future__ import annotations

import select
import struct
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from stripeengine.errors import SourceError
from stripeengine.x11 import X11Change, X11Input, X11Monitor, X11Source, probe
from tests.stripeengine.fixtures_x11 import Painter, XServer, have_xvfb, relay

pytestmark = pytest.mark.skipif(not have_xvfb(), reason="Xvfb is not installed")

WIDTH, HEIGHT = 800, 400
RECT = (313, 57, 201, 103)  # nothing of it is even


@pytest.fixture(scope="module")
def server() -> Iterator[XServer]:
    with XServer((WIDTH, HEIGHT)) as running:
        yield running


@pytest.fixture
def painter(server: XServer) -> Iterator[Painter]:
    with Painter(server) as running:
        running.fill(0, 0, WIDTH, HEIGHT, 0x000000)
        yield running


@pytest.fixture
def monitors(server: XServer) -> Iterator[XServer]:
    """The server with its screen in two: monitors LEFT and RIGHT."""
    server.run("xrandr", "--setmonitor", "LEFT", "400/100x400/100+0+0", "screen")
    server.run("xrandr", "--setmonitor", "RIGHT", "400/100x400/100+400+0", "none")
    yield server
    for name in ("LEFT", "RIGHT"):
        server.run("xrandr", "--delmonitor", name)


def place(server: XServer, name: str, geometry: str) -> None:
    """Define a monitor of that name anew; xrandr cannot change one."""
    server.run("xrandr", "--delmonitor", name)
    server.run("xrandr", "--setmonitor", name, geometry, "none")


def open_part(server: XServer, rect: tuple[int, int, int, int] | None = None, monitor: str | None = None) -> X11Source:
    return X11Source(socket=server.socket, auth=server.auth, rect=rect, monitor=monitor)


def readable(source: X11Source, seconds: float) -> bool:
    return bool(select.select([source.fileno()], [], [], seconds)[0])


def settle(source: X11Source) -> None:
    """Poll until nothing more comes."""
    while readable(source, 0.1):
        source.poll()


def wait_change(source: X11Source, wanted: Callable[[X11Change], bool]) -> X11Change:
    """Poll until a change is as wanted and return it."""
    deadline = time.monotonic() + 5
    while time.monotonic() < deadline:
        if readable(source, 0.1):
            change = source.poll()
            if wanted(change):
                return change
    raise AssertionError("no such change within 5 s")


def pixel(source: X11Source, x: int, y: int) -> int:
    at = source.read(y, y + 1)[x * 4 : x * 4 + 3]
    return int.from_bytes(at, "little")


def test_a_rectangle_has_the_pixels_of_its_place(server: XServer, painter: Painter) -> None:
    x, y, width, height = RECT
    noise = bytes((i * 7919 >> 3) & 255 for i in range(width * height * 4))
    painter.fill(0, 0, WIDTH, HEIGHT, 0xFFFFFF)
    painter.image(x, y, width, height, noise)
    with open_part(server, RECT) as source:
        assert (source.size, source.origin) == ((width, height), (x, y))
        assert all(source.read()[c::4] == noise[c::4] for c in range(3))
        assert source.read(50, 51)[:3] == noise[50 * width * 4 :][:3]
        with pytest.raises(ValueError, match="of a screen of 103 rows"):
            source.read(0, height + 1)


def test_damage_is_cut_to_the_rectangle_and_counted_from_its_corner(server: XServer, painter: Painter) -> None:
    with open_part(server, RECT) as source:
        assert source.poll().damage == ((0, 0, RECT[2], RECT[3]),)
        settle(source)
        painter.fill(RECT[0] + 20, RECT[1] + 30, 40, 10, 0x112233)
        assert wait_change(source, lambda c: bool(c.damage)).damage == ((20, 30, 40, 10),)
        painter.fill(0, 0, RECT[0] + 5, RECT[1] + 7, 0x445566)  # only a corner of it is inside
        assert wait_change(source, lambda c: bool(c.damage)).damage == ((0, 0, 5, 7),)
        painter.fill(RECT[0] + RECT[2] - 3, 0, 100, HEIGHT, 0x445566)
        assert wait_change(source, lambda c: bool(c.damage)).damage == ((198, 0, 3, 103),)


def test_what_is_drawn_elsewhere_wakes_nobody_for_long(server: XServer, painter: Painter) -> None:
    with open_part(server, RECT) as source:
        settle(source)
        painter.fill(0, 300, WIDTH, 50, 0x010101)
        settle(source)
        for number in range(50):
            painter.fill(number, 300, 200, 50, number)
            assert not readable(source, 0)
        painter.fill(RECT[0], RECT[1], 1, 1, 0x123456)
        assert wait_change(source, lambda c: bool(c.damage)).damage == ((0, 0, 1, 1),)


def test_strewn_damage_elsewhere_hides_nothing(server: XServer, painter: Painter) -> None:
    """More of it than is left standing: all is cleared, and what is inside is still reported each time."""
    with open_part(server, RECT) as source:
        settle(source)
        for number in range(1, 80):
            for spot in range(4):
                painter.fill(number * 10 % 300, 200 + spot * 40 + number % 3 * 9, 3, 3, number)
            painter.fill(RECT[0] + number, RECT[1] + 9, 2, 2, number)
            assert wait_change(source, lambda c: bool(c.damage)).damage == ((number, 9, 2, 2),)  # noqa: B023
            assert pixel(source, number, 9) == number


def test_the_probe_lists_monitors(monitors: XServer) -> None:
    found = probe(socket=monitors.socket, auth=monitors.auth).monitors
    assert {(m.name, m.rect) for m in found} == {("LEFT", (0, 0, 400, 400)), ("RIGHT", (400, 0, 400, 400))}
    assert not any(m.primary for m in found)


def test_a_primary_monitor_is_marked(monitors: XServer) -> None:
    monitors.run("xrandr", "--delmonitor", "RIGHT")
    monitors.run("xrandr", "--setmonitor", "*RIGHT", "400/100x400/100+400+0", "none")
    found = {m.name: m for m in probe(socket=monitors.socket, auth=monitors.auth).monitors}
    assert found["RIGHT"] == X11Monitor("RIGHT", (400, 0, 400, 400), True)


def test_a_monitor_is_followed(monitors: XServer, painter: Painter) -> None:
    painter.fill(400, 0, 400, 400, 0x00AA00)
    painter.fill(0, 0, 300, 400, 0xAA0000)
    with open_part(monitors, monitor="RIGHT") as source:
        assert (source.size, source.origin, pixel(source, 0, 0)) == ((400, 400), (400, 0), 0x00AA00)
        settle(source)
        # Elsewhere, of the same size: no resize, but everything may be another.
        place(monitors, "RIGHT", "400/100x400/100+100+0")
        change = wait_change(source, lambda c: bool(c.damage))
        assert (change.damage, change.resized) == (((0, 0, 400, 400),), False)
        assert (source.origin, pixel(source, 0, 0), pixel(source, 399, 0)) == ((100, 0), 0xAA0000, 0x00AA00)
        painter.fill(120, 30, 10, 10, 0x0000AA)  # where it was not before: watched now
        assert wait_change(source, lambda c: bool(c.damage)).damage == ((20, 30, 10, 10),)
        # Of another size.
        place(monitors, "RIGHT", "250/100x300/100+550+100")
        assert wait_change(source, lambda c: c.resized)
        assert (source.size, source.origin, pixel(source, 249, 299)) == ((250, 300), (550, 100), 0x00AA00)


def test_a_monitor_that_goes_leaves_its_rectangle_until_it_comes_back(monitors: XServer, painter: Painter) -> None:
    with open_part(monitors, monitor="RIGHT") as source:
        settle(source)
        monitors.run("xrandr", "--delmonitor", "RIGHT")
        settle(source)
        assert (source.size, source.origin) == ((400, 400), (400, 0))
        painter.fill(410, 10, 5, 5, 0x123456)
        assert wait_change(source, lambda c: bool(c.damage)).damage == ((10, 10, 5, 5),)
        monitors.run("xrandr", "--setmonitor", "RIGHT", "100/100x100/100+700+300", "none")
        assert wait_change(source, lambda c: c.resized)
        assert (source.size, source.origin) == ((100, 100), (700, 300))


def test_the_monitor_of_an_output_follows_its_mode() -> None:
    with XServer((800, 600)) as server, open_part(server, monitor="screen") as source:
        for width, height in ((640, 480), (321, 201), (800, 600)):
            server.resize(width, height)
            deadline = time.monotonic() + 5
            while source.size != (width, height):
                assert time.monotonic() < deadline
                if readable(source, 0.1):
                    source.poll()
            settle(source)
            assert len(source.read()) == width * height * 4


def test_a_rectangle_is_cut_to_the_screen_and_grows_back() -> None:
    with XServer((800, 600)) as server, open_part(server, (400, 300, 400, 1000)) as source:
        assert source.size == (400, 300)
        for (width, height), left in (((640, 480), (240, 180)), ((401, 301), (1, 1)), ((800, 600), (400, 300))):
            server.resize(width, height)
            wait_change(source, lambda c: c.resized and source.size == left)  # noqa: B023
            assert source.origin == (400, 300)
            assert len(source.read()) == left[0] * left[1] * 4


def test_nothing_left_names_cause_and_remedy() -> None:
    with XServer((800, 600)) as server, open_part(server, (500, 10, 300, 200)) as source:
        settle(source)
        server.resize(500, 400)
        with pytest.raises(SourceError, match=r"300x200\+500\+10 lies outside of the X screen of 500x400: enlarge"):
            wait_change(source, lambda c: False)
        with pytest.raises(SourceError, match="nothing is left to show"):
            open_part(server, (500, 10, 300, 200))


def test_a_gone_monitor_outside_of_the_screen_is_named() -> None:
    with XServer((800, 600)) as server:
        server.run("xrandr", "--setmonitor", "FAR", "300/100x200/100+500+0", "none")
        with open_part(server, monitor="FAR") as source:
            settle(source)
            server.run("xrandr", "--delmonitor", "FAR")
            server.resize(500, 400)
            with pytest.raises(
                SourceError, match="monitor 'FAR' at 300x200.500.0 lies outside of the X screen of 500x400"
            ):
                wait_change(source, lambda c: False)


@pytest.mark.parametrize("name", ["right", "RIGH", "RIGHTS", "screen"])
def test_an_unknown_monitor_names_those_there_are(monitors: XServer, name: str) -> None:
    with pytest.raises(SourceError, match=f"no monitor '{name}'; it has: LEFT, RIGHT"):
        open_part(monitors, monitor=name)


def test_without_randr_a_monitor_is_refused_and_a_rectangle_is_not() -> None:
    with XServer((320, 240), without=["RANDR"]) as server:
        with pytest.raises(SourceError, match="lacks the RANDR extension.*name a rectangle"):
            open_part(server, monitor="screen")
        assert probe(socket=server.socket, auth=server.auth).monitors == ()
        with open_part(server, (100, 100, 50, 50)) as source:
            assert source.size == (50, 50)


@pytest.mark.parametrize(
    ("rect", "text"),
    [
        ((0, 0, 0, 10), "at least one pixel"),
        ((0, 0, 10, -1), "at least one pixel"),
        ((-1, 0, 10, 10), "x and y from 0 to 32767"),
        ((0, 40000, 10, 10), "x and y from 0 to 32767"),
        ((0, 0, 10), "four whole numbers"),
        ((0, 0, 10, 1.5), "four whole numbers"),
        ((0, 0, 20000, 10), "sides of 1 to 16384"),
        ((0, 0, 10, 10**30), "sides of 1 to 16384"),
    ],
)
def test_impossible_rectangles_are_refused(server: XServer, rect: tuple[int, int, int, int], text: str) -> None:
    with pytest.raises(SourceError, match=text):
        open_part(server, rect)


@pytest.mark.parametrize(
    ("name", "text"), [("", "has 0 bytes"), ("x" * 128, "has 128 bytes"), ("a\0b", "null character")]
)
def test_impossible_names_are_refused(server: XServer, name: str, text: str) -> None:
    with pytest.raises(SourceError, match=text):
        open_part(server, monitor=name)


def test_a_rectangle_and_a_monitor_exclude_each_other(server: XServer) -> None:
    with pytest.raises(SourceError, match="not both"):
        open_part(server, RECT, "screen")


def test_a_lying_list_of_monitors_is_refused(monitors: XServer, tmp_path: Path) -> None:
    """The second monitor claims more outputs than the reply has bytes for."""
    geometry = struct.pack("<hhHH", 400, 0, 400, 400)

    def lie(data: bytes) -> bytes:
        at = data.find(geometry)
        return data if at < 2 else data[: at - 2] + b"\xff\xff" + data[at:]

    with relay(monitors, str(tmp_path / "X0"), lie) as path:
        with pytest.raises(SourceError, match="list of monitors that ends early"):
            X11Source(socket=path, auth=monitors.auth, monitor="LEFT")
        assert probe(socket=path, auth=monitors.auth).monitors == ()


def test_input_hits_what_the_view_shows(monitors: XServer) -> None:
    with (
        open_part(monitors, monitor="RIGHT") as source,
        X11Input(socket=monitors.socket, auth=monitors.auth, offset=source.origin) as device,
        X11Input(socket=monitors.socket, auth=monitors.auth) as root,
    ):
        device.move(17, 23)
        device.flush()
        assert device.pointer()[:2] == (17, 23)
        assert root.pointer()[:2] == (417, 23)
        device.move(32767, 32767)  # past the edge, and past what X can say
        device.flush()
        device.pointer()  # the server has done it by now
        assert root.pointer()[:2] == (WIDTH - 1, HEIGHT - 1)
        root.move(10, 20)
        root.pointer()
        assert device.pointer()[:2] == (-390, 20)
        device.offset = (100, 50)
        device.move(1, 2)
        device.flush()
        device.pointer()  # the server has done it by now
        assert root.pointer()[:2] == (101, 52)
        for offset in ((-1, 0), (0, 32768)):
            with pytest.raises(ValueError, match="input cannot count from"):
                device.offset = offset
        assert device.offset == (100, 50)
