"""Servers that are not there, refuse, lack something or die: one clear `SourceError` each."""

from __future__ import annotations

import os
import select
import socket
import struct
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from stripeengine.errors import SourceError
from stripeengine.x11 import X11Input, X11Source, probe
from tests.stripeengine.fixtures_x11 import AUTH_NAME, Painter, XServer, have_xvfb, relay

pytestmark = pytest.mark.skipif(not have_xvfb(), reason="Xvfb is not installed")


@pytest.fixture(scope="module")
def server() -> Iterator[XServer]:
    with XServer((320, 240)) as running:
        yield running


def free_number() -> int:
    return next(n for n in range(5000, 6000) if not os.path.exists(f"/tmp/.X11-unix/X{n}"))


def test_no_such_display() -> None:
    with pytest.raises(SourceError, match=r"there is no X server :\d+: nothing listens"):
        X11Source(f":{free_number()}")


@pytest.mark.parametrize("name", ["nonsense", ":", ":x", "", ":0:"])
def test_bad_display_name(name: str) -> None:
    with pytest.raises(SourceError, match="X display|X server"):
        X11Source(name)


def test_no_such_screen(server: XServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XAUTHORITY", server.authority)
    with pytest.raises(SourceError, match="no such screen"):
        X11Source(f"{server.display}.7")


def test_display_without_its_cookie(server: XServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XAUTHORITY", str(tmp_path / "none"))
    with pytest.raises(SourceError, match="refused the connection: set XAUTHORITY"):
        X11Source(server.display)


@pytest.mark.parametrize("auth", [None, (AUTH_NAME, bytes(16)), (AUTH_NAME, b""), ("NO-SUCH-SCHEME", b"x" * 16)])
def test_wrong_cookie(server: XServer, auth: tuple[str, bytes] | None) -> None:
    with pytest.raises(SourceError, match="refused the connection.*cookie"):
        X11Source(socket=server.socket, auth=auth)
    with pytest.raises(SourceError, match="refused the connection.*cookie"):
        X11Input(socket=server.socket, auth=auth)


def test_overlong_cookie(server: XServer) -> None:
    with pytest.raises(SourceError, match="longer than"):
        X11Source(socket=server.socket, auth=(AUTH_NAME, bytes(70_000)))


def test_no_such_socket(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="cannot be reached: No such file or directory"):
        X11Source(socket=tmp_path / "X0")


def test_overlong_socket_path() -> None:
    with pytest.raises(SourceError, match="path has 200 bytes"):
        X11Source(socket="/" + "x" * 199)


def test_a_socket_that_answers_nonsense(tmp_path: Path) -> None:
    path = str(tmp_path / "X0")
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(path)
        listener.listen(1)

        def answer() -> None:
            peer, _ = listener.accept()
            with peer:
                peer.recv(64)
                peer.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")

        thread = threading.Thread(target=answer)
        thread.start()
        with pytest.raises(SourceError, match="refused the connection"):
            X11Source(socket=path)
        thread.join()


def test_one_way_to_name_the_server(server: XServer) -> None:
    with pytest.raises(SourceError, match="either by display"):
        X11Source()
    with pytest.raises(SourceError, match="either by display"):
        X11Source(":0", socket=server.socket)
    with pytest.raises(SourceError, match="auth goes with socket"):
        X11Source(":0", auth=server.auth)
    with pytest.raises(SourceError, match="null character"):
        X11Source(":0\0")


@pytest.mark.parametrize("extension", ["MIT-SHM", "DAMAGE", "XFIXES"])
def test_missing_extension(extension: str) -> None:
    # XFIXES cannot be switched off alone: without it the server has no DAMAGE either.
    with XServer((320, 240), without=[extension]) as server:
        if probe(socket=server.socket, auth=server.auth).extensions[extension] is not None:
            pytest.skip(f"this Xvfb cannot switch {extension} off")
        with pytest.raises(SourceError, match=f"lacks the {extension} extension: start it without"):
            X11Source(socket=server.socket, auth=server.auth)


def test_without_randr_the_size_is_fixed() -> None:
    without = XServer((320, 240), without=["RANDR"])
    with without as server, X11Source(socket=server.socket, auth=server.auth) as source:
        assert source.size == (320, 240)
        assert len(source.read()) == 320 * 240 * 4


def test_missing_xtest() -> None:
    refused = pytest.raises(SourceError, match="lacks the XTEST extension")
    with XServer((320, 240), without=["XTEST"]) as server, refused:
        X11Input(socket=server.socket, auth=server.auth)


def test_wrong_depth() -> None:
    refused = pytest.raises(SourceError, match="depth 16 at 16 bits a pixel.*1920x1080x24")
    with XServer((320, 240), depth=16) as server, refused:
        X11Source(socket=server.socket, auth=server.auth)


def test_killed_server() -> None:
    with XServer((320, 240)) as server:
        source = X11Source(socket=server.socket, auth=server.auth)
        pointer = X11Input(socket=server.socket, auth=server.auth)
        source.poll()
        pointer.button(1, True)
        server.kill()
        assert select.select([source.fileno()], [], [], 5)[0]
        with pytest.raises(SourceError, match="went away"):
            source.poll()
        with pytest.raises(SourceError, match="went away"):
            source.read()
        with pytest.raises(SourceError, match="went away"):
            source.cursor()
        with pytest.raises(SourceError, match="went away"):
            pointer.flush()
        with pytest.raises(SourceError, match="went away"):
            pointer.keymap()
        source.close()
        pointer.close()


def test_a_pointer_image_larger_than_its_bytes_is_refused(tmp_path: Path) -> None:
    """The server runs in the user's sandbox; what it claims must not make the engine read beyond the reply."""
    with XServer((320, 240)) as server, Painter(server) as painter:
        font = painter.display.open_font("cursor")
        painter.root.change_attributes(cursor=font.create_glyph_cursor(font, 34, 35, (0, 0, 0), (65535, 0, 0)))
        painter.root.warp_pointer(9, 9)
        painter.display.sync()
        with X11Source(socket=server.socket, auth=server.auth) as honest:
            _, width, height, hot_x, hot_y, _ = honest.cursor()
        true = struct.pack("<4H", width, height, hot_x, hot_y)
        false = struct.pack("<4H", 60000, 60000, hot_x, hot_y)
        with (
            relay(server, str(tmp_path / "X0"), lambda data: data.replace(true, false)) as path,
            X11Source(socket=path, auth=server.auth) as source,
            pytest.raises(SourceError, match="pointer image of 60000x60000 pixels in"),
        ):
            source.cursor()


@pytest.mark.parametrize(
    ("vendor", "formats", "screens", "rest"),
    [(0, 0, 1, b""), (65535, 0, 0, b""), (0, 255, 0, b""), (0, 0, 1, bytes(38) + b"\0\1"), (4, 0, 9, bytes(44))],
)
def test_a_greeting_that_names_more_than_it_holds_is_refused(
    tmp_path: Path, vendor: int, formats: int, screens: int, rest: bytes
) -> None:
    """The server counts letters, formats, screens and depths; the counts must not lead beyond what it sent."""
    greeting = struct.pack("<BxHHHIIIIHHBB6B4x", 1, 11, 0, 8 + len(rest) // 4, 0, 1 << 21, (1 << 21) - 1, 0,
                           vendor, 65535, screens, formats, 0, 0, 32, 32, 8, 255) + rest  # fmt: skip
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(tmp_path / "X0"))
        listener.listen(1)

        def answer() -> None:
            peer, _ = listener.accept()
            with peer:
                peer.recv(64)
                peer.sendall(greeting)
                peer.recv(64)  # until the client has gone

        thread = threading.Thread(target=answer)
        thread.start()
        with pytest.raises(SourceError, match="greeting ends early"):
            X11Source(socket=tmp_path / "X0")
        thread.join()


def test_a_keymap_larger_than_its_bytes_is_refused(server: XServer, tmp_path: Path) -> None:
    def lie(data: bytes) -> bytes:
        # A reply whose length says 248 keycodes of as many keysyms as its second byte.
        if len(data) >= 32 and data[0] == 1 and struct.unpack_from("<I", data, 4)[0] == 248 * data[1] > 0:
            return data[:1] + b"\xff" + data[2:]
        return data

    with (
        relay(server, str(tmp_path / "X0"), lie) as path,
        X11Input(socket=path, auth=server.auth) as pointer,
        pytest.raises(SourceError, match="keymap that ends early"),
    ):
        pointer.keymap()


def test_closed_objects_say_so(server: XServer) -> None:
    source = X11Source(socket=server.socket, auth=server.auth)
    source.close()
    source.close()
    with pytest.raises(SourceError, match="is closed"):
        source.poll()
    pointer = X11Input(socket=server.socket, auth=server.auth)
    pointer.close()
    with pytest.raises(SourceError, match="is closed"):
        pointer.move(1, 1)


def test_unbuilt_extension_names_the_remedy(tmp_path: Path) -> None:
    code = (
        "import sys; sys.modules['stripeengine._stripeengine'] = None\n"
        "from stripeengine.errors import EngineError\n"
        "try: from stripeengine.x11 import X11Source\n"
        "except EngineError as error: print(error)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=20)
    assert "make setup" in done.stdout
