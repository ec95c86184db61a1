"""The browser's client before recorded messages: fed as a server feeds it, then asked what it shows.

One page and one connection for as many recordings as wanted; each gets an epoch of its own, as after an engine's
restart. Playwright's synchronous API: one thread.
"""

from __future__ import annotations

import base64
import struct
import time
from itertools import count
from typing import Any

import numpy as np
import numpy.typing as npt
from playwright.sync_api import Page

from stripeengine import wire
from tests.static.browser.fake_server import FakeServer, wait_for
from tests.stripeengine.fixtures_performance import Mismatch, Performance, Spectator, find_difference

WINDOW = 4
"""Frames sent and not acknowledged, as the welcome announces."""
ACK_S = 10.0
# By the pipeline's own size: that of the page's canvas follows a worker's only when the page is next drawn.
_READ = """async ([width, height]) => {
  const pixels = await document.getElementById('screen').stripedesk.readPixels(0, 0, width, height);
  let text = '';
  for (let i = 0; i < pixels.length; i += 32768) text += String.fromCharCode(...pixels.subarray(i, i + 32768));
  return btoa(text);
}"""
# What the client counts when it could not do what it was told.
_COMPLAINTS = ("failures", "malformed", "dropped", "resyncs")


class Watcher:
    """A page that shows what ``server`` sends. ``codecs`` is what its browser says it can decode."""

    def __init__(self, page: Page, server: FakeServer) -> None:
        self._page = page
        self._server = server
        self._epochs = count(1)
        page.goto(f"{server.url}/s/x/")
        wait_for("the connection", lambda: server.connections)
        self.codecs: list[str] = server.texts("hello")[0]["codecs"]
        self.shown = 0

    def check(self, performance: Performance) -> None:
        """Show what each spectator was sent; raise `Mismatch` if the canvas is not the screen in the end."""
        for spectator in performance.audience:
            difference = find_difference(self._show(spectator), performance.picture)
            if difference:
                raise Mismatch(f"the browser of {spectator.name} shows something else: {difference}")
            self.shown += 1

    def _show(self, spectator: Spectator) -> npt.NDArray[np.uint8]:
        before = self._stats()
        self._feed(
            spectator.sent if spectator.as_of is not None else [black_snapshot(spectator.sent[0]), *spectator.sent]
        )
        stats = self._stats()
        complaints = {name: stats[name] - before[name] for name in _COMPLAINTS if stats[name] != before[name]}
        # Whoever joins may be sent frames that his snapshot holds already; the client leaves them out.
        headers = [wire.peek(data) for data in spectator.sent]
        known = sum(header.kind == wire.FRAME and header.frame_id <= (spectator.as_of or 0) for header in headers)
        if complaints.get("dropped") == known:
            del complaints["dropped"]
        if complaints:
            raise Mismatch(f"the browser of {spectator.name} counts {complaints}")
        return self._read(stats["width"], stats["height"])

    def show(self, messages: list[bytes]) -> npt.NDArray[np.uint8]:
        """Show an engine's messages from its first on; return what the canvas shows then, H×W×3."""
        self._feed([black_snapshot(messages[0]), *messages])
        stats = self._stats()
        return self._read(stats["width"], stats["height"])

    def _read(self, width: int, height: int) -> npt.NDArray[np.uint8]:
        pixels = np.frombuffer(base64.b64decode(self._page.evaluate(_READ, [width, height])), np.uint8)
        return pixels.reshape(height, width, 4)[:, :, :3]

    def _stats(self) -> dict[str, Any]:
        return dict(self._page.evaluate("() => document.getElementById('screen').stripedesk.stats()"))

    def _feed(self, messages: list[bytes]) -> None:
        """Send the messages, never more than the window ahead of the client, and wait for its last word."""
        epoch = next(self._epochs)
        newest, unanswered = 0, list[int]()
        self._server.received.clear()
        for data in messages:
            header = wire.peek(data)
            self._server.send(data[:4] + struct.pack("<I", epoch) + data[8:])
            if header.more or (unanswered and header.frame_id <= newest):
                continue
            newest = header.frame_id
            unanswered.append(newest)
            while len(unanswered) >= WINDOW:
                self._wait_ack(epoch, unanswered.pop(0))
        self._wait_ack(epoch, newest)

    def _wait_ack(self, epoch: int, frame: int) -> None:
        deadline = time.monotonic() + ACK_S
        while not any(ack["epoch"] == epoch and ack["frame"] >= frame for ack in self._server.texts("ack")):
            if time.monotonic() > deadline:
                raise Mismatch(f"the browser does not acknowledge frame {frame}: {self._server.received[-3:]}")
            time.sleep(0.001)


def black_snapshot(first: bytes) -> bytes:
    """What a server sends who was there before the first frame, as of 0."""
    header = wire.peek(first)
    return wire.pack_message(
        kind=wire.SNAPSHOT,
        epoch=header.epoch,
        frame_id=0,
        width=header.width,
        height=header.height,
        ops=(),
        payloads=b"",
    )
