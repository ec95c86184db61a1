"""Settings that change while the engine runs: what follows, and that what has not changed is not sent."""

from __future__ import annotations

import itertools
import time

import numpy as np
import pytest

from stripeengine import Engine, EngineSettings, FramebufferSource, SettingsError, wire
from stripeengine.engine import NOT_NATIVE
from stripeengine.ffi import ffi, has_h264, lib
from stripeengine.settings import describe
from tests.stripeengine.fixtures_engine import Viewer, blocks, mean, running, smooth, worst

h264 = pytest.mark.skipif(not has_h264(), reason="built without x264")


def test_an_update_is_validated_as_a_whole() -> None:
    with running(64, 64) as (_, engine, __):
        before = engine.settings
        with pytest.raises(SettingsError, match="framerate must be between"):
            engine.update(jpeg_quality=10, framerate=0)
        with pytest.raises(SettingsError, match="no setting called 'speed'"):
            engine.update(speed=3)
        assert engine.settings == before
        engine.update(jpeg_quality=10)
        assert engine.settings == before.replace({"jpeg_quality": 10})


def test_c_accepts_exactly_the_ranges_of_the_dataclass() -> None:
    """The second line of defence states the same bounds as the first."""
    source = FramebufferSource(16, 16)
    good = {name: value for name, value in EngineSettings().as_dict().items() if name not in NOT_NATIVE}
    good |= {"mode": 0, "chroma": 420, "colour_space": 709, "colour_range": 0, "paint_over_colour": 0}
    for setting in describe():
        if setting.minimum is None or setting.maximum is None or setting.name in NOT_NATIVE:
            continue
        for value, fine in (
            (setting.minimum, True),
            (setting.maximum, True),
            (setting.minimum - 1, False),
            (setting.maximum + setting.step, False),
        ):
            native = ffi.new("struct se_settings *", {**good, setting.name: value})
            engine = lib.se_engine_new(source.pointer, native, 0)
            assert (engine != ffi.NULL) == fine, f"{setting.name}={value}"
            if engine == ffi.NULL:
                assert setting.name in ffi.string(lib.se_error_message()).decode()
            lib.se_engine_free(engine)


def test_quality_acts_on_the_next_change() -> None:
    random = np.random.default_rng(5)
    with running(320, 64, jpeg_quality=20, paint_over=False) as (source, engine, viewer):
        viewer.drain()
        lengths = []
        for quality in (20, 60, 95):
            engine.update(jpeg_quality=quality)
            source.submit(random.integers(0, 256, (64, 320, 3), dtype=np.uint8))
            viewer.drain(0.1)
            lengths.append(viewer.ops()[-1].length)
        assert lengths[0] < lengths[1] < lengths[2]


@h264
def test_switching_mode_chroma_and_stripes_sends_nothing_by_itself() -> None:
    with running(320, 256, paint_over=False) as (source, engine, viewer):
        source.submit(smooth(320, 256))
        viewer.drain()
        for change in (
            {"mode": "h264"}, {"chroma": "444"}, {"colour_space": "bt601", "colour_range": "full"},
            {"stripe_height": 32}, {"mode": "jpeg"}, {"stripe_height": 0},
            {"framerate": 30}, {"h264_crf": 30}, {"verify_interval_ms": 0},
        ):  # fmt: skip
            engine.update(**change)
            assert viewer.drain(0.05) == 0, change


@h264
def test_every_mode_takes_over_from_every_other() -> None:
    modes = itertools.product(("jpeg", "h264"), ("420", "444"), (0, 48))
    with running(333, 211, paint_over=False, jpeg_quality=90, h264_crf=15) as (source, engine, viewer):
        viewer.drain()
        for step, (mode, chroma, stripe_height) in enumerate(modes):
            engine.update(mode=mode, chroma=chroma, stripe_height=stripe_height)
            picture = smooth(333, 211, step) // 2 + blocks(333, 211, step) // 2
            source.submit(picture)
            start = len(viewer.messages)
            assert viewer.wait(2)  # new encoders take their time where others want the processor too
            viewer.take()
            viewer.drain(0.08)
            ops = viewer.ops(start)
            assert {op.kind for op in ops} == {wire.H264} if mode == "h264" else {wire.JPEG, wire.LOSSLESS}
            coded = [op for op in ops if op.kind != wire.LOSSLESS]  # what is smaller than a JPEG's tables
            assert coded and all(bool(op.flags & wire.CHROMA_444) == (chroma == "444") for op in coded)
            if mode == "h264":
                assert all(op.flags & wire.KEY and op.flags & wire.CROP and op.pw == 336 for op in ops)
                assert {op.h for op in ops[:-1]} == ({48} if stripe_height else {32})
            assert mean(viewer.picture, picture) < 8, (mode, chroma, stripe_height)


@h264
@pytest.mark.parametrize("chroma", ["420", "444"])
def test_colours_change_in_the_middle_of_a_stream_with_a_key_frame(chroma: str) -> None:
    """And each combination is decoded as it was coded: black and white tell a wrong range, the rest a wrong matrix."""
    combinations = (("bt709", "full"), ("bt601", "limited"), ("bt601", "full"), ("bt709", "limited"))
    picture = np.zeros((64, 320, 3), np.uint8)
    picture[:] = np.repeat(np.eye(4, 3, dtype=np.uint8) * 255, 80, axis=0)
    with running(320, 64, mode="h264", chroma=chroma, h264_crf=12, paint_over=False, stripe_height=64) as (
        source,
        engine,
        viewer,
    ):
        viewer.drain()
        for space, levels in combinations:
            engine.update(colour_space=space, colour_range=levels)
            for _ in range(2):
                picture = np.roll(picture, 16, axis=1)
                source.submit(picture)
                assert viewer.wait(2)
                viewer.take()
            key, delta = viewer.ops()[-2:]
            assert key.flags & wire.KEY and not delta.flags & wire.KEY, (space, levels)
            assert mean(viewer.picture, picture) < 2, (space, levels)


@h264
@pytest.mark.parametrize(("before", "after"), [("jpeg", "h264"), ("h264", "jpeg")])
def test_what_was_lossy_is_painted_over_in_the_new_mode(before: str, after: str) -> None:
    """And only that: an area that was final stays untouched."""
    settings = {"mode": before, "jpeg_quality": 10, "h264_crf": 50, "paint_over_trigger_frames": 40}
    noise = np.random.default_rng(6).integers(0, 256, (128, 320, 3), dtype=np.uint8)
    picture = np.zeros((512, 320, 3), np.uint8)
    with running(320, 512, **settings) as (source, engine, viewer):
        viewer.drain(0.6)
        picture[:128] = noise
        source.submit(picture)
        viewer.drain(0.1)
        start = len(viewer.messages)
        rough = mean(viewer.picture[:128], picture[:128])
        engine.update(mode=after, paint_over_jpeg_quality=95, paint_over_crf=10)
        viewer.drain(0.6)
        ops = viewer.ops(start)
        assert ops and all(op.kind == (wire.H264 if after == "h264" else wire.JPEG) for op in ops)
        assert all(op.flags & wire.FINAL for op in ops)
        assert max(op.y + op.h for op in ops) <= 128 and sum(op.w * op.h for op in ops) == 320 * 128
        assert mean(viewer.picture[:128], picture[:128]) < 0.85 * rough


def test_paint_over_switched_on_later_betters_what_is_there() -> None:
    with running(320, 64, jpeg_quality=5, paint_over=False, paint_over_trigger_frames=2) as (source, engine, viewer):
        source.submit(smooth(320, 64))
        viewer.drain(0.2)
        start = len(viewer.messages)
        engine.update(paint_over=True, paint_over_jpeg_quality=98)
        viewer.drain(0.2)
        assert [op.rectangle for op in viewer.ops(start)] == [(0, 0, 320, 64)]
        assert worst(viewer.picture, smooth(320, 64)) < 8


@h264
@pytest.mark.parametrize("height", [16, 100, 1080, 2160])
@pytest.mark.parametrize("stripe_height", [0, 16])
def test_h264_never_needs_more_streams_than_the_wire_has(height: int, stripe_height: int) -> None:
    with running(64, height, mode="h264", stripe_height=stripe_height, paint_over=False) as (_, __, viewer):
        viewer.drain(0.3)
        ops = viewer.ops()
        assert len(ops) <= (16 if stripe_height else 8)
        assert sum(op.h for op in ops) == height and all(op.h % 16 == 0 for op in ops[:-1])


def test_a_higher_framerate_acts_at_once() -> None:
    with running(64, 64, framerate=1, paint_over=False) as (source, engine, viewer):
        for level in range(10):  # until what may be sent at once after rest is used up
            source.submit(np.full((64, 64, 3), 50 + level, np.uint8))
            if not viewer.wait(0.4):
                break
            viewer.take()
        else:
            pytest.fail("ten frames without a pause at one frame a second")
        engine.update(framerate=120)
        begin = time.monotonic()
        assert viewer.wait(0.5) and time.monotonic() - begin < 0.2


def test_a_build_without_x264_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("stripeengine.ffi.has_h264", lambda: False)
    with pytest.raises(SettingsError, match="built without x264.*Use mode jpeg"):
        Engine(FramebufferSource(16, 16), EngineSettings(mode="h264"))
    with running(16, 16) as (_, engine, __), pytest.raises(SettingsError, match="built without x264"):
        engine.update(mode="h264")


def test_settings_may_change_from_many_threads() -> None:
    from concurrent.futures import ThreadPoolExecutor

    with running(320, 200) as (source, engine, viewer), ThreadPoolExecutor(4) as pool:
        for step in range(20):
            futures = [pool.submit(engine.update, jpeg_quality=quality) for quality in range(20, 24)]
            source.submit(smooth(320, 200, step))
            for future in futures:
                future.result()
        assert isinstance(viewer, Viewer)
        viewer.drain(0.3)
        assert mean(viewer.picture, smooth(320, 200, 19)) < 3
