"""System checks: mistakes of configuration that would show themselves late, and far from their cause."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from importlib import metadata
from typing import Any, Final

from django.apps.config import AppConfig
from django.conf import settings
from django.core.checks import CheckMessage, Error, Tags, Warning, register

from stripeengine.errors import SettingsError
from stripeengine.settings import describe

from .spawners.registry import DEFAULT, SpawnerUnusable, spawner_class

PUBSUB: Final = "channels_redis.pubsub.RedisPubSubChannelLayer"

E001 = "The channel layer {alias!r} is {backend}, not a RedisPubSubChannelLayer."
E002 = "The channel layers 'default' and 'frames' have the same prefix {prefix!r}."
E003 = "redis-py {version} is installed; channels_redis does not work with redis-py 8."
E004 = "SESSIONS_PER_USER is {value!r}, not a whole number of at least 1."
E005 = "The engine setting {name!r} has a default outside its own range: {error}."
E006 = "The spawner cannot be used: {error}"
W001 = "The channel layer {alias!r} has a socket timeout of {value}."


@register(Tags.compatibility)
def check_channel_layers(app_configs: Sequence[AppConfig] | None, **kwargs: Any) -> list[CheckMessage]:
    """Both layers are there, are PubSub, and are apart."""
    found: list[CheckMessage] = []
    prefixes = {}
    configured: Mapping[str, Any] = settings.CHANNEL_LAYERS
    for alias in ("default", "frames"):
        layer: Mapping[str, Any] = configured.get(alias, {})
        backend, config = layer.get("BACKEND", "missing"), layer.get("CONFIG", {})
        if backend != PUBSUB:
            hint = f"Workers speak that layer's wire format. Set CHANNEL_LAYERS[{alias!r}]['BACKEND'] to {PUBSUB!r}."
            found.append(Error(E001.format(alias=alias, backend=backend), hint=hint, id="desktops.E001"))
            continue
        prefixes[alias] = config.get("prefix", "asgi")
        for host in config.get("hosts", []):
            timeout = host.get("socket_timeout") if isinstance(host, dict) else None
            if timeout is not None:
                hint = "A quiet subscription would be cut again and again. Leave it at None."
                message = W001.format(alias=alias, value=timeout)
                found.append(Warning(message, hint=hint, id="desktops.W001"))
    if len(prefixes) == 2 and prefixes["default"] == prefixes["frames"]:
        hint = "Give each its own, or a group's messages reach both."
        found.append(Error(E002.format(prefix=prefixes["default"]), hint=hint, id="desktops.E002"))
    return found


@register(Tags.compatibility)
def check_redis_version(app_configs: Sequence[AppConfig] | None, **kwargs: Any) -> list[CheckMessage]:
    """redis-py is one that channels_redis works with."""
    version = metadata.version("redis")
    if int(version.split(".")[0]) < 8:
        return []
    hint = "Install what pyproject.toml names: pip install 'redis>=5.2,<8'."
    return [Error(E003.format(version=version), hint=hint, id="desktops.E003")]


@register(Tags.compatibility)
def check_limits(app_configs: Sequence[AppConfig] | None, **kwargs: Any) -> list[CheckMessage]:
    """The quota is a number one can live with."""
    value = settings.STRIPEDESK.get("SESSIONS_PER_USER")
    if isinstance(value, int) and not isinstance(value, bool) and value >= 1:
        return []
    hint = "Set STRIPEDESK_SESSIONS_PER_USER to 1 or more."
    return [Error(E004.format(value=value), hint=hint, id="desktops.E004")]


@register(Tags.compatibility)
def check_spawner(app_configs: Sequence[AppConfig] | None, **kwargs: Any) -> list[CheckMessage]:
    """The spawner that host agents are to use is there and is one."""
    name = settings.STRIPEDESK.get("SPAWNER", DEFAULT)
    try:
        spawner_class(name)
    except SpawnerUnusable as error:
        hint = "Set STRIPEDESK_SPAWNER to one that works; docs/how-to/spawners.md says what one must be."
        return [Error(E006.format(error=error), hint=hint, id="desktops.E006")]
    return []


@register(Tags.models)
def check_engine_defaults(app_configs: Sequence[AppConfig] | None, **kwargs: Any) -> list[CheckMessage]:
    """Every engine setting accepts its own default, so that forms can be filled from them."""
    found: list[CheckMessage] = []
    for setting in describe():
        try:
            setting.check(setting.default)
        except SettingsError as error:
            hint = "Correct it in stripeengine/settings.py."
            message = E005.format(name=setting.name, error=error)
            found.append(Error(message, hint=hint, id="desktops.E005"))
    return found
