"""The contract of `Engine`: what is sent when, and what is not. Every message is really decoded."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest

from stripeengine import Engine, EngineError, EngineSettings, FramebufferSource, SettingsError, TestPatternSource, wire
from stripeengine.decode import Decoder
from stripeengine.ffi import has_h264
from tests.stripeengine.fixtures_engine import Viewer, blocks, mean, running, smooth, worst

MODES = ["jpeg", pytest.param("h264", marks=pytest.mark.skipif(not has_h264(), reason="built without x264"))]
h264 = pytest.mark.skipif(not has_h264(), reason="built without x264")
QUIET: dict[str, Any] = {"paint_over": False}


@pytest.mark.parametrize("chroma", ["420", "444"])
@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("size", [(1, 1), (15, 17), (333, 211), (640, 360)])
def test_the_first_frame_is_the_whole_picture(mode: str, chroma: str, size: tuple[int, int]) -> None:
    picture = smooth(*size)
    source = FramebufferSource(*size)
    source.submit(picture)
    with Engine(source, EngineSettings(mode=mode, chroma=chroma, h264_crf=18, jpeg_quality=90, **QUIET)) as engine:
        viewer = Viewer(engine)
        assert engine.take() is None
        engine.start()
        engine.start()
        assert viewer.drain() == 1
        header = viewer.messages[0].header
        assert (header.frame_id, header.epoch, header.resized) == (1, engine.epoch, True)
        assert header.publish_us >= header.capture_us > 0
        assert mean(viewer.picture, picture) < 4
        assert all(op.x == 0 and op.w == size[0] for op in viewer.ops())
        assert sum(op.h for op in viewer.ops()) == size[1]


def test_a_change_is_one_tight_rectangle_and_repainted_pixels_are_nothing() -> None:
    with running(320, 200, **QUIET) as (source, engine, viewer):
        viewer.drain()
        picture = np.zeros((200, 320, 3), np.uint8)
        picture[70:90, 101:134] = 200
        source.submit(picture)
        assert viewer.drain() == 1
        assert [op.rectangle for op in viewer.ops(1)] == [(101, 70, 33, 20)]
        source.submit(picture)
        assert viewer.drain() == 0
        rgbx = np.dstack([picture, np.full((200, 320), 77, np.uint8)])
        source.submit(rgbx, format="RGBX")
        assert viewer.drain() == 0, "the X byte does not count"


def test_changes_far_apart_in_a_stripe_stay_apart() -> None:
    with running(640, 64, **QUIET) as (source, engine, viewer):
        viewer.drain()
        picture = np.zeros((64, 640, 3), np.uint8)
        picture[10:20, 5:15] = picture[30:40, 600:620] = 255
        source.submit(picture, [(0, 0, 20, 64), (590, 0, 50, 64)])
        viewer.drain()
        assert sorted(op.rectangle for op in viewer.ops(1)) == [(5, 10, 10, 10), (600, 30, 20, 10)]


@pytest.mark.parametrize("mode", MODES)
def test_an_engine_at_rest_is_not_woken(mode: str) -> None:
    with running(320, 200, mode=mode, paint_over_trigger_frames=2) as (source, engine, viewer):
        source.submit(smooth(320, 200))
        viewer.drain(0.3)
        time.sleep(3.2 if mode == "h264" else 0)  # its encoders are closed once
        before = engine.stats()
        time.sleep(0.7)
        after = engine.stats()
        assert (after.wakeups, after.cpu_s, after.frames) == (before.wakeups, before.cpu_s, before.frames)


def test_frames_keep_to_the_framerate_and_the_first_comes_at_once() -> None:
    with running(320, 200, framerate=5, **QUIET) as (source, engine, viewer):
        viewer.drain()
        time.sleep(0.25)  # rest: the next change is a first one again
        sent = time.monotonic()
        start = len(viewer.messages)
        for step in range(100):
            picture = np.full((200, 320, 3), 2 + step * 2, np.uint8)
            source.submit(picture)
            viewer.take()
            time.sleep(0.01)
        elapsed = time.monotonic() - sent
        viewer.drain(0.45)  # the last change waits for a period of 0.2 s
        frames = len(viewer.messages) - start
        assert viewer.arrivals[start] - sent < 0.15  # a period is 0.2 s, and the machine may be busy
        assert 0.5 * 5 * elapsed < frames <= 5 * elapsed + 5, "what the bucket holds may come on top"
        assert worst(viewer.picture, picture) <= 2


def test_a_late_consumer_gets_the_newest_state_in_one_frame() -> None:
    with running(320, 200, **QUIET) as (source, engine, viewer):
        for step in range(30):
            source.submit(np.full((200, 320, 3), 8 * step, np.uint8))
            time.sleep(0.004)
        stats = engine.stats()
        assert (stats.frames, stats.dropped) == (1, 1)
        assert viewer.drain() == 2
        assert worst(viewer.picture, np.full((200, 320, 3), 232, np.uint8)) <= 2


def test_jpeg_paint_over_covers_what_was_lossy_once_and_is_final() -> None:
    with running(320, 200, jpeg_quality=20, paint_over_jpeg_quality=98, paint_over_trigger_frames=12) as (
        source,
        engine,
        viewer,
    ):
        viewer.drain(0.4)
        start = len(viewer.messages)
        picture = np.zeros((200, 320, 3), np.uint8)
        picture[70:90, 100:200] = np.random.default_rng(1).integers(0, 256, (20, 100, 3))
        source.submit(picture)
        viewer.drain(0.4)
        ops = viewer.ops(start)
        assert [(op.rectangle, bool(op.flags & wire.FINAL)) for op in ops] == [
            ((100, 70, 100, 20), False),
            ((96, 64, 112, 32), True),  # the tiles of 16 pixels that hold it
        ]
        waited = viewer.arrivals[start + 1] - viewer.arrivals[start]
        assert 0.08 < waited < 0.3
        assert ops[1].length > 2 * ops[0].length
        source.submit(picture)
        assert viewer.drain(0.3) == 0, "the same pixels do not start it again"


@pytest.mark.parametrize("mode", MODES)
def test_a_busy_stripe_does_not_delay_anothers_paint_over(mode: str) -> None:
    noise = np.random.default_rng(4).integers(0, 256, (40, 320, 3), dtype=np.uint8)
    with running(320, 200, mode=mode, paint_over_trigger_frames=12) as (source, engine, viewer):
        viewer.drain(0.4)
        start = len(viewer.messages)
        picture = np.zeros((200, 320, 3), np.uint8)
        picture[160:] = noise
        for step in range(40):
            picture[5:15, 5:305] = np.roll(noise[:10, :300], step * 7, axis=0)
            source.submit(picture)
            viewer.wait(0.01)
            viewer.take()
            time.sleep(0.01)
        finals = {op.rectangle for op in viewer.ops(start) if op.flags & wire.FINAL}
        assert finals >= ({(0, 160, 320, 40)} if mode == "jpeg" else {(0, 160, 320, 32), (0, 192, 320, 8)})


def test_no_paint_over_where_it_would_not_be_better() -> None:
    with running(320, 200, jpeg_quality=95, paint_over_jpeg_quality=90, paint_over_trigger_frames=2) as (_, __, viewer):
        assert viewer.drain(0.2) == 1
        assert all(op.flags & wire.FINAL for op in viewer.ops())


@h264
def test_h264_stripes_at_rest_get_one_better_key_frame_two_a_frame() -> None:
    settings = {"mode": "h264", "h264_crf": 40, "paint_over_crf": 12, "paint_over_trigger_frames": 4}
    with running(320, 256, **settings) as (source, engine, viewer):
        viewer.drain(0.4)
        noise = np.random.default_rng(2).integers(0, 256, (32, 40, 3)).astype(np.uint8)
        picture = np.kron(noise, np.ones((8, 8, 1), np.uint8))
        for shift in range(4):
            source.submit(np.roll(picture, shift, axis=1))
            viewer.wait(0.2)
            viewer.take()
        target = np.roll(picture, 3, axis=1)
        start = len(viewer.messages)
        rough = mean(viewer.picture, target)
        viewer.drain(0.4)
        finals = [
            message.ops for message in viewer.messages[start:] if any(op.flags & wire.FINAL for op in message.ops)
        ]
        assert [len(ops) for ops in finals] == [2, 2, 2, 2]
        assert sorted(op.stream for ops in finals for op in ops) == list(range(8))
        assert all(op.flags & wire.KEY for ops in finals for op in ops)
        assert mean(viewer.picture, target) < 0.7 * rough


@h264
def test_key_frames_on_demand_reach_every_stripe_when_it_next_moves() -> None:
    with running(320, 320, mode="h264", **QUIET) as (source, engine, viewer):
        picture = smooth(320, 320)
        source.submit(picture)
        viewer.drain()
        assert all(op.flags & wire.KEY or op.kind == wire.FILL for op in viewer.ops())

        def change(rows: slice, value: int) -> list[wire.Op]:
            start = len(viewer.messages)
            picture[rows] = smooth(320, 320)[rows] // 2 + value
            source.submit(picture)
            viewer.drain(0.1)
            return viewer.ops(start)

        assert [bool(op.flags & wire.KEY) for op in change(slice(0, 10), 50)] == [False]
        engine.request_key_frames()
        assert viewer.drain(0.2) == 0, "static stripes are not sent for it"
        assert [(op.stream, bool(op.flags & wire.KEY)) for op in change(slice(0, 10), 60)] == [(0, True)]
        assert [(op.stream, bool(op.flags & wire.KEY)) for op in change(slice(50, 60), 60)] == [(1, True)]
        engine.request_key_frames()
        assert [bool(op.flags & wire.KEY) for op in change(slice(0, 10), 70)] == [False], "at most one a second"
        time.sleep(1)
        assert [bool(op.flags & wire.KEY) for op in change(slice(0, 10), 80)] == [True], "but not forgotten"


@h264
def test_an_encoder_closed_at_rest_starts_again_with_a_key_frame() -> None:
    with running(64, 64, mode="h264", **QUIET) as (source, engine, viewer):
        source.submit(smooth(64, 64))
        viewer.drain(3.4)
        start = len(viewer.messages)
        source.submit(smooth(64, 64, 2))
        viewer.drain()
        ops = viewer.ops(start)
        assert ops and all(op.flags & wire.KEY for op in ops)
        assert mean(viewer.picture, smooth(64, 64, 2)) <= 3


@pytest.mark.parametrize("mode", MODES)
def test_a_resize_is_one_picture_of_the_new_size(mode: str) -> None:
    with running(320, 200, mode=mode, **QUIET) as (source, engine, viewer):
        viewer.drain()
        source.resize(200, 333)
        source.submit(smooth(200, 333))
        viewer.drain()
        resized = [message.header for message in viewer.messages[1:] if message.header.resized]
        assert [(header.width, header.height) for header in resized] == [(200, 333)]
        assert mean(viewer.picture, smooth(200, 333)) < 4
        assert engine.stats().width == 200


def test_a_large_change_is_split_and_handed_out_part_by_part() -> None:
    noise = np.random.default_rng(3).integers(0, 256, (600, 800, 3), dtype=np.uint8)
    with running(800, 600, jpeg_quality=100, chroma="444", **QUIET) as (source, engine, viewer):
        source.submit(noise)
        assert viewer.wait(2)
        signals = 0
        while viewer.take():  # one a signal, as an event loop does
            signals += viewer.wait(0.3)
        viewer.drain()
        assert signals >= 3
        assert max(map(len, viewer.data)) <= wire.MESSAGE_AIM
        assert mean(viewer.picture, noise) < 4


def test_a_row_wider_than_a_message_is_split_too() -> None:
    noise = np.random.default_rng(3).integers(0, 256, (64, 4096, 3), dtype=np.uint8)
    with running(4096, 64, jpeg_quality=100, chroma="444", **QUIET) as (source, engine, viewer):
        source.submit(noise)
        viewer.drain()
        assert max(map(len, viewer.data)) <= wire.MESSAGE_AIM
        assert mean(viewer.picture, noise) < 4


@pytest.mark.parametrize("mode", MODES)
def test_a_snapshot_then_later_frames_give_the_same_picture(mode: str) -> None:
    with running(320, 200, mode=mode, **QUIET) as (source, engine, viewer):
        empty = engine.snapshot()
        assert wire.peek(empty[0]).frame_id == 0
        viewer.drain()
        for step in range(1, 6):
            picture = smooth(320, 200, step) // 2 + blocks(320, 200, step) // 2  # nothing of it has moved
            source.submit(picture)
            assert viewer.wait(2)
            newcomer = Decoder()
            messages = engine.snapshot(95)  # a finished frame waits: the snapshot is as of the one before
            as_of = wire.peek(messages[0]).frame_id
            assert as_of == viewer.messages[-1].header.frame_id
            engine.request_key_frames()
            for message in messages:
                newcomer.apply(message)
            assert mean(newcomer.picture, picture) < 8
            start = len(viewer.messages)
            viewer.drain(0.1)
            if mode == "jpeg":
                for data in viewer.data[start:]:
                    newcomer.apply(data)
                assert np.array_equal(newcomer.picture, viewer.picture)


def test_a_snapshot_does_not_copy_twice() -> None:
    """A finished frame with copies waits: it must not be applied to a snapshot that shows what they have led to."""
    picture = blocks(320, 200, 8)
    with running(320, 200, jpeg_quality=90, **QUIET) as (source, engine, viewer):
        source.submit(picture)
        viewer.drain()
        source.submit(np.roll(picture, 24, axis=0))
        assert viewer.wait(2)
        messages = engine.snapshot(95)
        start = len(viewer.messages)
        viewer.drain(0.1)
        assert any(op.kind == wire.COPY for op in viewer.ops(start))
        newcomer = Decoder()
        for message in (*messages, *viewer.data[start:]):
            newcomer.apply(message)
        assert newcomer.ignored == len(viewer.data) - start
        assert mean(newcomer.picture, np.roll(picture, 24, axis=0)) < 12


def test_a_snapshot_of_noise_is_several_messages_with_more() -> None:
    with running(800, 600, **QUIET) as (source, engine, viewer):
        source.submit(np.random.default_rng(3).integers(0, 256, (600, 800, 3), dtype=np.uint8))
        viewer.drain()
        messages = engine.snapshot(100)
        assert [wire.peek(message).more for message in messages] == [True] * (len(messages) - 1) + [False]
        assert len(messages) > 1 and max(map(len, messages)) <= wire.MESSAGE_AIM


@pytest.mark.parametrize("quality", [0, 101, True, "90", 5.0])
def test_a_snapshots_quality_is_checked(quality: object) -> None:
    with running(32, 32) as (_, engine, __), pytest.raises(SettingsError, match="quality must be"):
        engine.snapshot(quality)  # type: ignore[arg-type]


@pytest.mark.parametrize("mode", [*MODES, "auto", "lossless"])
def test_a_repair_is_of_its_rectangles_and_nothing_else(mode: str) -> None:
    picture = blocks(320, 200, 5)
    picture[128:] = smooth(320, 72, 3)
    with running(320, 200, mode=mode, **QUIET) as (source, engine, viewer):
        source.submit(picture)
        viewer.drain()
        rects = [(64, 0, 128, 64), (0, 128, 64, 200)]
        for shrink, most in ((1, 0 if mode == "lossless" else 12), (2, 60), (4, 60)):
            newcomer = Decoder()
            newcomer.apply(viewer.data[0])
            newcomer.picture[:] = 0
            messages = engine.repair(rects, shrink=shrink)
            for message in map(wire.parse_message, messages):
                assert message.header.partial and message.header.frame_id == viewer.messages[-1].header.frame_id
                newcomer.apply(message)
            for x, y, w, h in rects:
                assert mean(newcomer.picture[y : y + h, x : x + w], picture[y : y + h, x : x + w]) <= most
                newcomer.picture[y : y + h, x : x + w] = 0
            assert not newcomer.picture.any()
        shrunk = [sum(map(len, engine.repair([(0, 0, 320, 200)], shrink=shrink))) for shrink in (1, 2, 4)]
        assert shrunk[1] > shrunk[2] and shrunk[0] > shrunk[2]
        with pytest.raises(EngineError, match="shrunk by 1, 2 or 4"):
            engine.repair(rects, shrink=3)
        with pytest.raises(EngineError, match="1 to 1024 rectangles"):
            engine.repair([])
        with pytest.raises(SettingsError, match="quality must be"):
            engine.repair(rects, quality=0)


@pytest.mark.parametrize("mode", [*MODES, "auto"])
def test_a_snapshot_after_a_pause_waits_for_what_has_changed_in_it(mode: str) -> None:
    with running(320, 200, mode=mode, **QUIET) as (source, engine, viewer):
        source.submit(smooth(320, 200))
        viewer.drain()
        before = engine.stats().frames
        engine.pause(True)
        for step in range(5):
            source.submit(blocks(320, 200, step))
        viewer.drain(0.1)
        assert engine.stats().frames == before
        engine.pause(False)
        with ThreadPoolExecutor(1) as thread:
            pending = thread.submit(engine.snapshot, 95)
            while not pending.done():
                viewer.drain(0.05)
        header = wire.peek(pending.result()[0])
        assert header.frame_id > before
        newcomer = Decoder()
        for data in pending.result():
            newcomer.apply(data)
        assert mean(newcomer.picture, blocks(320, 200, 4)) < 12
        if mode == "h264":
            assert all(op.flags & wire.KEY for op in viewer.ops(before))


def test_the_pattern_source_moves_by_itself() -> None:
    for motion, moves in (("still", False), ("scroll", True), ("bounce", True), ("noise", True)):
        source = TestPatternSource(320, 200, motion)
        with Engine(source, EngineSettings(**QUIET)) as engine:
            viewer = Viewer(engine)
            engine.start()
            until = time.monotonic() + 0.4
            while time.monotonic() < until:
                viewer.wait(0.05)
                viewer.take()
            frames = engine.stats().frames
            assert (frames > 8) if moves else (frames == 1), f"{motion}: {frames} frames"
            assert viewer.picture.std() > 10


def test_counters_agree_with_what_came() -> None:
    with running(320, 200, **QUIET) as (source, engine, viewer):
        for step in range(5):
            source.submit(np.full((200, 320, 3), step * 40, np.uint8))
            viewer.drain(0.05)
        stats = engine.stats()
        assert stats.frames == len(viewer.messages)
        assert stats.ops == len(viewer.ops())
        assert stats.bytes == sum(map(len, viewer.data))
        assert 0 < stats.latency_p50_ms <= stats.latency_p95_ms <= stats.latency_p99_ms < 1000
        assert stats.cpu_s > 0 and stats.wakeups > 0
        assert engine.cursor() is None


def test_without_stamp_the_publish_time_is_left_to_others() -> None:
    source = FramebufferSource(32, 32)
    with Engine(source, EngineSettings(), stamp=False) as engine:
        viewer = Viewer(engine)
        engine.start()
        viewer.drain(0.1)
        assert viewer.messages[0].header.publish_us == 0


def test_a_dead_source_is_the_engines_failure() -> None:
    with running(64, 64) as (source, engine, viewer):
        viewer.drain(0.05)
        assert engine.failure is None
        source.fail("the server went away")
        assert viewer.wait(2), "the eventfd tells"
        assert isinstance(engine.failure, EngineError) and "server went away" in str(engine.failure)
        with pytest.raises(EngineError, match="server went away"):
            engine.snapshot()
    assert "server went away" in str(engine.failure)
