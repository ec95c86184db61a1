"""The keyboard policy against a simulated server: the character the browser saw is the character a program reads."""

from __future__ import annotations

import pytest

from sessions.worker import spares
from sessions.worker.keyboard import Keyboard
from tests.sessions.worker.fake_keys import FakeKeys


@pytest.fixture(autouse=True)
def _no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(spares, "SETTLE_S", 0)
    monkeypatch.setattr(spares, "REUSE_S", 0)


async def strike(board: Keyboard, viewer: str, *keys: tuple[str, str]) -> None:
    """Press all, then release all in reverse, as hands do."""
    for code, key in keys:
        await board.press(viewer, code, key)
    for code, _ in reversed(keys):
        board.release(viewer, code)


SHIFT, CONTROL, ALTGR = ("ShiftLeft", "Shift"), ("ControlLeft", "Control"), ("AltRight", "AltGraph")


@pytest.mark.parametrize(
    ("keys", "typed"),
    [
        ([("KeyA", "a")], "a"),
        ([SHIFT, ("KeyA", "A")], "A"),
        ([("KeyA", "A")], "A"),  # Caps Lock in the browser
        ([("KeyQ", "a")], "a"),  # AZERTY
        ([("KeyY", "z")], "z"),  # QWERTZ
        ([SHIFT, ("Digit7", "/")], "/"),  # German: Shift+7; here / needs no Shift
        ([ALTGR, ("KeyQ", "@")], "@"),
        ([CONTROL, ALTGR, ("KeyQ", "@")], "@"),  # Windows sends Control with AltGr
        ([("Minus", "ß")], "ß"),
        ([ALTGR, ("KeyE", "€")], "€"),
        ([("", "漢")], "漢"),
        ([("Numpad1", "1")], "0xffb1"),
        ([("Numpad1", "End")], "0xff9c"),
        ([("Enter", "Enter")], "0xff0d"),
        ([("", "Backspace")], "0xff08"),
        ([CONTROL, ("KeyC", "c")], "Control+c"),
        ([CONTROL, ("KeyC", "C")], "Control+c"),  # Caps Lock must not turn it into Control+Shift+C
        ([CONTROL, SHIFT, ("KeyT", "T")], "Control+T"),
        ([CONTROL, ("KeyQ", "a")], "Control+a"),  # AZERTY
        ([CONTROL, ("KeyC", "с")], "Control+c"),  # Cyrillic es on the C key
        ([CONTROL, ("BracketRight", "+")], "Control++"),
        ([("MetaLeft", "Meta"), ("KeyL", "l")], "Super+l"),
    ],
)
async def test_a_key_types_what_the_browser_saw(keys: list[tuple[str, str]], typed: str) -> None:
    device = FakeKeys()
    await strike(Keyboard(device), "v", *keys)
    assert device.typed == [typed]
    assert device.down == []


@pytest.mark.parametrize(
    ("keys", "typed"),
    [
        ([ALTGR, ("KeyQ", "@")], "@"),
        ([ALTGR, ("KeyE", "€")], "0x20ac"),
        ([("KeyQ", "@")], "@"),
        ([("Minus", "ß")], "ß"),
    ],
)
async def test_a_third_level_is_used_where_the_layout_has_it(keys: list[tuple[str, str]], typed: str) -> None:
    device = FakeKeys(german=True)
    await strike(Keyboard(device), "v", *keys)
    assert (device.typed, device.bound, device.down) == ([typed], 0, [])


@pytest.mark.parametrize("key", ["Dead", "Process", "CapsLock", "NumLock", "Unidentified"])
async def test_keys_that_mean_nothing_here_type_nothing(key: str) -> None:
    device = FakeKeys()
    await strike(Keyboard(device), "v", ("", key))
    assert device.typed == [] and device.down == []


async def test_a_held_key_is_down_until_it_is_released_and_repeats_are_ignored() -> None:
    device = FakeKeys()
    board = Keyboard(device)
    for _ in range(3):
        await board.press("v", "KeyA", "a")
    assert device.typed == ["a"] and device.down == [38]
    board.release("v", "KeyA")
    board.release("v", "KeyA")
    assert device.down == []


async def test_one_viewer_does_not_release_what_another_holds() -> None:
    device = FakeKeys()
    board = Keyboard(device)
    await board.press("a", "KeyX", "x")
    await board.press("b", "KeyX", "x")
    assert device.typed == ["x", "x"]  # both typed it
    board.release("a", "KeyX")
    assert device.down == [53]
    board.release("c", "KeyX")
    assert device.down == [53]
    board.release_all("b")
    assert device.down == []


async def test_modifiers_of_one_viewer_do_not_change_what_another_types() -> None:
    device = FakeKeys()
    board = Keyboard(device)
    await board.press("a", *CONTROL)
    await board.press("a", *SHIFT)
    await strike(board, "b", ("KeyX", "x"))
    await strike(board, "b", ("Enter", "Enter"))
    await strike(board, "a", ("KeyT", "T"))
    assert device.typed == ["x", "0xff0d", "Control+T"]
    assert sorted(device.down) == [37, 50]
    board.release_all("a")
    assert device.down == [] and board.viewers() == set()


async def test_text_is_typed_whole_with_all_modifiers_lifted_and_put_back() -> None:
    device = FakeKeys()
    board = Keyboard(device)
    await board.press("a", *CONTROL)
    await board.type_text("b", "Héllo, 世界 @ß\n")
    assert device.typed == [*"Héllo, 世界 @ß", "0xff0d"]
    assert device.down == [37]


async def test_more_new_characters_than_spare_keys_are_typed_in_rounds() -> None:
    device = FakeKeys(free=3)
    text = "一二三四五六七八九十一二三"
    await Keyboard(device).type_text("v", text)
    assert "".join(device.typed) == text


async def test_a_held_spare_key_is_not_bound_to_something_else() -> None:
    device = FakeKeys(free=2)
    board = Keyboard(device)
    await board.press("v", "KeyA", "一")
    await board.type_text("v", "二三四")
    assert "".join(device.typed) == "一二三四"
    board.release_all("v")
    assert device.down == []


async def test_without_spare_keys_a_character_is_counted_and_the_rest_is_typed() -> None:
    device = FakeKeys(free=0)
    board = Keyboard(device)
    await board.type_text("v", "a漢b")
    assert device.typed == ["a", "b"] and board.untypable == 1


async def test_a_changed_keymap_is_noticed() -> None:
    device = FakeKeys()
    board = Keyboard(device)
    device.table[38], device.table[24] = device.table[24], device.table[38]  # setxkbmap fr, as far as A and Q go
    device.keymap_serial += 1
    await strike(board, "v", ("KeyQ", "a"))
    assert device.typed == ["a"]
