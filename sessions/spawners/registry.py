"""Which spawner a host agent uses: the built-in one, or one that another package offers by an entry point.

Reads the metadata of installed packages and imports the one chosen. Blocks for milliseconds; its answer is kept.
"""

from __future__ import annotations

import inspect
from functools import lru_cache
from importlib import metadata
from typing import Final

from .base import Spawner

GROUP: Final = "stripedesk.spawners"
BUILT_IN: Final = {"local": "sessions.spawners.local:LocalSpawner"}
DEFAULT: Final = "local"
REMEDY: Final = f"set STRIPEDESK_SPAWNER={DEFAULT}"


class SpawnerUnusable(Exception):
    """The chosen spawner cannot be used. The text names cause and remedy."""


def known_spawners() -> dict[str, list[metadata.EntryPoint]]:
    """Return every spawner by name, with who offers it; more than one is somebody's mistake."""
    found = {name: [metadata.EntryPoint(name, value, GROUP)] for name, value in BUILT_IN.items()}
    for entry in metadata.entry_points(group=GROUP):
        if entry not in found.setdefault(entry.name, []):
            found[entry.name].append(entry)
    return found


@lru_cache(maxsize=8)
def spawner_class(name: str) -> type[Spawner]:
    """Import and return the spawner called ``name``; raise `SpawnerUnusable`."""
    known = known_spawners()
    entries = known.get(name, [])
    if not entries:
        names = ", ".join(sorted(known))
        raise SpawnerUnusable(
            f"There is no spawner called {name!r:.60}. Known are: {names}. Install the package that brings it, "
            f"or {REMEDY}."
        )
    if len(entries) > 1:
        values = " and ".join(entry.value for entry in entries)
        raise SpawnerUnusable(f"Several packages offer a spawner called {name!r}: {values}. Remove all but one.")
    (entry,) = entries
    try:
        loaded = entry.load()
    except Exception as error:  # whatever a foreign module raises when it is imported
        raise SpawnerUnusable(
            f"The spawner {name!r} ({entry.value}) cannot be loaded: {type(error).__name__}: {error!s:.200}. "
            f"Repair the package that brings it, or {REMEDY}."
        ) from error
    if not (isinstance(loaded, type) and issubclass(loaded, Spawner)):
        raise SpawnerUnusable(
            f"The spawner {name!r} ({entry.value}) is no subclass of sessions.spawners.base.Spawner. "
            f"Repair the package that brings it, or {REMEDY}."
        )
    if inspect.isabstract(loaded):
        missing = ", ".join(sorted(loaded.__abstractmethods__))
        raise SpawnerUnusable(
            f"The spawner {name!r} ({entry.value}) lacks: {missing}. Repair the package that brings it, or {REMEDY}."
        )
    return loaded
