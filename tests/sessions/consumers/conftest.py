"""Fixtures of the consumer's tests: people, sessions, links, and connections to the real ASGI application."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import msgpack
import pytest
from asgiref.sync import sync_to_async
from channels.testing import WebsocketCommunicator
from django.contrib.auth.models import User
from django.test import Client

from sessions import tickets
from sessions.models import DesktopSession, QualityPreset, SessionTemplate, ShareLink
from sessions.models.share_link import hash_secret
from sessions.worker.messages import CONTROL_PREFIX, session_group
from tests.sessions.fixtures_frames import FakeWorker
from tests.sessions.fixtures_redis import private_redis, redis_server, redis_url

__all__ = ["private_redis", "redis_server", "redis_url"]

HELLO = {"type": "hello", "versions": [1], "codecs": ["jpeg", "h264"]}


@pytest.fixture(autouse=True)
def _fast_passwords(settings: Any) -> None:
    settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]


@pytest.fixture
def anna(transactional_db: None) -> User:
    return User.objects.create_user("anna", password="pw-anna-1")


@pytest.fixture
def bob(transactional_db: None) -> User:
    return User.objects.create_user("bob", password="pw-bob-12")


@pytest.fixture
def preset(transactional_db: None) -> QualityPreset:
    return QualityPreset.objects.create(name="Balanced", help="For most work.", settings={"framerate": 50})


@pytest.fixture
def session(anna: User, preset: QualityPreset) -> DesktopSession:
    template = SessionTemplate.objects.create(name="Terminal", slug="terminal", kind="application", command="xterm")
    return DesktopSession.objects.create(
        owner=anna, template=template, name="Work", width=1024, height=640, state="running", preset=preset
    )


@pytest.fixture
def make_link(session: DesktopSession) -> Callable[..., ShareLink]:
    def make(role: str = "viewer", **values: Any) -> ShareLink:
        return ShareLink.objects.create(session=session, role=role, secret_hash=hash_secret("s"), **values)

    return make


class Viewer:
    """A protocol client over the ASGI application, cookies and origin included."""

    def __init__(self, path: str, user: User | None = None, origin: str = "http://localhost") -> None:
        self.path, self.user, self.origin = path, user, origin
        self.client = Client()
        self.texts: list[dict[str, Any]] = []
        self.pictures: list[bytes] = []
        self.code: int | None = None

    async def connect(self, hello: dict[str, Any] | None = HELLO) -> Viewer:
        from stripedesk.asgi import application

        headers = [(b"origin", self.origin.encode()), (b"host", b"localhost")]
        if self.user is not None:
            await sync_to_async(self.client.force_login)(self.user)
            cookies = "; ".join(f"{name}={morsel.value}" for name, morsel in self.client.cookies.items())
            headers.append((b"cookie", cookies.encode()))
        self.socket = WebsocketCommunicator(application, self.path, headers=headers)
        connected, _ = await self.socket.connect(timeout=5)
        if not connected:
            self.code = 403
            return self
        if hello is not None:
            await self.say(hello)
        return self

    async def say(self, message: Any) -> None:
        if isinstance(message, bytes):
            await self.socket.send_to(bytes_data=message)
        else:
            await self.socket.send_to(text_data=message if isinstance(message, str) else json.dumps(message))

    async def pump(self, seconds: float = 0.05) -> None:
        """Take what has come."""
        while self.code is None and not await self.socket.receive_nothing(seconds, 0.005):
            message = await self.socket.receive_output(1)
            if message["type"] == "websocket.close":
                self.code = message.get("code")
            elif message.get("text"):
                self.texts.append(json.loads(message["text"]))
            else:
                self.pictures.append(message["bytes"])

    async def until(self, check: Callable[[], Any], seconds: float = 5) -> Any:
        async with asyncio.timeout(seconds):
            while not (found := check()):
                assert self.code is None, f"the connection was closed with {self.code}: {self.texts[-1:]}"
                await self.pump(0.02)
        return found

    async def closed(self, seconds: float = 5) -> tuple[int | None, str, str]:
        """Wait for the close; return its code, and the error's code and message."""
        await self.until(lambda: self.code is not None, seconds)
        error = self.texts[-1] if self.texts and self.texts[-1]["type"] == "error" else {}
        return self.code, error.get("code", ""), error.get("message", "")

    def of(self, kind: str) -> list[dict[str, Any]]:
        return [text for text in self.texts if text["type"] == kind]

    async def leave(self) -> None:
        await self.socket.disconnect(timeout=5)


def path_of(session: DesktopSession) -> str:
    """Return the address of its WebSocket."""
    return f"/ws/session/{session.pk}/"


async def save(model: Any, **values: Any) -> None:
    """Change a row behind everybody's back."""
    await type(model).objects.filter(pk=model.pk).aupdate(**values)


async def tell_access(worker: FakeWorker) -> None:
    """Make the session's consumers look again."""
    await worker.publish_raw(session_group(worker.session), msgpack.packb({"type": "session.access"}), CONTROL_PREFIX)


async def by_link(connect: Callable[..., Awaitable[Viewer]], link: ShareLink, **hello: Any) -> Viewer:
    """Connect by a share link, with a ticket of its own."""
    ticket = await sync_to_async(tickets.issue)(link.pk)
    return await connect(f"/ws/link/{link.pk}/", hello={**HELLO, "ticket": ticket, **hello})


@pytest.fixture
async def connect() -> AsyncIterator[Callable[..., Awaitable[Viewer]]]:
    """``await connect(path, user)``: a viewer who leaves when the test ends."""
    viewers: list[Viewer] = []

    async def make(path: str, user: User | None = None, hello: dict[str, Any] | None = HELLO, **options: Any) -> Viewer:
        viewer = Viewer(path, user, **options)
        await viewer.connect(hello)
        if viewer.code is None:
            viewers.append(viewer)
        return viewer

    yield make
    for viewer in viewers:
        await viewer.leave()


@pytest.fixture
async def worker(redis_url: str, session: DesktopSession) -> AsyncIterator[FakeWorker]:
    async with FakeWorker(redis_url, session.sid) as fake:
        yield fake
