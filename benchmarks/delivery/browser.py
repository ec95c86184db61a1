"""The row ``selkies``: key press → changed pixel, in Chromium, ours and Selkies on the same terminal. It blocks.

A terminal shows a block whose colour changes with every key. The page of each server is opened in a headless Chromium;
a script in it notes when the key event reaches the page and, at each animation frame, whether a pixel of the block has
changed on the page's canvas. Selkies is the interpreter named by STRIPEDESK_BENCH_SELKIES (a venv with it), never a
dependency of the project; without it our figures stand alone and the ratios are not measured.
"""

from __future__ import annotations

import contextlib
import os
import random
import socket
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from typing import Any, Final

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
# Every key turns the block to the other colour; it covers the place that the page's script looks at.
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
WATCH: Final = """
() => {
  const probe = new OffscreenCanvas(4, 4).getContext("2d", {willReadFrequently: true});
  window.bench = {pressed: 0, delays: [], ready: false};
  let before = null;
  const find = () => [...document.querySelectorAll("canvas, video")].filter(e => e.checkVisibility())
    .map(e => [e, e.width || e.videoWidth, e.height || e.videoHeight])
    .filter(([, w, h]) => w >= 640 && h >= 480).sort((a, b) => b[1] * b[2] - a[1] * a[2])[0];
  const press = e => { if (e.isTrusted && e.key === "a") window.bench.pressed = performance.now(); };
  addEventListener("keydown", press, true);
  const look = () => {
    const found = find();
    if (found) {
      const [element, width, height] = found;
      try {
        probe.drawImage(element, width * 0.04, height * 0.04, 4, 4, 0, 0, 4, 4);
        const now = probe.getImageData(0, 0, 4, 4).data;
        const colour = (now[20] << 16) | (now[21] << 8) | now[22];
        const light = now[20] + now[21] + now[22];
        const changed = before !== null && Math.abs(light - before) > 120;
        window.bench.light = light;
        if (changed || before === null) before = light;
        window.bench.ready = light > 0;
        if (changed && window.bench.pressed) {
          window.bench.delays.push(performance.now() - window.bench.pressed);
          window.bench.pressed = 0;
        }
      } catch (error) { window.bench.error = String(error); }
    }
    requestAnimationFrame(look);
  };
  look();
}
"""


class Absent(RuntimeError):
    """Selkies is not there; the text says how to get it."""


def selkies(short: bool) -> Figures:
    """Measure every mode of both, one after the other on one terminal."""
    keys = SHORT_KEYS if short else KEYS
    medians: dict[str, float | None] = {}
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
        try:
            interpreter = find()
        except Absent as absent:
            print(f"benchmarks.delivery: {absent}", file=sys.stderr)
            interpreter = ""
        for mode, encoder in THEIR_MODES.items() if interpreter else ():
            with _selkies(interpreter, encoder, display, site) as port:
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


def _median(page: Any, keys: int) -> float | None:
    """Press keys into the page and return the median of their delays in ms; None if hardly any had an answer."""
    generator = random.Random(6)  # noqa: S311 - moments, the same for everybody
    page.evaluate(WATCH)
    page.wait_for_function("() => window.bench.ready", timeout=PICTURE_S * 1000)
    time.sleep(2)
    page.mouse.click(960, 540)
    time.sleep(0.5)
    page.keyboard.press("a")  # the first is not like the others
    time.sleep(1)
    page.evaluate("() => { window.bench.delays = []; window.bench.pressed = 0 }")
    for _ in range(keys):
        page.keyboard.press("a")
        time.sleep(PAUSE_S + generator.random() * 0.1)
    time.sleep(0.5)
    delays = [delay for delay in page.evaluate("() => window.bench.delays") if delay < ANSWER_MS]
    return statistics.median(delays) if len(delays) > keys / 2 else None
