"""What a display sees of the canvas of a real Chromium, animation frame by animation frame."""

from __future__ import annotations

import time

import numpy as np
import pytest
from fake_server import FakeServer, wait_for
from pictures import Pixels, encode_jpeg, jpeg_frame, pack
from playwright.sync_api import Page, expect

from stripeengine import wire
from stripeengine.lossless import encode_batch

SIZE = (640, 480)
# A spectator of what the compositor has, not of the client's memory: for each animation frame the two halves' colour.
WATCH = """() => {
  const screen = document.getElementById('screen');
  const small = new OffscreenCanvas(2, 1).getContext('2d', {willReadFrequently: true});
  const seen = window.seen = [];
  (function sample() {
    small.drawImage(screen, 100, 100, 8, 8, 0, 0, 1, 1);
    small.drawImage(screen, 420, 400, 8, 8, 1, 0, 1, 1);
    const [r, g, , , R, G] = small.getImageData(0, 0, 2, 1).data;
    seen.push([r, g, R, G, performance.now()]);
    requestAnimationFrame(sample);
  })();
}"""


def colour_of(number: int) -> tuple[int, int]:
    """Red and green of a frame, far enough from each other's for a JPEG: 8 × 8 steps."""
    return 16 + 32 * (number % 8), 16 + 32 * (number // 8 % 8)


def number_of(red: int, green: int) -> int:
    return (red // 32) % 8 + 8 * (green // 32)


def half(number: int) -> Pixels:
    picture = np.zeros((480, 320, 3), np.uint8)
    picture[:, :, 0], picture[:, :, 1] = colour_of(number)
    return picture


def two_region_frame(number: int, torn: bool = False) -> list[bytes]:
    """The left half losslessly, the right half as JPEG: decoded side by side. ``torn``: as two frames."""
    area = wire.PayloadArea()
    left = area.lossless([(0, 0, 320, 480)], encode_batch([half(number)]))
    if torn:
        return [
            pack(2 * number, left, area.getvalue(), SIZE),
            jpeg_frame(2 * number + 1, [(320, 0, half(number))], SIZE),
        ]
    right = area.op(wire.JPEG, (320, 0, 320, 480), encode_jpeg(half(number)))
    return [pack(2 * number + 1, [*left, right], area.getvalue(), SIZE)]


def stream(page: Page, server: FakeServer, count: int, torn: bool = False) -> list[tuple[int, int]]:
    """Show ``count`` frames at an uneven pace; return the numbers seen left and right, oldest first."""
    server.greeting = [jpeg_frame(1, [(0, 0, half(0)), (320, 0, half(0))], SIZE, kind=wire.SNAPSHOT)]
    page.goto(f"{server.url}/s/x/")
    server.wait_ack(1)
    page.evaluate(WATCH)
    messages = [two_region_frame(number, torn) for number in range(1, count + 1)]
    random = np.random.default_rng(5)
    for number, parts in enumerate(messages, 1):
        for message in parts:
            server.send(message)
            if torn:
                time.sleep(0.02)
        wait_for("room", lambda number=number: acked(server) >= 2 * number - 11)
        time.sleep(random.choice([0, 0, 0.004, 0.012, 0.03]))
    server.wait_ack(2 * count + 1)
    page.evaluate("() => new Promise(done => setTimeout(done, 100))")
    return [(number_of(r, g), number_of(R, G)) for r, g, R, G, _ in page.evaluate("() => window.seen")]


def acked(server: FakeServer) -> int:
    return max((int(ack["frame"]) for ack in server.texts("ack")), default=0)


@pytest.mark.parametrize(("worker", "smooth"), [(True, False), (False, True)], ids=["worker", "main-thread-smooth"])
def test_no_display_ever_sees_half_a_frame(page: Page, server: FakeServer, worker: bool, smooth: bool) -> None:
    server.config = {"worker": worker}
    page.add_init_script(f"localStorage.setItem('stripedesk.smooth', '{str(smooth).lower()}')")
    for _ in range(3):
        server.received.clear()
        seen = stream(page, server, 63)
        stats = page.evaluate("() => document.getElementById('screen').stripedesk.stats()")
        if stats["failures"] == 0:  # a decode of half a second is one, and leaves its rectangle as it was
            break
    assert [pair for pair in seen if pair[0] != pair[1]] == []
    lefts = [left for left, _ in seen]
    assert lefts == sorted(lefts) and lefts[-1] == 63, "in order, to the last"
    assert len(set(lefts)) > 15
    assert stats["worker"] is worker and stats["smoothing"] is smooth and stats["failures"] == 0


def test_the_spectator_would_see_half_a_frame(page: Page, server: FakeServer) -> None:
    seen = stream(page, server, 30, torn=True)
    assert [pair for pair in seen if pair[0] != pair[1]] != []


def test_smoothing_is_a_switch_that_says_what_it_costs_and_stays(page: Page, server: FakeServer) -> None:
    server.greeting = [jpeg_frame(1, [(0, 0, half(0))], SIZE, kind=wire.SNAPSHOT)]
    page.goto(f"{server.url}/s/x/")
    server.wait_ack(1)
    button = page.get_by_role("button", name="Smooth movement")
    expect(button).to_have_attribute("aria-pressed", "false")
    button.focus()
    page.keyboard.press("Enter")
    expect(button).to_have_attribute("aria-pressed", "true")
    page.locator("#toolbar button[aria-label=Statistics]").click()
    expect(page.locator("#overlay .stats")).to_contain_text("costs 17 ms")
    page.reload()
    expect(button).to_have_attribute("aria-pressed", "true")
