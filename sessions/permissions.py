"""Who may do what with a session: one table. HTTP, WebSocket and admin ask it through `sessions.access`.

Standard library only.
"""

from __future__ import annotations

from enum import StrEnum


class Permission(StrEnum):
    """One thing somebody may do with one session."""

    VIEW = "view"
    INPUT = "input"
    SETTINGS = "settings"
    SHARE = "share"
    STOP = "stop"
    KEEP = "keep"
    LOGS = "logs"


class Role(StrEnum):
    """What somebody is to one session."""

    OWNER = "owner"
    OPERATOR = "operator"
    COLLABORATOR = "collaborator"
    VIEWER = "viewer"

    @property
    def label(self) -> str:
        """Text for people."""
        return self.value.capitalize()


ROLE_PERMISSIONS: dict[Role, frozenset[Permission]] = {
    Role.OWNER: frozenset(Permission),
    # An administrator manages sessions but does not type into other people's desktops.
    Role.OPERATOR: frozenset({Permission.VIEW, Permission.SHARE, Permission.STOP, Permission.KEEP, Permission.LOGS}),
    Role.COLLABORATOR: frozenset({Permission.VIEW, Permission.INPUT}),
    Role.VIEWER: frozenset({Permission.VIEW}),
}

LINK_ROLES = (Role.VIEWER, Role.COLLABORATOR)
"""Roles a share link may give."""


def allows(role: Role, permission: Permission) -> bool:
    """Whether ``role`` carries ``permission``."""
    return permission in ROLE_PERMISSIONS[role]
