"""Which link bounds the engine: that of the viewer who controls the session. Pure state; nothing blocks."""

from __future__ import annotations

from stripeengine.settings import EngineSettings

MOST_LINKS = 64
"""Of more, the oldest is forgotten: no session has so many controllers."""


class Links:
    """The bounds that controllers' links set, and the settings that follow.

    The controller is who gave input last; before anybody has, whoever told of his link last.
    """

    def __init__(self, preset: EngineSettings) -> None:
        self._preset = preset
        self._kbps: dict[str, int] = {}
        self._controller = ""

    def viewers(self) -> list[str]:
        """Return whose links are known."""
        return list(self._kbps)

    def use(self, preset: EngineSettings) -> EngineSettings:
        """Take another preset; return the settings."""
        self._preset = preset
        return self.settings

    def set(self, viewer: str, kbps: int) -> EngineSettings:
        """Note what a link carries, 0 for no bound; return the settings."""
        self._kbps.pop(viewer, None)
        if kbps:
            self._kbps[viewer] = kbps
            if len(self._kbps) > MOST_LINKS:
                del self._kbps[next(iter(self._kbps))]
        return self.settings

    def controlled_by(self, viewer: str) -> bool:
        """Note who gave input; return whether it is another one than before."""
        changed = viewer != self._controller
        self._controller = viewer
        return changed

    @property
    def settings(self) -> EngineSettings:
        """The preset, with the smaller of its own bound and the controlling link's."""
        told_last = next(reversed(self._kbps.values()), 0)
        link = self._kbps.get(self._controller, 0) if self._controller else told_last
        bounds = [kbps for kbps in (self._preset.max_kbps, link) if kbps]
        return self._preset.replace({"max_kbps": min(bounds, default=0)})
