"""Django's admin classes, which are generic for type checkers alone; these can be subscripted when they run, too."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django.contrib import admin

if TYPE_CHECKING:
    from django.contrib.admin import ModelAdmin as ModelAdmin
    from django.contrib.admin import StackedInline as StackedInline
else:

    class ModelAdmin(admin.ModelAdmin):
        def __class_getitem__(cls, item: Any) -> type:
            return cls

    class StackedInline(admin.StackedInline):
        def __class_getitem__(cls, item: Any) -> type:
            return cls
