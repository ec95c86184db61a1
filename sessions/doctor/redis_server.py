"""Redis: whether it answers, is new enough, lets workers have users, and is set up for streams. Changes nothing."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

import redis
from asgiref.sync import async_to_sync
from channels.exceptions import ChannelFull
from channels.layers import get_channel_layer
from django.conf import settings

from ..conf import conf
from ..redis_client import RedisUnavailable
from .finding import Finding, fail, ok, warn

LEAST_VERSION = (7, 0)
LEAST_BUFFER = 8 << 20
TIMEOUT_S = 2.0


def redis_server() -> Iterator[Finding]:
    """Whether Redis answers, its version, users of workers, buffers and persistence."""
    url = conf().redis_url
    try:
        with redis.Redis.from_url(
            url, socket_timeout=TIMEOUT_S, socket_connect_timeout=TIMEOUT_S, decode_responses=True
        ) as client:
            info: Any = client.info("server")
            yield _version(str(info.get("redis_version", "0")))
            yield from _users(client)
            yield from _configuration(client)
    except redis.AuthenticationError as error:
        yield fail(f"Redis does not let us in: {error}", "correct user and password in REDIS_URL")
    except RedisUnavailable as error:
        yield fail(
            f"Redis does not answer: {_without_url(error, url)}", "start it (manage.py up does), or set REDIS_URL"
        )


def _version(text: str) -> Finding:
    numbers = tuple(int(part) for part in text.split(".")[:2] if part.isdigit())
    if numbers < LEAST_VERSION:
        return fail(f"Redis {text}", f"install Redis {'.'.join(map(str, LEAST_VERSION))} or newer")
    return ok(f"Redis {text}")


def _users(client: redis.Redis) -> Iterator[Finding]:
    try:
        user = client.acl_whoami()
        said: Any = client.execute_command(
            "ACL DRYRUN",  # type: ignore[no-untyped-call]
            user,
            "ACL",
            "SETUSER",
            "stripedesk-doctor",
            "reset",
        )
        allowed = said in ("OK", b"OK")
    except redis.ResponseError:
        allowed = False
    if allowed:
        yield ok("each worker gets a user of its own")
    else:
        yield warn(
            "the user of REDIS_URL may make no users: a hostile worker reaches other sessions' streams",
            "allow it +acl|setuser +acl|deluser (ACL SETUSER)",
        )


def _configuration(client: redis.Redis) -> Iterator[Finding]:
    names = ("client-output-buffer-limit", "save", "appendonly", "maxmemory-policy")
    try:
        values: dict[str, Any] = {}
        for name in names:
            said: Any = client.config_get(name)
            values |= said
    except redis.ResponseError:
        yield ok("its configuration may not be read from here")
        return
    words = str(values.get("client-output-buffer-limit", "")).split()
    hard = int(words[words.index("pubsub") + 1]) if "pubsub" in words else 0
    if hard == 0:
        yield warn(
            "a web process that does not read may fill Redis' memory: pubsub buffers are unbounded",
            "CONFIG SET client-output-buffer-limit 'pubsub 64mb 32mb 20'",
        )
    elif hard < LEAST_BUFFER:
        yield warn(
            f"pubsub buffers of {hard >> 20} MiB: slow viewers are cut off early",
            "CONFIG SET client-output-buffer-limit 'pubsub 64mb 32mb 20'",
        )
    else:
        yield ok(f"pubsub buffers of at most {hard >> 20} MiB")
    if values.get("save") or values.get("appendonly") == "yes":
        yield warn("Redis writes to disk, and nothing in it needs to last", "CONFIG SET save '' and appendonly no")
    if str(values.get("maxmemory-policy", "")).startswith("allkeys"):
        yield warn("Redis may drop any key when its memory is full", "CONFIG SET maxmemory-policy volatile-ttl")


def channel_layers() -> Iterator[Finding]:
    """A message through each channel layer and back."""
    for alias in ("default", "frames"):
        if alias not in settings.CHANNEL_LAYERS:
            yield fail(f"there is no channel layer {alias!r}", "see CHANNEL_LAYERS in the settings")
            continue
        try:
            async_to_sync(_there_and_back)(alias)
        except (*RedisUnavailable, ChannelFull, ImportError) as error:
            said = _without_url(error, settings.REDIS_URL) or type(error).__name__
            yield fail(f"no message came through the layer {alias!r}: {said}", "see the probe of Redis")
        else:
            yield ok(f"a message came through the layer {alias!r}")


async def _there_and_back(alias: str) -> None:
    layer = get_channel_layer(alias)
    try:
        async with asyncio.timeout(TIMEOUT_S):
            channel = await layer.new_channel()
            await layer.group_add("doctor", channel)
            await layer.group_send("doctor", {"type": "doctor.hello"})
            await layer.receive(channel)
            await layer.group_discard("doctor", channel)
    finally:
        await layer.flush()


def _without_url(error: BaseException, url: str) -> str:
    """The error's text; a URL may hold a password."""
    return str(error).replace(url, "REDIS_URL")
