"""What a worker is given: a JSON file of mode 0400, named on the command line.

Read once at start. Every refusal is a `ConfigError` of one line that names cause and remedy.
"""

from __future__ import annotations

import json
import os
import stat
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from stripeengine.errors import SettingsError
from stripeengine.settings import EngineSettings

from .messages import MessageError, check_session_id

MAX_SIZE = 64 * 1024
_MEMBERS = {
    *("session", "redis_url", "display_socket", "display_number", "auth_name", "auth_data", "framebuffer", "settings"),
}


class ConfigError(Exception):
    """The configuration is refused; the worker exits with code 4."""


@dataclass(frozen=True)
class Config:
    """A checked configuration. ``auth_data`` is a secret and stays out of `repr`.

    ``framebuffer`` is an inherited descriptor, to read what the X server draws into; None: it is asked for its picture.
    """

    session: str
    redis_url: str
    display_socket: str
    display_number: int
    auth_name: str
    auth_data: bytes
    framebuffer: int | None
    settings: EngineSettings

    def __repr__(self) -> str:
        return f"Config(session={self.session!r}, display_socket={self.display_socket!r})"


def load(path: str) -> Config:
    """Read and check the file at ``path``; raise `ConfigError`."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError as error:
        raise ConfigError(f"cannot read {path}: {error.strerror}") from None
    with os.fdopen(descriptor, "rb") as file:
        mode = os.fstat(file.fileno()).st_mode
        if not stat.S_ISREG(mode):
            raise ConfigError(f"{path} is not a file")
        if mode & 0o077:
            raise ConfigError(f"{path} can be read by others; it holds secrets: chmod 0400")
        data = file.read(MAX_SIZE + 1)
    if len(data) > MAX_SIZE:
        raise ConfigError(f"{path} is larger than {MAX_SIZE} bytes")
    try:
        values = json.loads(data)
    except ValueError as error:
        raise ConfigError(f"{path} is not JSON: {error}") from None
    return check(values)


def check(values: Any) -> Config:
    """Return the checked form of the decoded JSON; raise `ConfigError`."""
    if not isinstance(values, dict):
        raise ConfigError("the configuration must be a JSON object")
    if values.keys() != _MEMBERS:
        wrong = sorted(map(str, values.keys() ^ _MEMBERS))
        raise ConfigError(f"the configuration lacks or does not know: {', '.join(wrong)}")
    try:
        session = check_session_id(values["session"])
        settings = values["settings"]
        if not isinstance(settings, dict):
            raise ConfigError("settings must be an object")
        number = values["display_number"]
        if type(number) is not int or not 0 <= number <= 65535:
            raise ConfigError("display_number must be a whole number from 0 to 65535")
        return Config(
            session=session,
            redis_url=_redis_url(values["redis_url"]),
            display_socket=_text(values, "display_socket"),
            display_number=number,
            auth_name=_text(values, "auth_name", empty=True),
            auth_data=bytes.fromhex(_text(values, "auth_data", empty=True)),
            framebuffer=_descriptor(values["framebuffer"]),
            settings=EngineSettings().replace(settings),
        )
    except (MessageError, SettingsError) as error:
        raise ConfigError(str(error)) from None
    except ValueError:
        raise ConfigError("auth_data must be hexadecimal") from None


def _text(values: dict[str, Any], name: str, *, empty: bool = False) -> str:
    value = values[name]
    if not isinstance(value, str) or (not value and not empty) or "\0" in value:
        raise ConfigError(f"{name} must be text")
    return value


def _descriptor(value: Any) -> int | None:
    if value is not None and (type(value) is not int or not 3 <= value <= 65535):
        raise ConfigError("framebuffer must be null or a descriptor, a whole number from 3 to 65535")
    return value


def _redis_url(value: Any) -> str:
    if not isinstance(value, str) or urlsplit(value).scheme not in ("unix", "redis", "rediss"):
        raise ConfigError("redis_url must start with unix://, redis:// or rediss://")
    return value
