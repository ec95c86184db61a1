"""The browser client in a real Chromium, against a server whose every word the test chooses."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from fake_server import FakeServer, make_welcome, wait_for
from pictures import EPOCH, VideoStripe, difference, encode_jpeg, jpeg_frame, make_picture, now_us, pack, shown
from playwright.sync_api import Page, expect

from stripeengine import wire
from stripeengine.lossless import encode_batch

VECTORS = Path(__file__).resolve().parents[2] / "vectors"
SIZE = (640, 480)
PARTIAL = 4
"""The header's flag of a repair."""


def open_viewer(page: Page, server: FakeServer, frame: int = 5) -> None:
    """Open the page on a picture of SIZE, given as a snapshot as of ``frame``."""
    server.greeting = [jpeg_frame(frame, [(0, 0, make_picture(*SIZE))], SIZE, kind=wire.SNAPSHOT)]
    page.goto(f"{server.url}/s/x/")
    server.wait_ack(frame)
    expect(page.locator("#veil")).to_be_hidden()


def stats(page: Page) -> dict:
    return dict(page.evaluate("() => document.getElementById('screen').stripedesk.stats()"))


def vectors() -> list[dict]:
    return list(json.loads((VECTORS / "manifest.json").read_text())["vectors"])


@pytest.mark.parametrize("worker", [True, False], ids=["worker", "main-thread"])
def test_jpeg_stripes_are_shown_as_sent(page: Page, server: FakeServer, worker: bool) -> None:
    server.config = {"worker": worker}
    open_viewer(page, server)
    assert stats(page)["worker"] is worker
    assert difference(shown(page, 0, 0, *SIZE), make_picture(*SIZE)).mean() < 2
    picture = make_picture(*SIZE, seed=3)
    before = shown(page, 0, 0, *SIZE)
    for number, top in enumerate(range(64, 320, 64)):
        server.send(jpeg_frame(6 + number, [(0, top, picture[top : top + 64])], SIZE))
    ack = server.wait_ack(9)
    assert ack["epoch"] == EPOCH
    now = shown(page, 0, 0, *SIZE)
    off = difference(now[64:320], picture[64:320])
    assert off.mean() < 2 and off.max() < 60
    assert (now[:64] == before[:64]).all() and (now[320:] == before[320:]).all()
    assert stats(page)["ops"]["jpeg"] == 5


@pytest.mark.parametrize("worker", [True, False], ids=["worker", "main-thread"])
def test_video_stripes_are_shown_as_sent(page: Page, server: FakeServer, worker: bool) -> None:
    server.config = {"worker": worker}
    open_viewer(page, server)
    assert "h264" in server.texts("hello")[0]["codecs"]
    stripes = [VideoStripe(640, 240) for _ in range(2)]
    picture = make_picture(*SIZE)
    for number in range(12):
        picture = make_picture(*SIZE, seed=number)
        area = wire.PayloadArea()
        ops = [
            area.op(
                wire.H264,
                (0, 240 * i, 640, 240),
                stripe.encode(picture[240 * i : 240 * (i + 1)]),
                flags=wire.KEY if number == 0 else 0,
                stream=i,
            )
            for i, stripe in enumerate(stripes)
        ]
        server.send(pack(6 + number, ops, area.getvalue(), SIZE))
    server.wait_ack(17)
    off = difference(shown(page, 0, 0, *SIZE), picture)
    assert off.mean() < 4, off.mean()
    counted = stats(page)
    assert counted["failures"] == 0 and counted["resyncs"] == 0
    assert counted["ops"]["h264"] == 24 and counted["h264Codec"].startswith("avc1.42")


def test_delta_without_key_is_reported_once_and_holds_nothing_up(page: Page, server: FakeServer) -> None:
    open_viewer(page, server)
    stripe = VideoStripe(640, 64)
    stripe.encode(make_picture(640, 64))
    before = shown(page, 0, 0, *SIZE)
    for number in range(4):
        area = wire.PayloadArea()
        delta = area.op(wire.H264, (0, 0, 640, 64), stripe.encode(make_picture(640, 64, number)), stream=3)
        ops = [delta, wire.fill_op((0, 100 + number, 640, 1), 0xFF0000)]
        server.send(pack(6 + number, ops, area.getvalue(), SIZE))
    server.wait_ack(9)
    now = shown(page, 0, 0, *SIZE)
    assert (now[:64] == before[:64]).all()
    assert (now[100:104] == [255, 0, 0]).all()
    [missed] = server.texts("missed")
    assert missed == {"type": "missed", "epoch": EPOCH, "frame": 6, "areas": [[0, 0, 640, 64]], "streams": [3]}
    order = [m["type"] for m in server.received if m["type"] in ("missed", "ack") and m["frame"] >= 6]
    assert order[0] == "missed", "before the acknowledgement that covers it"
    assert stats(page)["failures"] == 4
    fill = [wire.fill_op((0, 0, 640, 64), 0x00FF00)]
    server.send(pack(9, fill, size=SIZE, kind=wire.SNAPSHOT, flags=PARTIAL))
    wait_for("the repair", lambda: stats(page)["repairs"] == 1)
    assert (shown(page, 0, 0, 640, 64) == [0, 255, 0]).all()
    assert server.texts("resync") == []


def test_stretched_repairs_lie_over_what_they_cover_alone(page: Page, server: FakeServer) -> None:
    open_viewer(page, server)
    before = shown(page, 0, 0, *SIZE)
    area = wire.PayloadArea()
    picture = make_picture(160, 32, 4)
    ops = [area.op(wire.JPEG, (64, 64, 320, 64), encode_jpeg(picture), (160, 32))]
    server.send(pack(5, ops, area.getvalue(), SIZE, kind=wire.SNAPSHOT, flags=PARTIAL))
    wait_for("the repair", lambda: stats(page)["repairs"] == 1)
    now = shown(page, 0, 0, *SIZE).copy()
    stretched = picture.repeat(2, axis=0).repeat(2, axis=1)
    assert difference(now[64:128, 64:384], stretched).mean() < 6
    now[64:128, 64:384] = before[64:128, 64:384]
    assert (now == before).all()


@pytest.mark.parametrize("method", ["wasm", "javascript"])
def test_vectors_are_shown_and_refused_as_the_manifest_says(page: Page, server: FakeServer, method: str) -> None:
    if method == "javascript":
        server.policy = server.policy.replace(" 'wasm-unsafe-eval'", "")
    page.goto(f"{server.url}/s/x/")
    wait_for("the connection", lambda: server.connections)
    wait_for("the decoder", lambda: stats(page)["losslessMethod"] == method)
    hello = server.texts("hello")[0]
    wrong = []
    played = 0
    for number, vector in enumerate(vectors()):
        if not set(vector.get("requires", [])) <= set(hello["codecs"]):
            continue
        played += 1
        before = count_refusals(page)
        server.received.clear()
        server.send(*fresh_epoch(vector["messages"], number))
        picture = vector["expected"]["file"] if vector["valid"] else "pictures/empty-frame.rgb"
        limits = vector["expected"] if vector["valid"] else {"mean_error": 0, "max_error": 0}
        if vector["valid"]:
            server.wait_ack(vector["frame_id"])
        else:
            wait_for(f"{vector['name']}: the refusal", lambda before=before: count_refusals(page) > before)
        width, height = vector["width"], vector["height"]
        expected = np.frombuffer((VECTORS / picture).read_bytes(), np.uint8).reshape(height, width, 3)
        off = difference(shown(page, 0, 0, width, height), expected)
        if off.mean() > limits["mean_error"] or off.max() > limits["max_error"]:
            wrong.append(f"{vector['name']}: mean {off.mean():.2f}, at most {off.max()}")
    assert wrong == []
    assert played >= 70
    assert stats(page)["losslessMethod"] == method


@pytest.mark.parametrize("worker", [True, False], ids=["worker", "main-thread"])
@pytest.mark.parametrize("missing", [True, False], ids=["no-module", "module"])
def test_lossless_pictures_are_shown_with_and_without_the_module(
    page: Page, server: FakeServer, worker: bool, missing: bool
) -> None:
    server.config = {"worker": worker}
    if missing:
        page.add_init_script("delete globalThis.WebAssembly;")  # for the main thread
        page.context.route("**/*.wasm", lambda route: route.abort())
    open_viewer(page, server)
    method = "javascript" if missing else "wasm"
    wait_for("the decoder", lambda: stats(page)["losslessMethod"] == method)
    # Two batches behind a picture that takes time: they wait for their commit, one in the module's memory.
    pictures = [make_picture(200, 90, seed) // 32 * 32 for seed in range(3)]
    frames = []
    for number, picture in enumerate(pictures):
        area = wire.PayloadArea()
        places = [(0, 100 * number, 200, 40), (0, 100 * number + 40, 200, 50)]
        ops = area.lossless(places, encode_batch([picture[:40], picture[40:]]))
        frames.append(pack(7 + number, ops, area.getvalue(), SIZE))
    server.send(jpeg_frame(6, [(240, 0, make_picture(400, 480, 2))], SIZE), *frames)
    server.wait_ack(9)
    for number, picture in enumerate(pictures):
        assert (shown(page, 0, 100 * number, 200, 90) == picture).all()
    assert stats(page)["losslessMethod"] == method
    assert stats(page)["failures"] == 0


def fresh_epoch(names: list[str], number: int) -> list[bytes]:
    """The vector's messages in an epoch of their own: a fresh reader without a fresh page."""
    messages = [bytearray((VECTORS / name).read_bytes()) for name in names]
    for message in messages:
        if len(message) >= 8 and message[4:8] != bytes(4):
            message[6] = number
    return [bytes(message) for message in messages]


def count_refusals(page: Page) -> int:
    counted = stats(page)
    return int(counted["malformed"] + counted["failures"] + counted["dropped"])


def test_lost_connection_shows_itself_and_comes_back_without_reloading(page: Page, server: FakeServer) -> None:
    open_viewer(page, server)
    page.evaluate("() => { document.body.dataset.mark = 'kept'; }")
    server.connections[-1].close(1012)
    wait_for("a second hello", lambda: len(server.texts("hello")) == 2)
    expect(page.locator("#veil")).to_be_hidden()
    assert page.evaluate("() => document.body.dataset.mark") == "kept"
    server.refuse = (1013, "busy", "Come back later.")
    server.connections[-1].close(1011)
    expect(page.locator("#veil")).to_contain_text("Connection lost")
    expect(page.locator("#veil")).to_contain_text("Come back later.")
    expect(page.locator("#veil button")).to_have_text("Try now")
    page.locator("#veil button").click()
    server.refuse = None
    expect(page.locator("#veil")).to_be_hidden()


@pytest.mark.parametrize(
    ("status", "code", "words"),
    [
        (4401, "unauthenticated", "Please log in"),
        (4403, "forbidden", "No permission"),
        (4404, "unknown-session", "No such session"),
        (4406, "version", "Reload"),
        (4410, "link-closed", "link is closed"),
        (4411, "session-ended", "has ended"),
    ],
)
def test_refusal_is_final_and_says_why(page: Page, server: FakeServer, status: int, code: str, words: str) -> None:
    server.refuse = (status, code, "Because <b>so</b>.")
    page.goto(f"{server.url}/s/x/")
    expect(page.locator("#veil")).to_contain_text(words)
    expect(page.locator("#veil")).to_contain_text("Because <b>so</b>.")
    page.wait_for_timeout(700)
    assert len(server.texts("hello")) == 1


def test_pointer_wheel_and_keys_reach_the_server_in_picture_pixels(page: Page, server: FakeServer) -> None:
    open_viewer(page, server)
    box = page.locator("#screen").bounding_box()
    assert box is not None and abs(box["width"] / box["height"] - 640 / 480) < 0.01
    scale = 640 / box["width"]
    page.mouse.move(box["x"] + 300 / scale, box["y"] + 200 / scale)
    page.mouse.down()
    page.mouse.move(box["x"] + 320 / scale, box["y"] + 210 / scale)
    page.mouse.up()
    page.mouse.click(box["x"] + 10, box["y"] + 300, button="right")
    page.mouse.wheel(0, 200)
    page.keyboard.press("Shift+A")
    page.keyboard.insert_text("né語")
    wait_for("text", lambda: ["text", "né語"] in server.events())
    events = server.events()
    x, y = next(e[1:] for e in events if e[0] == "move")
    assert abs(x - 300) <= 1 and abs(y - 200) <= 1
    assert [e for e in events if e[0] == "button"] == [
        ["button", 0, True],
        ["button", 0, False],
        ["button", 2, True],
        ["button", 2, False],
    ]
    assert ["release"] not in events, "a press must not lose what it holds"
    assert ["wheel", 0, 2] in events
    assert [e[1:] for e in events if e[0] == "key"] == [
        ["ShiftLeft", "Shift", True],
        ["KeyA", "A", True],
        ["KeyA", "A", False],
        ["ShiftLeft", "Shift", False],
    ]
    assert [m["seq"] for m in server.texts("input")] == list(range(1, len(server.texts("input")) + 1))


def test_blur_releases_and_the_chord_leads_to_the_toolbar(page: Page, server: FakeServer) -> None:
    open_viewer(page, server)
    page.locator("#screen").click(position={"x": 200, "y": 200})
    for key in ("Control", "Alt", "Shift"):
        page.keyboard.down(key)
    wait_for("a release", lambda: ["release"] in server.events())
    assert page.evaluate("() => document.getElementById('toolbar').contains(document.activeElement)")


def test_whoever_clicks_in_the_toolbar_goes_on_typing_in_the_session(page: Page, server: FakeServer) -> None:
    open_viewer(page, server)
    page.locator("#toolbar button[aria-label=Statistics]").click()
    page.keyboard.press("Space")
    wait_for("the key", lambda: ["key", "Space", " ", True] in server.events())
    expect(page.locator("#overlay .stats")).to_be_visible()
    page.locator("#toolbar button[aria-label=Help]").click()
    page.keyboard.press("Escape")
    expect(page.get_by_role("dialog")).to_have_count(0)


def test_view_only_sends_no_input(page: Page, server: FakeServer) -> None:
    server.welcome = make_welcome(role="viewer", permissions=["view"])
    open_viewer(page, server)
    expect(page.locator("#toolbar .badge")).to_have_text("View only")
    expect(page.locator("#toolbar select")).to_be_disabled()
    page.locator("#screen").click(position={"x": 200, "y": 200})
    page.keyboard.type("abc")
    page.evaluate("() => document.getElementById('screen').stripedesk.sendUnchecked({type: 'probe'})")
    wait_for("the probe", lambda: server.texts("probe"))
    assert server.texts("input") == []
    server.send({"type": "role", "role": "collaborator", "permissions": ["view", "input"]})
    expect(page.locator("#toolbar .badge")).to_have_text("Collaborator")
    page.locator("#screen").click(position={"x": 200, "y": 200})
    wait_for("input", lambda: server.texts("input"))


def test_preset_acts_at_once_and_hostile_names_stay_text(page: Page, server: FakeServer) -> None:
    open_viewer(page, server)
    page.select_option("#toolbar select[name=preset]", label="Low bandwidth")
    assert wait_for("the preset", lambda: server.texts("preset"))[0]["id"] == 2
    expect(page.locator("#preset-help")).to_have_text("For slow lines: <b>fewer</b> details.")
    server.send({"type": "preset", "id": 9, "name": "<img src=x onerror=alert(1)>"})
    expect(page.locator("#toolbar option[value='9']")).to_have_text("<img src=x onerror=alert(1)>")
    server.send({"type": "notice", "code": "x", "message": "<script>1</script>"})
    expect(page.locator("#overlay .toast p")).to_have_text("<script>1</script>")
    page.locator("#overlay .toast button").click()
    expect(page.locator("#overlay .toast")).to_have_count(0)
    expect(page.locator("#toolbar .name")).to_have_text("A <i>desktop</i>")


def test_link_takes_the_secret_out_of_the_address_and_fetches_a_ticket_each_time(
    page: Page, server: FakeServer
) -> None:
    server.welcome = make_welcome(role="viewer", permissions=["view"])
    server.greeting = [jpeg_frame(5, [(0, 0, make_picture(*SIZE))], SIZE, kind=wire.SNAPSHOT)]
    page.goto(f"{server.url}/v/abc#s3cret")
    server.wait_ack(5)
    assert page.url == f"{server.url}/v/abc"
    assert server.tickets[0] == {"body": {"secret": "s3cret"}, "csrf": "token", "referer": None}
    server.connections[-1].close(1012)
    wait_for("a second hello", lambda: len(server.texts("hello")) == 2)
    assert [h["ticket"] for h in server.texts("hello")] == ["ticket-1", "ticket-2"]
    page.reload()
    wait_for("a third hello", lambda: len(server.texts("hello")) == 3)
    server.ticket_status = 404
    server.connections[-1].close(1012)
    expect(page.locator("#veil")).to_contain_text("This link does not work.")


def test_cursor_image_hidden_and_hostile(page: Page, server: FakeServer) -> None:
    open_viewer(page, server)
    dot = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
    cursor = "() => document.getElementById('screen').style.cursor"
    image = {"type": "cursor", "serial": 1, "width": 1, "height": 1, "hot_x": 0, "hot_y": 0, "png": dot}
    server.send(image)
    wait_for("the cursor", lambda: page.evaluate(cursor).startswith('url("data:image/png;base64,'))
    server.send({"type": "cursor", "serial": 2, "hidden": True})
    wait_for("no cursor", lambda: page.evaluate(cursor) == "none")
    server.send(image | {"serial": 3, "png": 'x"), url("http://127.0.0.1/'})
    wait_for("the count", lambda: stats(page)["malformed"] == 1)
    assert page.evaluate(cursor) == "none"


def test_new_epoch_keeps_the_old_picture_until_its_snapshot(page: Page, server: FakeServer) -> None:
    open_viewer(page, server)
    before = shown(page, 0, 0, *SIZE)
    fill = [wire.fill_op((0, 0, *SIZE), 0x00FF00)]
    server.send(pack(1, fill, size=SIZE, epoch=EPOCH + 1))
    wait_for("the drop", lambda: stats(page)["dropped"] == 1)
    assert (shown(page, 0, 0, *SIZE) == before).all()
    small = [wire.fill_op((0, 0, 320, 200), 0x00FF00)]
    server.send(pack(1, small, size=(320, 200), epoch=EPOCH + 1, kind=wire.SNAPSHOT))
    wait_for("the new epoch", lambda: any(a["epoch"] == EPOCH + 1 for a in server.texts("ack")))
    assert (shown(page, 0, 0, 320, 200) == [0, 255, 0]).all()
    # Others size their reads by the canvas: it must tell its true size although a worker draws on it.
    assert page.evaluate("() => document.getElementById('screen').width") == 320


def test_without_webcodecs_the_hello_says_so_and_pictures_still_come(page: Page, server: FakeServer) -> None:
    server.config = {"worker": False}
    page.add_init_script("delete globalThis.VideoDecoder; delete globalThis.ImageDecoder;")
    open_viewer(page, server)
    assert server.texts("hello")[0]["codecs"] == ["jpeg"]
    assert stats(page)["jpegMethod"] == "createImageBitmap"
    assert difference(shown(page, 0, 0, *SIZE), make_picture(*SIZE)).mean() < 2


def test_statistics_show_latency_by_stage_and_why_frames_are_left_out(page: Page, server: FakeServer) -> None:
    open_viewer(page, server)
    page.locator("#screen").click(position={"x": 200, "y": 200})
    page.locator("#toolbar button[aria-label=Statistics]").focus()
    page.keyboard.press("Enter")
    panel = page.locator("#overlay .stats")
    expect(panel).to_contain_text("640 × 480")
    page.locator("#screen").click(position={"x": 200, "y": 200})
    page.keyboard.press("a")
    seq = wait_for("input", lambda: server.texts("input"))[-1]["seq"]
    server.send({"type": "injected", "seq": seq, "received_us": now_us(), "injected_us": now_us() + 700})
    for number in range(6, 30):
        picture = [(0, 0, make_picture(640, 64, number))]
        server.send(jpeg_frame(number, picture, SIZE, encode_us=2000, publish_us=now_us()))
    server.wait_ack(29)
    delivery = {"phase": "pull", "shrink": 2, "rate_kbps": 300, "relay_ms": 0.4, "dropped": {"behind": 5}}
    server.send({"type": "stats", "fps": 60, "kbps": 1, "viewers": 2, "mode": "auto", "delivery": delivery})
    expect(panel).to_contain_text("JPEG")
    expect(panel).to_contain_text("Input to picture")
    expect(panel).to_contain_text("5 you were not ready")
    expect(panel).to_contain_text("newest state when ready, 1/2 size, line 300 kbit/s")
    label = panel.get_by_role("img").get_attribute("aria-label")
    assert label is not None and "Encode 2.0 ms" in label and "Decode" in label and "Paint" in label
    widths = panel.locator(".latency-bar .stage").evaluate_all("parts => parts.map(p => p.clientWidth)")
    assert len(widths) >= 6 and max(widths) > 0
    measured = stats(page)
    assert measured["fps"] > 2 and measured["kbps"] > 10
    assert measured["latencyMs"] is not None and 0 <= measured["latencyMs"] < 2000
    times = {stage["stage"]: stage["ms"] for stage in measured["stages"]}
    assert {"send", "inject", "react", "encode", "network", "decode", "paint"} <= set(times)
    assert abs(times["inject"] - 0.7) < 0.01 and times["encode"] == 2
    # All but what the person and the application did, against the age of the newest frames at the display.
    whole = sum(times.values()) - times["send"] - times["inject"] - times["react"]
    ages = sorted(measured["history"])
    assert ages[0] - 5 <= whole <= ages[-1] + 5
