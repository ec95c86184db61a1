"""With what a WebSocket is closed (docs/protocol.md, section 6)."""

from __future__ import annotations

CLOSE_CODES = {
    "malformed": 4400,
    "unauthenticated": 4401,
    "forbidden": 4403,
    "unknown-session": 4404,
    "version": 4406,
    "timeout": 4408,
    "link-closed": 4410,
    "session-ended": 4411,
    "too-many": 4429,
}
TRY_AGAIN = 1013
