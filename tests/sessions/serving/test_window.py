"""The window of one viewer: slow, dead, hidden, behind, and back again. No I/O: time is a number."""

from __future__ import annotations

import pytest

from sessions.serving.asks import Ask
from sessions.serving.backlog import MOST_AGE_S, MOST_BYTES, MOST_KEPT, MOST_PENDING
from sessions.serving.flight import LEAST_WINDOW, MOST_WINDOW, WINDOW
from sessions.serving.frames import Frame
from sessions.serving.journal import HEARD_RETRY_S, RETRY_S
from sessions.serving.window import FrameWindow, Phase
from stripeengine import wire
from tests.sessions.fixtures_frames import EPOCH, WHOLE, frame, video
from tests.sessions.serving.fixtures_window import H264, asked, drain, live, push, repair, snap


def test_a_newcomer_asks_for_a_snapshot_and_is_sent_nothing_before_it() -> None:
    window = FrameWindow(H264)
    push(window, 5, 0)
    assert asked(window, 0).whole and window.poll(0.1) == []
    push(window, 6, 0.1)
    assert drain(window, 0.1) == []
    assert window.answer(snap(6), 0.2)
    push(window, 7, 0.2)
    assert drain(window, 0.2) == [6, 7]


def test_frames_up_to_the_as_of_are_ignored_and_later_ones_follow() -> None:
    window = live()
    window.resync()
    asked(window, 1)
    for number in range(1, 6):
        push(window, number)
    window.answer(snap(3), 1)
    assert drain(window, 1) == [3, 4, 5]


def test_at_most_a_window_of_frames_is_in_flight() -> None:
    window = live()
    room = window.flight.window
    for number in range(1, room + 3):
        push(window, number)
    assert drain(window, 1) == list(range(1, room + 1))
    assert window.ack(EPOCH, 2, 1.001)
    assert drain(window, 1) == [room + 1, room + 2]


def test_the_window_grows_with_the_round_trip_and_is_bounded() -> None:
    for delay, least, most in ((0.001, LEAST_WINDOW, 4), (0.2, 12, 16), (5.0, MOST_WINDOW, MOST_WINDOW)):
        window = FrameWindow(H264)
        asked(window, 0)
        window.answer(snap(0), 0)
        drain(window, 0)
        window.ack(EPOCH, 0, delay)
        for number in range(1, 60):
            window.flight.note_frame(10 + number / 60)
        assert least <= window.flight.window <= most


def test_a_slow_viewer_never_gets_stale_frames_but_what_he_lacks_when_ready() -> None:
    window = live()
    for number in range(1, 40):
        push(window, number)
        drain(window, 1)
    assert window.phase is Phase.PULL
    assert window.poll(2) == []  # a window of frames is in flight still
    window.ack(EPOCH, window.flight.newest, 2.0)
    ask = asked(window, 2)
    assert not ask.whole and ask.tiles == 1 and ask.since == 39
    assert not window.answer(repair(ask, 20), 2)  # older than what was dropped
    ask = asked(window, 3)
    push(window, 40, 3)
    assert not window.answer(repair(ask._replace(token=99), 39), 3)  # to another question
    assert window.answer(repair(ask, 39), 3) and drain(window, 3) == [39, 40]
    assert window.phase is Phase.PUSH and window.references.missed == 0


def test_a_dead_viewer_who_never_acknowledges_gets_one_window_and_no_more() -> None:
    window = live()
    sent: list[int] = []
    for number in range(1, 2000):
        push(window, number, number / 60)
        window.poll(number / 60)
        sent += drain(window, number / 60)
    assert len(sent) <= WINDOW
    assert len(window._backlog) <= MOST_PENDING


def test_frames_that_have_waited_for_long_are_not_sent() -> None:
    window = live()
    for number in range(1, window.flight.window + 2):
        push(window, number)
    drain(window, 1)
    assert window.due(1) == pytest.approx(MOST_AGE_S)
    window.poll(1 + MOST_AGE_S)
    window.ack(EPOCH, window.flight.newest, 1.4)
    assert drain(window, 1.4) == [] and window.dropped["behind"] == 1
    assert not asked(window, 1.4).whole


def test_large_frames_count_by_bytes() -> None:
    window = live()
    for number in range(1, window.flight.window + 1):
        push(window, number)
    drain(window, 1)
    push(window, 5, size=MOST_BYTES + 1)  # alone it may wait
    assert window.phase is Phase.PUSH
    push(window, 6)
    assert window.phase is Phase.PULL and not len(window._backlog)


def test_what_is_kept_for_an_answer_is_bounded_and_what_was_not_is_missed_after_it() -> None:
    window = FrameWindow(H264)
    asked(window, 0)
    for number in range(1, 500):
        push(window, number, 0, size=100_000)
    assert len(window._backlog) <= MOST_KEPT and window._backlog.bytes <= MOST_BYTES
    oldest = window._backlog.head.number  # type: ignore[union-attr]
    assert window.answer(snap(100), 1)  # what lies between was dropped
    sent = drain(window, 1)
    window.ack(EPOCH, 100, 1.01)
    sent += drain(window, 1.01)
    assert sent[0] == 100 and oldest in sent[1:3]
    window = FrameWindow(H264)
    asked(window, 0)
    for number in range(1, 500):
        push(window, number, 0, wire.fill_op((0, 0, 8, 8), 1), size=100_000)
    assert window.answer(snap(100), 1) and window.references.missed == 1


def test_many_frames_during_a_slow_encode_do_not_loop() -> None:
    window = live()
    window.resync()
    asked(window, 1)
    for number in range(1, 30):
        push(window, number)
    window.answer(snap(5), 1)
    sent = drain(window, 1)
    number = 29
    while sent[-1] < number and number < 60:
        number += 1
        push(window, number)
        window.ack(EPOCH, sent[-1], 1.001)
        sent += drain(window, 1)
    assert sent == list(range(5, number + 1)) and number < 60


def test_a_lost_snapshot_is_asked_for_again_with_growing_patience() -> None:
    window = FrameWindow(H264)
    window.poll(0)
    assert window.due(0) == pytest.approx(RETRY_S)
    assert window.poll(RETRY_S - 0.1) == []
    assert asked(window, RETRY_S).whole
    assert window.poll(2 * RETRY_S) == []
    assert asked(window, 3 * RETRY_S).whole


def test_a_window_rests_when_no_acknowledgement_changes_what_is_sent() -> None:
    window = FrameWindow(H264)
    assert not window.rests  # he has no picture
    window = live()
    assert window.rests
    for number in range(1, 8):
        push(window, number)
    sent = drain(window, 1)
    assert sent and not window.rests  # the window is full, and frames wait
    window.ack(EPOCH, sent[-1], 1.01)
    sent += drain(window, 1.01)
    window.ack(EPOCH, sent[-1], 1.02)
    sent += drain(window, 1.02)
    assert sent == list(range(1, 8)) and window.rests
    push(window, 8)
    window.fall_behind()
    assert not window.rests
    ask = asked(window, 2)
    window.answer(repair(ask, 8), 2)
    assert not window.rests and drain(window, 2) == [8] and window.rests


def test_who_asked_before_there_was_a_worker_asks_again_when_it_is_heard() -> None:
    window = FrameWindow(H264)
    for at in (0, RETRY_S, 3 * RETRY_S):  # nobody answers, and the next answer is given 8 s
        assert asked(window, at).whole
    heard = 3 * RETRY_S + HEARD_RETRY_S
    push(window, 1, heard)
    assert asked(window, heard).whole
    assert window.answer(snap(1), heard) and drain(window, heard) == [1]


def test_who_asks_a_worker_that_is_there_gives_it_time() -> None:
    window = FrameWindow(H264)
    assert asked(window, 0).whole
    push(window, 1, 0.04)
    assert window.poll(0.04) == window.poll(HEARD_RETRY_S - 0.01) == []


def test_another_life_of_the_worker_is_not_waited_for_longer_than_the_first() -> None:
    window = live()
    window.resync()
    for at in (1, 1 + RETRY_S, 1 + 3 * RETRY_S):
        assert asked(window, at).whole
    began = 1 + 3 * RETRY_S + 0.5
    push(window, 1, began, epoch=EPOCH + 1)
    assert asked(window, began).whole and window.due(began) == pytest.approx(RETRY_S)


def test_a_new_epoch_starts_with_a_snapshot_and_old_acknowledgements_do_no_harm() -> None:
    window = live()
    push(window, 1)
    drain(window, 1)
    push(window, 1, 1, epoch=8)
    assert window.phase is Phase.START
    assert window.ack(EPOCH, 1, 1.0)
    assert asked(window, 1).whole
    assert window.answer(snap(1, epoch=8), 1) and drain(window, 1) == [1]


def test_acknowledgements_of_what_was_never_sent_are_refused() -> None:
    window = live()
    push(window, 1)
    drain(window, 1)
    assert not window.ack(EPOCH, 2, 1.0)
    assert not window.ack(EPOCH, 1, 1.0, serial=2)
    assert window.ack(99, 5, 1.0)  # another epoch: late, not wrong


def test_an_acknowledgement_of_a_frame_is_not_one_of_the_repair_after_it() -> None:
    window = live()
    push(window, 1)
    drain(window, 1)
    window.missed(EPOCH, 1, [(0, 0, 8, 8)], [])
    ask = asked(window, 1.001)
    assert window.answer(repair(ask, 1), 1.002)
    (data,) = window.next_unit(1.002)
    header = wire.peek(data)
    assert (header.frame_id, header.serial, header.partial) == (1, 2, True)
    window.ack(EPOCH, 1, 1.01, serial=1)
    assert len(window.flight) == 1
    window.ack(EPOCH, 1, 1.02, serial=2)
    assert len(window.flight) == 0


def test_a_hidden_viewer_is_sent_and_asks_nothing_and_then_gets_what_has_changed() -> None:
    window = live()
    push(window, 1, 1, video(0, key=True))
    drain(window, 1)
    window.set_hidden(True)
    assert (window.poll(1), window.due(1)) == ([], None)
    window.set_hidden(False)
    assert window.poll(1.1) == []  # nothing has changed
    window.set_hidden(True)
    for number in range(2, 100):
        push(window, number)
    assert (drain(window, 1), window.poll(1), window.due(1)) == ([], [], None)
    assert window.dropped["hidden"] == 98
    window.set_hidden(False)
    ask = asked(window, 2)
    assert not ask.whole and ask.tiles == 1
    # His decoder has forgotten the video.
    window.answer(repair(ask, 99), 2)
    push(window, 100, 2, video(0))
    assert drain(window, 2) == [99]


def test_resync_forgets_what_is_in_flight() -> None:
    window = live()
    for number in range(1, 5):
        push(window, number)
    drain(window, 1)
    window.resync()
    assert asked(window, 1).whole
    window.resync()  # again, while it is on its way
    assert window.poll(1.1) == []


def test_gaps_at_every_frame_do_not_cost_a_request_each() -> None:
    window = live()
    requests = 0
    for step in range(60):  # one second
        window.gap(EPOCH, 2 * step)
        push(window, 2 * step + 1, 1 + step / 60)
        asks = window.poll(1 + step / 60)
        requests += len(asks)
        if asks and isinstance(asks[0], Ask):
            window.answer(repair(asks[0], 2 * step + 1), 1 + step / 60)
            drain(window, 1 + step / 60)
    assert requests <= 31


def test_resyncs_do_not_cost_an_encode_each() -> None:
    window = live()
    requests = 0
    for step in range(100):  # one second
        now = 1 + step / 100
        window.resync()
        if window.poll(now):
            requests += 1
            window.answer(snap(1), now)
            drain(window, now)
    assert requests <= 5


def test_a_snapshot_that_could_not_be_sent_is_not_forgotten() -> None:
    window = FrameWindow(H264)
    asked(window, 0)
    assert window.answer(snap(3), 0)
    window.set_hidden(True)
    window.set_hidden(False)
    assert window.phase is Phase.START and asked(window, 1).whole


# ---- what he lacks ---------------------------------------------------------------------------------------------


def test_a_frame_of_another_size_without_a_resize_starts_anew() -> None:
    window = live()
    odd = wire.pack_message(epoch=EPOCH, frame_id=1, width=WHOLE[2] * 2, height=8, ops=[wire.fill_op((0, 0, 8, 8), 1)])
    window.frame(Frame(wire.parse_message(odd), 1), 1)
    assert drain(window, 1) == []
    assert asked(window, 1).whole
    assert frame(1) != odd
