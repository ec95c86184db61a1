"""Tickets: a share link's secret, checked by HTTP, turned into one opening of a WebSocket.

A ticket lives in Redis for at most 30 s under its hash, and is taken with GETDEL, so it opens once.
`issue` blocks on Redis; `redeem` is for the event loop. Both raise `RedisUnavailable` when Redis is gone.
"""

from __future__ import annotations

import hashlib
import json
import secrets
from typing import Final

from .redis_client import answer_within, connect, connect_async

LIFETIME_S: Final = 30
_MAXIMUM_LENGTH: Final = 128


def _key(ticket: str) -> str:
    return f"stripedesk:ticket:{hashlib.sha256(ticket.encode()).hexdigest()}"


def issue(link_id: str) -> str:
    """Return a new ticket that stands for the link; its secret must have been checked before."""
    ticket = secrets.token_urlsafe(32)
    connect().set(_key(ticket), json.dumps({"link": link_id}), ex=LIFETIME_S)
    return ticket


async def redeem(ticket: str) -> str | None:
    """Take the ticket: the id of its link, or None if it was used, is too old or never was."""
    if not ticket or len(ticket) > _MAXIMUM_LENGTH:
        return None
    async with answer_within(), connect_async() as client:
        # One that has longer to live than it was given is from before the clock was set back.
        both = client.pipeline()
        both.pttl(_key(ticket))
        both.getdel(_key(ticket))
        left, value = await both.execute()
    if value is None or left > LIFETIME_S * 1000:
        return None
    link = json.loads(value).get("link")
    return link if isinstance(link, str) else None
