"""X11Input against a real server: what was injected is what the server sees."""

from __future__ import annotations

import select
import time
from collections.abc import Callable, Iterator

import pytest

from stripeengine.x11 import X11Input
from tests.stripeengine.fixtures_x11 import Painter, XServer, have_xvfb

pytestmark = pytest.mark.skipif(not have_xvfb(), reason="Xvfb is not installed")

LETTER_A = 0x61
SHIFT_L = 0xFFE1
BUTTON1, BUTTON3 = 1 << 8, 1 << 10


@pytest.fixture
def pointer(server: XServer) -> Iterator[X11Input]:
    with X11Input(socket=server.socket, auth=server.auth) as opened:
        yield opened


@pytest.fixture
def observer(server: XServer) -> Iterator[X11Input]:
    with X11Input(socket=server.socket, auth=server.auth) as opened:
        yield opened


def eventually(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 5
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def keys_down(server: XServer) -> set[int]:
    with Painter(server) as painter:
        bits = painter.display.query_keymap()
    return {code for code in range(256) if bits[code >> 3] >> (code & 7) & 1}


def keycode_of(pointer: X11Input, keysym: int) -> int:
    return next(code for code, keysyms in enumerate(pointer.keymap()) if keysyms and keysyms[0] == keysym)


def test_pointer_moves_and_stops_at_the_edge(pointer: X11Input, observer: X11Input) -> None:
    pointer.move(123, 45)
    pointer.flush()
    eventually(lambda: observer.pointer()[:2] == (123, 45))
    pointer.move(30000, 30000)
    pointer.flush()
    eventually(lambda: observer.pointer()[:2] == (639, 479))


def test_nothing_is_sent_before_flush(pointer: X11Input, observer: X11Input) -> None:
    pointer.move(11, 12)
    pointer.flush()
    eventually(lambda: observer.pointer()[:2] == (11, 12))
    pointer.move(200, 201)
    time.sleep(0.1)
    assert observer.pointer()[:2] == (11, 12)


def test_buttons_and_keys(server: XServer, pointer: X11Input, observer: X11Input) -> None:
    code = keycode_of(pointer, LETTER_A)
    pointer.button(3, True)
    pointer.key(code, True)
    pointer.flush()
    eventually(lambda: observer.pointer()[2] & BUTTON3 != 0)
    assert code in keys_down(server)
    pointer.button(3, False)
    pointer.key(code, False)
    pointer.flush()
    eventually(lambda: observer.pointer()[2] & BUTTON3 == 0)
    assert keys_down(server) == set()


def test_release_lets_go_of_everything(server: XServer, pointer: X11Input, observer: X11Input) -> None:
    shift = keycode_of(pointer, SHIFT_L)
    pointer.key(shift, True)
    pointer.button(1, True)
    pointer.flush()
    eventually(lambda: observer.pointer()[2] & (BUTTON1 | 1) == BUTTON1 | 1)
    pointer.release()
    eventually(lambda: observer.pointer()[2] == 0)
    assert keys_down(server) == set()


def test_close_lets_go_of_what_it_holds_and_of_nothing_else(server: XServer, observer: X11Input) -> None:
    code = keycode_of(observer, LETTER_A)
    observer.button(3, True)
    observer.flush()
    other = X11Input(socket=server.socket, auth=server.auth)
    other.key(code, True)
    other.button(1, True)
    other.flush()
    eventually(lambda: observer.pointer()[2] == BUTTON1 | BUTTON3)
    other.close()
    eventually(lambda: observer.pointer()[2] == BUTTON3)
    assert keys_down(server) == set()


def test_keymap_and_modifiers(pointer: X11Input) -> None:
    first, last = pointer.keycodes
    keymap = pointer.keymap()
    assert (first, last) == (8, 255)
    assert len(keymap) == last + 1
    assert keymap[:first] == [()] * first
    code = keycode_of(pointer, LETTER_A)
    assert keymap[code][1] == 0x41
    modifiers = pointer.modifiers()
    assert len(modifiers) == 8
    assert keycode_of(pointer, SHIFT_L) in modifiers[0]
    assert all(0 not in group for group in modifiers)


def test_bound_keysym_arrives_with_the_key(server: XServer, pointer: X11Input, observer: X11Input) -> None:
    spare = next(code for code, keysyms in enumerate(pointer.keymap()) if keysyms and not any(keysyms))
    before, seen_before = pointer.keymap_serial, observer.keymap_serial
    pointer.bind(spare, (0x01000416, 0x01000416))  # U+0416, CYRILLIC CAPITAL LETTER ZHE
    assert observer.keymap()[spare][:2] == (0x01000416, 0x01000416)
    observer.flush()
    assert pointer.keymap_serial > before
    assert observer.keymap_serial > seen_before

    from Xlib import X

    with Painter(server) as painter:
        painter.root.change_attributes(event_mask=X.KeyPressMask)
        painter.display.set_input_focus(X.PointerRoot, X.RevertToPointerRoot, X.CurrentTime)
        painter.display.sync()
        pointer.key(spare, True)
        pointer.key(spare, False)
        pointer.flush()
        assert select.select([painter.display.fileno()], [], [], 5)[0]
        event = painter.display.next_event()
        assert event.detail == spare
        assert painter.display.keycode_to_keysym(event.detail, 0) == 0x01000416


def test_input_passes_a_grabbed_server(server: XServer, pointer: X11Input) -> None:
    """A window manager grabs the server while it moves a window; the input that ends the move must get through."""
    with Painter(server) as painter:
        painter.root.warp_pointer(5, 5)
        painter.display.grab_server()
        painter.display.sync()
        pointer.move(77, 78)
        pointer.flush()

        def arrived() -> bool:
            reply = painter.root.query_pointer()
            return (reply.root_x, reply.root_y) == (77, 78)

        eventually(arrived)
        painter.display.ungrab_server()
        painter.display.sync()


@pytest.mark.parametrize("position", [(-1, 0), (0, -1), (32768, 0), (0, 40000)])
def test_impossible_positions(pointer: X11Input, position: tuple[int, int]) -> None:
    with pytest.raises(ValueError, match="0 to 32767"):
        pointer.move(*position)


@pytest.mark.parametrize("button", [0, -1, 256])
def test_impossible_buttons(pointer: X11Input, button: int) -> None:
    with pytest.raises(ValueError, match=f"no button {button}"):
        pointer.button(button, True)


@pytest.mark.parametrize("keycode", [-1, 0, 7, 256])
def test_impossible_keycodes(pointer: X11Input, keycode: int) -> None:
    with pytest.raises(ValueError, match=f"no keycode {keycode}"):
        pointer.key(keycode, True)
    with pytest.raises(ValueError, match=f"no keycode {keycode}"):
        pointer.bind(keycode, (LETTER_A,))


def test_impossible_bindings(pointer: X11Input) -> None:
    with pytest.raises(ValueError, match="1 to 255 keysyms, not 0"):
        pointer.bind(200, ())
    with pytest.raises(ValueError, match="1 to 255 keysyms, not 256"):
        pointer.bind(200, (LETTER_A,) * 256)
