"""The admin: stock `ModelAdmin`s under a name of our own."""

from django.contrib import admin

from ..forms.login import AdminLoginForm
from .desktop_session import DesktopSessionAdmin
from .quality_preset import QualityPresetAdmin
from .quota import CpuUseAdmin, QuotaAdmin
from .session_host import SessionHostAdmin
from .session_template import SessionTemplateAdmin
from .user import UserAdmin

admin.site.site_title = "Stripedesk"
admin.site.site_header = "Stripedesk"
admin.site.index_title = "Administration"
admin.site.login_form = AdminLoginForm

__all__ = [
    "CpuUseAdmin",
    "DesktopSessionAdmin",
    "QualityPresetAdmin",
    "QuotaAdmin",
    "SessionHostAdmin",
    "SessionTemplateAdmin",
    "UserAdmin",
]
