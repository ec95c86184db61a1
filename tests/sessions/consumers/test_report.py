"""What is told of a viewer to the admin and to metrics, by way of the real application and a real Redis."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable

import pytest
from django.contrib.auth.models import User

from sessions.latency import LONGEST_MS
from sessions.models import DesktopSession
from sessions.reports import ViewerReport, read_reports
from sessions.serving import presence
from stripeengine import wire
from tests.sessions.consumers.conftest import Viewer
from tests.sessions.fixtures_frames import EPOCH, FakeWorker

Connect = Callable[..., Awaitable[Viewer]]


async def reports(session: DesktopSession) -> list[ViewerReport]:
    found = await asyncio.to_thread(read_reports, [session.sid])
    assert found is not None
    return found[session.sid]


async def test_a_viewer_is_told_of_with_his_stages_and_forgotten_when_he_leaves(
    connect: Connect, session: DesktopSession, anna: User, worker: FakeWorker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(presence, "REFRESH_S", 0.0)
    viewer, liar = await connect(f"/ws/session/{session.pk}/", anna), await connect(f"/ws/session/{session.pk}/", anna)
    for one in (viewer, liar):
        await one.until(lambda one=one: one.pictures)
    said = {"decode_ms": 3.5, "paint_ms": 7, "queue": 2}
    await viewer.say({"type": "ack", "epoch": EPOCH, "frame": 0, "serial": 1, **said})
    await liar.say({"type": "ack", "epoch": EPOCH, "frame": 0, "serial": 1, "decode_ms": 9e8, "queue": 1e9})
    await liar.say({"type": "ack", "epoch": EPOCH, "frame": 4_000_000, "serial": 1, "decode_ms": 1})  # never sent
    data = bytearray(await worker.next_frame())
    wire.stamp_publish(data, time.monotonic_ns() // 1000)
    worker.last = 2
    await worker.publish(wire.address(data, 2, 0, False))
    await viewer.until(lambda: wire.peek(viewer.pictures[-1]).frame_id == 2)
    await viewer.say({"type": "ack", "epoch": EPOCH, "frame": 2, "serial": 1, **said})
    await viewer.say({"type": "input", "seq": 1, "events": [["move", 3, 4]]})
    await worker.wait_for("worker.input")
    names = [one.texts[0]["viewer"] for one in (viewer, liar)]
    now = time.monotonic_ns() // 1000
    await worker.event({"type": "injected", "viewer": names[0], "seq": 1, "injected_us": now})
    await viewer.until(lambda: viewer.of("injected"))

    async def told() -> dict[str, ViewerReport]:
        return {report.viewer: report for report in await reports(session)}

    stages = {"inject", "relay", "decode", "paint", "ack"}
    async with asyncio.timeout(15):
        while True:
            found = await told()
            if all(name in found and found[name].stages.get("decode") for name in names) and stages <= set(
                found[names[0]].stages
            ):
                break
            for one in (viewer, liar):
                await one.pump(0.05)
    good, lie = (await told()).get(names[0]), (await told()).get(names[1])
    assert good is not None and lie is not None
    assert set(good.stages) == stages
    assert good.stages["decode"] == (3.5, 3.5) and good.stages["paint"] == (7.0, 7.0)
    assert 0 <= good.stages["relay"][0] < 5000 and 0 <= good.stages["inject"][0] < 5000
    assert (good.role, good.phase, good.queue) == ("owner", "push", 2.0)
    # Of his own row he may lie, within bounds; of nobody else's.
    assert lie.stages["decode"] == (LONGEST_MS, LONGEST_MS) and lie.refused == 1

    await viewer.leave()
    assert [report.viewer for report in await reports(session)] == [names[1]]
