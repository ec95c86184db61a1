"""What one viewer is sent at most, kbit and pictures a second: the one place that knows ranges, words and arithmetic.

Share links and presets state bounds (`sessions.models`), `sessions.serving.caps` enforces the tighter of them. 0 is no
bound. Pure functions.
"""

from __future__ import annotations

from typing import Final

LEAST_KBPS: Final = 64
MOST_KBPS: Final = 1_000_000
MOST_FPS: Final = 240
KBPS_LABEL: Final = "most kbit/s"
FPS_LABEL: Final = "most pictures a second"


def problem(kbps: int, fps: int) -> str:
    """Return what is wrong with these bounds, for people; "" if nothing is."""
    if kbps and not LEAST_KBPS <= kbps <= MOST_KBPS:
        return f"A bound is from {LEAST_KBPS} to {MOST_KBPS} kbit/s; 0 for none."
    if not 0 <= fps <= MOST_FPS:
        return f"A bound is from 1 to {MOST_FPS} pictures a second; 0 for none."
    return ""


def tighter(*bounds: int) -> int:
    """Return the smallest of the bounds that bound; 0 if none does."""
    return min((bound for bound in bounds if bound > 0), default=0)
