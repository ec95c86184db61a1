"""Random X drawing scripts on a real X server: everyone who watches ends with exactly what is on the screen.

``make scripts`` plays thousands, the ordinary run sixty; ``STRIPEDESK_SCRIPTS`` is their number and
``STRIPEDESK_SCRIPTS_SEED`` the first seed. tests/e2e/test_scripts_browser.py holds the browser's client to the same.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator

import pytest

pytest.importorskip("stripeengine._stripeengine", reason="the C engine is not built: make setup")

from stripeengine import wire
from stripeengine.ffi import has_h264
from stripeengine.wire_filter import filter_ops
from tests.stripeengine.fixtures_performance import Mismatch, Performance, Referee, check_script
from tests.stripeengine.fixtures_scripts import LARGEST, MODES, ROOT, Script, make_script, print_script, shorten
from tests.stripeengine.fixtures_stage import Stage
from tests.stripeengine.fixtures_x11 import have_xvfb

pytestmark = pytest.mark.skipif(not have_xvfb(), reason="Xvfb is not installed")

COUNT = int(os.environ.get("STRIPEDESK_SCRIPTS", "60"))
FIRST = int(os.environ.get("STRIPEDESK_SCRIPTS_SEED", "0"))
MODES_HERE = MODES if has_h264() else tuple(mode for mode in MODES if mode != "h264")

# Scripts that have failed once, made short: the steps, and what was wrong.
REGRESSIONS: dict[str, Script] = {
    "a change and the repair of everything held more lossless pixels than the picture": [
        ("set", {"mode": "h264" if has_h264() else "jpeg"}),
        ("pause", 100),
        ("text", ROOT, (184, 163), ["0123456789" * 2], 0xB398F1, 0x204061),
        ("set", {"mode": "lossless"}),
    ],
    "noise after noise did not fit a lossless batch, and the engine gave up": [
        ("set", {"mode": "lossless"}),
        ("resize", LARGEST),
        ("picture", ROOT, "noise", (0, 0), (0, 0, *LARGEST)),
        ("set", {}),
    ],
}


@pytest.fixture(scope="module")
def stage() -> Iterator[Stage]:
    """One X server for all scripts."""
    with Stage() as opened:
        yield opened


def test_everyone_ends_with_what_is_on_the_screen(stage: Stage) -> None:
    failures, kinds, joined, resizes = [], Counter[int](), 0, 0
    for seed in range(FIRST, FIRST + COUNT):
        direct = seed % 2 == 0
        try:
            performance = check_script(
                make_script(seed, modes=MODES_HERE), lambda direct=direct: Performance(stage, direct=direct)
            )
        except Mismatch as mismatch:
            failures.append(f"seed {seed}: {mismatch}")
            if len(failures) == 3:  # each has cost a while to make short
                break
            continue
        kinds.update(performance.kinds)
        joined += len(performance.audience) - 1
        resizes += performance.resizes - 1
    assert not failures, "\n".join(failures)
    if COUNT >= 60:
        # Else the scripts say less than they seem to.
        assert joined and resizes
        assert all(kinds[kind] for kind in (wire.FILL, wire.COPY, wire.LOSSLESS, wire.JPEG))
        assert kinds[wire.H264] or not has_h264()


@pytest.mark.parametrize("direct", [False, True], ids=["asked", "direct"])
@pytest.mark.parametrize("script", REGRESSIONS.values(), ids=REGRESSIONS)
def test_what_once_failed_does_not(stage: Stage, script: Script, direct: bool) -> None:
    for _ in range(2):
        check_script(script, lambda: Performance(stage, direct=direct))


def test_a_wrong_frame_is_found_and_its_script_made_short(stage: Stage) -> None:
    def lose_fills(data: bytes) -> bytes:
        return bytes(filter_ops(data, lambda op: op.kind != wire.FILL or op.value != 0x00C0DE))

    script: Script = [("set", {"mode": "auto"}), *[("wait", 1)] * 6]
    script += [("fill", ROOT, (0, 0, 400, 304), 0x00C0DE), *[("wait", 1)] * 6, ("set", {"mode": "auto"})]
    check_script(script, lambda: Performance(stage))
    with pytest.raises(Mismatch) as caught:
        check_script(script, lambda: Performance(stage, tamper=lose_fills, patience=0.5))
    assert "49152 pixels in x 0…255, y 0…191; at (0, 0)" in str(caught.value)
    assert "Made 3 of 15 steps" in str(caught.value)
    assert "('fill', 4, (0, 0, 400, 304), 49374)" in str(caught.value)


def test_the_referee_sees_a_copy_out_of_a_video() -> None:
    def frame(number: int, op: wire.Op) -> wire.Message:
        data = wire.pack_message(epoch=1, frame_id=number, width=64, height=64, ops=[op], payloads=b"video")
        return wire.parse_message(data)

    video = wire.PayloadArea().op(wire.H264, (16, 0, 32, 16), b"video", flags=wire.KEY)
    beside, inside = wire.copy_op((0, 32, 16, 16), 48, 0), wire.copy_op((0, 32, 16, 16), 33, 0)
    referee = Referee()
    referee.judge(wire.parse_message(wire.pack_message(epoch=1, frame_id=1, width=64, height=64, flags=wire.RESIZED)))
    for number, op in enumerate((video, beside)):
        referee.judge(frame(2 + number, op))
    with pytest.raises(Mismatch, match="frame 4 copies out of a video"):
        referee.judge(frame(4, inside))
    referee.judge(frame(5, wire.fill_op((16, 0, 32, 16), 0)))
    referee.judge(frame(6, inside))


def test_a_script_is_made_of_the_steps_that_fail_together() -> None:
    script: Script = [("set", {}), *[("wait", number) for number in range(40)], ("set", {})]
    needed = {("wait", 7), ("wait", 8), ("wait", 31)}
    short = shorten(script, lambda candidate: needed <= set(candidate[1:-1]), 10)
    assert short == [("set", {}), ("wait", 7), ("wait", 8), ("wait", 31), ("set", {})]


def test_a_seed_makes_one_script_and_its_print_is_python() -> None:
    for seed in range(50):
        script = make_script(seed)
        assert script == make_script(seed)
        assert eval(print_script(script)) == script  # noqa: S307
    assert make_script(1) != make_script(2)
