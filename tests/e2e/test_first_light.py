"""The whole road: log in, launch, see, type, share, refuse, revoke, preset, crash and recovery."""

from __future__ import annotations

import asyncio
import os
import signal
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from playwright.sync_api import BrowserContext, Page, expect
from product import Product, wait_for
from stack import Stack

from benchmarks.delivery.shaper import LinkShape, Shaper
from stripeengine.settings import EngineSettings


def difference(product: Product, page: Page, session_id: str) -> np.ndarray:
    """Per pixel, the largest difference of a channel between the canvas and the X screen."""
    screen = product.screen(session_id).astype(int)
    canvas = product.canvas(page).astype(int)
    assert canvas.shape == screen.shape
    return np.asarray(np.abs(canvas - screen).max(axis=2))


def assert_same_picture(product: Product, page: Page, session_id: str, mean: float = 1.5, far: float = 0.002) -> None:
    """The canvas shows the X screen within the error of a paint-over at rest.

    ``mean`` is the mean difference in levels; ``far`` the share of pixels more than 48 levels off (sharp coloured edges
    under 4:2:0).
    """
    last = ""

    def same() -> bool:
        nonlocal last
        off = difference(product, page, session_id)
        last = f"mean {off.mean():.2f}, {(off > 48).mean():.4%} far off"
        return bool(off.mean() <= mean and (off > 48).mean() <= far)

    try:
        wait_for("the same picture", same, 10, 0.3)
    except AssertionError as error:
        raise AssertionError(f"{error}: {last}") from None


def is_still(product: Product, session_id: str) -> bool:
    """Whether nothing moves on the X screen for a while."""
    first = product.screen(session_id)
    time.sleep(0.7)
    return bool((product.screen(session_id) == first).all())


def canvas_at_rest(product: Product, page: Page) -> np.ndarray:
    """The canvas once it has shown the same for a second: what is sharpened at rest has come."""

    def still() -> list[np.ndarray]:
        first = product.canvas(page)
        time.sleep(1)
        return [first] if (product.canvas(page) == first).all() else []

    [canvas] = wait_for("a canvas at rest", still)
    return np.asarray(canvas)


def type_line(page: Page, text: str) -> None:
    page.locator("#screen").click(position={"x": 200, "y": 200})
    page.keyboard.type(text, delay=15)
    page.keyboard.press("Enter")


def pick_preset(product: Product, page: Page, session_id: str, name: str) -> None:
    """Choose a preset in the toolbar, as a person does: it comes when the pointer touches the top edge."""
    page.mouse.move(600, 300)
    page.mouse.move(600, 1)
    page.select_option("#toolbar select[name=preset]", label=name)
    page.mouse.move(600, 300)
    wait_for("the preset", lambda: product.session(session_id)["preset"] == name)


def make_preset(product: Product, name: str, **settings: object) -> str:
    """Save a preset through the portal's form; return its name."""
    values = EngineSettings().replace(settings).as_dict()
    # A form's box that is not ticked is not sent.
    fields = {f"setting_{key}": str(value) for key, value in values.items() if value is not False}
    answer = product.post("/presets/new/", name=name, help="", **fields)
    assert answer.ok and name in product.page.request.get(f"{product.stack.url}/presets/").text()
    return name


@pytest.fixture
def terminal(product: Product) -> str:
    """A running terminal session whose shell has written its prompt."""
    session_id = product.launch("terminal")

    def settled() -> bool:
        prompt = len(np.unique(product.screen(session_id).reshape(-1, 3), axis=0)) > 4  # antialiased letters
        return prompt and is_still(product, session_id)

    wait_for("the terminal's prompt", settled, 20)
    return session_id


def test_terminal_reaches_the_canvas_and_keys_reach_the_terminal(product: Product, page: Page, terminal: str) -> None:
    product.view(terminal)
    assert_same_picture(product, page, terminal)
    before = product.screen(terminal)
    type_line(page, "echo stripes-$((6*7)) > /tmp/typed; seq 1 12")
    wait_for("typed text on the X screen", lambda: (product.screen(terminal) != before).any())
    assert_same_picture(product, page, terminal)
    init = product.spawner_state(terminal)["init"]["pid"]
    typed = Path("/proc", str(init), "root", "tmp", "typed")
    wait_for("the command's output", typed.exists)
    assert typed.read_text() == "stripes-42\n"


def test_untouched_areas_stay_as_they_are(product: Product, page: Page, terminal: str) -> None:
    product.view(terminal)
    assert_same_picture(product, page, terminal)
    time.sleep(1)
    before, screen_before = product.canvas(page), product.screen(terminal)
    type_line(page, "echo here")
    time.sleep(2)
    after, screen_after = product.canvas(page), product.screen(terminal)
    stripes = [slice(y, y + 64) for y in range(0, screen_before.shape[0], 64)]
    quiet = [s for s in stripes if (screen_before[s] == screen_after[s]).all()]
    assert len(quiet) >= 4, "typing one line should leave most stripes alone"
    for stripe in quiet:
        assert (before[stripe] == after[stripe]).all()


def test_shared_link_shows_the_same_refuses_input_and_closes(
    product: Product, page: Page, terminal: str, browser, stack
) -> None:
    product.view(terminal)
    page.goto(f"{stack.url}/s/{terminal}/share/")
    page.fill("input[name=label]", "for a guest")
    page.get_by_role("button", name="Create link").click()
    url = page.locator("#new-link").input_value()
    assert "#" in url
    secret = url.split("#", 1)[1]
    guest_context: BrowserContext = browser.new_context()
    try:
        guest = guest_context.new_page()
        guest.goto(url)
        product.wait_picture(guest)
        assert secret not in guest.url
        assert_same_picture(product, guest, terminal)

        before = product.screen(terminal)
        guest.evaluate(
            "() => document.getElementById('screen').stripedesk.sendUnchecked({type: 'input', seq: 1,"
            " events: [['key', 'KeyX', 'x', true], ['key', 'KeyX', 'x', false], ['key', 'Enter', 'Enter', true]]})"
        )
        time.sleep(1.5)
        assert (product.screen(terminal) == before).mean() > 0.999  # a cursor may blink
        wait_for("the refusal", lambda: product.stats(guest).get("notices", {}).get("input-refused"))

        page.goto(f"{stack.url}/s/{terminal}/share/")
        page.get_by_role("button", name="Revoke").click()
        expect(guest.locator("#veil")).to_contain_text("link", timeout=3000)
        # The same link does not open again.
        again = guest_context.new_page()
        again.goto(url)
        expect(again.locator("#veil")).to_contain_text("does not work", timeout=5000)
    finally:
        guest_context.close()
    assert secret not in "".join(stack.lines)


def test_preset_changes_the_bytes_at_once(product: Product, page: Page, terminal: str) -> None:
    fine = make_preset(product, "Fine pictures", mode="jpeg", chroma="444", jpeg_quality=88, paint_over_jpeg_quality=97)
    coarse = make_preset(product, "Coarse pictures", mode="jpeg", jpeg_quality=20, paint_over=False)
    product.view(terminal)

    def bytes_of_a_full_redraw() -> int:
        time.sleep(2)
        start = product.stats(page)["bytes"]
        type_line(page, "clear; head -c 2500 /dev/urandom | base64")  # never the same: nothing to copy
        time.sleep(2.5)
        return int(product.stats(page)["bytes"] - start)

    sizes: dict[str, list[int]] = {}
    for preset in (fine, coarse, fine):
        pick_preset(product, page, terminal, preset)
        sizes.setdefault(preset, []).append(bytes_of_a_full_redraw())
    assert max(sizes[coarse]) < 0.6 * min(sizes[fine]), sizes


def test_h264_preset_shows_the_same_picture(product: Product, page: Page, terminal: str) -> None:
    streamed = make_preset(product, "Streamed", mode="h264")
    product.view(terminal)
    pick_preset(product, page, terminal, streamed)
    type_line(page, "for i in $(seq 200); do echo $i the quick brown fox; done")
    wait_for("video ops", lambda: product.stats(page).get("ops", {}).get("h264", 0) > 0)
    time.sleep(2)
    assert_same_picture(product, page, terminal, mean=3.0, far=0.01)


def test_killed_worker_comes_back_on_the_same_desktop(product: Product, page: Page, terminal: str) -> None:
    product.view(terminal)
    type_line(page, "echo before-the-crash")
    assert_same_picture(product, page, terminal)
    state = product.spawner_state(terminal)
    epoch = product.stats(page)["epoch"]
    os.kill(state["worker"]["pid"], signal.SIGKILL)
    wait_for("a new epoch", lambda: product.stats(page)["epoch"] != epoch, 10)
    assert product.spawner_state(terminal)["init"]["pid"] == state["init"]["pid"]
    assert_same_picture(product, page, terminal)
    type_line(page, "echo after-the-crash")
    assert_same_picture(product, page, terminal)


def test_a_hidden_page_is_sent_nothing_and_resumes_exactly(product: Product, page: Page, terminal: str) -> None:
    product.view(terminal)
    assert_same_picture(product, page, terminal)
    hide = """(hidden) => {
      Object.defineProperty(document, 'hidden', {value: hidden, configurable: true});
      document.dispatchEvent(new Event('visibilitychange'));
    }"""
    page.evaluate(hide, True)
    other = product.view(terminal, page.context.new_page())
    before, started = product.stats(page), product.screen(terminal)
    type_line(other, "for i in $(seq 60); do echo $i; sleep 0.01; done")
    wait_for("scrolling", lambda: (product.screen(terminal) != started).mean() > 0.001)
    assert_same_picture(product, other, terminal)
    after = product.stats(page)
    assert after["bytes"] - before["bytes"] < 5000 and after["ops"] == before["ops"]
    page.evaluate(hide, False)
    assert_same_picture(product, page, terminal)
    assert product.stats(page)["resyncs"] == 0
    other.close()


@pytest.fixture
def link(stack: Stack) -> Iterator[Shaper]:
    """A line to the product that a test may make thin."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    shaper = Shaper("127.0.0.1", stack.port, LinkShape())
    asyncio.run_coroutine_threadsafe(shaper.start(), loop).result(10)
    yield shaper
    asyncio.run_coroutine_threadsafe(shaper.stop(), loop).result(10)
    loop.call_soon_threadsafe(loop.stop)
    thread.join()


def test_a_thin_line_shows_newest_states_and_ends_with_the_same_picture(
    product: Product, page: Page, terminal: str, link: Shaper
) -> None:
    page.goto(f"http://127.0.0.1:{link.port}/s/{terminal}/")
    product.wait_picture(page)
    link.shape.kbps, link.shape.delay, link.shape.jitter = 200, 0.02, 0.01
    type_line(page, "for i in $(seq 150); do seq $i $((i + 9)) | tr '\\n' ' '; sleep 0.01; done")
    wait_for("repairs instead of a backlog", lambda: product.stats(page)["repairs"] > 1, 30)
    link.shape.kbps = 0
    wait_for("the command's end", lambda: is_still(product, terminal), 30)
    assert_same_picture(product, page, terminal)
    stats = product.stats(page)
    complaints = ("snapshots", "resyncs", "failures", "malformed", "dropped")
    assert [stats[name] for name in complaints] == [1, 0, 0, 0, 0]


def test_killed_web_process_is_survived_without_a_reload(
    product: Product, page: Page, terminal: str, stack: Stack
) -> None:
    product.view(terminal)
    page.evaluate("() => { document.body.dataset.mark = 'kept'; }")
    page.locator("#screen").click(position={"x": 200, "y": 200})
    page.keyboard.down("Shift")  # held when the server dies
    before = canvas_at_rest(product, page)
    old = stack.web_pids()
    assert old, "no web process found"
    for pid in old:
        os.kill(pid, signal.SIGKILL)
    expect(page.locator("#veil")).to_contain_text("Connection lost")
    assert (product.canvas(page) == before).all(), "the last picture stays, dimmed"
    expect(page.locator("#veil")).to_be_hidden(timeout=30_000)
    assert stack.web_pids().isdisjoint(old)
    assert page.evaluate("() => document.body.dataset.mark") == "kept"
    page.keyboard.up("Shift")
    page.keyboard.type("echo small > /tmp/small", delay=15)
    page.keyboard.press("Enter")
    typed = Path("/proc", str(product.spawner_state(terminal)["init"]["pid"]), "root", "tmp", "small")
    wait_for("the command's output: Shift is not held any more", typed.exists)
    assert_same_picture(product, page, terminal)


def test_second_stop_says_so(product: Product, page: Page, terminal: str) -> None:
    first = product.post(f"/s/{terminal}/stop/")
    assert first.ok
    second = product.post(f"/s/{terminal}/stop/")
    assert second.status < 500
    assert "already" in second.text()
    product.wait_state(terminal, "ended")
    assert product.session(terminal)["state"] == "ended"
    assert "stopped by" in product.session(terminal)["detail"]


def test_desktop_template_looks_like_a_desktop(product: Product, page: Page) -> None:
    desktop = product.launch("desktop")
    product.view(desktop)
    time.sleep(2)
    assert_same_picture(product, page, desktop)
    colours = np.unique(product.screen(desktop)[::4, ::4].reshape(-1, 3), axis=0)
    assert len(colours) > 50, "a wallpaper, a panel and icons have many colours"


def test_an_idle_terminal_sends_nothing(product: Product, page: Page, terminal: str) -> None:
    product.view(terminal)
    assert_same_picture(product, page, terminal)

    def silent() -> bool:
        before = product.stats(page)["bytes"]
        time.sleep(4)
        return bool(product.stats(page)["bytes"] == before)

    wait_for("four seconds without a byte", silent, 15)  # the last repairs may be late where there is little CPU


@pytest.mark.parametrize("mode", ["auto", "lossless"])
def test_a_still_screen_is_exact(product: Product, page: Page, terminal: str, mode: str) -> None:
    product.stack.query(f"QualityPreset.objects.get_or_create(name='Exact {mode}', settings={{'mode': '{mode}'}})[1]")
    product.view(terminal)
    pick_preset(product, page, terminal, f"Exact {mode}")
    for line in (
        "for i in $(seq 300); do echo $i the quick brown fox $((i * i)); done",
        "clear",
        "ls -la /usr/bin | head -60",
    ):
        type_line(page, line)
        time.sleep(0.7)
    for _ in range(6):  # at the bottom of a full terminal: each scrolls by a line
        page.keyboard.press("Enter")
        time.sleep(0.1)
    assert_same_picture(product, page, terminal, mean=0, far=0)
    assert product.stats(page)["ops"].get("lossless", 0) > 0
    assert product.stats(page)["losslessMethod"] == "wasm"
    assert product.stats(page)["ops"].get("copy", 0) > 0
    assert product.stats(page)["resyncs"] == 0
