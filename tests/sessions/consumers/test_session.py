"""The consumer through the real ASGI application, with a real Redis, a real database and a worker of the test's own."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
import redis.asyncio
from asgiref.sync import sync_to_async
from django.contrib.auth.models import User
from django.utils import timezone

from sessions import tickets
from sessions.consumers import session as consumer
from sessions.models import DesktopSession, QualityPreset, ShareLink
from sessions.worker.messages import CONTROL_PREFIX, session_group, viewers_key
from stripeengine import wire
from tests.sessions.consumers.conftest import HELLO, Viewer
from tests.sessions.fixtures_frames import EPOCH, FakeWorker, video
from tests.sessions.fixtures_redis import RedisServer

Connect = Callable[..., Any]


def path_of(session: DesktopSession) -> str:
    return f"/ws/session/{session.pk}/"


async def save(model: Any, **values: Any) -> None:
    await type(model).objects.filter(pk=model.pk).aupdate(**values)


async def tell_access(worker: FakeWorker) -> None:
    import msgpack

    await worker.publish_raw(session_group(worker.session), msgpack.packb({"type": "session.access"}), CONTROL_PREFIX)


async def by_link(connect: Connect, link: ShareLink, **hello: Any) -> Viewer:
    ticket = await sync_to_async(tickets.issue)(link.pk)
    return await connect(f"/ws/link/{link.pk}/", hello={**HELLO, "ticket": ticket, **hello})


# ---- coming in -------------------------------------------------------------------------------------------------


async def test_the_owner_is_welcomed_and_gets_snapshot_then_frames(
    connect: Connect, session: DesktopSession, anna: User, worker: FakeWorker
) -> None:
    await worker.next_frame()
    viewer = await connect(path_of(session), anna)
    await viewer.until(lambda: viewer.pictures)
    welcome = viewer.texts[0]
    assert welcome["type"] == "welcome" and welcome["role"] == "owner"
    assert {"view", "input", "settings"} <= set(welcome["permissions"])
    assert welcome["session"] == {"id": str(session.pk), "name": "Work", "template": "Terminal", "state": "running"}
    assert welcome["presets"] == [{"id": session.preset_id, "name": "Balanced", "help": "For most work."}]
    assert (welcome["preset"], welcome["heartbeat_s"], welcome["window"]) == (session.preset_id, 10, 4)
    assert wire.peek(viewer.pictures[0]).kind == wire.SNAPSHOT
    sent = await worker.next_frame()
    await viewer.until(lambda: sent in viewer.pictures)
    assert worker.asked("worker.cursor")


@pytest.mark.parametrize(
    ("said", "code", "error"),
    [
        ({"type": "hello", "versions": [9]}, 4406, "version"),
        ({"type": "hello"}, 4400, "malformed"),
        ({"type": "ping", "t": 1}, 4400, "malformed"),
        ("{", 4400, "malformed"),
        (b"\x00\x01", 4400, "malformed"),
    ],
)
async def test_a_wrong_greeting_is_refused(
    connect: Connect, session: DesktopSession, anna: User, redis_url: str, said: Any, code: int, error: str
) -> None:
    viewer = await connect(path_of(session), anna, hello=None)
    await viewer.say(said)
    assert (await viewer.closed())[:2] == (code, error)


async def test_silence_instead_of_a_greeting_is_closed(
    connect: Connect, session: DesktopSession, anna: User, redis_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(consumer, "HELLO_S", 0.1)
    viewer = await connect(path_of(session), anna, hello=None)
    assert (await viewer.closed())[:2] == (4408, "timeout")


async def test_strangers_are_refused(connect: Connect, session: DesktopSession, bob: User, redis_url: str) -> None:
    assert (await (await connect(path_of(session))).closed())[:2] == (4401, "unauthenticated")
    assert (await (await connect(path_of(session), bob)).closed())[:2] == (4404, "unknown-session")
    unknown = "/ws/session/00000000-0000-0000-0000-000000000000/"
    assert (await (await connect(unknown, bob)).closed())[:2] == (4404, "unknown-session")
    assert (await connect(path_of(session), bob, origin="http://evil.example")).code == 403


async def test_a_ticket_opens_its_own_link_once(
    connect: Connect, make_link: Callable[..., ShareLink], worker: FakeWorker
) -> None:
    link, other = await sync_to_async(make_link)(), await sync_to_async(make_link)()
    ticket = await sync_to_async(tickets.issue)(link.pk)
    wrong = await connect(f"/ws/link/{other.pk}/", hello={**HELLO, "ticket": ticket})
    assert (await wrong.closed())[:2] == (4401, "unauthenticated")
    used = await connect(f"/ws/link/{link.pk}/", hello={**HELLO, "ticket": ticket})
    assert (await used.closed())[:2] == (4401, "unauthenticated")  # it was taken by the wrong address
    missing = await connect(f"/ws/link/{link.pk}/")
    assert (await missing.closed())[:2] == (4401, "unauthenticated")
    viewer = await by_link(connect, link)
    await viewer.until(lambda: viewer.pictures)
    assert viewer.texts[0]["role"] == "viewer" and viewer.texts[0]["permissions"] == ["view"]


@pytest.mark.parametrize("values", [{"revoked_at": timezone.now()}, {"expires_at": timezone.now() - timedelta(1)}])
async def test_a_closed_link_is_refused(
    connect: Connect, make_link: Callable[..., ShareLink], redis_url: str, values: dict[str, Any]
) -> None:
    link = await sync_to_async(make_link)(**values)
    assert (await (await by_link(connect, link)).closed())[:2] == (4410, "link-closed")


async def test_redis_down_says_try_again(
    connect: Connect, session: DesktopSession, anna: User, private_redis: RedisServer
) -> None:
    private_redis.stop()
    viewer = await connect(path_of(session), anna, hello=None)
    assert (await viewer.closed(10))[0] == 1013


# ---- the session's state ---------------------------------------------------------------------------------------


async def test_a_starting_session_reports_its_stages_until_it_runs(
    connect: Connect, session: DesktopSession, anna: User, worker: FakeWorker
) -> None:
    await save(session, state="starting", stage="display")
    viewer = await connect(path_of(session), anna)
    await viewer.until(lambda: viewer.of("state"))
    assert viewer.of("state")[0] == {"type": "state", "state": "starting", "stage": "display"}
    assert not viewer.pictures and not worker.asked("worker.snapshot")
    await save(session, state="running", stage="")
    await worker.event({"type": "state", "state": "running"})
    await viewer.until(lambda: viewer.pictures)
    assert viewer.of("state")[-1] == {"type": "state", "state": "running"}


async def test_a_lost_state_event_is_made_good(
    connect: Connect,
    session: DesktopSession,
    anna: User,
    worker: FakeWorker,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(consumer, "STARTING_RECHECK_S", 0.2)
    await save(session, state="starting")
    viewer = await connect(path_of(session), anna)
    await viewer.until(lambda: viewer.of("state"))
    await save(session, state="running")
    await viewer.until(lambda: viewer.pictures)


async def test_an_ended_session_is_refused_and_one_that_ends_closes(
    connect: Connect, session: DesktopSession, anna: User, worker: FakeWorker
) -> None:
    viewer = await connect(path_of(session), anna)
    await viewer.until(lambda: viewer.pictures)
    await worker.event({"type": "state", "state": "ended"})  # the worker's word alone ends nothing
    await viewer.pump(0.3)
    assert viewer.code is None
    await save(session, state="ended", reason="desktop-exited", message="The terminal was closed.")
    await worker.event({"type": "state", "state": "ended"})
    assert await viewer.closed() == (4411, "session-ended", "The terminal was closed.")
    assert viewer.of("state")[-1]["state"] == "ended"
    late = await connect(path_of(session), anna)
    assert await late.closed() == (4411, "session-ended", "The terminal was closed.")


async def test_events_of_the_worker_are_relayed_and_wrong_ones_are_not(
    connect: Connect, session: DesktopSession, anna: User, worker: FakeWorker
) -> None:
    viewer = await connect(path_of(session), anna)
    await viewer.until(lambda: viewer.pictures)
    for event in (
        {"type": "error", "code": "session-ended", "message": "spoofed"},
        {"type": "cursor", "serial": "x"},
        {"type": "stats", "fps": 1.0, "kbps": 2.0, "viewers": 1, "mode": "jpeg"},
    ):
        await worker.event(event)
    await viewer.until(lambda: viewer.of("stats"))
    assert not viewer.of("error") and not viewer.of("cursor") and viewer.code is None


# ---- input and requests ----------------------------------------------------------------------------------------


async def test_input_reaches_the_worker_and_is_released_at_the_end(
    connect: Connect, session: DesktopSession, anna: User, worker: FakeWorker
) -> None:
    viewer = await connect(path_of(session), anna)
    await viewer.until(lambda: viewer.of("welcome"))
    name = viewer.texts[0]["viewer"]
    await viewer.until(lambda: viewer.pictures)
    await viewer.say({"type": "input", "seq": 1, "events": [["key", "KeyA", "a", True], ["move", 3, 4]]})
    await viewer.say({"type": "input", "seq": 1, "events": [["release"]]})  # an old number
    await viewer.say({"type": "input", "seq": 2, "events": [["button", 9, True]]})
    await viewer.say({"type": "input", "seq": 3, "events": [["text", "ü"]]})
    await viewer.until(lambda: any(message["seq"] == 3 for message in worker.asked("worker.input")))
    heard = worker.asked("worker.input")
    assert all(message["viewer"] == name for message in heard)
    events = [event for message in heard for event in message["events"]]
    assert events == [["key", "KeyA", "a", True], ["move", 3, 4], ["text", "ü"]]
    # While he holds a key the worker hears that he is still there.
    assert (await worker.wait_for("worker.alive"))[0]["viewer"] == name
    await viewer.leave()
    assert (await worker.wait_for("worker.release"))[0]["viewer"] == name


async def test_an_input_is_acknowledged_with_its_times_to_whom_it_came_from(
    connect: Connect, session: DesktopSession, anna: User, worker: FakeWorker
) -> None:
    viewer, other = await connect(path_of(session), anna), await connect(path_of(session), anna)
    for one in (viewer, other):
        await one.until(lambda one=one: one.pictures)
    name = viewer.texts[0]["viewer"]
    before = time.monotonic_ns() // 1000
    await viewer.say({"type": "input", "seq": 7, "events": [["move", 3, 4]]})
    await worker.wait_for("worker.input")
    now = time.monotonic_ns() // 1000
    await worker.event({"type": "injected", "viewer": name, "seq": 6, "injected_us": now})  # nobody knows that one
    await worker.event({"type": "injected", "viewer": name, "seq": 7, "injected_us": now, "x": 1})
    (told,) = await viewer.until(lambda: viewer.of("injected"))
    assert before <= told.pop("received_us") <= now
    assert told == {"type": "injected", "seq": 7, "injected_us": now}
    await other.pump(0.1)
    assert not other.of("injected")


async def test_statistics_tell_of_the_viewers_own_delivery(
    connect: Connect, session: DesktopSession, anna: User, worker: FakeWorker
) -> None:
    viewer = await connect(path_of(session), anna)
    await viewer.until(lambda: viewer.pictures)
    await viewer.say({"type": "ack", "epoch": EPOCH, "frame": 0, "serial": 1})
    data = bytearray(await worker.next_frame())
    wire.stamp_publish(data, time.monotonic_ns() // 1000)
    worker.last = 2
    await worker.publish(wire.address(data, 2, 0, False))
    await viewer.until(lambda: wire.peek(viewer.pictures[-1]).frame_id == 2)
    await viewer.say({"type": "ack", "epoch": EPOCH, "frame": 2, "serial": wire.peek(viewer.pictures[-2]).serial or 1})
    engine = {"latency_ms": [1.5, 4], "dropped": 2}
    await worker.event({"type": "stats", "fps": 5, "kbps": 9, "viewers": 1, "mode": "auto", "engine": engine})
    (stats,) = await viewer.until(lambda: viewer.of("stats"))
    delivery = stats["delivery"]
    assert stats["engine"] == engine
    assert (delivery["phase"], delivery["shrink"], delivery["snapshots"], delivery["sent"]) == ("push", 1, 1, 2)
    assert (delivery["cap_kbps"], delivery["cap_fps"], delivery["missed"], delivery["inexact"]) == (0, 0, 0, 0)
    assert 0 <= delivery["relay_ms"] < 5000 and 0 <= delivery["ack_ms"] < 5000
    await worker.event({"type": "stats", "fps": 5, "kbps": 9, "viewers": 1, "mode": "auto", "engine": {"dropped": 1}})
    await worker.event({"type": "stats", "fps": 6, "kbps": 9, "viewers": 1, "mode": "auto"})
    again = (await viewer.until(lambda: viewer.of("stats")[1:]))[0]
    assert again["fps"] == 6 and again["delivery"]["relay_ms"] is None


async def test_a_link_bounds_what_its_viewers_are_sent(
    connect: Connect, make_link: Callable[..., ShareLink], worker: FakeWorker
) -> None:
    bounded = await by_link(connect, await sync_to_async(make_link)(max_fps=4))
    free = await by_link(connect, await sync_to_async(make_link)())
    for viewer in (bounded, free):
        await viewer.until(lambda viewer=viewer: viewer.pictures)
        await viewer.say({"type": "ack", "epoch": EPOCH, "frame": 0, "serial": 1})
    start = time.monotonic()
    while time.monotonic() - start < 2:
        await worker.next_frame()
        for viewer in (bounded, free):
            await viewer.pump(0.01)
            last = wire.peek(viewer.pictures[-1])
            serial = max(wire.peek(picture).serial for picture in viewer.pictures)
            await viewer.say({"type": "ack", "epoch": EPOCH, "frame": last.frame_id, "serial": serial})
    seconds = time.monotonic() - start
    assert 3 <= len(bounded.pictures) <= 4 * seconds + 3 < len(free.pictures)
    # The newest picture comes all the same.
    await bounded.until(lambda: wire.peek(bounded.pictures[-1]).frame_id == worker.last)


async def test_a_guest_may_not_type_or_change_the_preset_and_is_told_once(
    connect: Connect, make_link: Callable[..., ShareLink], worker: FakeWorker, preset: QualityPreset
) -> None:
    viewer = await by_link(connect, await sync_to_async(make_link)())
    await viewer.until(lambda: viewer.pictures)
    for seq in range(1, 6):
        await viewer.say({"type": "input", "seq": seq, "events": [["key", "KeyA", "a", True]]})
    await viewer.say({"type": "preset", "id": preset.pk})
    await viewer.until(lambda: len(viewer.of("notice")) >= 2)
    await viewer.pump(0.2)
    assert [notice["code"] for notice in viewer.of("notice")] == ["input-refused", "preset-refused"]
    assert not worker.asked("worker.input") and not worker.asked("worker.settings") and viewer.code is None
    await viewer.leave()
    await asyncio.sleep(0.1)
    assert not worker.asked("worker.release")


async def test_the_owner_changes_the_preset(
    connect: Connect, session: DesktopSession, anna: User, worker: FakeWorker
) -> None:
    other = await QualityPreset.objects.acreate(name="Sharp", settings={"jpeg_quality": 95})
    viewer = await connect(path_of(session), anna)
    await viewer.until(lambda: viewer.pictures)
    await viewer.say({"type": "preset", "id": other.pk})
    settings = (await worker.wait_for("worker.settings"))[0]["settings"]
    assert settings["jpeg_quality"] == 95
    await viewer.until(lambda: viewer.of("preset"))
    assert viewer.of("preset")[0] == {"type": "preset", "id": other.pk, "name": "Sharp"}
    await viewer.say({"type": "preset", "id": 999_999})
    await viewer.until(lambda: viewer.of("notice"))
    assert viewer.of("notice")[0]["code"] == "unknown-preset" and viewer.code is None


async def test_a_hostile_client_is_counted_survived_and_closed(
    connect: Connect, session: DesktopSession, anna: User, worker: FakeWorker
) -> None:
    viewer = await connect(path_of(session), anna)
    await viewer.until(lambda: viewer.pictures)
    for wrong in (
        {"type": "shutdown"},
        {"type": "hello", "versions": [1]},
        {"type": "ack", "epoch": EPOCH, "frame": 4_000_000},
        {"type": "resync", "reason": "x" * 70_000},
        {"type": "input", "seq": 5, "events": [["move", 1e999, 0]]},
    ):
        await viewer.say(wrong)
    await viewer.say({"type": "ping", "t": 42})
    await viewer.until(lambda: viewer.of("pong"))
    assert viewer.of("pong")[0]["t"] == 42
    for _ in range(2):
        await viewer.say(b"\x00" * 100)
        await viewer.say("not json")
    await viewer.pump(0.1)
    assert (await viewer.closed())[:2] == (4400, "malformed")


async def test_more_than_500_messages_a_second_are_dropped_and_the_connection_lives(
    connect: Connect, session: DesktopSession, anna: User, worker: FakeWorker
) -> None:
    viewer = await connect(path_of(session), anna)
    await viewer.until(lambda: viewer.pictures)
    for seq in range(1, 1500):
        await viewer.say({"type": "input", "seq": seq, "events": [["move", 1, 1]]})
    await asyncio.sleep(1)
    events = sum(len(message["events"]) for message in worker.asked("worker.input"))
    assert 400 < events < 1200
    await viewer.say({"type": "ping", "t": 1})
    await viewer.until(lambda: viewer.of("pong"))


# ---- pictures --------------------------------------------------------------------------------------------------


async def test_a_viewer_who_never_acknowledges_gets_a_window_while_another_gets_all(
    connect: Connect, session: DesktopSession, anna: User, worker: FakeWorker
) -> None:
    dead, good = await connect(path_of(session), anna), await connect(path_of(session), anna)
    for viewer in (dead, good):
        await viewer.until(lambda viewer=viewer: viewer.pictures)
    await good.say({"type": "ack", "epoch": EPOCH, "frame": 0})
    for _ in range(30):
        await worker.next_frame()
        await good.until(lambda: wire.peek(good.pictures[-1]).frame_id == worker.last)
        await good.say({"type": "ack", "epoch": EPOCH, "frame": worker.last})
    await dead.pump(0.1)
    assert [wire.peek(p).frame_id for p in good.pictures] == list(range(31))
    assert len(dead.pictures) == 4
    await dead.say({"type": "ack", "epoch": EPOCH, "frame": wire.peek(dead.pictures[-1]).frame_id, "serial": 1})
    await dead.until(lambda: wire.peek(dead.pictures[-1]).partial and len(dead.pictures) == 5)
    repair = wire.peek(dead.pictures[-1])
    assert (repair.frame_id, repair.serial) == (worker.last, 2)
    assert len(worker.asked("worker.snapshot")) == 2 and len(worker.asked("worker.repair")) == 1
    await worker.next_frame()
    await dead.until(lambda: wire.peek(dead.pictures[-1]).frame_id == worker.last)


async def over_a_slow_link(viewer: Viewer, worker: FakeWorker, seconds: float, kbps: int) -> None:
    """Show frames of 10 kB, 40 a second, to a viewer whose link carries that much."""
    loop = asyncio.get_running_loop()

    async def show() -> None:
        while True:
            await worker.next_frame(size=10_000)
            await asyncio.sleep(0.025)

    end, free_at, seen = loop.time() + seconds, 0.0, len(viewer.pictures)
    showing = asyncio.create_task(show())
    while loop.time() < end:
        await viewer.pump(0.005)
        if seen < len(viewer.pictures):
            data = viewer.pictures[seen]
            seen += 1
            free_at = max(free_at, loop.time() - 0.02) + len(data) / (kbps * 125)
            await asyncio.sleep(max(0.0, free_at - loop.time()))
            await viewer.say({"type": "ack", "epoch": EPOCH, "frame": wire.peek(data).frame_id})
    showing.cancel()
    await asyncio.wait([showing])


async def test_a_controllers_link_is_told_to_the_worker_and_lifted_when_he_leaves(
    connect: Connect, session: DesktopSession, anna: User, worker: FakeWorker
) -> None:
    viewer = await connect(path_of(session), anna)
    await viewer.until(lambda: viewer.pictures)
    await viewer.say({"type": "ack", "epoch": EPOCH, "frame": 0})
    await over_a_slow_link(viewer, worker, 5.0, 1000)
    told = worker.asked("worker.link")
    assert told and all(300 < message["kbps"] < 2000 for message in told), told
    name = viewer.texts[0]["viewer"]
    await viewer.leave()
    last = (await worker.wait_for("worker.link", len(told) + 1))[-1]
    assert (last["viewer"], last["kbps"]) == (name, 0)


async def test_a_mere_viewers_link_is_nobodys_business(
    connect: Connect, make_link: Callable[..., ShareLink], worker: FakeWorker
) -> None:
    viewer = await by_link(connect, await sync_to_async(make_link)())
    await viewer.until(lambda: viewer.pictures)
    await viewer.say({"type": "ack", "epoch": EPOCH, "frame": 0})
    await over_a_slow_link(viewer, worker, 3.0, 600)
    await viewer.leave()
    await asyncio.sleep(0.1)
    assert not worker.asked("worker.link")


async def test_a_hidden_viewer_gets_nothing_until_he_is_visible(
    connect: Connect, session: DesktopSession, anna: User, worker: FakeWorker
) -> None:
    viewer = await connect(path_of(session), anna)
    await viewer.until(lambda: viewer.pictures)
    await viewer.say({"type": "visibility", "hidden": True})
    await viewer.pump(0.1)
    count = len(viewer.pictures)
    for _ in range(5):
        await worker.next_frame()
    await viewer.pump(0.2)
    assert len(viewer.pictures) == count
    await viewer.say({"type": "visibility", "hidden": False})
    await viewer.until(lambda: len(viewer.pictures) > count)
    assert wire.peek(viewer.pictures[-1]).partial


async def test_what_a_client_could_not_show_comes_again(
    connect: Connect, session: DesktopSession, anna: User, worker: FakeWorker
) -> None:
    viewer = await connect(path_of(session), anna)
    await viewer.until(lambda: viewer.pictures)
    await viewer.say({"type": "ack", "epoch": EPOCH, "frame": 0, "serial": 1})
    await worker.next_frame()
    await viewer.until(lambda: len(viewer.pictures) == 2)
    await viewer.say({"type": "missed", "epoch": EPOCH, "frame": 1, "areas": [[0, 0, 8, 8]], "streams": [0]})
    await viewer.say({"type": "ack", "epoch": EPOCH, "frame": 1, "serial": 1})
    await viewer.until(lambda: len(viewer.pictures) == 3)
    assert wire.peek(viewer.pictures[-1]).partial
    (asked,) = worker.asked("worker.repair")
    assert (asked["tiles"], asked["shrink"], asked["quality"]) == (b"\x01", 1, 0)


async def test_a_guest_without_the_codec_is_told_why_and_sees_stills(
    connect: Connect, make_link: Callable[..., ShareLink], worker: FakeWorker
) -> None:
    viewer = await by_link(connect, await sync_to_async(make_link)(), codecs=["jpeg"])
    await viewer.until(lambda: viewer.pictures)
    await viewer.say({"type": "ack", "epoch": EPOCH, "frame": 0})
    start = time.monotonic()
    while time.monotonic() - start < 2.5:
        await worker.next_frame(video(key=True))
        await viewer.pump(0.02)
        if viewer.pictures:
            last = wire.peek(viewer.pictures[-1])
            await viewer.say({"type": "ack", "epoch": EPOCH, "frame": last.frame_id, "serial": last.serial})
    stills = [wire.peek(p) for p in viewer.pictures]
    assert all(header.kind == wire.SNAPSHOT for header in stills)
    assert 2 <= len(stills) <= 2.5 * 15 + 5 and all(header.partial for header in stills[1:])
    assert [notice["code"] for notice in viewer.of("notice")] == ["codec-missing"]
    assert not worker.asked("worker.settings")


async def test_a_resync_brings_a_snapshot(
    connect: Connect, session: DesktopSession, anna: User, worker: FakeWorker
) -> None:
    viewer = await connect(path_of(session), anna)
    await viewer.until(lambda: viewer.pictures)
    await viewer.say({"type": "resync", "reason": "decode"})
    await viewer.until(lambda: len(viewer.pictures) == 2)
    assert wire.peek(viewer.pictures[1]).kind == wire.SNAPSHOT


# ---- time and changes ------------------------------------------------------------------------------------------


async def test_a_revoked_link_closes_and_others_stay(
    connect: Connect, make_link: Callable[..., ShareLink], session: DesktopSession, anna: User, worker: FakeWorker
) -> None:
    link = await sync_to_async(make_link)("collaborator")
    guest, owner = await by_link(connect, link), await connect(path_of(session), anna)
    for viewer in (guest, owner):
        await viewer.until(lambda viewer=viewer: viewer.pictures)
    await save(link, role="viewer")
    await tell_access(worker)
    await guest.until(lambda: guest.of("role"))
    assert guest.of("role")[0] == {"type": "role", "role": "viewer", "permissions": ["view"]}
    await save(link, revoked_at=timezone.now())
    await tell_access(worker)
    assert (await guest.closed())[:2] == (4410, "link-closed")
    await owner.pump(0.1)
    assert owner.code is None


async def test_an_expiring_link_closes_by_itself(
    connect: Connect, make_link: Callable[..., ShareLink], worker: FakeWorker
) -> None:
    link = await sync_to_async(make_link)(expires_at=timezone.now() + timedelta(seconds=1.5))
    guest = await by_link(connect, link)
    await guest.until(lambda: guest.pictures)
    assert (await guest.closed())[:2] == (4410, "link-closed")


async def test_logging_out_or_deactivation_ends_the_connection(
    connect: Connect, session: DesktopSession, anna: User, worker: FakeWorker
) -> None:
    one = await connect(path_of(session), anna)
    two = await connect(path_of(session), anna)
    for viewer in (one, two):
        await viewer.until(lambda viewer=viewer: viewer.pictures)
    await sync_to_async(one.client.logout)()
    await tell_access(worker)
    assert (await one.closed())[:2] == (4401, "unauthenticated")
    await two.pump(0.1)
    assert two.code is None
    await save(anna, is_active=False)
    await tell_access(worker)
    assert (await two.closed())[:2] == (4401, "unauthenticated")


async def test_a_silent_client_is_closed(
    connect: Connect, session: DesktopSession, anna: User, worker: FakeWorker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(consumer, "SILENCE_S", 0.5)
    viewer = await connect(path_of(session), anna)
    assert (await viewer.closed())[:2] == (4408, "timeout")


async def test_presence_counts_who_watches(
    connect: Connect, session: DesktopSession, anna: User, worker: FakeWorker, redis_url: str
) -> None:
    viewer = await connect(path_of(session), anna)
    await viewer.until(lambda: viewer.pictures)
    async with redis.asyncio.Redis.from_url(redis_url, decode_responses=True) as client:
        assert await client.zrange(viewers_key(session.sid), 0, -1) == [viewer.texts[0]["viewer"]]
        assert 0 < await client.ttl(viewers_key(session.sid)) <= 60
        await viewer.leave()
        assert await client.zrange(viewers_key(session.sid), 0, -1) == []


async def test_a_slow_database_does_not_hold_up_pictures(
    connect: Connect, session: DesktopSession, anna: User, worker: FakeWorker
) -> None:
    viewer = await connect(path_of(session), anna)
    await viewer.until(lambda: viewer.pictures)
    await viewer.say({"type": "ack", "epoch": EPOCH, "frame": 0})
    slow = asyncio.create_task(sync_to_async(time.sleep)(1.0))  # the thread that every ORM call shares
    await asyncio.sleep(0.05)
    start = time.monotonic()
    for _ in range(10):
        await worker.next_frame()
        await viewer.until(lambda: wire.peek(viewer.pictures[-1]).frame_id == worker.last)
        await viewer.say({"type": "ack", "epoch": EPOCH, "frame": worker.last})
    assert time.monotonic() - start < 0.8 and not slow.done()
    await slow
