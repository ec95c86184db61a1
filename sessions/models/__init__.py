"""The database: what should be (web tier) and what is (host agent)."""

from .desktop_session import DesktopSession
from .quality_preset import QualityPreset
from .session_host import SessionHost
from .session_template import SessionTemplate
from .share_link import ShareLink
from .user_profile import UserProfile

__all__ = ["DesktopSession", "QualityPreset", "SessionHost", "SessionTemplate", "ShareLink", "UserProfile"]
