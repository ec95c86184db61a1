"""How long the browser takes to decode lossless frames: WebAssembly against JavaScript, by turns in one Chromium.

    python -m benchmarks.decoder [--rounds N] [--json FILE]

The frames are the engine's own, in mode `lossless`, of the changes of the screen that `make_changes` draws. A sample is
one change, decoded and blitted into a picture in memory; both decoders must show the same.
"""

from __future__ import annotations

import argparse
import base64
import functools
import http.server
import json
import select
import statistics
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw, ImageFont

from benchmarks.workloads.content import photograph, source_text
from stripeengine import Engine, EngineSettings, FramebufferSource, wire

ROOT: Final = Path(__file__).resolve().parent.parent
SIZE: Final = (1920, 1080)
FONT: Final = "/usr/share/fonts/truetype/dejavu/DejaVuSansMono.ttf"
Pixels = npt.NDArray[np.uint8]


@dataclass(frozen=True)
class Change:
    """One change of the screen as the engine sends it: batches with their rectangles."""

    name: str
    batches: list[tuple[bytes, list[tuple[int, int, int, int]]]]

    @property
    def size(self) -> int:
        """Bytes of all payloads."""
        return sum(len(payload) for payload, _ in self.batches)

    @property
    def pixels(self) -> int:
        """Pixels of all rectangles."""
        return sum(w * h for _, rectangles in self.batches for _, _, w, h in rectangles)


def text_page(lines: Sequence[str], size: tuple[int, int] = SIZE) -> Pixels:
    """Lines of source in grey antialiasing, light on dark."""
    image = Image.new("RGB", size, (39, 40, 34))
    draw = ImageDraw.Draw(image)
    font = ImageFont.truetype(FONT, 16)
    for row in range(size[1] // 19):
        draw.text((4, row * 19), lines[row % len(lines)][:190], font=font, fill=(248, 248, 242))
    return np.asarray(image, np.uint8)


def make_changes() -> Iterator[tuple[str, Pixels, Pixels]]:
    """Name, picture before and picture after."""
    lines = [line for line in source_text().splitlines() if line.strip()]
    page, other = text_page(lines), text_page(lines[400:])
    typed = page.copy()
    typed[190:209, 1600:1610] = text_page(["M"], (14, 19))[:, 4:]
    yield "typing: a letter", page, typed
    line = page.copy()
    line[380:399] = other[380:399]
    yield "a line of a terminal", page, line
    window = page.copy()
    window[200:600, 300:940] = text_page(lines[900:], (640, 400))
    yield "a window, 640×400", page, window
    yield "a page of text, 1920×1080", page, other
    repaired = page.copy()
    repaired[300:428, 500:676] = photograph(1, 176, 128)
    yield "repair of a photograph, 176×128", page, repaired


def encode(name: str, before: Pixels, after: Pixels) -> Change:
    """What the engine sends for the second picture when the first is shown."""
    source = FramebufferSource(*SIZE)
    batches = []
    with Engine(source, EngineSettings(mode="lossless")) as engine:
        engine.start()
        for picture in (before, after):
            source.submit(picture)
            batches = [batch for message in take_all(engine) for batch in find_batches(message)]
    source.close()
    if not batches:
        raise SystemExit(f"{name}: the engine sent nothing lossless")
    return Change(name, batches)


def take_all(engine: Engine) -> list[bytes]:
    """The messages until nothing comes for 0.3 s."""
    messages: list[bytes] = []
    last = time.monotonic()
    while time.monotonic() - last < 0.3 or not messages:
        select.select([engine.fileno()], [], [], 0.05)
        frame = engine.take()
        if frame is not None:
            with frame:
                messages.append(bytes(frame.buffer))
            last = time.monotonic()
        if time.monotonic() - last > 10:
            raise SystemExit("The engine sent no frame within 10 s.")
    return messages


def find_batches(data: bytes) -> list[tuple[bytes, list[tuple[int, int, int, int]]]]:
    """The lossless batch of a message, if it has one, with its rectangles."""
    message = wire.parse_message(data)
    ops = [op for op in message.ops if op.kind == wire.LOSSLESS]
    return [(bytes(message.payload(ops[0])), [(op.x, op.y, op.w, op.h) for op in ops])] if ops else []


class _Files(http.server.SimpleHTTPRequestHandler):
    extensions_map = {".js": "text/javascript", ".html": "text/html", ".wasm": "application/wasm"}

    def end_headers(self) -> None:
        # Isolated pages have a clock of 5 µs instead of 100.
        self.send_header("Cross-Origin-Opener-Policy", "same-origin")
        self.send_header("Cross-Origin-Embedder-Policy", "require-corp")
        super().end_headers()

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing."""


@contextmanager
def served() -> Iterator[str]:
    """The project's files over HTTP on a free loopback port."""
    handler = functools.partial(_Files, directory=str(ROOT))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}/benchmarks/decoder.html"
        finally:
            server.shutdown()
            thread.join()


def run_browser(changes: Sequence[Change], rounds: int) -> tuple[str, dict[str, dict[str, list[float]]]]:
    """The browser's version, and the milliseconds of each sample by change and decoder."""
    from playwright.sync_api import sync_playwright

    given = [
        {
            "name": change.name,
            "batches": [
                {"payload": base64.b64encode(payload).decode(), "rectangles": rectangles}
                for payload, rectangles in change.batches
            ],
        }
        for change in changes
    ]
    with served() as url, sync_playwright() as playwright:
        arguments = ["--no-sandbox", "--disable-gpu"]
        browser = playwright.chromium.launch(executable_path="/usr/bin/chromium", args=arguments)
        try:
            page = browser.new_page()
            page.goto(url)
            page.wait_for_function("() => globalThis.measure !== undefined && crossOriginIsolated")
            return browser.version, page.evaluate("([changes, rounds]) => measure(changes, rounds)", [given, rounds])
        finally:
            browser.close()


def table(changes: Sequence[Change], samples: dict[str, dict[str, list[float]]]) -> str:
    """Medians in ms with the fastest sample and the quartiles beside them, as a Markdown table.

    On a busy machine medians tell what waiting costs; the fastest samples tell what decoding costs.
    """

    def cell(values: list[float]) -> str:
        low, middle, high = statistics.quantiles(values, n=4)
        return f"{min(values):.3f} | {middle:.3f} ({low:.3f}–{high:.3f})"

    rows = [
        "| change | bytes | pixels | JavaScript: fastest, ms | median (quartiles) "
        "| WebAssembly: fastest, ms | median (quartiles) | times faster: fastest | median |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for change in changes:
        script, wasm = samples[change.name]["javascript"], samples[change.name]["wasm"]
        gain = f"{min(script) / min(wasm):.1f} | {statistics.median(script) / statistics.median(wasm):.1f}"
        rows.append(f"| {change.name} | {change.size} | {change.pixels} | {cell(script)} | {cell(wasm)} | {gain} |")
    return "\n".join(rows)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the benchmark; return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.decoder", description=__doc__.split("\n")[0])
    parser.add_argument("--rounds", type=int, default=60, help="samples of each decoder and change, at least 2")
    parser.add_argument("--json", type=Path, help="write all samples to this file")
    options = parser.parse_args(arguments)
    if options.rounds < 2:
        parser.error("--rounds must be at least 2: the table shows quartiles")
    changes = [encode(*change) for change in make_changes()]
    version, samples = run_browser(changes, options.rounds)
    print(f"Chromium {version}, headless, {options.rounds} samples of each\n")
    print(table(changes, samples))
    if options.json is not None:
        options.json.write_text(json.dumps({"chromium": version, "samples": samples}), encoding="utf-8")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
