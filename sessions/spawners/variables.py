"""What a template's language, keyboard, resolution and environment are to the start script and its programs.

The names that begin with ``STRIPEDESK_`` are for `desktop/start.sh` alone, which takes them out again.
"""

from __future__ import annotations

from .base import DesktopSpec


def variables_of(spec: DesktopSpec) -> dict[str, str]:
    """Return environment variables; the template's own come first, so that they override none of the rest."""
    layouts, variants = split_layouts(spec.keyboard_layout)
    return {
        **dict(spec.environment),
        "LANG": spec.locale,
        "STRIPEDESK_DPI": str(spec.dpi),
        "STRIPEDESK_LAYOUT": layouts,
        "STRIPEDESK_VARIANT": variants,
    }


def split_layouts(text: str) -> tuple[str, str]:
    """Return what `setxkbmap` calls layout and variant: ``de(nodeadkeys),ru`` is ``de,ru`` and ``nodeadkeys,``."""
    pairs = [part.strip().removesuffix(")").partition("(") for part in text.split(",")]
    return ",".join(layout for layout, _, _ in pairs), ",".join(variant for _, _, variant in pairs)
