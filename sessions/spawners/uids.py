"""Uids of a session's own: one for its desktop, one for its worker. Only where the host agent is root.

A slot is a file below the runtime directory, made with O_EXCL, so two agents on one machine never share one. A slot
whose uids still have processes (another installation's, or ones that refuse to die) is passed over.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from ..conf import UIDS_PER_SESSION
from ..states import Reason
from .base import SpawnError
from .processes import uids_in_use

MOST_SLOTS = 10_000


@dataclass(frozen=True)
class Identity:
    """The uids, which are gids too, that a session's two halves run under."""

    desktop: int
    worker: int
    slot: int | None


def own_identity() -> Identity:
    """Return the identity where the agent is not root: everything runs under its own uid."""
    return Identity(os.geteuid(), os.geteuid(), None)


def claim(runtime_dir: Path, uid_base: int, sid: str) -> Identity:
    """Claim the lowest free slot for ``sid``; raise `SpawnError` if there is none."""
    directory = runtime_dir / "uids"
    directory.mkdir(mode=0o700, exist_ok=True)
    used = uids_in_use()
    for slot in range(MOST_SLOTS):
        identity = identity_of(uid_base, slot)
        if identity.desktop in used or identity.worker in used:
            continue
        try:
            descriptor = os.open(directory / str(slot), os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        except FileExistsError:
            continue
        with os.fdopen(descriptor, "w") as file:
            file.write(sid)
        return identity
    raise SpawnError(Reason.OUT_OF_RESOURCES, f"All {MOST_SLOTS} user ids for sessions are taken. Stop some sessions.")


def claimed(runtime_dir: Path, uid_base: int, sid: str) -> Identity | None:
    """Return what ``sid`` has claimed, or None."""
    for slot in _slots(runtime_dir):
        if slot.name.isdigit() and _owner(slot) == sid:
            return identity_of(uid_base, int(slot.name))
    return None


def identity_of(uid_base: int, slot: int) -> Identity:
    """Return the identity that ``slot`` stands for."""
    first = uid_base + slot * UIDS_PER_SESSION
    return Identity(first, first + 1, slot)


def release(runtime_dir: Path, sid: str) -> None:
    """Give back every slot of ``sid``."""
    for path in _slots(runtime_dir):
        if _owner(path) == sid:
            path.unlink(missing_ok=True)


def _slots(runtime_dir: Path) -> list[Path]:
    try:
        return [runtime_dir / "uids" / name for name in os.listdir(runtime_dir / "uids")]
    except FileNotFoundError:
        return []


def _owner(slot: Path) -> str:
    try:
        return slot.read_text()
    except OSError:
        return ""
