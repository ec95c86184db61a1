"""What workers and viewers report through Redis, for pages. One round trip for any number of sessions.

Workers are hostile input: every value is checked, and what is not as agreed reads as unknown. Blocks on Redis.
"""

from __future__ import annotations

import json
import logging
import math
import time
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Any, Final

from stripeengine.settings import setting

from .redis_client import RedisUnavailable, connect

logger = logging.getLogger(__name__)

VIEWER_LIFETIME_S: Final = 30
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


def read_statuses(sids: Iterable[str]) -> dict[str, LiveStatus] | None:
    """Return the status of every session in ``sids``; None when Redis cannot be reached (logged)."""
    wanted = list(sids)
    if not wanted:
        return {}
    pipeline = connect().pipeline(transaction=False)
    pipeline.mget([status_key(sid) for sid in wanted])
    oldest = time.time() - VIEWER_LIFETIME_S
    for sid in wanted:
        pipeline.zcount(viewers_key(sid), oldest, "+inf")
    try:
        texts, *counts = pipeline.execute()
    except RedisUnavailable as error:
        logger.warning("live status: Redis cannot be reached: %s", error)
        return None
    return {sid: parse_status(text, int(n)) for sid, text, n in zip(wanted, texts, counts, strict=True)}


def parse_status(text: str | None, viewers: int) -> LiveStatus:
    """Read a worker's JSON; anything that is not as agreed is left at its default."""
    try:
        raw = json.loads(text) if text else {}
    except (ValueError, RecursionError):
        raw = {}
    if not isinstance(raw, dict):
        raw = {}
    stream, mode, error = raw.get("state"), raw.get("mode"), raw.get("error")
    latency = raw.get("latency_ms")
    return LiveStatus(
        stream=stream if stream in _STREAM_STATES else "",
        error=error[:200] if isinstance(error, str) else "",
        mode=mode if mode in setting("mode").choices else "",
        fps=_number(raw.get("fps")),
        kbps=_number(raw.get("kbps")),
        latency_ms=None if latency is None else _number(latency),
        viewers=max(0, viewers),
    )


def _number(value: Any) -> float:
    """Return a finite number ≥ 0, rounded to a tenth; 0 for anything else."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return 0.0
    try:
        number = float(value)
    except OverflowError:
        return 0.0
    return round(number, 1) if math.isfinite(number) and 0 <= number < 1e9 else 0.0
