"""The window of one viewer: slow, dead, hidden, behind, and back again. No I/O: time is a number."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sessions.serving.window import (
    ACK_TIMEOUT_S,
    MOST_BYTES,
    MOST_KEPT,
    MOST_PENDING,
    RETRY_S,
    STILL_INTERVAL_S,
    WINDOW,
    FrameWindow,
    Phase,
    Request,
)
from stripeengine import wire
from tests.sessions.fixtures_frames import EPOCH, parsed, video

H264 = frozenset({"h264"})


def snap(number: int, epoch: int = EPOCH) -> list[wire.Message]:
    return [parsed(number, kind=wire.SNAPSHOT, epoch=epoch)]


def ids(unit: list[wire.Buffer]) -> list[int]:
    return [wire.peek(data).frame_id for data in unit]


def drain(window: FrameWindow, now: float) -> list[int]:
    """Everything the pump would send now."""
    sent: list[int] = []
    while unit := window.next_unit(now):
        sent += ids(unit)
    return sent


def live(codecs: frozenset[str] = H264, as_of: int = 0) -> FrameWindow:
    """A viewer who has just got his snapshot."""
    window = FrameWindow(codecs)
    assert window.poll(0) == [Request.SNAPSHOT]
    assert window.snapshot(snap(as_of), 0)
    assert drain(window, 0) == [as_of]
    assert window.ack(EPOCH, as_of, 0.0)
    return window


def test_a_newcomer_asks_for_a_snapshot_and_is_sent_nothing_before_it() -> None:
    window = FrameWindow(H264)
    window.frame(parsed(5))
    assert window.poll(0) == [Request.SNAPSHOT] and window.poll(0.1) == []
    window.frame(parsed(6))
    assert drain(window, 0.1) == []
    assert window.snapshot(snap(6), 0.2)
    window.frame(parsed(7))
    assert drain(window, 0.2) == [6, 7]


def test_frames_up_to_the_as_of_are_ignored_and_later_ones_follow() -> None:
    window = FrameWindow(H264)
    window.poll(0)
    for number in range(1, 6):
        window.frame(parsed(number))
    window.snapshot(snap(3), 0)
    assert drain(window, 0) == [3, 4, 5]


def test_at_most_a_window_of_frames_is_in_flight() -> None:
    window = live()
    for number in range(1, WINDOW + 3):
        window.frame(parsed(number))
    assert drain(window, 1) == [1, 2, 3, 4]
    assert window.ack(EPOCH, 2, 0.0)
    assert drain(window, 1) == [5, 6]


def test_a_slow_viewer_never_gets_stale_frames_but_a_snapshot_when_ready() -> None:
    window = live()
    for number in range(1, 40):
        window.frame(parsed(number))
        drain(window, 1)
    assert window.phase is Phase.BEHIND
    assert window.poll(2) == []  # four are in flight still
    window.ack(EPOCH, WINDOW, 0.0)
    assert window.poll(2) == [Request.SNAPSHOT]
    assert not window.snapshot(snap(20), 2)  # older than what was dropped
    assert window.poll(3) == [Request.SNAPSHOT]
    window.frame(parsed(40))
    assert window.snapshot(snap(39), 3) and drain(window, 3) == [39, 40]


def test_a_dead_viewer_who_never_acknowledges_gets_one_window_and_no_more() -> None:
    window = live()
    sent: list[int] = []
    for number in range(1, 2000):
        window.frame(parsed(number))
        window.poll(number / 60)
        sent += drain(window, number / 60)
    assert sent == [1, 2, 3, 4]
    assert len(window._pending) <= MOST_PENDING


def test_missing_acknowledgements_are_noticed_in_time() -> None:
    window = live()
    window.frame(parsed(1))
    drain(window, 1)
    assert window.due(1) == pytest.approx(ACK_TIMEOUT_S)
    window.poll(1 + ACK_TIMEOUT_S)
    assert window.phase is Phase.BEHIND


def test_large_frames_count_by_bytes() -> None:
    window = live()
    for number in range(1, WINDOW + 1):
        window.frame(parsed(number))
    drain(window, 1)
    window.frame(parsed(5, size=MOST_BYTES + 1))  # alone it may wait
    assert window.phase is Phase.LIVE
    window.frame(parsed(6))
    assert window.phase is Phase.BEHIND and not window._pending


def test_what_is_kept_for_a_snapshot_is_bounded() -> None:
    window = FrameWindow(H264)
    window.poll(0)
    for number in range(1, 500):
        window.frame(parsed(number, size=100_000))
    assert len(window._pending) <= MOST_KEPT and window._pending_bytes <= MOST_BYTES
    assert not window.snapshot(snap(100), 1)  # what lies between was dropped
    assert window.poll(2) == [Request.SNAPSHOT] and window.snapshot(snap(499), 2)


def test_many_frames_during_a_slow_encode_do_not_loop() -> None:
    window = FrameWindow(H264)
    window.poll(0)
    for number in range(1, 30):
        window.frame(parsed(number))
    window.snapshot(snap(5), 1)
    sent = drain(window, 1)
    number = 29
    while sent[-1] < number and number < 60:
        number += 1
        window.frame(parsed(number))
        window.ack(EPOCH, sent[-1], 0.0)
        sent += drain(window, 1)
    assert sent == list(range(5, number + 1)) and number < 60


def test_a_lost_snapshot_is_asked_for_again_with_growing_patience() -> None:
    window = FrameWindow(H264)
    window.poll(0)
    assert window.due(0) == pytest.approx(RETRY_S)
    assert window.poll(RETRY_S - 0.1) == []
    assert window.poll(RETRY_S) == [Request.SNAPSHOT]
    assert window.poll(2 * RETRY_S) == []
    assert window.poll(3 * RETRY_S) == [Request.SNAPSHOT]


def test_a_new_epoch_starts_with_a_snapshot_and_old_acknowledgements_do_no_harm() -> None:
    window = live()
    window.frame(parsed(1))
    drain(window, 1)
    window.frame(parsed(1, epoch=8))
    assert window.phase is Phase.BEHIND
    assert window.ack(EPOCH, 1, 0.0)
    assert window.poll(1) == [Request.SNAPSHOT]
    assert window.snapshot(snap(1, epoch=8), 1) and drain(window, 1) == [1]


def test_acknowledgements_of_what_was_never_sent_are_refused() -> None:
    window = live()
    window.frame(parsed(1))
    drain(window, 1)
    assert not window.ack(EPOCH, 2, 0.0) and window.invalid_acks == 1
    assert window.ack(99, 5, 0.0)  # another epoch: late, not wrong


def test_a_hidden_viewer_is_sent_and_asks_nothing() -> None:
    window = live()
    window.frame(parsed(1))
    window.set_hidden(True)
    for number in range(2, 100):
        window.frame(parsed(number))
    assert (drain(window, 1), window.poll(1), window.due(1)) == ([], [], None)
    window.set_hidden(False)
    assert window.poll(2) == [Request.SNAPSHOT]


def test_resync_forgets_what_is_in_flight() -> None:
    window = live()
    for number in range(1, 5):
        window.frame(parsed(number))
    drain(window, 1)
    window.resync()
    assert window.poll(1) == [Request.SNAPSHOT]
    window.resync()  # again, while it is on its way
    assert window.poll(1.1) == []


def test_gaps_at_every_frame_do_not_cost_a_request_each() -> None:
    window = live()
    asked = 0
    for step in range(60):  # one second
        window.fall_behind()
        window.frame(parsed(2 * step + 1))
        asked += len(window.poll(1 + step / 60))
    assert asked <= 5


def test_resyncs_do_not_cost_an_encode_each() -> None:
    window = live()
    asked = 0
    for step in range(100):  # one second
        now = 1 + step / 100
        window.resync()
        if window.poll(now):
            asked += 1
            window.snapshot(snap(1), now)
            drain(window, now)
    assert asked <= 5


# ---- references ------------------------------------------------------------------------------------------------


def test_a_delta_without_its_key_frame_is_left_out_and_key_frames_are_asked_for_once_a_second() -> None:
    window = live()
    fill = wire.fill_op((0, 0, 8, 8), 1)
    window.frame(parsed(1, video(0), fill))
    (data,) = window.next_unit(1)
    assert [op.kind for op in wire.parse_message(data).ops] == [wire.FILL]
    assert window.poll(1) == [Request.KEY_FRAMES]
    window.frame(parsed(2, video(0)))
    assert drain(window, 1.2) == []  # nothing of it is left to send
    assert window.poll(1.2) == []
    window.frame(parsed(3, video(0, key=True)))
    window.frame(parsed(4, video(0)))
    assert drain(window, 1.3) == [3, 4]
    assert window.due(1.3) is not None and not window._references._missed


def test_an_area_that_no_key_frame_repairs_gets_a_snapshot() -> None:
    window = live()
    window.frame(parsed(1, video(0)))
    drain(window, 1)
    window.poll(1)
    assert window.due(1) == pytest.approx(1.5, abs=0.01)
    assert Request.SNAPSHOT in window.poll(2.6)


def test_a_copy_out_of_a_missed_area_is_left_out_and_spreads_it() -> None:
    window = live()
    top, bottom, right = (0, 0, 32, 24), (0, 24, 32, 24), (32, 0, 32, 24)
    window.frame(parsed(1, video(0, rect=top), wire.copy_op(bottom, 0, 0), wire.copy_op(right, 32, 24)))
    (data,) = window.next_unit(1)
    assert [op.rectangle for op in wire.parse_message(data).ops] == [right]
    window.frame(parsed(2, wire.fill_op(top, 1), wire.fill_op(bottom, 2)))
    window.frame(parsed(3, wire.copy_op(bottom, 0, 0)))
    assert drain(window, 1) == [2, 3]


@pytest.mark.parametrize(
    ("codecs", "chroma_444", "missing"),
    [(frozenset(), False, "h264"), (frozenset({"h264"}), True, "h264-444"), (frozenset({"h264-444"}), False, "h264")],
)
def test_a_viewer_without_the_codec_gets_stills_a_second_apart(
    codecs: frozenset[str], chroma_444: bool, missing: str
) -> None:
    window = live(codecs)
    requests = 0
    sent = 0
    for step in range(300):  # five seconds of video
        now = 10 + step / 60
        window.frame(parsed(step + 1, video(0, key=step % 60 == 0, chroma_444=chroma_444)))
        requests += (asked := window.poll(now)).count(Request.SNAPSHOT)
        if asked:
            window.snapshot(snap(step + 1), now)
        for unit in iter(lambda now=now: window.next_unit(now), []):
            sent += 1
            assert all(op.kind != wire.H264 for data in unit for op in wire.parse_message(data).ops)
        window.ack(EPOCH, window._sent, 0.0)
    assert window.missing_codec == missing
    assert 4 <= requests <= 5 / STILL_INTERVAL_S + 1 and sent == requests
    # The video stops: the last still must come, and then peace.
    assert Request.SNAPSHOT in window.poll(20) or window.phase is Phase.LIVE
    window.snapshot(snap(300), 20)
    drain(window, 20)
    window.ack(EPOCH, 300, 0.0)
    assert window.poll(25) == [] and window.phase is Phase.LIVE


@given(
    st.lists(
        st.sampled_from(["frame", "ack", "poll", "snapshot", "resync", "hide", "show", "epoch", "gap"]), max_size=80
    )
)
def test_whatever_happens_ids_grow_nothing_is_skipped_and_bounds_hold(steps: list[str]) -> None:
    """What a viewer is sent is, in each epoch, snapshots and the frames right after them, without a hole."""
    window = FrameWindow(H264)
    number, epoch, now = 0, EPOCH, 0.0
    screen: tuple[int, int] | None = None  # what the viewer has: epoch, up to which frame
    for step in steps:
        now += 0.3
        match step:
            case "frame":
                number += 1
                window.frame(parsed(number, epoch=epoch))
            case "ack":
                window.ack(epoch, window._sent, 0.0)
            case "snapshot":
                window.snapshot(snap(number, epoch), now)
            case "resync":
                window.resync()
            case "hide" | "show":
                window.set_hidden(step == "hide")
            case "epoch":
                epoch, number = epoch + 1, 1
                window.frame(parsed(number, epoch=epoch))
            case "gap":
                number += 2
                window.fall_behind()
                window.frame(parsed(number, epoch=epoch))
        window.poll(now)
        while unit := window.next_unit(now):
            assert not window.hidden
            header = wire.peek(unit[0])
            if header.kind == wire.SNAPSHOT:
                assert screen is None or screen[0] != header.epoch or header.frame_id >= screen[1]
            else:
                assert screen == (header.epoch, header.frame_id - 1)
            screen = (header.epoch, header.frame_id)
        assert len(window._in_flight) <= WINDOW + 1
        assert len(window._pending) <= MOST_KEPT
        assert window._pending_bytes == sum(len(m.raw) for m in window._pending)
