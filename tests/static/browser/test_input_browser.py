"""Input comes first: it reaches the server while the screen is busy with pictures. Measured in a real Chromium."""

from __future__ import annotations

import statistics
import time

from fake_server import FakeServer, wait_for
from pictures import pack
from playwright.sync_api import Page

from stripeengine import wire

SIZE = (1600, 1200)
FRAMES = 48
# A key a tick, with the time of its event (ms since 1970) as far as the page goes.
TYPE = """() => {
  const area = document.querySelector('textarea.keys');
  const sent = window.sent = [];
  window.typing = setInterval(() => {
    sent.push(performance.timeOrigin + performance.now());
    const kind = sent.length % 2 ? 'keydown' : 'keyup';
    area.dispatchEvent(new KeyboardEvent(kind, {code: 'KeyA', key: 'a', bubbles: true, cancelable: true}));
  }, 20);
}"""


def test_input_does_not_wait_for_pictures(page: Page, server: FakeServer) -> None:
    server.greeting = [pack(1, [wire.fill_op((0, 0, *SIZE), 0)], size=SIZE, kind=wire.SNAPSHOT)]
    page.goto(f"{server.url}/s/x/")
    server.wait_ack(1)
    # Few bytes, and much to do for each in one piece.
    heavy = [pack(number, [wire.fill_op((0, 0, *SIZE), number)] * 60, size=SIZE) for number in range(2, FRAMES + 2)]
    page.evaluate(TYPE)
    wait_for("keys", lambda: len(server.events()) > 5)
    began = time.time()
    server.send(*heavy)
    server.wait_ack(FRAMES + 1)
    ended = time.time()
    page.evaluate("() => clearInterval(window.typing)")
    sent = page.evaluate("() => window.sent")
    wait_for("all keys", lambda: len(server.events()) == len(sent))
    messages = server.texts("input")
    assert [m["seq"] for m in messages] == list(range(1, len(sent) + 1))
    pairs = zip(server.input_times, sent, strict=True)
    delays = [received - at / 1000 for received, at in pairs if began < at / 1000 < ended]
    print(f"{len(delays)} keys in {ended - began:.2f} s, median {statistics.median(delays) * 1000:.1f} ms")
    assert len(delays) >= 4
    assert statistics.median(delays) < (ended - began) / 8, "keys waited for pictures"
