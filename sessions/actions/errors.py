"""The one exception of actions."""

from __future__ import annotations


class ActionError(Exception):
    """Something cannot be done. ``code`` is stable and for programs; the text names cause and remedy, for people."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
