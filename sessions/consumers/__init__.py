"""WebSocket consumers."""

from .session import SessionConsumer

__all__ = ["SessionConsumer"]
