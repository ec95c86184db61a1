"""What a page lives through, in a real Chromium: servers that die, hiding, sleeping, a network that changes."""

from __future__ import annotations

import pytest
from fake_server import FakeServer, make_welcome, wait_for
from pictures import jpeg_frame, make_picture, pack, shown
from playwright.sync_api import Page, expect

from stripeengine import wire

SIZE = (640, 480)
KEPT = ("pagehide", "pageshow")
# Headless pages are always visible: this says otherwise, as a browser does.
HIDE = """(hidden) => {
  Object.defineProperty(document, 'hidden', {value: hidden, configurable: true});
  document.dispatchEvent(new Event('visibilitychange'));
}"""


def open_viewer(page: Page, server: FakeServer) -> None:
    server.greeting = [jpeg_frame(5, [(0, 0, make_picture(*SIZE))], SIZE, kind=wire.SNAPSHOT)]
    page.goto(f"{server.url}/s/x/")
    server.wait_ack(5)
    expect(page.locator("#veil")).to_be_hidden()
    page.evaluate("() => { document.body.dataset.mark = 'kept'; }")


def stats(page: Page) -> dict:
    return dict(page.evaluate("() => document.getElementById('screen').stripedesk.stats()"))


def hellos(server: FakeServer) -> int:
    return len(server.texts("hello"))


def test_a_killed_server_is_survived_without_a_reload(page: Page, server: FakeServer) -> None:
    open_viewer(page, server)
    page.locator("#screen").click(position={"x": 200, "y": 200})
    page.keyboard.down("a")
    wait_for("the key", lambda: ["key", "KeyA", "a", True] in server.events())
    before = shown(page, 0, 0, *SIZE)
    server.kill()
    veil = page.locator("#veil")
    expect(veil).to_contain_text("Connection lost")
    expect(veil).to_have_class("see-through")
    assert (shown(page, 0, 0, *SIZE) == before).all(), "the last picture stays, dimmed"
    page.keyboard.up("a")
    for _ in range(16):  # the toolbar lies between
        page.keyboard.press("Tab")
        if page.evaluate("() => document.activeElement.textContent") == "Try now":
            break
    expect(page.get_by_role("button", name="Try now")).to_be_focused()
    # Another process behind the same address: another viewer id, a newer picture, and numbers of its own.
    server.received.clear()
    server.welcome = make_welcome(viewer="b2")
    picture = make_picture(*SIZE, seed=4)
    server.greeting = [jpeg_frame(3, [(0, 0, picture)], SIZE, kind=wire.SNAPSHOT)]
    server.revive()
    page.keyboard.press("Enter")
    server.wait_ack(3)
    expect(veil).to_be_hidden()
    assert (shown(page, 0, 0, *SIZE) != before).any()
    assert page.evaluate("() => document.body.dataset.mark") == "kept"
    assert server.events() == [], "the server has released the key that was held"
    page.keyboard.press("b")  # the focus is back where keys belong
    wait_for("a key", lambda: ["key", "KeyB", "b", False] in server.events())
    assert [m["seq"] for m in server.texts("input")] == [1, 2]


def test_a_page_returns_by_itself_each_time(page: Page, server: FakeServer) -> None:
    open_viewer(page, server)
    for frame in (7, 9):
        server.kill()
        expect(page.locator("#veil")).to_contain_text("Connection lost")
        server.greeting = [jpeg_frame(frame, [(0, 0, make_picture(*SIZE, seed=frame))], SIZE, kind=wire.SNAPSHOT)]
        server.revive()
        server.wait_ack(frame)
        expect(page.locator("#veil")).to_be_hidden()
    assert page.evaluate("() => document.body.dataset.mark") == "kept"


def test_a_hidden_page_costs_nothing_and_resumes_exactly(page: Page, server: FakeServer) -> None:
    open_viewer(page, server)
    page.evaluate(HIDE, True)
    wait_for("the word", lambda: server.texts("visibility"))
    acks, frames = len(server.texts("ack")), stats(page)["frames"]
    # Sent before the server knew.
    server.send(pack(6, [wire.fill_op((0, 0, 64, 64), 0xFF0000)], size=SIZE))
    server.send(pack(7, [wire.copy_op((64, 0, 64, 64), 0, 0)], size=SIZE))
    pings = len(server.texts("ping"))
    wait_for("two heartbeats", lambda: len(server.texts("ping")) >= pings + 2)
    assert (len(server.texts("ack")), stats(page)["frames"]) == (acks, frames)
    page.evaluate(HIDE, False)
    # What has changed meanwhile comes as a repair, after what was on its way.
    server.send(pack(9, [wire.fill_op((0, 0, 32, 32), 0x00FF00)], size=SIZE, kind=wire.SNAPSHOT, flags=4))
    server.wait_ack(9)
    now = shown(page, 0, 0, 128, 64)
    assert (now[:32, :32] == [0, 255, 0]).all()
    assert (now[32:, :64] == [255, 0, 0]).all() and (now[:, 64:] == [255, 0, 0]).all()
    assert [v["hidden"] for v in server.texts("visibility")] == [True, False]
    assert hellos(server) == 1 and stats(page)["failures"] == 0


def test_a_page_that_is_hidden_tells_a_new_server_too(page: Page, server: FakeServer) -> None:
    open_viewer(page, server)
    page.evaluate(HIDE, True)
    wait_for("the word", lambda: server.texts("visibility"))
    server.kill()
    server.revive()
    wait_for("the word again", lambda: len(server.texts("visibility")) == 2)
    assert server.texts("visibility")[-1]["hidden"] is True
    page.evaluate(HIDE, False)
    expect(page.locator("#veil")).to_be_hidden()


@pytest.mark.parametrize(
    ("sleep", "wake"),
    [("document.dispatchEvent(new Event('freeze'))", "document.dispatchEvent(new Event('resume'))")]
    + [tuple(f"window.dispatchEvent(new PageTransitionEvent('{kind}', {{persisted: true}}))" for kind in KEPT)],
    ids=["frozen", "kept"],
)
def test_a_page_that_sleeps_has_no_connection_until_it_wakes(
    page: Page, server: FakeServer, sleep: str, wake: str
) -> None:
    open_viewer(page, server)
    page.evaluate(f"() => {sleep}")
    wait_for("the end of the connection", lambda: server.connections[0].close_code == 1000)
    expect(page.locator("#veil")).to_contain_text("Paused")
    assert hellos(server) == 1
    page.evaluate(f"() => {wake}")
    wait_for("a second hello", lambda: hellos(server) == 2)
    expect(page.locator("#veil")).to_be_hidden()
    assert page.evaluate("() => document.body.dataset.mark") == "kept"


def test_a_network_that_changes_makes_the_page_ask(page: Page, server: FakeServer) -> None:
    server.welcome = make_welcome(heartbeat_s=300)
    open_viewer(page, server)
    pings = len(server.texts("ping"))

    def asked() -> bool:
        page.evaluate("() => window.dispatchEvent(new Event('online'))")
        return len(server.texts("ping")) > pings

    wait_for("a question, once the server has been silent for a while", asked)
    assert hellos(server) == 1
