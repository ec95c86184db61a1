"""Random histories through the C engine and the reference pipeline, held to the same rules by the same watcher."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from stripeengine import wire
from stripeengine.settings import EngineSettings

pytest.register_assert_rewrite("tests.stripeengine.fixtures_equivalence")

from tests.stripeengine.fixtures_bounds import rms  # noqa: E402
from tests.stripeengine.fixtures_equivalence import NativePipeline, ReferencePipeline, Watcher  # noqa: E402

Pixels = npt.NDArray[np.uint8]

PIPELINES: dict[str, type[ReferencePipeline] | type[NativePipeline]] = {
    "reference": ReferencePipeline,
    "native": NativePipeline,
}
CONTENTS = ("flat", "gradient", "text", "noise")


@dataclass(frozen=True)
class Draw:
    """New content in a rectangle (fractions of the picture), with or without a hint of where."""

    content: str
    seed: int
    place: tuple[float, float, float, float]
    hint: str


@dataclass(frozen=True)
class Step:
    """Anything else that happens."""

    kind: str
    values: dict[str, Any] = field(default_factory=dict)


def paint(content: str, seed: int, width: int, height: int) -> Pixels:
    """Return width×height pixels of that kind."""
    random = np.random.default_rng(seed)
    first, second = random.integers(0, 256, (2, 3))
    if content == "noise":
        return random.integers(0, 256, (height, width, 3), dtype=np.uint8)
    picture = np.empty((height, width, 3), dtype=np.uint8)
    picture[:] = first
    if content == "gradient":
        y, x = np.mgrid[0:height, 0:width]
        share = ((x + y) / max(width + height - 2, 1))[:, :, None]
        picture[:] = np.rint(first + (second - first) * share)
    elif content == "text":
        strokes = random.random((height, width)) < 0.2
        strokes[::9] = strokes[1::9] = False
        picture[strokes] = second
    return picture


fractions = st.floats(0, 1, allow_nan=False, width=16)
draws = st.builds(
    Draw,
    st.sampled_from(CONTENTS),
    st.integers(0, 1000),
    st.tuples(fractions, fractions, fractions, fractions),
    st.sampled_from(("none", "exact", "loose", "partial")),
)
changes = st.one_of(
    st.fixed_dictionaries({"jpeg_quality": st.integers(20, 80)}),
    st.fixed_dictionaries({"paint_over_jpeg_quality": st.integers(85, 98)}),
    st.fixed_dictionaries({"h264_crf": st.integers(22, 35), "paint_over_crf": st.integers(12, 20)}),
    st.fixed_dictionaries({"chroma": st.sampled_from(("420", "444"))}),
    st.fixed_dictionaries(
        {"colour_space": st.sampled_from(("bt709", "bt601")), "colour_range": st.sampled_from(("limited", "full"))}
    ),
    st.fixed_dictionaries({"stripe_height": st.sampled_from((0, 16, 32, 80, 256))}),
    st.fixed_dictionaries({"mode": st.sampled_from(("jpeg", "h264"))}),
    st.fixed_dictionaries({"paint_over": st.booleans()}),
    st.fixed_dictionaries({"paint_over_colour": st.sampled_from(("same", "444", "rgb"))}),
    st.fixed_dictionaries({"motion_coarser": st.integers(0, 12)}),
    st.fixed_dictionaries({"paint_over_trigger_frames": st.integers(1, 6)}),
)
sizes = st.tuples(st.integers(1, 150), st.integers(1, 200))
steps = st.lists(
    st.one_of(
        draws,
        draws,
        draws,
        st.just(Step("rest")),
        st.just(Step("join")),
        st.builds(Step, st.just("update"), changes),
        st.builds(Step, st.just("resize"), sizes.map(lambda size: {"width": size[0], "height": size[1]})),
    ),
    min_size=1,
    max_size=8,
)


def run_history(name: str, size: tuple[int, int], initial: dict[str, Any], history: list[Draw | Step]) -> Watcher:
    """Drive a pipeline through a history; every check is the watcher's."""
    values = EngineSettings(framerate=240, paint_over_trigger_frames=3).replace(initial)
    pipeline = PIPELINES[name](*size, values)
    try:
        watcher = Watcher(pipeline, *size, values)
        watcher.submit(paint("gradient", 1, *size), None)
        for step in history:
            run_step(watcher, step)
        watcher.rest()
        return watcher
    finally:
        pipeline.close()


def run_step(watcher: Watcher, step: Draw | Step) -> None:
    """Do one step of a history."""
    if isinstance(step, Draw):
        height, width = watcher.picture.shape[:2]
        x, y = int(step.place[0] * (width - 1)), int(step.place[1] * (height - 1))
        w, h = 1 + int(step.place[2] * (width - x - 1)), 1 + int(step.place[3] * (height - y - 1))
        picture = watcher.picture.copy()
        picture[y : y + h, x : x + w] = paint(step.content, step.seed, w, h)
        hints = {
            "none": None,
            "exact": [(x, y, w, h)],
            "loose": [(0, y, width, h), (x, 0, w, height)],
            "partial": [(x, y, (w + 1) // 2, h), (x + w - 1, y + h - 1, 1, 1)],
        }
        watcher.submit(picture, hints[step.hint])
    elif step.kind == "rest":
        watcher.rest()
    elif step.kind == "join":
        watcher.join()
    elif step.kind == "update":
        watcher.update(step.values)
    elif watcher.picture.shape[:2] != (step.values["height"], step.values["width"]):
        watcher.resize(paint("text", 5, step.values["width"], step.values["height"]))


@pytest.fixture(params=PIPELINES)
def name(request: pytest.FixtureRequest) -> str:
    """The name of a pipeline."""
    if request.param == "native":
        pytest.importorskip("stripeengine._stripeengine", reason="the C engine is not built: make setup")
    return str(request.param)


fixed_name = pytest.mark.parametrize("mode", ["jpeg", "h264"])


@fixed_name
@settings(
    max_examples=2 * settings.default.max_examples // 5,
    phases=[Phase.explicit, Phase.reuse, Phase.generate],
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture, HealthCheck.data_too_large],
)
@given(size=sizes, chroma=st.sampled_from(("420", "444")), history=steps)
def test_random_histories(name: str, mode: str, size: tuple[int, int], chroma: str, history: list[Draw | Step]) -> None:
    run_history(name, size, {"mode": mode, "chroma": chroma}, history)


@fixed_name
@pytest.mark.parametrize("chroma", ["420", "444"])
@pytest.mark.parametrize("size", [(1, 1), (17, 33), (128, 64), (131, 197)])
def test_every_content_at_awkward_sizes(name: str, mode: str, chroma: str, size: tuple[int, int]) -> None:
    history: list[Draw | Step] = [Draw(content, 3, (0.1, 0.1, 0.7, 0.7), "exact") for content in CONTENTS]
    watcher = run_history(name, size, {"mode": mode, "chroma": chroma}, history)
    assert watcher.decoder.picture.shape == (size[1], size[0], 3)


@fixed_name
def test_a_large_change_is_several_small_messages(name: str, mode: str) -> None:
    noise = Draw("noise", 9, (0, 0, 1, 1), "none")
    watcher = run_history(name, (640, 480), {"mode": mode, "jpeg_quality": 98, "paint_over": False}, [noise])
    assert watcher.decoder.frame_id > (2 if mode == "jpeg" else 1)


@fixed_name
def test_settings_change_while_everything_moves(name: str, mode: str) -> None:
    history: list[Draw | Step] = []
    values: list[dict[str, Any]] = [
        {"mode": "h264"}, {"chroma": "444"}, {"stripe_height": 16}, {"mode": "jpeg"}, {"jpeg_quality": 30},
        {"mode": "h264", "h264_crf": 30}, {"stripe_height": 0, "paint_over": False}, {"paint_over": True},
        {"paint_over_colour": "444", "chroma": "420"}, {"mode": "jpeg"}, {"paint_over_colour": "rgb"}, {"mode": "h264"},
    ]  # fmt: skip
    for seed, value in enumerate(values):
        history += [Draw("text", seed, (0.2, 0.1, 0.6, 0.8), "exact"), Step("update", value)]
        history += [Draw("gradient", seed, (0.0, 0.5, 0.3, 0.4), "none"), Step("join")]
    run_history(name, (96, 200), {"mode": mode}, history)


def test_all_of_a_stripe_is_repaired_when_the_mode_changes() -> None:
    """A delta picture is drawn over the whole stripe, though only some of its rows have changed."""
    pytest.importorskip("stripeengine._stripeengine", reason="the C engine is not built: make setup")
    history: list[Draw | Step] = [Step("rest"), Draw("flat", 8, (0.2, 0.0, 0.9, 0.78), "loose")]
    run_history("native", (68, 173), {"mode": "h264"}, [*history, Step("update", {"mode": "jpeg"})])


def test_a_better_paint_over_reaches_what_is_at_rest() -> None:
    pytest.importorskip("stripeengine._stripeengine", reason="the C engine is not built: make setup")
    history: list[Draw | Step] = [Draw("gradient", 4, (0, 0, 1, 1), "none"), Step("rest")]
    before = run_history("native", (128, 192), {}, history)
    after = run_history("native", (128, 192), {}, [*history, Step("update", {"paint_over_jpeg_quality": 98})])
    assert np.array_equal(after.picture, before.picture)
    errors = [rms(watcher.decoder.picture, watcher.picture) for watcher in (before, after)]
    assert errors[1] < errors[0]


def test_both_pipelines_come_to_rest_at_the_same_picture() -> None:
    """JPEG of the same pixels at the same quality by the same library, or no losses: about the same picture."""
    pytest.importorskip("stripeengine._stripeengine", reason="the C engine is not built: make setup")
    history: list[Draw | Step] = [Draw("gradient", 4, (0, 0, 1, 1), "none"), Step("rest")]
    history += [Draw("gradient", 6, (0.25, 0.3, 0.5, 0.2), "exact"), Step("rest")]
    pictures = [run_history(name, (128, 192), {"chroma": "444"}, history).decoder.picture for name in PIPELINES]
    assert np.abs(pictures[0].astype(int) - pictures[1]).mean() <= 0.5


def test_the_watcher_notices_what_is_wrong() -> None:
    """A test of the test: each rule fails when it is broken."""

    def broken(corrupt: Any, text: str) -> None:
        values = EngineSettings(framerate=240, paint_over_trigger_frames=3)
        pipeline = ReferencePipeline(100, 150, values)
        watcher = Watcher(pipeline, 100, 150, values)
        watcher.submit(paint("text", 1, 100, 150), None)
        watcher.rest()
        original = pipeline.next_frame

        def next_frame(wait_s: float) -> bytes | None:
            message = original(wait_s)
            return corrupt(message) if message else None

        pipeline.next_frame = next_frame  # type: ignore[method-assign]
        picture = watcher.picture.copy()
        picture[70:80, 20:40] = (255, 0, 255)
        with pytest.raises(AssertionError, match=text):
            watcher.submit(picture, [(20, 70, 20, 10)])
            watcher.rest()

    def rebuilt(message: bytes, change: Any) -> bytes:
        parsed = wire.parse_message(message)
        header = parsed.header
        return wire.pack_message(
            epoch=header.epoch,
            frame_id=header.frame_id,
            width=header.width,
            height=header.height,
            ops=change(list(parsed.ops)),
            payloads=bytes(parsed.payloads),
            capture_us=header.capture_us,
            publish_us=header.publish_us,
        )

    def changed(change: Any) -> Any:
        return lambda message: rebuilt(message, change)

    broken(changed(lambda ops: [op._replace(y=op.y - 1) for op in ops]), "differs from its source|is not tight")
    broken(changed(lambda ops: [*ops, wire.fill_op((0, 0, 1, 1), 0)]), "include a stripe where nothing changed")
    broken(changed(lambda ops: [op._replace(flags=0) for op in ops]), "is not tight|never painted over")
    broken(changed(lambda ops: []), "what changed was never drawn")
    broken(lambda message: message[:8] + b"\x63" + message[9:], "frame_id")
    broken(lambda message: message[:4] + b"\x63" + message[5:], "epoch")
