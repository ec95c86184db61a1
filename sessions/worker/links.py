"""Which link bounds the engine: that of the viewer who controls the session. Pure state; nothing blocks."""

from __future__ import annotations

from stripeengine.settings import EngineSettings

MOST_LINKS = 64
"""Of more, the oldest is forgotten: no session has so many controllers."""


class Links:
    """The bounds that controllers' links set, and the settings that follow.

    The controller is who gave input last. Before anybody has, it may become any of those who look: then the widest
    link counts, and only if all of them have told of one. A slow one among others never bounds what they see.
    """

    def __init__(self, preset: EngineSettings) -> None:
        self._preset = preset
        self._kbps: dict[str, int] = {}
        self._controller = ""
        self._looking = 0

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

    def watched_by(self, count: int) -> EngineSettings:
        """Note how many look; return the settings."""
        self._looking = count
        return self.settings

    def controlled_by(self, viewer: str) -> bool:
        """Note who gave input; return whether it is another one than before."""
        changed = viewer != self._controller
        self._controller = viewer
        return changed

    @property
    def settings(self) -> EngineSettings:
        """The preset, with the smaller of its own bound and the controlling link's."""
        if self._controller:
            link = self._kbps.get(self._controller, 0)
        else:
            link = max(self._kbps.values(), default=0) if len(self._kbps) >= self._looking else 0
        bounds = [kbps for kbps in (self._preset.max_kbps, link) if kbps]
        return self._preset.replace({"max_kbps": min(bounds, default=0)})
