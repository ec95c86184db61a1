"""Fixtures of the web tier's tests: people, templates, presets, sessions, and an ear at Redis."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any

import msgpack
import pytest
import redis
from django.contrib.auth.models import User
from django.test import Client

from sessions.models import DesktopSession, QualityPreset, SessionTemplate
from tests.sessions.fixtures_redis import private_redis, redis_server, redis_url

__all__ = ["private_redis", "redis_server", "redis_url"]

Listen = Callable[..., AbstractContextManager[list[tuple[str, dict[str, Any]]]]]


@pytest.fixture(autouse=True)
def _fast_passwords(settings: Any) -> None:
    settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]


@pytest.fixture
def anna(db: None) -> User:
    return User.objects.create_user("anna", password="pw-anna-1")


@pytest.fixture
def bob(db: None) -> User:
    return User.objects.create_user("bob", password="pw-bob-12")


@pytest.fixture
def root(db: None) -> User:
    return User.objects.create_superuser("root", password="pw-root-1")


@pytest.fixture
def template(db: None) -> SessionTemplate:
    return SessionTemplate.objects.create(
        name="Terminal", slug="terminal", kind="application", command="xterm", description="One terminal."
    )


@pytest.fixture
def preset(db: None) -> QualityPreset:
    return QualityPreset.objects.create(name="Balanced", help="For most work.", position=10, settings={"framerate": 50})


@pytest.fixture
def make_session(template: SessionTemplate) -> Callable[..., DesktopSession]:
    def make(owner: User, state: str = "running", **values: Any) -> DesktopSession:
        values = {"name": "Work", "width": 1024, "height": 640, "template": template, **values}
        return DesktopSession.objects.create(owner=owner, state=state, **values)

    return make


@pytest.fixture
def as_user() -> Callable[[User], Client]:
    def login(user: User) -> Client:
        client = Client()
        client.force_login(user)
        return client

    return login


@pytest.fixture
def listen(redis_url: str, django_capture_on_commit_callbacks: Any) -> Listen:
    """``with listen("hosts") as heard``: runs what waits for the commit; afterwards ``heard`` has (group, message)."""

    @contextmanager
    def context(*groups: str) -> Iterator[list[tuple[str, dict[str, Any]]]]:
        heard: list[tuple[str, dict[str, Any]]] = []
        with redis.Redis.from_url(redis_url) as client, client.pubsub() as subscription:
            subscription.subscribe(*(f"stripedesk__group__{group}" for group in groups))
            for _ in groups:
                subscription.get_message(timeout=2)
            with django_capture_on_commit_callbacks(execute=True):
                yield heard
            while message := subscription.get_message(timeout=0.2):
                group = message["channel"].decode().removeprefix("stripedesk__group__")
                heard.append((group, msgpack.unpackb(message["data"])))

    return context
