"""The window of one viewer by what his link carries, and by his bounds. No I/O: time is a number."""

from __future__ import annotations

import pytest

from sessions.serving.asks import EXACT, QUARTER, Ask, Costs
from sessions.serving.caps import Caps
from sessions.serving.frames import Answer
from sessions.serving.journal import RETRY_S
from sessions.serving.rate import Rate
from sessions.serving.window import FrameWindow, Phase
from stripeengine import wire
from tests.sessions.fixtures_frames import EPOCH, WHOLE, parsed
from tests.sessions.serving.fixtures_window import H264, asked, drain, ids, live, push, repair, snap


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


def test_all_pixels_give_way_to_frames_that_wait() -> None:
    window = thin(30)
    window.references.inexact = 1
    push(window, 2, 400)
    assert window.poll(400) == []
    drain(window, 400)
    window.ack(EPOCH, 2, 400.1)
    window.references.inexact = 1  # the frame has brought all of it
    assert asked(window, 400.1).tier == EXACT


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


def small_snap(number: int) -> Answer:
    """A snapshot of fewer pixels."""
    width, height = WHOLE[2:]
    op = wire.Op(wire.JPEG, 0, 0, *WHOLE, 0, 0, 0, 10_000, width // 4, height // 4, 0)
    return Answer([parsed(number, op, kind=wire.SNAPSHOT, size=10_000)])


def newcomer(acked_after: float) -> FrameWindow:
    """A viewer who was sent a small snapshot and has acknowledged it at second 1."""
    window = FrameWindow(H264)
    ask = asked(window, 0)
    assert ask.whole and ask.small
    assert window.answer(small_snap(3), 1 - acked_after)
    assert drain(window, 1 - acked_after) == [3]
    assert window.poll(1 - acked_after) == [], "nothing more before the link has told what it carries"
    assert window.ack(EPOCH, 3, 1)
    return window


def test_a_newcomer_whose_link_is_wide_gets_all_pixels_at_once_after_few() -> None:
    window = newcomer(0.01)
    ask = asked(window, 1)
    assert ask.whole and not ask.small
    push(window, 4, 1)  # waits for the snapshot, of which nobody knows yet whether it has it
    assert drain(window, 1) == []
    assert window.answer(snap(3), 1.02)
    assert drain(window, 1.02) == [3, 4]
    assert not window.references.inexact and not window.references.missed
    window.ack(EPOCH, 4, 1.03)
    assert window.poll(2) == [] and window.phase is Phase.PUSH


def test_a_newcomer_on_a_thin_link_is_refined_in_small_pieces() -> None:
    window = newcomer(0.35)
    ask = asked(window, 1)
    assert not ask.whole and ask.tiles == window.references.inexact == 1
    costs = Costs()
    window.flight.rate.proven, window.flight.rate.in_time = 28e3, 10_000
    assert 8 <= costs.refine((1 << 510) - 1, float("inf"), window.flight.rate).bit_count() < 30
    assert window.answer(repair(ask, 3), 1.1)
    assert len(drain(window, 1.1)) == 1 and not window.references.inexact


def test_a_bound_on_bits_below_plenty_is_started_small_once() -> None:
    window = FrameWindow(H264)
    window.caps = Caps(kbps=1000)
    assert asked(window, 0).small
    assert window.answer(small_snap(3), 0.1) and drain(window, 1) == [3]
    assert window.ack(EPOCH, 3, 1.001)
    assert not asked(window, 2).whole, "what he may be sent says no more than his link"


def test_who_was_not_answered_asks_a_worker_of_any_release() -> None:
    window = FrameWindow(H264)
    assert asked(window, 0).small
    assert not asked(window, RETRY_S).small


def test_the_first_tiles_that_are_counted_tell_what_tiles_cost() -> None:
    costs, every = Costs(), (1 << 510) - 1
    assert costs.refine(every, 30e3, Rate()).bit_count() < 12  # a guess, on the safe side
    costs.learn(EXACT, 10, 1700)
    assert costs.refine(every, 30e3, Rate()).bit_count() == 16384 // 170
    costs.learn(EXACT, 10, 3400)
    assert costs.refine(every, 30e3, Rate()).bit_count() == 16384 // 255


@pytest.mark.parametrize(("after", "kilobytes"), [(0.45, 32), (0.6, 16)])
def test_pieces_grow_though_the_browser_is_late_if_they_come_soon(after: float, kilobytes: int) -> None:
    costs, rate = Costs(), Rate()
    costs.learn(EXACT, 10, 1000)
    rate.acked(rate.sent(16_000, 0, True), after, True)
    assert rate.in_time == 0  # a round trip of 0.25 s is believed at most
    size = costs.refine((1 << 510) - 1, 30e3, rate).bit_count() / 10
    assert size == pytest.approx(kilobytes, abs=0.5)


def test_the_round_trip_is_learned_while_the_worker_makes_what_is_missing() -> None:
    window = newcomer(0.35)
    ask = asked(window, 1)
    assert not ask.whole and window.poll(1) == []
    assert drain(window, 1) == [3] and window.counts["repairs"] == 0  # a probe
    assert drain(window, 1) == []
    window.ack(EPOCH, 3, 1.3, serial=window.flight.serial)
    assert window.flight.rate.base == pytest.approx(0.3)
    assert window.answer(repair(ask, 3), 1.4) and drain(window, 1.4) == [3]
    assert not window.references.inexact
