"""Publishing to the control layer, after commit. A Redis that is down loses the message, never the change.

Agents poll the database and consumers read it on connecting, so a lost message delays; it does not lose state.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping, Sequence
from typing import Any, Final

import redis
from asgiref.sync import async_to_sync
from channels.exceptions import ChannelFull
from channels.layers import get_channel_layer
from django.db import transaction

from ..models import DesktopSession

logger = logging.getLogger(__name__)

TIMEOUT_S: Final = 2.0
Message = tuple[str, Mapping[str, Any]]
"""A group's name and what is sent to it."""


def session_group(session: DesktopSession) -> str:
    """Return the group of everybody who watches the session."""
    return f"session.{session.sid}"


def worker_group(session: DesktopSession) -> str:
    """Return the group of the session's worker."""
    return f"session.{session.sid}.worker"


def on_commit(messages: Sequence[Message]) -> None:
    """Send ``messages`` once the present transaction has committed; at once when there is none."""
    if messages:
        transaction.on_commit(lambda: send_now(messages), robust=True)


def send_now(messages: Sequence[Message]) -> bool:
    """Send ``messages`` in order; False, and a warning in the log, when Redis does not take them."""
    try:
        async_to_sync(_send)(messages)
    except (redis.RedisError, OSError, TimeoutError, ChannelFull) as error:
        groups = ", ".join(sorted({group for group, _ in messages})[:3])
        logger.warning("%s was not told: Redis cannot be reached: %s", groups, error or type(error).__name__)
        return False
    return True


async def _send(messages: Sequence[Message]) -> None:
    layer = get_channel_layer()
    async with asyncio.timeout(TIMEOUT_S):
        for group, message in messages:
            await layer.group_send(group, dict(message))


def wake_hosts() -> None:
    """After commit, tell the host agents to look at the database now."""
    on_commit([("hosts", {"type": "host.wake"})])


def tell_access_changed(session: DesktopSession) -> None:
    """After commit, make the session's consumers read again who may do what."""
    on_commit([(session_group(session), {"type": "session.access"})])
