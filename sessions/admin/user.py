"""Users in the admin, with the preset that their sessions start with."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django.contrib import admin
from django.contrib.auth.admin import UserAdmin as DjangoUserAdmin
from django.contrib.auth.models import User
from django.db.models import ForeignKey, Q
from django.forms import ModelChoiceField
from django.http import HttpRequest

from ..models import QualityPreset, UserProfile
from .bases import StackedInline


class UserProfileInline(StackedInline[UserProfile, User]):
    """The default preset: the site's and the user's own are offered, nobody else's."""

    model = UserProfile
    can_delete = False
    verbose_name_plural = "Stripedesk"
    fields = ("default_preset",)

    def formfield_for_foreignkey(
        self, db_field: ForeignKey[Any, Any], request: HttpRequest, **kwargs: Any
    ) -> ModelChoiceField[Any] | None:
        """Limit the presets to those the user's sessions may use."""
        if db_field.name == "default_preset":
            match = request.resolver_match
            user_id = match.kwargs.get("object_id") if match else None
            visible = Q(owner=None)
            if user_id and str(user_id).isdecimal():
                visible |= Q(owner_id=int(user_id))
            kwargs["queryset"] = QualityPreset.objects.filter(visible)
        return super().formfield_for_foreignkey(db_field, request, **kwargs)


admin.site.unregister(User)


if TYPE_CHECKING:
    _Base = DjangoUserAdmin[User]
else:
    _Base = DjangoUserAdmin


@admin.register(User)
class UserAdmin(_Base):
    """Django's, with our inline."""

    inlines = (UserProfileInline,)
    list_display = ("username", "email", "first_name", "last_name", "is_staff", "is_active")

    def get_inline_instances(self, request: HttpRequest, obj: Any = None) -> list[Any]:
        """The profile belongs to a user who exists: not on the page that adds one."""
        return super().get_inline_instances(request, obj) if obj else []
