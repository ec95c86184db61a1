"""A Redis user for each worker: it reaches its own session's channels and status, and nothing else.

Where Redis does not let the agent make users (a managed one, an agent with few rights), workers share the agent's own
URL; the agent says so once. It also says so where Redis asks nobody for a password, for then a worker need not be who
it was told to be.
"""

from __future__ import annotations

import logging
import secrets
from typing import Any
from urllib.parse import quote, urlsplit, urlunsplit

import redis

from ..redis_client import answer_within, connect_async
from ..worker.messages import viewers_key
from .messages import TIMEOUT_S, status_key

logger = logging.getLogger(__name__)

COMMANDS = ("auth", "hello", "ping", "client|setname", "client|no-evict", "select", "quit", "reset")
DATA_COMMANDS = ("publish", "subscribe", "unsubscribe", "set", "setex", "get", "del", "expire", "zcount", "zscore")


class RedisUsers:
    """Makes and removes workers' users."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._client = connect_async(url, decode_responses=False)
        self._refused = False
        self._looked = False

    async def make(self, sid: str) -> str:
        """Return a URL for the worker of ``sid``, with a new password; the agent's own where users cannot be made.

        Raises `Unavailable`: of a Redis that is away it cannot be known which it would be.
        """
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
        await self._save()
        await self._look_for_open_door()
        return _with_user(self._url, user_name(sid), password)

    async def _look_for_open_door(self) -> None:
        """Warn once if Redis lets in whoever does not say who he is."""
        if self._looked:
            return
        self._looked = True
        anybody = connect_async(_without_user(self._url), decode_responses=False)
        try:
            async with answer_within(TIMEOUT_S):
                await anybody.execute_command("PING")  # type: ignore[no-untyped-call]
        except (redis.RedisError, OSError):
            return
        finally:
            await anybody.aclose()
        logger.warning(
            "Redis asks nobody for a password: a hostile worker would reach everything in it. Set one (requirepass), "
            "and name it in REDIS_URL."
        )

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
        async with answer_within(TIMEOUT_S):
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


def _without_user(url: str) -> str:
    parts = urlsplit(url)
    return urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2]))
