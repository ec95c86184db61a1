"""Who holds which key or button: one viewer never releases what another one holds.

Plain data, used on the event loop's thread only.
"""

from __future__ import annotations


class Held:
    """Numbers (keycodes or buttons) that are down, each with the viewers that hold it."""

    def __init__(self) -> None:
        self._holders: dict[int, set[str]] = {}

    def press(self, number: int, viewer: str) -> bool:
        """Note that ``viewer`` holds ``number``; return whether it was up before."""
        holders = self._holders.setdefault(number, set())
        first = not holders
        holders.add(viewer)
        return first

    def release(self, number: int, viewer: str) -> bool:
        """Note that ``viewer`` let go; return whether nobody holds it any more (False if he did not hold it)."""
        holders = self._holders.get(number)
        if holders is None or viewer not in holders:
            return False
        holders.remove(viewer)
        if holders:
            return False
        del self._holders[number]
        return True

    def is_down(self, number: int) -> bool:
        """Whether anybody holds ``number``."""
        return number in self._holders

    def is_held_by(self, number: int, viewer: str) -> bool:
        """Whether ``viewer`` holds ``number``."""
        return viewer in self._holders.get(number, ())

    def numbers(self) -> list[int]:
        """Everything that is down."""
        return list(self._holders)

    def held_by(self, viewer: str) -> list[int]:
        """Everything that ``viewer`` holds."""
        return [number for number, holders in self._holders.items() if viewer in holders]

    def viewers(self) -> set[str]:
        """Everybody who holds something."""
        return set().union(*self._holders.values())
