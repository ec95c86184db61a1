"""A Redis user for each worker: it reaches its own session's channels and status, and nothing else.

Where Redis does not let the agent make users (a managed one, an agent with few rights), workers share the agent's own
URL; the agent says so once. Nothing here raises.
"""

from __future__ import annotations

import logging
import secrets
from typing import Any
from urllib.parse import quote, urlsplit, urlunsplit

import redis
import redis.asyncio

from ..worker.messages import viewers_key
from .messages import TIMEOUT_S, status_key

logger = logging.getLogger(__name__)

COMMANDS = ("auth", "hello", "ping", "client|setname", "client|no-evict", "select", "quit", "reset")
DATA_COMMANDS = ("publish", "subscribe", "unsubscribe", "set", "setex", "get", "del", "expire", "zcount", "zscore")


class RedisUsers:
    """Makes and removes workers' users."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._client = redis.asyncio.Redis.from_url(url, socket_timeout=TIMEOUT_S, socket_connect_timeout=TIMEOUT_S)
        self._refused = False

    async def make(self, sid: str) -> str:
        """Return a URL for the worker of ``sid``, with a new password; the agent's own where users cannot be made."""
        password = secrets.token_urlsafe(24)
        rules = ["reset", "on", f">{password}", f"~{status_key(sid)}", f"%R~{viewers_key(sid)}"]
        # Its own groups, with and without a suffix; a session's id has one length, so none is another's prefix.
        for prefix in ("stripedesk", "stripedesk-frames"):
            rules += [f"&{prefix}__group__session.{sid}", f"&{prefix}__group__session.{sid}.*"]
        rules += [f"+{command}" for command in (*COMMANDS, *DATA_COMMANDS)]
        try:
            await self._acl("SETUSER", user_name(sid), *rules)
        except redis.ResponseError as error:
            if not self._refused:
                logger.warning("workers use the agent's own Redis user, for it may make none: %s", error)
            self._refused = True
            return self._url
        except (redis.RedisError, OSError) as error:
            logger.debug("no Redis user for %s: %s", sid, error)
            return self._url if self._refused else _with_user(self._url, user_name(sid), password)
        await self._save()
        return _with_user(self._url, user_name(sid), password)

    async def remove(self, sid: str) -> None:
        """Remove the user of ``sid``, and with it its connections."""
        try:
            if await self._acl("DELUSER", user_name(sid)):
                await self._save()
        except (redis.RedisError, OSError):
            logger.debug("the Redis user of %s stays", sid)

    async def _save(self) -> None:
        """Keep users over a restart of Redis, where it has a file for them."""
        try:
            await self._acl("SAVE")
        except (redis.RedisError, OSError):
            logger.debug("Redis keeps users in memory only")

    async def _acl(self, *arguments: str) -> Any:
        return await self._client.execute_command("ACL", *arguments)  # type: ignore[no-untyped-call]

    async def close(self) -> None:
        """Close the connections."""
        await self._client.aclose()


def user_name(sid: str) -> str:
    """Return the name of a worker's Redis user."""
    return f"session-{sid}"


def _with_user(url: str, user: str, password: str) -> str:
    parts = urlsplit(url)
    host = parts.netloc.rpartition("@")[2]
    return urlunsplit(parts._replace(netloc=f"{quote(user)}:{quote(password)}@{host}"))
