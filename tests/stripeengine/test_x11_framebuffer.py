"""X11Source on the server's own memory: what is read there, what is refused, and that the server is let go."""

from __future__ import annotations

import contextlib
import os
import re
import select
import signal
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Iterator

import numpy as np
import numpy.typing as npt
import pytest

from stripeengine import Engine, EngineSettings
from stripeengine.x11 import X11Source
from tests.stripeengine.fixtures_x11 import Painter, XServer, have_xvfb, sealed_memory

pytestmark = pytest.mark.skipif(not have_xvfb(), reason="Xvfb is not installed")

RED, BLUE = 0xFF0000, 0x0000FF


@pytest.fixture(scope="module")
def server() -> Iterator[XServer]:
    """A screen of 640×480 whose memory is a file."""
    with XServer((640, 480), framebuffer=True) as running:
        yield running


@contextlib.contextmanager
def opened(server: XServer, screen: int | None, **part: tuple[int, ...]) -> Iterator[X11Source]:
    with X11Source(socket=server.socket, auth=server.auth, framebuffer=screen, **part) as source:  # type: ignore[arg-type]
        source.poll()
        yield source


def picture(source: X11Source) -> npt.NDArray[np.uint8]:
    width, height = source.size
    return np.frombuffer(source.read(), np.uint8).reshape(height, width, 4)[:, :, :3]


def head_of(server: XServer) -> bytes:
    assert server.screen is not None
    return os.pread(server.screen, 8192, 0)


def test_the_servers_memory_shows_what_the_server_says(server: XServer, painter: Painter) -> None:
    noise = np.random.default_rng(3).integers(0, 256, (200, 300, 4), np.uint8)
    with opened(server, server.screen) as direct, opened(server, None) as asking:
        assert direct.direct and not asking.direct
        painter.image(33, 41, 300, 200, noise.tobytes())
        window = painter.root.create_window(500, 400, 200, 50, 0, 24, background_pixel=RED, override_redirect=True)
        window.map()
        painter.display.sync()
        assert np.array_equal(picture(direct), picture(asking))
        assert np.array_equal(picture(direct)[41:241, 33:333], noise[:, :, :3])
        window.destroy()
        painter.display.sync()
        assert np.array_equal(picture(direct), picture(asking))


def test_damage_comes_as_it_does_without(server: XServer, painter: Painter) -> None:
    with opened(server, server.screen) as source:
        source.read()
        painter.fill(10, 20, 30, 40, RED)
        assert select.select([source.fileno()], [], [], 5)[0]
        assert source.poll().damage == ((10, 20, 30, 40),)


def test_a_part_of_the_screen_has_its_place(server: XServer, painter: Painter) -> None:
    with opened(server, server.screen, rect=(100, 50, 300, 200)) as source:
        assert source.direct
        painter.fill(100, 50, 1, 1, RED)
        painter.fill(399, 249, 1, 1, BLUE)
        shown = picture(source)
        assert shown.shape == (200, 300, 3)
        assert tuple(shown[0, 0]) == (0, 0, 255)
        assert tuple(shown[199, 299]) == (255, 0, 0)


def test_a_smaller_screen_keeps_the_rows_of_the_largest() -> None:
    with XServer((800, 600), framebuffer=True) as server, opened(server, server.screen) as source:
        server.resize(333, 222)
        deadline = time.monotonic() + 5
        while not source.poll().resized and time.monotonic() < deadline:
            time.sleep(0.005)
        with Painter(server) as painter, opened(server, None) as asking:
            painter.fill(0, 0, 333, 222, BLUE)
            painter.fill(332, 221, 1, 1, RED)
            assert source.direct and source.size == (333, 222)
            assert np.array_equal(picture(source), picture(asking))


@pytest.mark.parametrize("mode", ["auto", "lossless", "jpeg", "h264"])
def test_others_draw_while_an_engine_reads(server: XServer, painter: Painter, mode: str) -> None:
    """Each call waits for the server, which must never stay held."""
    with (
        opened(server, server.screen) as source,
        Engine(source, EngineSettings(mode=mode, framerate=120)) as engine,
    ):
        engine.start()
        longest, began = 0.0, time.monotonic()
        while time.monotonic() < began + 2:
            start = time.monotonic()
            painter.fill(int(start * 1000) % 500, 30, 90, 300, int(start * 1000) & 0xFFFFFF)
            longest = max(longest, time.monotonic() - start)
            while (frame := engine.take()) is not None:
                frame.release()
        assert engine.stats().frames > 20
        assert longest < 0.5
        for waiting in ("nobody takes the frames", "nobody watches"):
            painter.fill(0, 0, 640, 480, len(waiting))
            painter.fill(0, 0, 640, 480, RED)
            time.sleep(0.1)
            painter.fill(0, 0, 640, 480, BLUE)
            engine.pause(True)
    painter.fill(0, 0, 640, 480, RED)


ENGINE = """
import os, sys
from select import select
from stripeengine import Engine, EngineSettings
from stripeengine.x11 import X11Source
socket, name, cookie, screen = sys.argv[1:]
with X11Source(socket=socket, auth=(name, bytes.fromhex(cookie)), framebuffer=int(screen)) as source:
    with Engine(source, EngineSettings(mode="lossless", framerate=120)) as engine:
        engine.start()
        print("started", flush=True)
        while True:
            if select([engine.fileno()], [], [], 1)[0]:
                os.eventfd_read(engine.fileno())
            while (frame := engine.take()) is not None:
                frame.release()
"""


def test_an_engine_killed_while_it_holds_the_server_lets_it_go() -> None:
    """It is stopped at random moments until one of them was such a moment: a client then waits, until the kill."""
    noise = [np.random.default_rng(n).bytes(1280 * 1024 * 4) for n in range(2)]
    with XServer((1280, 1024), framebuffer=True) as server, Painter(server) as painter:
        name, cookie = server.auth
        command = [sys.executable, "-c", ENGINE, server.socket, name, cookie.hex()]
        assert server.screen is not None
        engine = subprocess.Popen(
            [*command, str(server.screen)], pass_fds=[server.screen], stdout=subprocess.PIPE, text=True
        )
        try:
            assert engine.stdout is not None and engine.stdout.readline() == "started\n"
            held = False
            for number in range(300):
                painter.image(0, 0, 1280, 1024, noise[number % 2])
                time.sleep(0.001 * (number % 7))
                engine.send_signal(signal.SIGSTOP)
                drawing = threading.Thread(target=painter.fill, args=(0, 0, 1, 1, number))
                drawing.start()
                drawing.join(0.1)
                held = drawing.is_alive()
                engine.send_signal(signal.SIGKILL if held else signal.SIGCONT)
                drawing.join(5)
                assert not drawing.is_alive(), "the server still serves nobody"
                if held:
                    break
            assert held, "no moment was right"
        finally:
            engine.kill()
            engine.wait()


def test_who_only_polls_holds_nobody(server: XServer, painter: Painter) -> None:
    with opened(server, server.screen) as source:
        for _ in range(5):
            painter.fill(0, 0, 8, 8, RED)
            source.poll()
            painter.fill(0, 0, 8, 8, BLUE)
            source.read()


def test_the_pointer_is_not_in_the_picture_and_its_images_still_come(server: XServer, painter: Painter) -> None:
    def show(name: str) -> None:
        painter.display.sync()
        server.run("xsetroot", "-cursor_name", name)

    painter.root.warp_pointer(320, 240)
    show("left_ptr")
    with opened(server, server.screen) as source:
        assert not picture(source).any()
        before = source.cursor()
        show("watch")
        for _ in range(50):
            if select.select([source.fileno()], [], [], 0.1)[0] and source.poll().cursor:
                break
        after = source.cursor()
        assert before[0] != after[0] and after[5] != before[5]
        painter.root.warp_pointer(100, 100)
        painter.display.sync()
        assert not picture(source).any()


@pytest.mark.parametrize(
    "make",
    [
        pytest.param(lambda server: sealed_memory(head_of(server) + bytes(640 * 480 * 4), 0), id="not sealed"),
        pytest.param(lambda server: sealed_memory(b""), id="empty"),
        pytest.param(lambda server: sealed_memory(head_of(server)[:60]), id="half a header"),
        pytest.param(lambda server: sealed_memory(head_of(server) + bytes(640 * 470 * 4)), id="short"),
        pytest.param(lambda server: sealed_memory(bytes(3_000_000)), id="zeros"),
        pytest.param(lambda server: sealed_memory(b"\xff" * 3_000_000), id="ones"),
        pytest.param(lambda server: os.eventfd(0), id="no file"),
        pytest.param(lambda server: os.open("/dev/zero", os.O_RDONLY), id="a device"),
    ],
)
def test_what_is_no_screen_is_not_read(server: XServer, painter: Painter, make: object) -> None:
    screen = make(server)  # type: ignore[operator]
    painter.fill(0, 0, 640, 480, RED)
    try:
        with opened(server, screen) as source:
            assert not source.direct
            assert (picture(source) == (0, 0, 255)).all(), "the server is asked"
    finally:
        os.close(screen)


@pytest.mark.parametrize("word", range(25))
@pytest.mark.parametrize("value", [0, 1, 0x7FFFFFFF, 0xFFFFFFFF])
def test_no_header_leads_outside_of_the_file(server: XServer, word: int, value: int) -> None:
    head = bytearray(head_of(server))
    struct.pack_into(">I", head, word * 4, value)
    screen = sealed_memory(bytes(head) + bytes(640 * 480 * 4))
    try:
        with opened(server, screen) as source:
            assert len(source.read()) == 640 * 480 * 4
    finally:
        os.close(screen)


def test_sixteen_bits_are_not_taken_for_pixels(server: XServer) -> None:
    with XServer((640, 480), depth=16, framebuffer=True) as other, opened(server, other.screen) as source:
        assert not source.direct


def test_the_memory_is_given_back(server: XServer) -> None:
    def mappings() -> int:
        with open("/proc/self/maps", encoding="utf-8") as lines:
            return len(re.findall(r"memfd:screen", lines.read()))

    before = mappings()
    with opened(server, server.screen):
        assert mappings() == before + 1
    assert mappings() == before
