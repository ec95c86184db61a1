"""What a viewer is sent at most: by the session's preset, by his link, by the tighter of both; as they are changed."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from asgiref.sync import sync_to_async
from django.contrib.auth.models import User

from sessions.actions.presets import do_delete_preset, do_save_preset
from sessions.bounds import problem, tighter
from sessions.models import DesktopSession, QualityPreset, ShareLink
from stripeengine import wire
from tests.sessions.consumers.conftest import Viewer, by_link
from tests.sessions.fixtures_frames import EPOCH, FakeWorker

Connect = Callable[..., Awaitable[Viewer]]


@pytest.mark.parametrize(
    ("bounds", "result"), [((), 0), ((0, 0), 0), ((0, 5), 5), ((7, 0), 7), ((7, 5), 5), ((-1, 5), 5)]
)
def test_the_tighter_bound_counts_and_0_is_none(bounds: tuple[int, ...], result: int) -> None:
    assert tighter(*bounds) == result


def test_impossible_bounds_are_named() -> None:
    assert problem(0, 0) == problem(64, 1) == problem(1_000_000, 240) == ""
    assert "kbit/s" in problem(63, 0) and "kbit/s" in problem(1_000_001, 0) and "kbit/s" in problem(-5, 0)
    assert "pictures" in problem(0, 241) and "pictures" in problem(0, -1)


async def show(worker: FakeWorker, viewers: list[Viewer], seconds: float) -> float:
    """Show as many frames as the viewers take; return how long that took."""
    start = time.monotonic()
    while time.monotonic() - start < seconds:
        await worker.next_frame()
        for viewer in viewers:
            await viewer.pump(0.01)
            last = wire.peek(viewer.pictures[-1])
            serial = max(wire.peek(picture).serial for picture in viewer.pictures)
            await viewer.say({"type": "ack", "epoch": EPOCH, "frame": last.frame_id, "serial": serial})
    return time.monotonic() - start


async def test_a_link_bounds_what_its_viewers_are_sent(
    connect: Connect, make_link: Callable[..., ShareLink], worker: FakeWorker
) -> None:
    bounded = await by_link(connect, await sync_to_async(make_link)(max_fps=4))
    free = await by_link(connect, await sync_to_async(make_link)())
    for viewer in (bounded, free):
        await viewer.until(lambda viewer=viewer: viewer.pictures)
        await viewer.say({"type": "ack", "epoch": EPOCH, "frame": 0, "serial": 1})
    seconds = await show(worker, [bounded, free], 2)
    assert 3 <= len(bounded.pictures) <= 4 * seconds + 3 < len(free.pictures)
    # The newest picture comes all the same.
    await bounded.until(lambda: wire.peek(bounded.pictures[-1]).frame_id == worker.last)


async def told(viewer: Viewer, worker: FakeWorker) -> tuple[int, int]:
    """What he is allowed, as he is told."""
    count = len(viewer.of("stats"))
    await worker.event({"type": "stats", "fps": 1.0, "kbps": 2.0, "viewers": 1, "mode": "jpeg"})
    await viewer.until(lambda: len(viewer.of("stats")) > count)
    delivery: dict[str, Any] = viewer.of("stats")[-1]["delivery"]
    return delivery["cap_kbps"], delivery["cap_fps"]


async def test_a_preset_bounds_every_viewer_and_a_change_of_it_counts_at_once(
    connect: Connect, make_link: Callable[..., ShareLink], session: DesktopSession, anna: User, preset: QualityPreset,
    worker: FakeWorker,
) -> None:  # fmt: skip
    preset.max_fps, preset.max_kbps = 4, 5000
    await preset.asave()
    owner = await connect(f"/ws/session/{session.pk}/", anna)
    guest = await by_link(connect, await sync_to_async(make_link)(max_kbps=700, max_fps=30))
    for viewer in (owner, guest):
        await viewer.until(lambda viewer=viewer: viewer.pictures)
        await viewer.say({"type": "ack", "epoch": EPOCH, "frame": 0, "serial": 1})
    assert await told(owner, worker) == (5000, 4) and await told(guest, worker) == (700, 4)
    seconds = await show(worker, [owner], 1.5)
    assert 3 <= len(owner.pictures) <= 4 * seconds + 3

    preset.max_fps, preset.max_kbps = 0, 0
    await sync_to_async(do_save_preset)(preset)
    await owner.until(lambda: owner.of("preset"))
    await settled(owner, worker, (0, 0))
    await settled(guest, worker, (700, 30))
    count = len(owner.pictures)
    seconds = await show(worker, [owner], 1)
    assert len(owner.pictures) - count > 4 * seconds + 3

    preset.max_fps = 9
    await sync_to_async(do_save_preset)(preset)
    await settled(owner, worker, (0, 9))
    await sync_to_async(do_delete_preset)(preset)  # nothing takes its place
    await settled(owner, worker, (0, 0))


async def settled(viewer: Viewer, worker: FakeWorker, bounds: tuple[int, int]) -> None:
    """Wait until he is allowed that; the database is read beside the stream."""
    for _ in range(40):
        if await told(viewer, worker) == bounds:
            return
        await viewer.pump(0.05)
    raise AssertionError(f"{await told(viewer, worker)} instead of {bounds}")
