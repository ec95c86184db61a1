"""Pointer, buttons and wheel against a recording device."""

from __future__ import annotations

from sessions.worker.pointer import Pointer


class Recorder:
    def __init__(self) -> None:
        self.moves: list[tuple[int, int]] = []
        self.buttons: list[tuple[int, bool]] = []

    def move(self, x: int, y: int) -> None:
        self.moves.append((x, y))

    def button(self, number: int, down: bool) -> None:
        self.buttons.append((number, down))

    def clicks(self) -> list[int]:
        pressed = [number for number, down in self.buttons if down]
        assert pressed == [number for number, down in self.buttons if not down]
        return pressed


def test_moves_stay_inside_the_picture() -> None:
    device = Recorder()
    pointer = Pointer(device)
    pointer.size = (100, 50)
    for x, y in ((10, 20), (-5, 60), (1000, -1)):
        pointer.move(x, y)
    assert device.moves == [(10, 20), (0, 49), (99, 0)]


def test_dom_buttons_become_xs() -> None:
    device = Recorder()
    pointer = Pointer(device)
    for number in range(5):
        pointer.button("v", number, True)
        pointer.button("v", number, False)
    assert device.clicks() == [1, 2, 3, 8, 9]


def test_a_button_two_viewers_hold_is_released_by_the_last() -> None:
    device = Recorder()
    pointer = Pointer(device)
    pointer.button("a", 0, True)
    pointer.button("b", 0, True)
    pointer.button("a", 0, False)
    pointer.button("a", 0, False)
    assert device.buttons == [(1, True)]
    pointer.release_all("b")
    assert device.buttons == [(1, True), (1, False)] and pointer.viewers() == set()


def test_fractions_of_a_line_add_up_per_viewer() -> None:
    device = Recorder()
    pointer = Pointer(device)
    for _ in range(4):
        pointer.wheel("a", 0, 0.3)
        pointer.wheel("b", 0, -0.3)
    assert device.clicks() == [5, 4]


def test_directions_and_whole_lines() -> None:
    device = Recorder()
    Pointer(device).wheel("a", -2, 1.5)
    assert device.clicks() == [6, 6, 5]


def test_a_turn_of_direction_starts_afresh() -> None:
    device = Recorder()
    pointer = Pointer(device)
    pointer.wheel("a", 0, 0.9)
    pointer.wheel("a", 0, -1)
    assert device.clicks() == [4]
