"""The window of one viewer who lacks the base of a video, or its codec. No I/O: time is a number."""

from __future__ import annotations

import pytest

from sessions.serving.asks import Ask
from sessions.serving.window import STILL_INTERVAL_S, KeyFrames
from stripeengine import wire
from tests.sessions.fixtures_frames import EPOCH, video
from tests.sessions.serving.fixtures_window import asked, drain, live, push, repair


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
