"""What web processes tell of their viewers through Redis (`sessions.consumers.report`), for the admin and for metrics.

Redis may hold what others wrote: every value is checked, and what is not as agreed reads as unknown. Blocks on Redis.
"""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, Final

from .latency import Quantiles, check_quantiles
from .permissions import Role
from .redis_client import RedisUnavailable, connect
from .status import VIEWER_LIFETIME_S, checked_number, viewers_key
from .worker.messages import viewer_key

logger = logging.getLogger(__name__)

MOST_VIEWERS: Final = 500
"""Of one session, in one look."""
MOST_BYTES: Final = 4096
PHASES: Final = {"push": "every frame", "pull": "newest state when ready", "start": "before the first picture"}
DROPS: Final = {
    "behind": "not ready",
    "gap": "lost before the relay",
    "base": "their base was missing",
    "codec": "codec missing",
    "cap": "above the bound",
    "hidden": "nobody looked",
}
"""Why frames are not passed on (docs/protocol.md, section 6.5), with what people read."""


@dataclass(frozen=True)
class ViewerReport:
    """One viewer's newest numbers. ``dropped``: frames not passed on, by reason."""

    viewer: str
    role: str = ""
    seconds: float = 0.0
    phase: str = ""
    fps: float = 0.0
    kbps: float = 0.0
    queue: float = 0.0
    refused: float = 0.0
    rate_kbps: float = 0.0
    cap_kbps: float = 0.0
    cap_fps: float = 0.0
    missed: float = 0.0
    dropped: dict[str, float] = field(default_factory=dict)
    stages: Quantiles = field(default_factory=dict)

    @property
    def phase_text(self) -> str:
        """The phase for people."""
        return PHASES.get(self.phase, "")

    @property
    def cells(self) -> list[tuple[float | None, float | None]]:
        """The stages that are his alone, in the order of tables."""
        return [self.stages.get(stage, (None, None)) for stage in ("relay", "decode", "paint", "ack")]

    @property
    def drops_text(self) -> str:
        """What was left out and why, for people."""
        return ", ".join(f"{count:.0f} {DROPS[reason]}" for reason, count in self.dropped.items() if count)


def read_reports(sids: Iterable[str]) -> dict[str, list[ViewerReport]] | None:
    """Return who watches each session now, longest first; None when Redis cannot be reached (logged)."""
    wanted = list(sids)
    if not wanted:
        return {}
    oldest = time.time() - VIEWER_LIFETIME_S
    try:
        who = connect().pipeline(transaction=False)
        for sid in wanted:
            who.zrange(viewers_key(sid), oldest, "+inf", byscore=True, offset=0, num=MOST_VIEWERS)
        present = dict(zip(wanted, who.execute(), strict=True))
        pairs = [(sid, viewer) for sid in wanted for viewer in present[sid]]
        what = connect().pipeline(transaction=False)
        for sid, viewer in pairs:
            what.getrange(viewer_key(sid, viewer), 0, MOST_BYTES)
        texts = what.execute() if pairs else []
    except RedisUnavailable as error:
        logger.warning("reports of viewers: Redis cannot be reached: %s", error)
        return None
    found: dict[str, list[ViewerReport]] = {sid: [] for sid in wanted}
    for (sid, viewer), text in zip(pairs, texts, strict=True):
        found[sid].append(parse_report(viewer, text))
    for reports in found.values():
        reports.sort(key=lambda report: -report.seconds)
    return found


def parse_report(viewer: str, text: str | None) -> ViewerReport:
    """Read one report; anything that is not as agreed is left at its default."""
    try:
        raw = json.loads(text) if text else {}
    except (ValueError, RecursionError):
        raw = {}
    if not isinstance(raw, dict):
        raw = {}
    names = ("seconds", "fps", "kbps", "queue", "refused", "rate_kbps", "cap_kbps", "cap_fps", "missed")
    numbers: dict[str, Any] = {name: checked_number(raw.get(name)) for name in names}
    dropped = raw.get("dropped")
    role, phase = raw.get("role"), raw.get("phase")
    return ViewerReport(
        viewer[:16],
        role=role if role in [known.value for known in Role] else "",
        phase=phase if isinstance(phase, str) and phase in PHASES else "",
        dropped={why: checked_number(dropped[why]) for why in DROPS if why in dropped}
        if isinstance(dropped, dict)
        else {},
        stages=check_quantiles(raw.get("stages")),
        **numbers,
    )
