"""The row ``selkies``: key press → changed pixel, in Chromium, ours and Selkies on the same terminal. It blocks.

A terminal shows a block whose colour changes with every key. The page of each server is opened in a headless Chromium;
a script in it notes when the key event reaches the page, and the browser's screencast when what it presents has
changed. (A look at the canvas from the page, in each animation frame, takes 8 ms of 16.7 where there is no GPU: it
holds up the very thing that it looks at.) The modes take turns, ours and theirs, for the machine is not always the
same. Selkies is the interpreter named by STRIPEDESK_BENCH_SELKIES (a venv with it), never a
dependency of the project; without it our figures stand alone and the ratios are not measured.
"""

from __future__ import annotations

import base64
import contextlib
import io
import os
import random
import socket
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from typing import Any, Final

from PIL import Image

from benchmarks.delivery.figures import Figures, ratio
from benchmarks.delivery.site import Site, end, free_port
from benchmarks.display import Display, Stage
from benchmarks.workloads.browser import CHROMIUM

SELKIES: Final = "STRIPEDESK_BENCH_SELKIES"
OUR_MODES: Final = ("auto", "jpeg", "h264")
THEIR_MODES: Final = {"jpeg": "jpeg", "h264": "h264enc"}
KEYS, SHORT_KEYS = 60, 20
PAUSE_S = 0.25
PICTURE_S = 20.0
ANSWER_MS = 2000
# Every key turns the block to the other colour; it covers the place that is looked at.
BLOCK: Final = """
import os, sys, termios, tty
tty.setcbreak(0)
colours = (47, 44)
number = 0
while True:
    rows = "".join(f"\\x1b[{row + 1};1H\\x1b[{colours[number % 2]}m" + " " * 60 for row in range(16))
    sys.stdout.write("\\x1b[?25l" + rows); sys.stdout.flush()
    os.read(0, 64); number += 1
"""
PRESSED: Final = """
() => {
  window.pressed = [];
  const press = e => {
    if (e.isTrusted && e.key === "a") window.pressed.push(performance.timeOrigin + performance.now());
  };
  addEventListener("keydown", press, true);
}
"""
CAST: Final = {"format": "png", "maxWidth": 96, "maxHeight": 54, "everyNthFrame": 1}
"""What is asked of the browser's screencast: few pixels, so that it costs nothing."""
PLACE: Final = 0.04, 0.05
"""Of width and height: inside the block."""
CHANGED: Final = 40


class Absent(RuntimeError):
    """Selkies is not there; the text says how to get it."""


def selkies(short: bool) -> Figures:
    """Measure every mode of both on one terminal, in turns of ours and theirs."""
    keys = SHORT_KEYS if short else KEYS
    medians: dict[str, float | None] = {}
    try:
        interpreter = find()
    except Absent as absent:
        print(f"benchmarks.delivery: {absent}", file=sys.stderr)
        interpreter = ""
    with Site() as site, Display((1920, 1080)) as display, Stage(display) as stage, _chromium() as browser:
        stage.terminal(stage.whole_screen, sys.executable, "-c", BLOCK)
        stage.point(stage.width // 2, stage.height // 2)
        stage.click()
        for mode in OUR_MODES:
            worker = site.run_worker(0, display, mode=mode)
            try:
                page = _our_page(browser, site)
                medians[mode] = _median(page, keys)
                page.context.close()
            finally:
                end(worker)
            if not interpreter or mode not in THEIR_MODES:
                continue
            with _selkies(interpreter, THEIR_MODES[mode], display, site) as port:
                context = browser.new_context(viewport={"width": 1920, "height": 1080})
                page = context.new_page()
                page.goto(f"http://127.0.0.1:{port}/")
                medians[f"selkies_{mode}"] = _median(page, keys)
                context.close()
    theirs = [value for name, value in medians.items() if name.startswith("selkies_") and value is not None]
    best = min(theirs, default=None)
    return {
        **{f"{name}_ms": value for name, value in medians.items()},
        "auto_ratio": ratio(medians["auto"], best),
        "jpeg_ratio": ratio(medians["jpeg"], medians.get("selkies_jpeg")),
        "h264_ratio": ratio(medians["h264"], medians.get("selkies_h264")),
    }


def find() -> str:
    """Return the interpreter with Selkies; raises `Absent`."""
    interpreter = os.environ.get(SELKIES, "")
    if not interpreter:
        raise Absent(f"Selkies is left out: set {SELKIES} to the python of a venv with `pip install selkies` in it")
    check = [interpreter, "-c", "import selkies"]
    if not os.access(interpreter, os.X_OK) or subprocess.run(check, capture_output=True).returncode:
        raise Absent(f"Selkies is left out: {SELKIES}={interpreter} cannot import selkies")
    return interpreter


@contextlib.contextmanager
def _chromium() -> Iterator[Any]:
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path="/usr/bin/chromium", args=CHROMIUM[1:])
        yield browser
        browser.close()


def _our_page(browser: Any, site: Site) -> Any:
    context = browser.new_context(viewport={"width": 1920, "height": 1080})
    context.add_cookies([{"name": "sessionid", "value": site.cookie, "url": f"http://127.0.0.1:{site.port}"}])
    page = context.new_page()
    page.goto(f"http://127.0.0.1:{site.port}/s/{site.sessions[0]}/")
    return page


@contextlib.contextmanager
def _selkies(interpreter: str, encoder: str, display: Display, site: Site) -> Iterator[int]:
    """Yield the port of a Selkies server on the display."""
    port = free_port()
    environment = {**display.server.environment, "HOME": str(site.directory), "PULSE_SERVER": "unix:/nonexistent"}
    line = [interpreter, "-m", "selkies", "--addr", "127.0.0.1", "--port", str(port), "--encoder", encoder]
    for option in ("enable-basic-auth", "audio-enabled", "microphone-enabled", "enable-dual-mode", "enable-resize"):
        line += [f"--{option}", "false"]
    for option in ("webcam-enabled", "gamepad-enabled", "ui-show-sidebar"):
        line += [f"--{option}", "false"]
    with (site.directory / "selkies.log").open("ab") as log:
        process = subprocess.Popen(line, env=environment, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
    try:
        site.until(lambda: _listens(port) or process.poll() is not None, "Selkies")
        if process.poll() is not None:
            raise RuntimeError(f"Selkies ended: {site.log('selkies')}")
        yield port
    finally:
        end(process)


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


class _Cast:
    """What a page shows, by the browser's screencast: (ms since 1970, brightness of the block)."""

    def __init__(self, page: Any) -> None:
        self._devtools = page.context.new_cdp_session(page)
        self._devtools.on("Page.screencastFrame", self._frame)
        self._devtools.send("Page.startScreencast", CAST)
        self.frames: list[tuple[float, int]] = []

    def _frame(self, event: dict[str, Any]) -> None:
        self._devtools.send("Page.screencastFrameAck", {"sessionId": event["sessionId"]})
        image = Image.open(io.BytesIO(base64.b64decode(event["data"]))).convert("L")
        light = image.getpixel((int(image.width * PLACE[0]), int(image.height * PLACE[1])))
        self.frames.append((event["metadata"]["timestamp"] * 1000, int(light)))  # type: ignore[arg-type]

    def stop(self) -> None:
        """End it."""
        self._devtools.send("Page.stopScreencast")


def changes(pressed: Sequence[float], frames: Sequence[tuple[float, int]]) -> list[float]:
    """Return after how many ms the block had another colour, for each key after which it had before the next one."""
    delays = []
    for key, after in zip(pressed, [*pressed[1:], float("inf")], strict=False):
        before = next((light for at, light in reversed(frames) if at <= key), None)
        for at, light in frames:
            if key < at < after and before is not None and abs(light - before) > CHANGED:
                delays.append(at - key)
                break
    return delays


def _median(page: Any, keys: int) -> float | None:
    """Press keys into the page and return the median of their delays in ms; None if hardly any had an answer."""
    generator = random.Random(6)  # noqa: S311 - moments, the same for everybody
    page.evaluate(PRESSED)
    cast = _Cast(page)
    deadline = time.monotonic() + PICTURE_S
    while not any(light for _, light in cast.frames) and time.monotonic() < deadline:
        page.wait_for_timeout(100)
    page.wait_for_timeout(2000)
    page.mouse.click(960, 540)
    page.wait_for_timeout(500)
    page.keyboard.press("a")  # the first is not like the others
    page.wait_for_timeout(1000)
    page.evaluate("() => { window.pressed.length = 0 }")
    for _ in range(keys):
        page.keyboard.press("a")
        page.wait_for_timeout((PAUSE_S + generator.random() * 0.1) * 1000)
    page.wait_for_timeout(500)
    cast.stop()
    delays = [delay for delay in changes(page.evaluate("() => window.pressed"), cast.frames) if delay < ANSWER_MS]
    return statistics.median(delays) if len(delays) > keys / 2 else None
