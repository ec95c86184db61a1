"""Random X drawing scripts, from a real X server to a real browser: the canvas ends with exactly what is on the screen.

The scripts are those of tests/stripeengine/test_scripts.py. Everyone who watches one is sent messages of his own; a
page shows each of these recordings. Decoded video differs from browser to browser, so this also holds the engine to
replacing all of it at rest. ``make scripts`` plays hundreds, the ordinary run thirty (``STRIPEDESK_BROWSER_SCRIPTS``).
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import replace

import pytest

pytest.importorskip("stripeengine._stripeengine", reason="the C engine is not built: make setup")

from playwright.sync_api import Browser
from watcher import Watcher

from stripeengine import wire
from stripeengine.ffi import has_h264
from tests.static.browser.fake_server import FakeServer
from tests.stripeengine.fixtures_performance import Mismatch, Performance, check_script
from tests.stripeengine.fixtures_scripts import MODES, make_script
from tests.stripeengine.fixtures_stage import Stage
from tests.stripeengine.fixtures_x11 import have_xvfb

pytestmark = pytest.mark.skipif(not have_xvfb(), reason="Xvfb is not installed")

COUNT = int(os.environ.get("STRIPEDESK_BROWSER_SCRIPTS", "30"))
FIRST = int(os.environ.get("STRIPEDESK_SCRIPTS_SEED", "0"))


@pytest.fixture(scope="module")
def stage() -> Iterator[Stage]:
    """One X server for all scripts."""
    with Stage() as opened:
        yield opened


@pytest.fixture
def server() -> Iterator[FakeServer]:
    """A server that says what the test wants it to say."""
    running = FakeServer()
    yield running
    running.stop()


@pytest.fixture
def watcher(browser: Browser, server: FakeServer, request: pytest.FixtureRequest) -> Iterator[Watcher]:
    """A page; its parameter says whether its client works in a worker."""
    server.config = {"worker": getattr(request, "param", True)}
    context = browser.new_context(viewport={"width": 900, "height": 640})
    page = context.new_page()
    errors: list[str] = []
    page.on("pageerror", lambda error: errors.append(str(error)))
    yield Watcher(page, server)
    context.close()
    assert errors == []


@pytest.mark.parametrize(
    ("watcher", "part"), [(True, 0), (False, 1)], ids=["worker", "main-thread"], indirect=["watcher"]
)
def test_every_browser_ends_with_what_is_on_the_screen(stage: Stage, watcher: Watcher, part: int) -> None:
    chroma = ("420", "444") if "h264-444" in watcher.codecs else ("420",)
    modes = [mode for mode in MODES if mode != "h264" or (has_h264() and "h264" in watcher.codecs)]
    failures: list[str] = []
    for seed in range(FIRST + part, FIRST + COUNT, 2):
        try:
            check_script(make_script(seed, chroma=chroma, modes=modes), lambda: Performance(stage), watcher.check)
        except Mismatch as mismatch:
            failures.append(f"seed {seed}: {mismatch}")
            if len(failures) == 3:  # each has cost a while to make short
                break
    assert not failures, "\n".join(failures)
    assert watcher.shown >= COUNT // 2


def test_a_canvas_that_differs_is_found(stage: Stage, watcher: Watcher) -> None:
    performance = Performance(stage)
    performance.play([("set", {"mode": "lossless"}), ("wait", 20), ("fill", 4, (10, 20, 30, 40), 0xC0DE), ("set", {})])
    watcher.check(performance)
    spectator = performance.audience[0]
    late = [data for data in spectator.sent if wire.peek(data).frame_id > 1]
    assert late
    performance.audience = [replace(spectator, sent=spectator.sent[: -len(late)])]
    with pytest.raises(Mismatch, match="1200 pixels in x 10…39, y 20…59"):
        watcher.check(performance)
