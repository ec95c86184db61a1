"""From the X screen to a protocol client: real worker, Redis, database and server, under Daphne and under uvicorn."""

from __future__ import annotations

import asyncio
import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

from stripeengine import wire
from stripeengine.decode import Decoder
from stripeengine.x11 import X11Source
from tests.sessions.fixtures_beat import beating
from tests.sessions.fixtures_redis import RedisServer
from tests.stripeengine.fixtures_x11 import Painter, XServer

ROOT = Path(__file__).resolve().parents[3]
SETUP = """
import json
from django.contrib.auth.models import User
from django.test import Client
from sessions.models import *
user = User.objects.create_user("anna", password="x")
template = SessionTemplate.objects.create(name="T", slug="t", kind="application", command="xterm")
host = SessionHost.objects.create(name="here")
values = dict(owner=user, template=template, host=host, name="W", width=640, height=480, state="running")
session = DesktopSession.objects.create(**values)
client = Client(); client.force_login(user)
cookie = client.cookies["sessionid"].value
print("\\x1e" + json.dumps({"session": session.sid, "id": str(session.pk), "cookie": cookie}))
"""


class Site:
    """A database with one running session, a Redis, an X server; servers and workers are started by the test."""

    def __init__(self, directory: Path, redis_url: str, display: XServer) -> None:
        self.directory, self.redis_url, self.display = directory, redis_url, display
        self.port = free_port()
        self.processes: list[subprocess.Popen[bytes]] = []
        self.env = {
            **os.environ,
            "STRIPEDESK_STATE_DIR": str(directory / "state"),
            "STRIPEDESK_RUNTIME_DIR": str(directory / "run"),
            "REDIS_URL": redis_url,
            "PYTHONUNBUFFERED": "1",
            "PYTHONPATH": f"{ROOT}:{ROOT / 'platform'}",
        }
        self.run("manage.py", "migrate", "-v", "0")
        found = json.loads(self.run("manage.py", "shell", "-v", "0", "-c", SETUP).rsplit("\x1e", 1)[1])
        self.session, self.id, self.cookie = found["session"], found["id"], found["cookie"]

    def run(self, *command: str) -> str:
        done = subprocess.run(
            [sys.executable, *command], cwd=ROOT, env=self.env, capture_output=True, text=True, timeout=60
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    def start(self, *command: str) -> subprocess.Popen[bytes]:
        with (self.directory / "log").open("ab") as log:
            self.processes.append(
                subprocess.Popen([sys.executable, *command], cwd=ROOT, env=self.env, stderr=log, stdout=log)
            )
        return self.processes[-1]

    def start_worker(self, **settings: Any) -> subprocess.Popen[bytes]:
        path = self.directory / f"{time.monotonic_ns()}.json"
        name, cookie = self.display.auth
        config = {
            "session": self.session, "redis_url": self.redis_url, "display_socket": self.display.socket,
            "display_number": self.display.number, "auth_name": name, "auth_data": cookie.hex(),
            "framebuffer": None, "settings": settings,
        }  # fmt: skip
        path.write_text(json.dumps(config))
        path.chmod(0o400)
        return self.start("-m", "sessions.worker", "--config", str(path))

    async def listening(self) -> None:
        async with asyncio.timeout(20):
            while True:
                try:
                    _, writer = await asyncio.open_connection("127.0.0.1", self.port)
                    writer.close()
                    return
                except OSError:
                    await asyncio.sleep(0.1)

    def log(self) -> str:
        return (self.directory / "log").read_text()


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture
def site(tmp_path: Path, redis_server: RedisServer) -> Iterator[Site]:
    import redis

    with redis.Redis.from_url(redis_server.url) as client:
        client.flushall()
    with XServer((640, 480)) as display:
        site = Site(tmp_path, redis_server.url, display)
        with beating(tmp_path / "state" / "stripedesk.sqlite3"):
            yield site
        for process in site.processes:
            if process.poll() is None:
                process.kill()
            process.wait()


class Client:
    """A protocol client: decodes, acknowledges, keeps the text messages."""

    def __init__(self, socket: ClientConnection) -> None:
        self.socket = socket
        self.link_kbps = 0  # what the link carries; 0: as much as there is
        self.decoder = Decoder()
        self.texts: list[dict[str, Any]] = []
        self.headers: list[wire.Header] = []
        self.kinds: set[int] = set()
        """Of all ops that came."""
        self.seq = 0

    async def read(self) -> None:
        async for data in self.socket:
            if isinstance(data, str):
                self.texts.append(json.loads(data))
                continue
            if self.link_kbps:
                await asyncio.sleep(len(data) / (self.link_kbps * 125))
            header = wire.peek(data)
            self.headers.append(header)
            self.kinds |= {op.kind for op in wire.parse_message(data).ops}
            self.decoder.apply(data)
            if not header.more:
                await self.say({"type": "ack", "epoch": header.epoch, "frame": header.frame_id})

    async def say(self, message: dict[str, Any]) -> None:
        await self.socket.send(json.dumps(message))

    async def input(self, *events: list[Any]) -> None:
        self.seq += 1
        await self.say({"type": "input", "seq": self.seq, "events": events})

    async def until(self, check: Callable[[], Any], seconds: float = 10) -> Any:
        async with asyncio.timeout(seconds):
            while not (found := check()):
                await asyncio.sleep(0.02)
        return found


@asynccontextmanager
async def viewing(site: Site, codecs: tuple[str, ...] = ("jpeg", "h264", "h264-444")) -> AsyncIterator[Client]:
    origin = f"http://127.0.0.1:{site.port}"
    async with connect(
        f"ws://127.0.0.1:{site.port}/ws/session/{site.id}/",
        additional_headers={"Cookie": f"sessionid={site.cookie}"},
        origin=origin,  # type: ignore[arg-type]
        max_size=wire.MAX_MESSAGE,
    ) as socket:
        client = Client(socket)
        await client.say({"type": "hello", "versions": [1], "codecs": list(codecs)})
        task = asyncio.create_task(client.read())
        try:
            yield client
        finally:
            task.cancel()
            await asyncio.wait([task])


def screen(display: XServer) -> Any:
    with X11Source(socket=display.socket, auth=display.auth) as source:
        width, height = source.size
        pixels = np.frombuffer(source.read(), dtype=np.uint8).reshape(height, width, 4)
    return pixels[:, :, 2::-1].astype(int)


def draw(display: XServer) -> None:
    rows, columns = np.mgrid[0:120, 0:160]
    shades = np.stack((columns, rows, columns // 2 + rows // 2, rows * 0), axis=2).astype(np.uint8)
    with Painter(display) as painter:
        for step in range(12):  # of one colour it would be a fill in every mode
            painter.image(40 + step * 8, 60, 160, 120, (shades + step).tobytes())
            time.sleep(0.03)
        painter.fill(300, 200, 64, 64, 0xC04020)


def error_of(picture: Any, display: XServer) -> int:
    shown = screen(display)
    if picture.shape != shown.shape:
        return 255
    return int(np.abs(picture.astype(int) - shown).max())


@pytest.mark.parametrize("mode", ["jpeg", "h264"])
async def test_the_picture_is_the_screen_input_arrives_and_a_killed_worker_is_survived(site: Site, mode: str) -> None:
    server = site.start("manage.py", "serve", "--port", str(site.port))
    worker = site.start_worker(mode=mode, chroma="444", paint_over_jpeg_quality=95)
    await site.listening()
    async with viewing(site) as client:
        await client.until(lambda: client.headers)
        assert client.texts[0]["type"] == "welcome"
        await asyncio.to_thread(draw, site.display)
        bound = 24 if mode == "jpeg" else 40
        await client.until(lambda: error_of(client.decoder.picture, site.display) <= bound)
        assert not client.decoder.picture[400:, :].any()  # nothing was drawn there

        await client.input(["move", 123, 45])
        with Painter(site.display) as painter:
            await client.until(lambda: painter.root.query_pointer().root_x == 123)

        # A second viewer who comes late sees the same at once.
        async with viewing(site) as late:
            await late.until(lambda: error_of(late.decoder.picture, site.display) <= bound)

        worker.kill()
        worker.wait()
        old = client.decoder.epoch
        with Painter(site.display) as painter:
            await asyncio.to_thread(painter.fill, 300, 200, 64, 64, 0x20C040)
        site.start_worker(mode=mode, chroma="444")
        await client.until(lambda: client.decoder.epoch != old)
        await client.until(lambda: error_of(client.decoder.picture, site.display) <= bound)

        server.terminate()
        with pytest.raises(ConnectionClosed) as closed:
            async with asyncio.timeout(10):
                while True:
                    await client.say({"type": "ping", "t": 1})
                    await asyncio.sleep(0.05)
        assert closed.value.rcvd is not None and closed.value.rcvd.code == 1012
    assert await asyncio.to_thread(server.wait, 10) == 0
    assert "Traceback" not in site.log(), site.log()


async def test_a_viewer_without_h264_sees_stills_of_a_moving_session(site: Site) -> None:
    site.start("manage.py", "serve", "--port", str(site.port))
    site.start_worker(mode="h264")
    await site.listening()
    async with viewing(site, codecs=("jpeg",)) as client:
        await client.until(lambda: client.headers)
        # Nothing flat, which would be a fill, and reach him as it is.
        await asyncio.to_thread(site.display.run, "xsetroot", "-mod", "3", "5")
        await client.until(lambda: any(text["type"] == "notice" for text in client.texts))
        await client.until(lambda: any(header.partial for header in client.headers))
        await client.until(lambda: error_of(client.decoder.picture, site.display) <= 60, 15)
        assert [t["code"] for t in client.texts if t["type"] == "notice"] == ["codec-missing"]
        assert wire.H264 not in client.kinds
        assert sum(header.kind == wire.SNAPSHOT for header in client.headers) > 1


async def test_uvicorn_serves_the_same_application(site: Site) -> None:
    site.start(
        "-m", "uvicorn", "stripedesk.asgi:application", "--port", str(site.port),
        "--ws-per-message-deflate", "false", "--log-level", "warning",
    )  # fmt: skip
    site.start_worker()
    await site.listening()
    async with viewing(site) as client:
        await client.until(lambda: client.headers)
        await asyncio.to_thread(draw, site.display)
        await client.until(lambda: error_of(client.decoder.picture, site.display) <= 60)
        await client.say({"type": "hello"})
        for _ in range(5):
            await client.socket.send(b"garbage")
        with pytest.raises(ConnectionClosed) as closed:
            async with asyncio.timeout(5):
                while True:
                    await client.say({"type": "ping", "t": 1})
                    await asyncio.sleep(0.02)
        assert closed.value.rcvd is not None and closed.value.rcvd.code == 4400
    assert "Traceback" not in site.log(), site.log()


async def test_a_hundred_rounds_of_a_small_change_stay_fast(site: Site) -> None:
    """From the drawing to the acknowledged picture: the median stays below a frame and a half at 60 Hz."""
    site.start("manage.py", "serve", "--port", str(site.port))
    site.start_worker(paint_over=False)
    await site.listening()
    async with viewing(site) as client:
        await client.until(lambda: client.headers)
        await asyncio.sleep(1)
        times = []
        with Painter(site.display) as painter:
            for step in range(60):
                before = len(client.headers)
                start = time.monotonic()
                painter.fill(10, 10, 16, 16, 0x010203 * (step + 1))
                while len(client.headers) == before:
                    await asyncio.sleep(0.001)
                times.append(time.monotonic() - start)
                await asyncio.sleep(0.02)
        times.sort()
        print(f"drawing to decoded: p50 {times[30] * 1e3:.1f} ms, p95 {times[57] * 1e3:.1f} ms")
        assert times[30] < 0.025


async def test_the_engine_follows_the_controllers_link(site: Site) -> None:
    """A controller behind 1.5 Mbit/s: the engine comes down to what he can take, and goes up again when he has left."""
    site.start("manage.py", "serve", "--port", str(site.port))
    site.start_worker(mode="auto")
    await site.listening()
    stop = asyncio.Event()

    def kbps(client: Client) -> float:
        stats = [text for text in client.texts if text["type"] == "stats"]
        return float(stats[-1]["kbps"]) if stats else 0.0

    async def scribble() -> None:
        generator = np.random.default_rng(5)
        with Painter(site.display) as painter:
            while not stop.is_set():
                pixels = generator.integers(0, 256, (320, 480, 4), dtype=np.uint8)
                await asyncio.to_thread(painter.image, 100, 100, 480, 320, pixels.tobytes())
                await asyncio.sleep(0.05)

    async with viewing(site) as watcher:
        await watcher.until(lambda: watcher.headers)
        async with viewing(site) as controller:
            await controller.until(lambda: controller.headers)
            await controller.input(["move", 5, 5])
            drawing = asyncio.create_task(scribble())
            try:
                await watcher.until(lambda: kbps(watcher) > 3000, 20)
                controller.link_kbps = 1500
                await watcher.until(lambda: 0 < kbps(watcher) < 1.4 * 1500, 30)
                await controller.socket.close()
                await watcher.until(lambda: kbps(watcher) > 3000, 20)
            finally:
                stop.set()
                await drawing
    assert "Traceback" not in site.log(), site.log()
