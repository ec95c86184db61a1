"""A real worker process on a real X server and a real Redis."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import msgpack
import numpy as np
import pytest
import redis
import redis.asyncio

from sessions.latency import check_quantiles
from sessions.worker.messages import (
    CONTROL_PREFIX,
    FRAMES_PREFIX,
    frames_group,
    group_channel,
    pack_tiles,
    session_group,
    snapshots_group,
    viewers_key,
    worker_group,
)
from stripeengine import wire
from stripeengine.decode import Decoder
from tests.sessions.fixtures_redis import RedisServer
from tests.sessions.worker.conftest import SESSION, WorkerProcess
from tests.stripeengine.fixtures_x11 import Painter, XServer

Start = Callable[..., WorkerProcess]
BUS = "b" * 32


def streaming(status: dict[str, Any]) -> bool:
    return status["state"] == "streaming" and status["width"] > 0


class Ear:
    """Everything a worker publishes, decoded."""

    def __init__(self, client: redis.asyncio.Redis) -> None:
        self.client = client
        self.frames: list[wire.Message] = []
        self.snapshots: list[tuple[dict[str, int], wire.Message]] = []
        self.heads: list[dict[str, Any]] = []
        self.events: list[dict[str, Any]] = []

    def take(self, message: dict[str, Any]) -> None:
        match message["type"]:
            case "frame":
                self.frames.append(wire.parse_message(message["data"]))
            case "snapshot":
                self.snapshots.append((message["viewers"], wire.parse_message(message["data"])))
            case "head":
                self.heads.append(message)
            case "session.event":
                self.events.append(message["event"])

    async def tell(self, message: Any) -> None:
        data = message if isinstance(message, bytes) else msgpack.packb(message)
        await self.client.publish(group_channel(CONTROL_PREFIX, worker_group(SESSION)), data)

    async def until(self, check: Callable[[], Any], timeout: float = 10) -> Any:
        async with asyncio.timeout(timeout):
            while not (found := check()):
                await asyncio.sleep(0.01)
        return found


@asynccontextmanager
async def listening(url: str) -> AsyncIterator[Ear]:
    client = redis.asyncio.Redis.from_url(url)
    pubsub = client.pubsub(ignore_subscribe_messages=True)
    await pubsub.subscribe(
        group_channel(FRAMES_PREFIX, frames_group(SESSION)),
        group_channel(FRAMES_PREFIX, snapshots_group(SESSION, BUS)),
        group_channel(CONTROL_PREFIX, session_group(SESSION)),
    )
    ear = Ear(client)

    async def listen() -> None:
        async for item in pubsub.listen():
            ear.take(msgpack.unpackb(item["data"]))

    task = asyncio.create_task(listen())
    try:
        yield ear
    finally:
        task.cancel()
        await asyncio.wait([task])
        await pubsub.aclose()
        await client.aclose()


async def test_frames_arrive_and_sigterm_ends_it_cleanly(redis_url: str, display: XServer, start_worker: Start) -> None:
    async with listening(redis_url) as ear:
        worker = start_worker(redis_url, display, paint_over=False, jpeg_quality=95)
        await asyncio.to_thread(worker.wait_for, streaming)
        decoder = Decoder()
        with Painter(display) as painter:
            await asyncio.to_thread(painter.fill, 100, 100, 64, 64, 0x2060C0)
        await ear.until(lambda: len(ear.frames) >= 2)
        await asyncio.sleep(0.3)
        for message in ear.frames:
            decoder.apply(message)
        assert [m.header.frame_id for m in ear.frames] == list(range(1, len(ear.frames) + 1))
        assert all(m.header.publish_us >= m.header.capture_us > 0 for m in ear.frames)
        assert decoder.picture.shape == (600, 800, 3)
        inner = decoder.picture[108:156, 108:156].astype(int)
        assert np.abs(inner - [0x20, 0x60, 0xC0]).max() <= 8
        await ear.until(lambda: ear.heads and ear.heads[-1]["frame"] == ear.frames[-1].header.frame_id)
        stats = await ear.until(lambda: [e for e in ear.events if e["type"] == "stats"])
        assert stats[0]["mode"] == "jpeg" and stats[0]["viewers"] == 0
        await ear.until(lambda: [e for e in ear.events if e["type"] == "stats"][-1]["fps"] == 0)
        assert await asyncio.to_thread(worker.stop) == 0
        assert worker.status() is None


async def test_snapshots_asked_for_together_share_one_encode_and_say_as_of_when(
    redis_url: str, display: XServer, start_worker: Start
) -> None:
    worker = start_worker(redis_url, display)
    await asyncio.to_thread(worker.wait_for, streaming)
    async with listening(redis_url) as ear:
        for viewer in ("v1", "v2", "v3"):
            await ear.tell({"type": "worker.snapshot", "viewer": viewer, "bus": BUS})
        await ear.until(lambda: {v for viewers, _ in ear.snapshots for v in viewers} == {"v1", "v2", "v3"})
        assert len([m for _, m in ear.snapshots if not m.header.more]) <= 2
        decoder = Decoder()
        for _, message in ear.snapshots:
            decoder.apply(message)
        assert decoder.picture.shape == (600, 800, 3) and decoder.frame_id >= 1


async def test_a_newcomer_is_given_a_large_picture_with_few_pixels_and_then_with_all(
    redis_url: str, display: XServer, start_worker: Start
) -> None:
    noise = np.random.default_rng(1).integers(0, 256, (600, 800, 4), np.uint8)
    with Painter(display) as painter:
        painter.image(0, 0, 800, 600, noise.tobytes())
        worker = start_worker(redis_url, display, mode="auto")
        await asyncio.to_thread(worker.wait_for, streaming)
        async with listening(redis_url) as ear:
            await ear.tell({"type": "worker.snapshot", "viewer": "v", "bus": BUS, "small": True})
            await ear.until(lambda: ear.snapshots and not ear.snapshots[-1][1].header.more)
            few = [message for _, message in ear.snapshots]
            assert {(op.w // op.pw, op.h // op.ph) for message in few for op in message.ops} == {(4, 4)}
            ear.snapshots.clear()
            await ear.tell({"type": "worker.snapshot", "viewer": "v", "bus": BUS})
            await ear.until(lambda: ear.snapshots and not ear.snapshots[-1][1].header.more)
            every = [message for _, message in ear.snapshots]
        assert 4 * sum(len(message.raw) for message in few) < sum(len(message.raw) for message in every)
        decoder = Decoder()
        for message in few:
            decoder.apply(message)
        blurred = decoder.picture.copy()
        for message in every:
            decoder.apply(message)
        difference = np.abs(decoder.picture.astype(int) - blurred)
        assert decoder.picture.shape == (600, 800, 3) and 0 < np.median(difference) < 128


async def test_repairs_come_to_who_asked_and_snapshots_of_a_still_screen_cost_one_encode(
    redis_url: str, display: XServer, start_worker: Start
) -> None:
    worker = start_worker(redis_url, display, mode="auto")
    await asyncio.to_thread(worker.wait_for, streaming)
    async with listening(redis_url) as ear:
        for viewer in ("v1", "v2"):  # one after the other
            await ear.tell({"type": "worker.snapshot", "viewer": viewer, "bus": BUS})
            await ear.until(lambda viewer=viewer: any(viewer in viewers for viewers, _ in ear.snapshots))
        first, second = (data.raw for _, data in ear.snapshots)
        assert first == second
        ear.snapshots.clear()
        tiles = pack_tiles(0b11, 800, 600)
        repair = {"type": "worker.repair", "viewer": "v", "bus": BUS, "token": 5, "width": 800, "height": 600}
        await ear.tell({**repair, "tiles": tiles, "shrink": 1, "quality": 0})
        await ear.until(lambda: ear.snapshots and not ear.snapshots[-1][1].header.more)
        viewers, message = ear.snapshots[-1]
        assert viewers == {"v": 5} and message.header.partial
        assert {(op.x + op.w <= 128, op.y + op.h <= 64) for op in message.ops} == {(True, True)}


async def test_with_nobody_looking_nothing_is_sent_and_the_first_one_gets_what_is_there(
    redis_url: str, display: XServer, start_worker: Start
) -> None:
    worker = start_worker(redis_url, display, grace=0.3, paint_over=False, jpeg_quality=95)
    await asyncio.to_thread(worker.wait_for, streaming)
    async with listening(redis_url) as ear:
        await asyncio.sleep(1.5)
        before = len(ear.frames)
        with Painter(display) as painter:
            for colour in range(0, 0xFF0000, 0x110000):
                await asyncio.to_thread(painter.fill, 100, 100, 64, 64, colour | 0x20C0)
                await asyncio.sleep(0.02)
            await asyncio.sleep(0.3)
            assert len(ear.frames) == before
            await asyncio.to_thread(painter.fill, 100, 100, 64, 64, 0x2060C0)
        await ear.tell({"type": "worker.snapshot", "viewer": "v", "bus": BUS})
        await ear.until(lambda: ear.snapshots and not ear.snapshots[-1][1].header.more)
        decoder = Decoder()
        for _, message in ear.snapshots:
            decoder.apply(message)
        inner = decoder.picture[108:156, 108:156].astype(int)
        assert np.abs(inner - [0x20, 0x60, 0xC0]).max() <= 8
        # From now on somebody looks.
        count = len(ear.frames)
        with Painter(display) as painter:
            await asyncio.to_thread(painter.fill, 300, 300, 64, 64, 0xC02060)
        await ear.until(lambda: len(ear.frames) > count)


async def test_the_status_tells_the_stages_of_frames_and_what_answers_input(
    redis_url: str, display: XServer, start_worker: Start
) -> None:
    async with listening(redis_url) as ear:
        worker = start_worker(redis_url, display)
        await asyncio.to_thread(worker.wait_for, streaming)
        await ear.tell({"type": "worker.watch", "bus": BUS, "viewers": 1})
        status: dict[str, Any] = {"stages": {}}
        with Painter(display) as painter:
            for number in range(1, 60):  # on a busy machine no change may come within a second after its input
                await ear.tell({"type": "worker.input", "viewer": "v", "seq": number, "events": [["move", number, 5]]})
                await asyncio.sleep(0.05)
                await asyncio.to_thread(painter.fill, 300, 300, 64, 64, 0xC02060 + number)
                await asyncio.sleep(0.2)
                status = await asyncio.to_thread(worker.status) or status
                if "react" in status["stages"]:
                    break
        stages = check_quantiles(status["stages"])
        assert set(stages) == {"react", "encode", "publish"}
        assert 0 < stages["encode"][0] < 1000 and stages["publish"][0] < 1000 and 0 < stages["react"][0] <= 1000
        assert status["dropped"] >= 0


async def test_cursor_settings_and_refused_messages(redis_url: str, display: XServer, start_worker: Start) -> None:
    async with listening(redis_url) as ear:
        worker = start_worker(redis_url, display)
        await asyncio.to_thread(worker.wait_for, streaming)
        display.run("xsetroot", "-cursor_name", "watch")
        first = await ear.until(lambda: [e for e in ear.events if e["type"] == "cursor"])
        await asyncio.sleep(0.2)
        count = len([e for e in ear.events if e["type"] == "cursor"])
        await ear.tell({"type": "worker.cursor"})
        await ear.until(lambda: len([e for e in ear.events if e["type"] == "cursor"]) > count)
        assert first[-1].get("png") or first[-1].get("hidden")
        for wrong in (
            b"\xc1",
            {"type": "worker.settings", "settings": {"framerate": 0}},
            {"type": "worker.settings", "settings": {"nonsense": 1}},
            {"type": "worker.reboot"},
            {"type": "worker.input", "viewer": "v", "seq": 1, "events": [["move", "x", 1]]},
        ):
            await ear.tell(wrong)
        await ear.tell({"type": "worker.settings", "settings": {"mode": "h264"}})
        await asyncio.to_thread(worker.wait_for, lambda status: status["mode"] == "h264")
        await ear.tell({"type": "worker.key_frames"})
        display.run("xsetroot", "-mod", "3", "5")  # nothing flat, which would be a fill
        await ear.until(lambda: any(op.kind == wire.H264 for m in ear.frames for op in m.ops))
        await ear.tell({"type": "worker.stop"})
        assert await asyncio.to_thread(worker.process.wait, 10) == 0
        assert worker.log.read_text().count("refused") == 5


async def test_a_restarted_redis_is_found_again_and_the_last_frame_announced(
    private_redis: RedisServer, display: XServer, start_worker: Start
) -> None:
    worker = start_worker(private_redis.url, display)
    await asyncio.to_thread(worker.wait_for, streaming)
    private_redis.stop()
    with Painter(display) as painter:
        for colour in (0x112233, 0x445566):
            await asyncio.to_thread(painter.fill, 0, 0, 300, 300, colour)
            await asyncio.sleep(0.3)
    private_redis.start()
    async with listening(private_redis.url) as ear:
        head = await ear.until(lambda: ear.heads and ear.heads[-1])
        assert head["frame"] >= 2
        await ear.tell({"type": "worker.snapshot", "viewer": "v", "bus": BUS})
        await ear.until(lambda: ear.snapshots)
        assert ear.snapshots[-1][1].header.frame_id == head["frame"]
    assert await asyncio.to_thread(worker.stop) == 0


def test_a_dead_x_server_is_exit_code_3_and_a_failed_status(
    redis_url: str, display: XServer, start_worker: Start
) -> None:
    worker = start_worker(redis_url, display)
    worker.wait_for(streaming)
    display.kill()
    assert worker.process.wait(10) == 3
    status = worker.status()
    assert status is not None and status["state"] == "failed" and status["error"]


def test_a_missing_x_server_is_exit_code_3(redis_url: str, display: XServer, start_worker: Start) -> None:
    display.stop()
    worker = start_worker(redis_url, display)
    assert worker.process.wait(20) == 3
    assert "X" in worker.log.read_text()


async def test_keys_of_a_viewer_nobody_has_seen_are_released(
    redis_url: str, display: XServer, start_worker: Start
) -> None:
    from Xlib import display as xlib

    worker = start_worker(redis_url, display)
    await asyncio.to_thread(worker.wait_for, streaming)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XAUTHORITY", display.authority)
        server = xlib.Display(display.display)
    async with listening(redis_url) as ear:
        await asyncio.sleep(0.2)
        events = [["move", 40, 30], ["key", "ShiftLeft", "Shift", True]]
        await ear.tell({"type": "worker.input", "viewer": "gone", "seq": 1, "events": events})
        await ear.until(lambda: server.screen().root.query_pointer().mask & 1)
        pointer = server.screen().root.query_pointer()
        assert (pointer.root_x, pointer.root_y) == (40, 30)
        (told,) = await ear.until(lambda: [event for event in ear.events if event["type"] == "injected"])
        assert (told["viewer"], told["seq"]) == ("gone", 1)
        assert 0 <= time.monotonic() - told["injected_us"] / 1e6 < 30
        # Two others: one is heard of again and again and keeps his key, one is not.
        # His score is of before the clock was set forward: only that it stays the same for long would tell of him.
        await ear.client.zadd(viewers_key(SESSION), {"here": time.time() - 7200})
        await ear.tell({"type": "worker.input", "viewer": "here", "seq": 1, "events": [["button", 0, True]]})
        start = time.monotonic()
        while server.screen().root.query_pointer().mask & 1:
            await ear.tell({"type": "worker.alive", "viewer": "here"})
            await asyncio.sleep(0.2)
            assert time.monotonic() - start < 15
        assert server.screen().root.query_pointer().mask & 0x100
        await ear.until(lambda: not server.screen().root.query_pointer().mask & 0x100, timeout=15)
    server.close()


def test_an_idle_1080p_session_stays_small_and_asleep(redis_url: str, start_worker: Start) -> None:
    with XServer((1920, 1080)) as display:
        worker = start_worker(redis_url, display)
        worker.wait_for(streaming)
        time.sleep(4)  # paint-over and the first reports are behind us
        with open(f"/proc/{worker.process.pid}/statm", encoding="ascii") as file:
            resident = int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 1e6
        before = _cpu_seconds(worker.process.pid)
        time.sleep(6)
        used = _cpu_seconds(worker.process.pid) - before
        assert resident < 60, f"{resident:.1f} MB"
        assert used <= 0.03, f"{used} s of processor time in 6 s of rest"


def _cpu_seconds(pid: int) -> float:
    with open(f"/proc/{pid}/stat", encoding="ascii") as file:
        fields = file.read().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def test_the_worker_loads_neither_django_nor_numpy() -> None:
    code = (
        "import sys, sessions.worker.worker, sessions.worker.__main__\n"
        "print([m for m in ('django', 'channels', 'numpy', 'sessions.models', 'av', 'daphne') if m in sys.modules])"
    )
    import sys

    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=20, check=True)
    assert done.stdout.strip() == "[]"


def test_sigint_ends_it_as_well(redis_url: str, display: XServer, start_worker: Start) -> None:
    worker = start_worker(redis_url, display)
    worker.wait_for(streaming)
    worker.process.send_signal(signal.SIGINT)
    assert worker.process.wait(10) == 0
