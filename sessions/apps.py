"""The Django app. Its label is `desktops`, for `django.contrib.sessions` owns `sessions`."""

from django.apps import AppConfig


class SessionsConfig(AppConfig):
    name = "sessions"
    label = "desktops"
    verbose_name = "Desktops"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        from . import checks  # noqa: F401 - registers the system checks
