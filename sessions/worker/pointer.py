"""The pointer: moves, buttons per viewer, and the wheel in fractions of a line.

XTEST knows no smooth wheel, so fractions add up to whole clicks of X's buttons 4 to 7. Runs on the event loop's thread.
"""

from __future__ import annotations

from typing import Protocol

from .held import Held

_BUTTONS = {0: 1, 1: 2, 2: 3, 3: 8, 4: 9}  # DOM → X
_UP, _DOWN, _LEFT, _RIGHT = 4, 5, 6, 7


class PointerDevice(Protocol):
    """What the pointer needs of the X server."""

    def move(self, x: int, y: int) -> None:
        """Move to a pixel of the screen."""

    def button(self, number: int, down: bool) -> None:
        """Press or release an X button."""


class Pointer:
    """One pointer, many viewers. ``size`` is the picture's, to keep the pointer inside."""

    def __init__(self, device: PointerDevice) -> None:
        self._device = device
        self._held = Held()
        self._wheel: dict[str, tuple[float, float]] = {}  # viewer → rest of a line in x and y
        self.size = (16384, 16384)

    def move(self, x: int, y: int) -> None:
        """Move to (x, y), kept inside the picture."""
        width, height = self.size
        self._device.move(min(max(x, 0), width - 1), min(max(y, 0), height - 1))

    def button(self, viewer: str, number: int, down: bool) -> None:
        """A viewer's button (DOM numbering) went down or up; one he does not hold is not released."""
        button = _BUTTONS[number]
        if down and self._held.press(button, viewer):
            self._device.button(button, True)
        elif not down and self._held.release(button, viewer):
            self._device.button(button, False)

    def wheel(self, viewer: str, dx: float, dy: float) -> None:
        """Scroll by lines, right and down positive; what is less than a line waits for the next event."""
        rest_x, rest_y = self._wheel.pop(viewer, (0.0, 0.0))
        rest_x = self._clicks(_add(rest_x, dx), _LEFT, _RIGHT)
        rest_y = self._clicks(_add(rest_y, dy), _UP, _DOWN)
        if rest_x or rest_y:
            self._wheel[viewer] = (rest_x, rest_y)

    def release_all(self, viewer: str) -> None:
        """Release everything ``viewer`` holds."""
        self._wheel.pop(viewer, None)
        for button in self._held.held_by(viewer):
            if self._held.release(button, viewer):
                self._device.button(button, False)

    def viewers(self) -> set[str]:
        """Everybody who holds a button."""
        return self._held.viewers()

    def _clicks(self, lines: float, back: int, forth: int) -> float:
        whole = int(lines)
        button = forth if whole > 0 else back
        for _ in range(abs(whole)):
            self._device.button(button, True)
            self._device.button(button, False)
        return lines - whole


def _add(rest: float, delta: float) -> float:
    # A turn of direction starts afresh: otherwise the first click back would be swallowed.
    return delta if rest * delta < 0 else rest + delta
