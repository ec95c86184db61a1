"""What workers and viewers report through Redis, for pages. One round trip for any number of sessions.

Workers are hostile input: every value is checked, and what is not as agreed reads as unknown. Blocks on Redis.
"""

from __future__ import annotations

import json
import logging
import math
import time
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from typing import Any, Final

from stripeengine.settings import setting

from .latency import Quantiles, check_quantiles
from .redis_client import RedisUnavailable, connect
from .states import Reason

logger = logging.getLogger(__name__)

VIEWER_LIFETIME_S: Final = 30
_ENDINGS: Final = (Reason.IDLE.value, Reason.TOO_OLD.value)
_STREAM_STATES: Final = ("waiting-display", "streaming", "failed")


@dataclass(frozen=True)
class LiveStatus:
    """One session's newest numbers. ``stream`` is empty when no worker has reported lately; ``viewers`` counts."""

    stream: str = ""
    error: str = ""
    mode: str = ""
    fps: float = 0.0
    kbps: float = 0.0
    latency_ms: float | None = None
    viewers: int = 0
    dropped: int = 0
    stages: Quantiles = field(default_factory=dict)
    ending: str = ""
    """Why the session is about to be ended, a `Reason`; empty when it is not."""
    ending_s: float = 0.0
    """Seconds until then, as of a few seconds ago."""

    def as_dict(self) -> dict[str, Any]:
        """The fields by name, for JSON."""
        return asdict(self)


UNKNOWN: Final = LiveStatus()


def status_key(sid: str) -> str:
    """Return the key of the worker's status; ``sid`` is 32 hex digits."""
    return f"stripedesk:session:{sid}:status"


def viewers_key(sid: str) -> str:
    """Return the key of the sorted set of viewers."""
    return f"stripedesk:session:{sid}:viewers"


def ending_key(sid: str) -> str:
    """Return the key under which the host agent says that the session is about to be ended."""
    return f"stripedesk:session:{sid}:ending"


def read_statuses(sids: Iterable[str]) -> dict[str, LiveStatus] | None:
    """Return the status of every session in ``sids``; None when Redis cannot be reached (logged)."""
    wanted = list(sids)
    if not wanted:
        return {}
    pipeline = connect().pipeline(transaction=False)
    pipeline.mget([status_key(sid) for sid in wanted])
    pipeline.mget([ending_key(sid) for sid in wanted])
    oldest = time.time() - VIEWER_LIFETIME_S
    for sid in wanted:
        pipeline.zcount(viewers_key(sid), oldest, "+inf")
    try:
        texts, endings, *counts = pipeline.execute()
    except RedisUnavailable as error:
        logger.warning("live status: Redis cannot be reached: %s", error)
        return None
    listed = zip(wanted, texts, endings, counts, strict=True)
    return {sid: parse_status(text, int(viewers), ending) for sid, text, ending, viewers in listed}


def parse_status(text: str | None, viewers: int, ending_text: str | None = None) -> LiveStatus:
    """Read a worker's JSON, and the agent's; anything that is not as agreed is left at its default."""
    raw, coming = _table(text), _table(ending_text)
    ending = coming.get("reason")
    stream, mode, error = raw.get("state"), raw.get("mode"), raw.get("error")
    latency = raw.get("latency_ms")
    return LiveStatus(
        stream=stream if stream in _STREAM_STATES else "",
        error=error[:200] if isinstance(error, str) else "",
        mode=mode if mode in setting("mode").choices else "",
        fps=checked_number(raw.get("fps")),
        kbps=checked_number(raw.get("kbps")),
        latency_ms=None if latency is None else checked_number(latency),
        viewers=max(0, viewers),
        dropped=int(checked_number(raw.get("dropped"))),
        stages=check_quantiles(raw.get("stages")),
        ending=ending if ending in _ENDINGS else "",
        ending_s=checked_number(coming.get("left_s")),
    )


def _table(text: str | None) -> dict[str, Any]:
    try:
        raw = json.loads(text) if text else {}
    except (ValueError, RecursionError):
        return {}
    return raw if isinstance(raw, dict) else {}


def checked_number(value: Any) -> float:
    """Return a finite number ≥ 0, rounded to a tenth; 0 for anything else."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return 0.0
    try:
        number = float(value)
    except OverflowError:
        return 0.0
    return round(number, 1) if math.isfinite(number) and 0 <= number < 1e9 else 0.0
