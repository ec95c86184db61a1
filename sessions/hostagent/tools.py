"""What all supervisors of an agent share."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from ..conf import Conf
from .lifecycle import Lifecycle
from .messages import Announcer, StatusReader
from .redis_users import RedisUsers
from .usage import Usage
from .worker_process import COMMAND


@dataclass(frozen=True)
class Tools:
    """Everything a supervisor needs and does not own. ``problem``: why this host can make no sandbox, or ""."""

    conf: Conf
    announcer: Announcer
    lifecycle: Lifecycle
    status: StatusReader
    users: RedisUsers
    problem: str
    worker_command: Sequence[str] = COMMAND
    usage: Usage = field(default_factory=Usage)
