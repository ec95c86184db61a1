"""X11Source against a real server: pixels, damage, wake-ups, sizes, shared memory across users."""

from __future__ import annotations

import os
import random
import select
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from stripeengine.errors import SourceError
from stripeengine.x11 import X11Source, probe
from tests.stripeengine.fixtures_x11 import Painter, XServer, have_xvfb, relay

pytestmark = pytest.mark.skipif(not have_xvfb(), reason="Xvfb is not installed")

WIDTH, HEIGHT = 640, 480
Rect = tuple[int, int, int, int]


@pytest.fixture
def source(server: XServer, painter: Painter) -> Iterator[X11Source]:
    with X11Source(socket=server.socket, auth=server.auth) as opened:
        opened.poll()
        yield opened


def readable(source: X11Source, seconds: float) -> bool:
    return bool(select.select([source.fileno()], [], [], seconds)[0])


def wait_damage(source: X11Source) -> tuple[Rect, ...]:
    """Poll until there is damage and return it."""
    deadline = time.monotonic() + 5
    while time.monotonic() < deadline:
        if readable(source, 0.1):
            damage = source.poll().damage
            if damage:
                return damage
    raise AssertionError("no damage within 5 s")


def bounds(rects: tuple[Rect, ...]) -> Rect:
    x0, y0 = min(r[0] for r in rects), min(r[1] for r in rects)
    x1, y1 = max(r[0] + r[2] for r in rects), max(r[1] + r[3] for r in rects)
    return x0, y0, x1 - x0, y1 - y0


def solid(count: int, colour: int) -> bytes:
    return bytes((colour & 255, colour >> 8 & 255, colour >> 16 & 255)) * count


def without_padding(bgrx: bytes) -> bytes:
    """Drop the undefined fourth byte of every pixel."""
    out = bytearray(len(bgrx) // 4 * 3)
    for channel in range(3):
        out[channel::3] = bgrx[channel::4]
    return bytes(out)


def test_first_poll_covers_the_screen_and_announces_the_cursor(server: XServer) -> None:
    with X11Source(socket=server.socket, auth=server.auth) as source:
        assert readable(source, 1)
        change = source.poll()
        assert bounds(change.damage) == (0, 0, WIDTH, HEIGHT)
        assert change.cursor
        assert not change.resized
        assert source.size == (WIDTH, HEIGHT)


def test_damage_is_the_drawn_rectangle(source: X11Source, painter: Painter) -> None:
    painter.fill(101, 33, 57, 19, 0x123456)
    assert wait_damage(source) == ((101, 33, 57, 19),)
    assert source.poll().damage == ()


def test_two_far_rectangles_stay_two(source: X11Source, painter: Painter) -> None:
    painter.fill(0, 0, 8, 8, 0xFF0000)
    painter.fill(600, 400, 8, 8, 0x00FF00)
    seen: set[Rect] = set()
    while len(seen) < 2:
        seen |= set(wait_damage(source))
    assert seen == {(0, 0, 8, 8), (600, 400, 8, 8)}


def test_pixels_are_exact(source: X11Source, painter: Painter) -> None:
    noise = random.Random(7).randbytes(WIDTH * HEIGHT * 4)
    painter.image(0, 0, WIDTH, HEIGHT, noise)
    wait_damage(source)
    assert without_padding(source.read()) == without_padding(noise)


def test_a_band_of_rows_lines_up(source: X11Source, painter: Painter) -> None:
    painter.fill(0, 0, WIDTH, HEIGHT, 0x202020)
    painter.fill(0, 200, WIDTH, 1, 0xA1B2C3)
    wait_damage(source)
    band = without_padding(source.read(199, 202))
    assert band == solid(WIDTH, 0x202020) + solid(WIDTH, 0xA1B2C3) + solid(WIDTH, 0x202020)


@pytest.mark.parametrize("rows", [(-1, 10), (10, 10), (20, 10), (0, HEIGHT + 1), (HEIGHT, HEIGHT + 1)])
def test_rows_outside_the_screen_are_refused(source: X11Source, rows: tuple[int, int]) -> None:
    with pytest.raises(ValueError, match="cannot be grabbed"):
        source.read(*rows)


def test_an_event_read_with_a_reply_still_wakes(source: X11Source, painter: Painter) -> None:
    """XCB reads the event while it waits for the grab; the socket no longer shows it, the descriptor must."""
    painter.fill(5, 5, 10, 10, 0x445566)
    source.read(0, 16)
    assert readable(source, 0)
    assert source.poll().damage == ((5, 5, 10, 10),)
    assert not readable(source, 0)


def test_idle_screen_never_wakes(source: X11Source) -> None:
    source.poll()
    assert not readable(source, 3)


def test_no_change_is_lost_under_a_flood(server: XServer, source: X11Source) -> None:
    """A picture kept by damage alone equals the screen after two threads drew and read at full speed."""
    stop = threading.Event()

    def flood() -> None:
        generator = random.Random(3)
        with Painter(server) as painter:
            while not stop.is_set():
                for _ in range(20):
                    x, y = generator.randrange(WIDTH - 40), generator.randrange(HEIGHT - 40)
                    painter.fill(
                        x, y, generator.randrange(1, 40), generator.randrange(1, 40), generator.getrandbits(24)
                    )

    picture = bytearray(source.read())
    polls = 0

    def catch_up() -> None:
        for x, y, w, h in source.poll().damage:
            rows = source.read(y, y + h)
            for row in range(h):
                at = ((y + row) * WIDTH + x) * 4
                picture[at : at + w * 4] = rows[(row * WIDTH + x) * 4 : (row * WIDTH + x + w) * 4]

    thread = threading.Thread(target=flood)
    thread.start()
    try:
        end = time.monotonic() + 1.5
        while time.monotonic() < end:
            if readable(source, 0.1):
                catch_up()
                polls += 1
    finally:
        stop.set()
        thread.join()
    while readable(source, 0.2):
        catch_up()
    assert polls > 20
    assert without_padding(bytes(picture)) == without_padding(source.read())


def test_sizes_follow_randr() -> None:
    with XServer((1280, 720)) as server:
        server.resize(640, 480)
        with X11Source(socket=server.socket, auth=server.auth) as source, Painter(server) as painter:
            assert source.size == (640, 480)
            for width, height in ((1279, 719), (641, 481), (1280, 720), (33, 17)):
                server.resize(width, height)
                resized = False
                while not resized:
                    assert readable(source, 5)
                    resized = source.poll().resized
                assert source.size == (width, height)
                painter.fill(0, 0, width, height, 0x010203)
                painter.fill(width - 1, height - 1, 1, 1, 0xFFFFFF)
                expected = solid(width * height - 1, 0x010203) + solid(1, 0xFFFFFF)
                assert without_padding(source.read()) == expected


def test_a_grab_that_meets_a_resize_says_so_and_poll_reports_it() -> None:
    with XServer((800, 600)) as server, X11Source(socket=server.socket, auth=server.auth) as source:
        source.poll()
        server.resize(400, 300)
        with pytest.raises(SourceError, match="changing its size"):
            source.read(500, 600)
        assert readable(source, 1)
        assert source.poll().resized
        assert source.size == (400, 300)
        assert len(source.read()) == 400 * 300 * 4


@pytest.mark.skipif(os.geteuid() != 0, reason="starting a server as another user needs root")
def test_memory_is_shared_with_another_user() -> None:
    with XServer((320, 240), uid=65534) as server, Painter(server) as painter:
        assert probe(socket=server.socket, auth=server.auth).memory == "passed"
        with X11Source(socket=server.socket, auth=server.auth) as source:
            painter.fill(0, 0, 320, 240, 0xC0FFEE)
            assert without_padding(source.read()) == solid(320 * 240, 0xC0FFEE)


def test_system_v_memory_serves_where_descriptors_cannot_pass(tmp_path: Path) -> None:
    with XServer((320, 240)) as server, Painter(server) as painter, relay(server, str(tmp_path / "X0")) as path:
        assert probe(socket=path, auth=server.auth).memory == "sysv"
        with X11Source(socket=path, auth=server.auth) as source:
            painter.fill(0, 0, 320, 240, 0xBADA55)
            assert without_padding(source.read()) == solid(320 * 240, 0xBADA55)
            # Removed as soon as both sides have it: a crash leaves nothing behind.
            mine = [line.split() for line in Path("/proc/sysvipc/shm").read_text().splitlines()[1:]]
            removed = [line for line in mine if int(line[4]) == os.getpid()]
            assert removed
            assert all(int(line[2], 8) & 0o1000 for line in removed)


@pytest.mark.skipif(os.geteuid() != 0, reason="starting a server as another user needs root")
def test_refused_memory_names_the_remedy(tmp_path: Path) -> None:
    with XServer((320, 240), uid=65534) as server, relay(server, str(tmp_path / "X0")) as path:
        assert probe(socket=path, auth=server.auth).memory == "none"
        with pytest.raises(SourceError, match="cannot share memory.*Unix socket"):
            X11Source(socket=path, auth=server.auth)


def test_a_tcp_display_is_refused_with_the_remedy(monkeypatch: pytest.MonkeyPatch) -> None:
    with XServer((320, 240), tcp=True) as server:
        monkeypatch.setenv("XAUTHORITY", server.authority)
        with pytest.raises(SourceError, match="cannot share memory.*Unix socket"):
            X11Source(f"127.0.0.1:{server.number}")


def test_a_display_name_works_too(server: XServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XAUTHORITY", server.authority)
    with X11Source(server.display) as source:
        assert source.size == (WIDTH, HEIGHT)


def test_closing_leaves_no_descriptor_behind(server: XServer) -> None:
    X11Source(socket=server.socket, auth=server.auth).close()
    before = len(os.listdir("/proc/self/fd"))
    for _ in range(5):
        X11Source(socket=server.socket, auth=server.auth).close()
    assert len(os.listdir("/proc/self/fd")) == before
