"""The reference engine's own contract: when it sends, what it refuses, and what its interface promises."""

from __future__ import annotations

import select
import time
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from stripeengine import wire
from stripeengine.decode import Decoder
from stripeengine.errors import EngineError, SettingsError, SourceError
from stripeengine.reference import ReferenceEngine, ReferenceSource
from stripeengine.reference.stripes import changed_rectangle, rows_of, stripe_height, union
from stripeengine.settings import EngineSettings

Pixels = npt.NDArray[np.uint8]
WIDTH, HEIGHT = 80, 200


def picture(colour: int = 90) -> Pixels:
    return np.full((HEIGHT, WIDTH, 3), colour, dtype=np.uint8)


def engine_with(**values: Any) -> tuple[ReferenceSource, ReferenceEngine]:
    source = ReferenceSource(WIDTH, HEIGHT)
    source.submit(picture())
    return source, ReferenceEngine(source, EngineSettings().replace(values))


def step(engine: ReferenceEngine, now: float) -> list[wire.Message]:
    """Step once and return every message that came of it."""
    messages = []
    engine.step(now)
    while (frame := engine.take()) is not None:
        with frame:
            messages.append(wire.parse_message(bytes(frame.buffer)))
    return messages


def rectangles(messages: list[wire.Message]) -> list[tuple[int, int, int, int]]:
    return [op.rectangle for message in messages for op in message.ops]


def test_first_change_at_once_then_at_most_the_frame_rate() -> None:
    source, engine = engine_with(framerate=10, paint_over=False)
    assert len(step(engine, 100.0)) == 1
    source.submit(picture(91))
    assert step(engine, 100.05) == []
    assert len(step(engine, 100.1)) == 1
    assert step(engine, 100.2) == []
    source.submit(picture(92))
    assert len(step(engine, 100.201)) == 1


def test_an_untaken_frame_merges_damage() -> None:
    source, engine = engine_with(paint_over=False)
    assert engine.step(0)
    for colour in (1, 2, 3):
        source.submit(picture(colour), [(0, colour, 5, 1)])
        assert engine.step(colour)
    assert engine.stats().frames == 1 and engine.stats().dropped == 3
    assert engine.take() is not None
    (message,) = step(engine, 9.0)
    assert rectangles([message]) == [(0, 1, 5, 3)]
    assert message.header.frame_id == 2


def test_rectangles_are_tight_and_only_where_something_changed() -> None:
    source, engine = engine_with(paint_over=False)
    step(engine, 0)
    new = picture()
    new[70:75, 11:30] = 0
    new[190, 79] = 0
    source.submit(new)
    assert rectangles(step(engine, 1)) == [(11, 70, 19, 5), (79, 190, 1, 1)]
    source.submit(new)
    assert step(engine, 2) == []


def test_damage_hints_bound_what_is_compared_and_the_scan_finds_the_rest() -> None:
    source, engine = engine_with(paint_over=False, verify_interval_ms=1000)
    step(engine, 0)
    # An application that draws without damage.
    source.picture()[5, 5] = 0
    source.take_damage()
    assert step(engine, 0.5) == []
    assert rectangles(step(engine, 1.0)) == [(5, 5, 1, 1)]
    engine.update(verify_interval_ms=0)
    source.picture()[6, 6] = 0
    source.take_damage()
    assert step(engine, 50.0) == []
    assert engine.stats().scans == 2


def test_jpeg_is_painted_over_once_after_the_trigger() -> None:
    source, engine = engine_with(framerate=10, paint_over_trigger_frames=5)
    (first,) = step(engine, 0)
    assert not any(op.flags & wire.FINAL for op in first.ops)
    assert step(engine, 0.49) == []
    (better,) = step(engine, 0.5)
    assert all(op.flags & wire.FINAL for op in better.ops)
    assert rectangles([better]) == rectangles([first])
    assert step(engine, 60.0) == []
    assert len(better.payloads) > len(first.payloads)


def test_a_moving_stripe_is_not_painted_over() -> None:
    source, engine = engine_with(framerate=10, paint_over_trigger_frames=5)
    step(engine, 0)
    for tick in range(1, 12):
        source.submit(picture(tick), [(0, 0, 4, 4)])
        drawn = rectangles(step(engine, tick / 10))
        assert [place for place in drawn if place[1] < 64] == [(0, 0, 4, 4)]


def test_nothing_better_to_send_is_final_at_once() -> None:
    _, engine = engine_with(jpeg_quality=95, paint_over_jpeg_quality=90)
    (message,) = step(engine, 0)
    assert all(op.flags & wire.FINAL for op in message.ops)
    assert step(engine, 60.0) == []


def test_h264_paints_one_stripe_a_frame_with_a_key() -> None:
    _, engine = engine_with(mode="h264", framerate=10, paint_over_trigger_frames=2)
    (first,) = step(engine, 0)
    assert [op.stream for op in first.ops] == list(range(7))
    assert all(op.flags & wire.KEY for op in first.ops)
    assert {op.pw for op in first.ops} == {80} and first.ops[-1].h == 200 - 6 * 32
    for stripe in range(7):
        (message,) = step(engine, 0.2 + stripe / 10)
        (op,) = message.ops
        assert op.stream == stripe and op.flags & wire.KEY and op.flags & wire.FINAL
    assert step(engine, 60.0) == []


def test_key_frames_on_demand_are_coalesced_to_one_a_second() -> None:
    source, engine = engine_with(mode="h264", framerate=100, paint_over=False)
    keys = []
    for tick in range(0, 300, 10):
        source.submit(picture(tick // 2), [(0, 0, 80, 1)])
        engine.request_key_frames()
        messages = step(engine, tick / 100)
        keys += [tick for message in messages for op in message.ops if op.stream == 0 and op.flags & wire.KEY]
    assert keys == [0, 100, 200]


def test_key_frames_on_demand_are_harmless_in_jpeg_mode() -> None:
    _, engine = engine_with()
    step(engine, 0)
    engine.request_key_frames()
    assert all(op.kind == wire.JPEG for message in step(engine, 10) for op in message.ops)


def test_mode_change_keeps_the_picture_and_starts_with_keys() -> None:
    source, engine = engine_with(paint_over=False)
    decoder = Decoder()
    for message in step(engine, 0):
        decoder.apply(message)
    engine.update(mode="h264")
    assert step(engine, 1) == []
    source.submit(picture(200), [(0, 100, 9, 9)])
    (message,) = step(engine, 2)
    decoder.apply(message)
    assert [(op.kind, op.flags & wire.KEY, op.y) for op in message.ops] == [(wire.H264, wire.KEY, 96)]
    assert np.abs(decoder.picture[100:109, :9].astype(int) - 200).max() < 12
    assert np.abs(decoder.picture[:96].astype(int) - 90).max() < 4


def test_resize_says_so_even_when_all_is_black() -> None:
    source, engine = engine_with()
    step(engine, 0)
    source.resize(33, 21)
    (message,) = step(engine, 1)
    assert message.header.resized and (message.header.width, message.header.height) == (33, 21)
    assert message.ops == ()


def test_snapshot_shows_the_last_finished_frame() -> None:
    source, engine = engine_with()
    with pytest.raises(EngineError, match="there is no picture yet"):
        engine.snapshot()
    step(engine, 0)
    source.submit(picture(10))
    decoder = Decoder()
    for message in engine.snapshot(quality=95):
        decoder.apply(message)
    assert np.abs(decoder.picture.astype(int) - 90).max() <= 2
    assert (decoder.epoch, decoder.frame_id) == (engine.epoch, 1)
    assert sum(map(len, engine.snapshot(5))) <= sum(map(len, engine.snapshot()))


def test_large_snapshots_come_in_parts() -> None:
    noise = np.random.default_rng(1).integers(0, 256, (480, 640, 3), dtype=np.uint8)
    source = ReferenceSource(640, 480)
    source.submit(noise)
    engine = ReferenceEngine(source, EngineSettings(paint_over_jpeg_quality=100))
    step(engine, 0)
    parts = engine.snapshot()
    assert len(parts) > 1 and all(len(part) <= wire.MESSAGE_AIM for part in parts)
    assert [wire.peek(part).more for part in parts] == [True] * (len(parts) - 1) + [False]


def test_a_single_rectangle_too_large_for_a_message_is_cut() -> None:
    noise = np.random.default_rng(1).integers(0, 256, (256, 1600, 3), dtype=np.uint8)
    source = ReferenceSource(1600, 256)
    source.submit(noise)
    engine = ReferenceEngine(
        source, EngineSettings(jpeg_quality=100, chroma="444", stripe_height=256, paint_over=False)
    )
    messages = step(engine, 0)
    assert all(len(message.raw) <= wire.MESSAGE_AIM for message in messages)
    assert [message.header.resized for message in messages] == [True] + [False] * (len(messages) - 1)
    decoder = Decoder()
    for message in messages:
        decoder.apply(message)
    assert np.abs(decoder.picture.astype(int) - noise).mean() < 2


def test_frames_are_stamped_when_taken_and_released() -> None:
    source, engine = engine_with()
    engine.step(0)
    frame = engine.take()
    assert frame is not None
    header = wire.peek(frame.buffer)
    now = time.monotonic_ns() // 1000
    assert header.capture_us <= header.publish_us <= now < header.capture_us + 60_000_000
    assert (frame.frame_id, frame.epoch, frame.ops) == (1, engine.epoch, header.op_count)
    frame.release()
    with pytest.raises(ValueError, match="released"):
        frame.buffer[0]
    unstamped = ReferenceEngine(source, EngineSettings(), stamp=False)
    unstamped.step(0)
    taken = unstamped.take()
    assert taken is not None and wire.peek(taken.buffer).publish_us == 0


def test_descriptor_is_readable_when_a_frame_waits() -> None:
    _, engine = engine_with()
    with pytest.raises(EngineError, match="not started"):
        engine.fileno()
    with engine:
        engine.start()
        engine.start()
        assert select.select([engine.fileno()], [], [], 0)[0] == []
        engine.step(0)
        assert select.select([engine.fileno()], [], [], 0)[0]
    engine.close()
    with pytest.raises(EngineError, match="not started"):
        engine.fileno()


def test_a_dead_source_is_the_engines_failure() -> None:
    source, engine = engine_with()
    engine.start()
    source.fail("the display went away")
    assert not engine.step(0)
    assert isinstance(engine.failure, SourceError) and "went away" in str(engine.failure)
    assert select.select([engine.fileno()], [], [], 0)[0]
    assert not engine.step(1)
    engine.close()


def test_bad_settings_are_refused_and_change_nothing() -> None:
    _, engine = engine_with()
    before = engine.settings
    with pytest.raises(SettingsError, match="jpeg_quality must be between 1 and 100"):
        engine.update(jpeg_quality=101)
    with pytest.raises(SettingsError, match="there is no setting called 'speed'"):
        engine.update(framerate=30, speed=1)
    assert engine.settings == before


@pytest.mark.parametrize(
    ("pixels", "damage", "layout", "text"),
    [
        (picture()[:10], None, "RGB", "RGB picture of 80×200 has 48000 bytes, not 2400"),
        (bytes(48000), None, "RGBX", "RGBX picture of 80×200 has 64000 bytes, not 48000"),
        (picture(), None, "YUV", "format must be one of RGB, RGBX, BGRX, not 'YUV'"),
        (picture(), [(70, 0, 11, 1)], "RGB", "damage 11×1 at .70, 0. leaves the 80×200 picture"),
        (picture(), [(0, 0, 0, 1)], "RGB", "damage 0×1"),
    ],
)
def test_bad_submissions_name_what_is_wrong(pixels: Any, damage: Any, layout: str, text: str) -> None:
    source = ReferenceSource(WIDTH, HEIGHT)
    with pytest.raises(SourceError, match=text):
        source.submit(pixels, damage, format=layout)
    assert not source.picture().any()


@pytest.mark.parametrize("size", [(0, 5), (5, 0), (16385, 5), (-1, 5)])
def test_impossible_sizes_are_refused(size: tuple[int, int]) -> None:
    with pytest.raises(SourceError, match="1…16384 pixels"):
        ReferenceSource(*size)


def test_formats_mean_the_same_picture() -> None:
    rgb = np.random.default_rng(2).integers(0, 256, (HEIGHT, WIDTH, 3), dtype=np.uint8)
    rgbx = np.dstack((rgb, np.full((HEIGHT, WIDTH), 7, dtype=np.uint8)))
    bgrx = rgbx[:, :, [2, 1, 0, 3]]
    for pixels, layout in ((rgb, "RGB"), (rgb.tobytes(), "RGB"), (rgbx, "RGBX"), (memoryview(bgrx.tobytes()), "BGRX")):
        source = ReferenceSource(WIDTH, HEIGHT)
        source.submit(pixels, format=layout)
        assert np.array_equal(source.picture(), rgb)


def test_only_the_damage_counts() -> None:
    source = ReferenceSource(WIDTH, HEIGHT)
    source.take_damage()
    source.submit(picture(7), [(1, 2, 3, 4)])
    assert source.picture().sum() == 7 * 3 * 12
    assert source.take_damage() == [(1, 2, 3, 4)] and source.take_damage() == []
    for _ in range(1100):
        source.submit(picture(7), [(1, 2, 3, 4)])
    assert source.take_damage() is None


@pytest.mark.parametrize(
    ("values", "height", "expected"),
    [
        ({}, 1080, 64),
        ({"stripe_height": 16}, 1080, 16),
        ({"mode": "h264"}, 1080, 144),
        ({"mode": "h264"}, 1024, 128),
        ({"mode": "h264"}, 1, 16),
        ({"mode": "h264", "stripe_height": 16}, 1080, 80),
        ({"mode": "h264", "stripe_height": 256}, 1080, 256),
    ],
)
def test_stripe_heights(values: dict[str, Any], height: int, expected: int) -> None:
    settings = EngineSettings().replace(values)
    assert stripe_height(settings, height) == expected
    if settings.mode == "h264":
        assert -(-height // expected) <= (8 if not settings.stripe_height else wire.MAX_STREAMS)


def test_rectangle_helpers() -> None:
    before = np.zeros((9, 9, 3), dtype=np.uint8)
    after = before.copy()
    assert changed_rectangle(before, after) is None
    after[2, 3, 1] = after[7, 5, 2] = 1
    assert changed_rectangle(before, after) == (3, 2, 3, 6)
    assert union(None, (1, 2, 3, 4)) == (1, 2, 3, 4)
    assert union((1, 2, 3, 4), (0, 5, 2, 2)) == (0, 2, 4, 5)
    assert rows_of((1, 2, 3, 4), 4, 10) == (1, 4, 3, 2) and rows_of((1, 2, 3, 4), 6, 10) is None
