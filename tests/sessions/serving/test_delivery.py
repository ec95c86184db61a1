"""Whatever is dropped, late or overtaken between worker, bus and viewers: every viewer ends with the same picture."""

from __future__ import annotations

import random

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from sessions.serving.asks import LEAST, TIERS
from sessions.serving.backlog import MOST_BYTES, MOST_KEPT
from sessions.serving.window import Phase
from tests.sessions.serving.fixtures_delivery import World

WHO = st.integers(0, 2)


class Delivery(RuleBasedStateMachine):
    """Three viewers, of whom the last cannot decode video."""

    def __init__(self) -> None:
        super().__init__()
        self.world = World(seed=1)

    @rule(kinds=st.text("ffljccv", min_size=1, max_size=4), times=st.integers(1, 4))
    def draws(self, kinds: str, times: int) -> None:
        for _ in range(times):
            self.world.worker.draw(kinds)

    @rule(times=st.integers(1, 40))
    def draws_a_lot(self, times: int) -> None:
        for _ in range(times):
            self.world.worker.draw("jc")
            self.world.deliver(False)

    @rule(answers=st.booleans(), count=st.integers(1, 6))
    def delivers(self, answers: bool, count: int) -> None:
        for _ in range(count):
            self.world.deliver(answers)

    @rule(answers=st.booleans())
    def loses(self, answers: bool) -> None:
        self.world.deliver(answers, drop=True)

    @rule()
    def swaps_two(self) -> None:
        frames = self.world.worker.frames
        if len(frames) > 1:
            frames[0], frames[1] = frames[1], frames[0]

    @rule()
    def ends_a_video(self) -> None:
        self.world.worker.stop_video()

    @rule()
    def tells_the_head(self) -> None:
        self.world.worker.head()

    @rule(count=st.integers(1, 3))
    def replies(self, count: int) -> None:
        for _ in range(count):
            self.world.worker.reply()

    @rule()
    def loses_a_question(self) -> None:
        if self.world.worker.asked:
            self.world.worker.asked.pop()

    @rule(who=WHO, count=st.integers(1, 8), fail=st.booleans())
    def commits(self, who: int, count: int, fail: bool) -> None:
        for step in range(count):
            self.world.viewers[who].commit(fail and step == 0)

    @rule(who=WHO)
    def acknowledges(self, who: int) -> None:
        self.world.viewers[who].acknowledge()

    @rule(who=WHO)
    def keeps_up(self, who: int) -> None:
        viewer = self.world.viewers[who]
        for _ in range(4):
            viewer.pump()
            while viewer.client.inbox:
                viewer.commit()
            viewer.acknowledge()

    @rule(large=st.booleans())
    def finds_pictures_large(self, large: bool) -> None:
        self.world.worker.finds_all_large = large

    @rule(who=WHO, hidden=st.booleans())
    def hides(self, who: int, hidden: bool) -> None:
        viewer = self.world.viewers[who]
        viewer.window.set_hidden(hidden)
        viewer.client.decoder = 0 if hidden and not viewer.client.inbox else viewer.client.decoder

    @rule(who=WHO)
    def loses_the_thread(self, who: int) -> None:
        viewer = self.world.viewers[who]
        viewer.client.inbox.clear()
        viewer.acks.clear()
        viewer.client.waiting, viewer.client.decoder = True, 0
        viewer.client.serial = viewer.window.flight.serial
        viewer.window.resync()

    @rule(size=st.sampled_from([(200, 136), (136, 64), (320, 200)]))
    def resizes(self, size: tuple[int, int]) -> None:
        self.world.worker.resize(*size)

    @rule(lost=st.booleans())
    def restarts(self, lost: bool) -> None:
        self.world.restart(lost)

    @rule(seconds=st.sampled_from([0.01, 0.05, 0.3, 3.0, 20.0]))
    def waits(self, seconds: float) -> None:
        self.world.pass_time(seconds)
        for viewer in self.world.viewers:
            viewer.pump()

    @rule(who=WHO)
    def pumps(self, who: int) -> None:
        self.world.viewers[who].pump()

    @invariant()
    def nothing_grows(self) -> None:
        for viewer in self.world.viewers:
            window = viewer.window
            assert len(window._backlog) <= MOST_KEPT + 2
            assert window._backlog.bytes <= MOST_BYTES
            assert window.references.missed >> window.references.grid.columns * window.references.grid.rows == 0
            assert window.references.missed >= 0 and window.references.inexact >= 0
            assert not (window.hidden and len(window._backlog))

    def teardown(self) -> None:
        for viewer in self.world.viewers:
            viewer.window.set_hidden(False)
        self.world.settle()
        for viewer in self.world.viewers:
            assert viewer.window.phase is Phase.PUSH
            assert viewer.window.references.missed == viewer.window.references.inexact == 0


TestDelivery = Delivery.TestCase
TestDelivery.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)


@pytest.mark.parametrize("seed", range(6))
def test_no_viewers_trouble_changes_what_another_is_sent(seed: int) -> None:
    """The same history, watched by one who keeps up alone, and beside others of whom each has another trouble."""

    def watch(viewers: int) -> list[bytes]:
        world = World(seed, viewers, serves_keys=False)
        chance = random.Random(seed)
        good = world.viewers[0]
        for step in range(400):
            world.worker.draw("".join(chance.choices("fljcv", k=chance.randint(1, 3))))
            if step % 90 == 80:
                world.worker.stop_video()
            # The others' questions are answered at once, the good one's when it is their turn.
            mine = [asked for asked in world.worker.asked if asked[0] == good.id]
            others = [asked for asked in world.worker.asked if asked[0] != good.id]
            world.worker.asked[:] = mine + others
            while world.worker.asked:
                world.worker.reply()
            for answers in (False, True):
                while world.worker.answers if answers else world.worker.frames:
                    world.deliver(answers)
            for viewer in world.viewers:
                viewer.pump()
            while good.client.inbox:
                good.commit()
            good.acknowledge()
            for number, viewer in enumerate(world.viewers[1:]):
                if number == 0:
                    viewer.window.resync() if step % 50 == 0 else None
                elif number == 1 and step % 10 == 0:
                    viewer.commit(fail=step % 20 == 0)
                    viewer.acknowledge()
                elif number == 2:
                    viewer.window.set_hidden(step % 30 < 15)
            world.pass_time(1 / 60)
        assert good.window.phase is Phase.PUSH and good.window.dropped.total() == 1  # before he had asked
        return good.sent

    alone = watch(1)
    assert len(alone) >= 300
    assert watch(4) == alone


@pytest.mark.parametrize("quick", [True, False])
def test_who_begins_with_few_pixels_ends_with_all_though_the_page_scrolls(quick: bool) -> None:
    world = World(seed=5, viewers=1, size=(800, 608))
    world.worker.finds_all_large = True
    [viewer] = world.viewers
    began = 0
    for step in range(240):
        world.worker.draw("jc" if quick or step < 60 else "")
        world.worker.reply()
        for answers in (False, True):
            while world.worker.answers if answers else world.worker.frames:
                world.deliver(answers)
        viewer.pump()
        if quick or step % 24 == 0:
            while viewer.client.inbox:
                viewer.commit()
            viewer.acknowledge()
        began |= viewer.window.references.inexact
        world.pass_time(1 / 60)
    assert began, "the first picture has few pixels"
    if quick:
        assert not viewer.window.references.inexact and viewer.window.counts["snapshots"] == 2
    world.settle()
    assert world.has_all(viewer)


def test_a_slow_viewer_sees_few_new_pictures_and_all_of_it_when_the_screen_rests() -> None:
    """A page that scrolls, over a link that carries a twentieth of it."""
    world = World(seed=3, viewers=1, size=(1600, 1088))
    viewer = world.viewers[0]
    drawn: dict[int, float] = {}
    ages: list[float] = []
    shrunk = 0
    speed, free_at = 64e3, 0.0  # bytes a second; when the link has carried what was sent
    arrivals: list[tuple[float, int]] = []
    for step in range(60 * 8):
        if step < 60 * 5:
            world.worker.draw("jcjc")
            drawn[world.worker.number] = world.now
        else:
            speed = 10e6
        world.worker.reply()
        for answers in (False, True):
            while world.worker.answers if answers else world.worker.frames:
                world.deliver(answers)
        before = len(viewer.sent)
        viewer.pump()
        for data in viewer.sent[before:]:
            free_at = max(free_at, world.now) + len(data) / speed
            arrivals.append((free_at, 1))
        shrunk = max(shrunk, viewer.window.shrink)
        while arrivals and arrivals[0][0] <= world.now:
            arrivals.pop(0)
            viewer.commit()
            viewer.acknowledge()
            if viewer.client.last in drawn:
                ages.append(world.now - drawn[viewer.client.last])
        if step == 60 * 5:
            rested = viewer.window.references.inexact | viewer.window.references.missed
        if step == 60 * 6 + 30:
            assert world.has_all(viewer), "exact a second after the screen rests"
        world.pass_time(1 / 60)
    assert rested and shrunk == TIERS[LEAST].shrink
    assert max(ages[5:]) < 1.5 and viewer.window.dropped["behind"] > 100
