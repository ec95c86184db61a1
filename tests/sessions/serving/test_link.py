"""The estimate of a viewer's link, against simulated links: slow ones, far ones, idle ones and such that get better."""

from __future__ import annotations

import random
from collections import deque

import pytest

from sessions.serving.link import Link
from sessions.worker.messages import MIN_LINK_KBPS

WINDOW = 4


class Simulation:
    """A stream of frames over a link of ``kbps`` with a round trip of ``rtt`` seconds, a window of frames in flight.

    The newest frame waits, older ones are merged into it; the stream obeys the bound it is told, as the engine does.
    """

    def __init__(self, kbps: float, rtt: float, seed: int = 1) -> None:
        self.kbps, self.rtt = kbps, rtt
        self.link = Link()
        self.bound = 0
        self.told: list[tuple[float, int]] = []
        self.now = 0.0
        self._random = random.Random(seed)
        self._flight: deque[tuple[float, float, int]] = deque()  # acknowledged at, sent at, bytes
        self._free_at = 0.0
        self._allowed = 0.0

    def run(self, seconds: float, size: int, rate: float) -> None:
        """Frames of about ``size`` bytes, ``rate`` a second."""
        end, due, waiting = self.now + seconds, self.now, False
        tick = self.now
        while self.now < end:
            self.now += 0.002
            self._allowed = min(self._allowed + self.bound * 125 * 0.002, max(size, self.bound * 12.5))
            if self.now >= due:
                due += 1 / rate
                waiting = True
            while self._flight and self._flight[0][0] <= self.now:
                _, sent, acked = self._flight.popleft()
                self.link.acked(acked, self.now - sent, self.now, waiting and self._may_send(size))
            if waiting and len(self._flight) < WINDOW and self._may_send(size):
                waiting = False
                self._send(round(size * self._random.uniform(0.5, 1.5)))
            if self.now >= tick + 1:
                tick = self.now
                if (news := self.link.news(self.now)) is not None:
                    self.bound = news
                    self.told.append((self.now, news))

    def _may_send(self, size: int) -> bool:
        return self.bound == 0 or self._allowed >= size

    def _send(self, size: int) -> None:
        self._allowed -= size
        self._free_at = max(self._free_at, self.now) + size / (self.kbps * 125)
        self._flight.append((self._free_at + self.rtt, self.now, size))


@pytest.mark.parametrize("kbps", [400, 1000, 5000, 20000])
@pytest.mark.parametrize("rtt", [0.005, 0.15])
def test_a_slow_link_is_measured(kbps: int, rtt: float) -> None:
    simulation = Simulation(kbps, rtt)
    simulation.run(2.0, 200, 10)  # somebody types: the round trip becomes known
    assert simulation.told == []
    simulation.run(12.0, max(4000, kbps * 125 // 10), 40)
    assert simulation.told
    assert 0.6 * kbps < simulation.bound < 1.3 * kbps


def test_a_far_link_with_little_to_send_is_not_bounded() -> None:
    simulation = Simulation(50_000, 0.25)
    simulation.run(2.0, 200, 5)
    simulation.run(10.0, 400, 60)  # more than four frames a round trip
    assert simulation.told == []


def test_a_quick_link_is_never_bounded() -> None:
    simulation = Simulation(500_000, 0.002)
    simulation.run(10.0, 30_000, 60)
    assert simulation.told == []


def test_a_link_that_gets_better_is_found_out() -> None:
    simulation = Simulation(1000, 0.02)
    simulation.run(1.0, 200, 10)
    simulation.run(8.0, 12_000, 40)
    assert simulation.bound < 1300
    simulation.kbps = 20_000
    simulation.run(40.0, 12_000, 40)  # asks for 3.8 Mbit/s
    assert simulation.bound > 3000


def test_a_bound_that_is_not_used_stays() -> None:
    simulation = Simulation(1000, 0.02)
    simulation.run(1.0, 200, 10)
    simulation.run(8.0, 12_000, 40)
    told = len(simulation.told)
    simulation.run(20.0, 200, 10)
    assert len(simulation.told) == told


def test_a_terrible_link_is_bounded_by_the_least() -> None:
    simulation = Simulation(60, 0.02)
    simulation.run(1.0, 100, 5)
    simulation.run(20.0, 4000, 20)
    assert simulation.bound == MIN_LINK_KBPS


def test_small_changes_are_not_told_and_a_lift_only_once() -> None:
    simulation = Simulation(1000, 0.02)
    simulation.run(1.0, 200, 10)
    simulation.run(20.0, 12_000, 40)
    values = [bound for _, bound in simulation.told]
    assert all(abs(b - a) > 0.15 * a for a, b in zip(values, values[1:], strict=False))
    times = [when for when, _ in simulation.told]
    assert all(b - a >= 0.99 for a, b in zip(times, times[1:], strict=False))
    assert simulation.link.lift()
    assert not simulation.link.lift()
    assert simulation.link.news(simulation.now + 10) is None
