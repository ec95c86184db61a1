"""The window of one viewer: slow, dead, hidden, behind, and back again. No I/O: time is a number."""

from __future__ import annotations

import pytest

from sessions.serving.asks import EXACT, QUARTER, Ask
from sessions.serving.caps import Caps
from sessions.serving.flight import LEAST_WINDOW, MOST_WINDOW, WINDOW
from sessions.serving.frames import Answer, Frame
from sessions.serving.journal import RETRY_S
from sessions.serving.window import (
    MOST_AGE_S,
    MOST_BYTES,
    MOST_KEPT,
    MOST_PENDING,
    STILL_INTERVAL_S,
    FrameWindow,
    KeyFrames,
    Phase,
)
from stripeengine import wire
from tests.sessions.fixtures_frames import EPOCH, WHOLE, frame, parsed, video

H264 = frozenset({"h264"})


def snap(number: int, epoch: int = EPOCH) -> Answer:
    return Answer([parsed(number, kind=wire.SNAPSHOT, epoch=epoch)])


def repair(ask: Ask, number: int, size: int = 0) -> Answer:
    """The newest state of the one tile there is."""
    message = parsed(number, kind=wire.SNAPSHOT, flags=wire.PARTIAL, size=size)
    return Answer([message], ask.token)


def push(window: FrameWindow, number: int, now: float = 1, *ops: wire.Op, epoch: int = EPOCH, size: int = 0) -> None:
    window.frame(Frame(parsed(number, *ops, epoch=epoch, size=size), now), now)


def asked(window: FrameWindow, now: float) -> Ask:
    """The one question that the window has now."""
    (ask,) = window.poll(now)
    assert isinstance(ask, Ask)
    return ask


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
    assert asked(window, 0).whole
    assert window.answer(snap(as_of), 0)
    assert drain(window, 0) == [as_of]
    assert window.ack(EPOCH, as_of, 0.001)
    return window


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
    assert len(window._pending) <= MOST_PENDING


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
    assert window.phase is Phase.PULL and not window._pending


def test_what_is_kept_for_an_answer_is_bounded_and_what_was_not_is_missed_after_it() -> None:
    window = FrameWindow(H264)
    asked(window, 0)
    for number in range(1, 500):
        push(window, number, 0, size=100_000)
    assert len(window._pending) <= MOST_KEPT and window._pending_bytes <= MOST_BYTES
    oldest = window._pending[0].number
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


def test_a_delta_without_its_key_frame_is_left_out_and_stills_come_instead() -> None:
    window = live()
    fill = wire.fill_op((0, 0, 8, 8), 1)
    push(window, 1, 1, video(0), fill)
    (data,) = window.next_unit(1)
    assert [op.kind for op in wire.parse_message(data).ops] == [wire.FILL]
    window.ack(EPOCH, 1, 1.001)
    ask, keys = window.poll(1.01)
    assert keys == KeyFrames() and isinstance(ask, Ask) and not ask.whole and ask.quality
    push(window, 2, 1.2, video(0))
    assert drain(window, 1.2) == []  # nothing of it is left to send
    assert window.poll(1.2) == []
    window.answer(repair(ask, 2), 1.2)
    assert drain(window, 1.2) == [2] and window.references.inexact == 1
    push(window, 3, 1.3, video(0, key=True))
    push(window, 4, 1.3, video(0))
    assert drain(window, 1.3) == [3, 4]
    assert window.references.missed == window.references.inexact == 0


def test_stills_are_at_most_fifteen_a_second_and_key_frames_are_asked_for_once() -> None:
    window = live()
    stills = keys = 0
    for step in range(240):  # two seconds
        now = 1 + step / 120
        push(window, step + 1, now, video(0))
        for request in window.poll(now):
            if isinstance(request, Ask):
                stills += 1
                window.answer(repair(request, step + 1), now)
            else:
                keys += 1
        drain(window, now)
        window.ack(EPOCH, window.flight.newest, now + 0.001)
    assert 20 <= stills <= 2 / STILL_INTERVAL_S + 1 and keys == 2


def test_a_still_does_not_take_back_what_was_sent_after_it() -> None:
    window = live()
    push(window, 1, 1, video(0))
    drain(window, 1)
    ask, _ = window.poll(1)
    assert isinstance(ask, Ask)
    push(window, 2, 1.01, wire.fill_op((0, 0, 8, 8), 1))
    assert drain(window, 1.01) == [2]
    window.answer(repair(ask, 1), 1.02)  # the fill was not there yet
    assert drain(window, 1.02) == [] and window.references.missed == 1
    again = [request for request in window.poll(1.2) if isinstance(request, Ask)]
    assert window.answer(repair(again[0], 2), 1.2) and drain(window, 1.2) == [2]


def test_a_repair_waits_for_the_frames_before_it() -> None:
    window = live()
    room = window.flight.window
    window.missed(EPOCH, 0, [(0, 0, 8, 8)], [])
    ask = asked(window, 1)
    for number in range(1, room + 4):
        push(window, number, 1, wire.fill_op((0, 0, 8, 8), 1))
    assert drain(window, 1) == list(range(1, room + 1))
    window.answer(repair(ask, room + 2), 1)
    window.ack(EPOCH, room, 1.001)
    sent = drain(window, 1.001)
    window.ack(EPOCH, room + 2, 1.002)
    assert sent + drain(window, 1.002) == [room + 1, room + 2, room + 2, room + 3]


@pytest.mark.parametrize(
    ("codecs", "chroma_444", "missing"),
    [(frozenset(), False, "h264"), (frozenset({"h264"}), True, "h264-444"), (frozenset({"h264-444"}), False, "h264")],
)
def test_a_viewer_without_the_codec_gets_stills(codecs: frozenset[str], chroma_444: bool, missing: str) -> None:
    window = live(codecs)
    for step in range(300):  # five seconds of video
        now = 10 + step / 60
        push(window, step + 1, now, video(0, key=step % 60 == 0, chroma_444=chroma_444))
        for request in window.poll(now):
            assert isinstance(request, Ask)  # key frames are of no use to him
            window.answer(repair(request, step + 1), now)
        for unit in iter(lambda now=now: window.next_unit(now), []):
            assert all(op.kind != wire.H264 for data in unit for op in wire.parse_message(data).ops)
        window.ack(EPOCH, window.flight.newest, now + 0.001)
    assert window.missing_codec == missing and window.dropped["codec"] == 0
    assert window.references.dropped["codec"] == 300
    assert 40 <= window.counts["repairs"] <= 5 / STILL_INTERVAL_S + 1
    # The video stops: the last still must come, as good as everybody's, and then peace.
    for step in range(5):
        for request in window.poll(20 + step):
            assert isinstance(request, Ask)
            window.answer(repair(request, 300), 20 + step)
        drain(window, 20 + step)
        window.ack(EPOCH, 300, 20.001 + step)
    assert window.poll(25) == [] and window.due(25) is None
    assert window.references.missed == window.references.inexact == 0


# ---- thin links and bounds -------------------------------------------------------------------------------------


def thin(kilobytes: float) -> FrameWindow:
    """A viewer whose link has shown to carry so many kB a second."""
    window = live()
    push(window, 1, 1, size=60_000)
    drain(window, 1)
    window.ack(EPOCH, 1, 1 + 60 / kilobytes)
    assert window.flight.rate.bytes_per_s == pytest.approx(kilobytes * 1000, rel=0.1)
    return window


def test_a_thin_link_gets_few_pixels_first_and_all_of_them_when_it_rests() -> None:
    window = thin(0.2)
    push(window, 2, 400)
    window.fall_behind()
    ask = asked(window, 401)
    assert ask.tier == QUARTER and ask.shrink == 4
    window.answer(repair(ask, 2), 401)
    drain(window, 401)
    window.ack(EPOCH, 2, 401.4)
    assert window.references.inexact == 1 and window.shrink == 4
    fine = asked(window, 402)
    assert (fine.tier, fine.tiles) == (EXACT, 1)
    window.answer(repair(fine, 2), 402)
    drain(window, 402)
    assert window.references.inexact == 0


def test_a_wide_link_gets_what_it_lacks_exactly() -> None:
    window = live()
    push(window, 1)
    window.fall_behind()
    assert asked(window, 1).tier == EXACT


def test_a_link_that_recovers_is_used_at_once() -> None:
    window = thin(0.5)
    push(window, 2, 400, size=50_000)
    assert drain(window, 400) == [1]  # a probe of the round trip
    window.ack(EPOCH, 1, 400.001, serial=2)
    assert drain(window, 400.001) == [2]
    window.ack(EPOCH, 2, 400.01)
    assert window.flight.rate.bytes_per_s > 4e6


def test_no_more_is_in_flight_than_a_thin_link_carries() -> None:
    window = thin(50)
    for number in range(2, 8):
        push(window, number, 400, size=6_000)
    sent = drain(window, 400)
    assert 1 <= len(sent) <= 2  # 50 kB/s × the round trip and 0.15 s


def test_a_hiccup_does_not_make_a_thin_link() -> None:
    window = live()
    for number in range(1, 10):
        now = 1 + number
        push(window, number, now)
        drain(window, now)
        window.ack(EPOCH, number, now + (0.5 if number == 5 else 0.01))
    assert window.flight.rate.bytes_per_s == 0


def test_a_bound_on_frames_sends_fewer_newer_pictures() -> None:
    window = live()
    window.caps = Caps(fps=5)
    pictures = 0
    for step in range(300):  # five seconds at 60
        now = 1 + step / 60
        push(window, step + 1, now)
        for request in window.poll(now):
            assert isinstance(request, Ask)
            window.answer(repair(request, step + 1), now)
        while unit := window.next_unit(now):
            pictures += 1
            assert step + 1 - ids(unit)[0] <= 18  # 0.3 s
        window.ack(EPOCH, window.flight.newest, now + 0.001)
    assert 20 <= pictures <= 26 and window.dropped["cap"] + window.dropped["behind"] > 200


def test_a_bound_on_bits_is_kept_over_any_two_seconds() -> None:
    window = live()
    window.caps = Caps(kbps=400)
    spent: list[tuple[float, int]] = []
    for step in range(600):
        now = 1 + step / 60
        push(window, step + 1, now, size=4_000)
        for request in window.poll(now):
            assert isinstance(request, Ask)
            window.answer(repair(request, step + 1, size=4_000), now)
        while unit := window.next_unit(now):
            spent.append((now, sum(map(len, unit))))
        window.ack(EPOCH, window.flight.newest, now + 0.001)
    for start, _ in spent:
        assert sum(size for at, size in spent if start <= at < start + 2) <= 400 * 125 * 2.5 + 5_000
    assert sum(size for _, size in spent) > 400 * 125 * 8


def test_a_frame_of_another_size_without_a_resize_starts_anew() -> None:
    window = live()
    odd = wire.pack_message(epoch=EPOCH, frame_id=1, width=WHOLE[2] * 2, height=8, ops=[wire.fill_op((0, 0, 8, 8), 1)])
    window.frame(Frame(wire.parse_message(odd), 1), 1)
    assert drain(window, 1) == []
    assert asked(window, 1).whole
    assert frame(1) != odd
