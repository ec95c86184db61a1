"""The database: what should be (web tier) and what is (host agent)."""

from .desktop_session import DesktopSession
from .quality_preset import QualityPreset
from .quota import CpuUse, Quota
from .session_host import SessionHost
from .session_template import SessionTemplate
from .share_link import ShareLink
from .spare_desktop import SpareDesktop
from .user_profile import UserProfile

__all__ = [
    "CpuUse",
    "DesktopSession",
    "QualityPreset",
    "Quota",
    "SessionHost",
    "SessionTemplate",
    "ShareLink",
    "SpareDesktop",
    "UserProfile",
]
