"""One viewer who speaks the protocol and acknowledges as the browser does (docs/protocol.md, section 6).

On one event loop; nothing blocks. The time a decode takes is modelled: one payload after the other, an acknowledgement
after each commit. Where the picture will be looked at, a process of its own decodes it as well (`eye`), some time
later; what is seen in it counts from the modelled commit on.
"""

from __future__ import annotations

import asyncio
import json
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.clocks import monotonic_us
from benchmarks.delivery.eye import Eye
from benchmarks.delivery.shaper import LinkShape, Shaper
from benchmarks.delivery.websocket import Refused, WebSocket
from sessions.tiles import Grid, touched
from sessions.tiles import whole as covered_by
from stripeengine import wire

DECODE_S, DECODE_S_PER_BYTE = 0.001, 40e-9
"""About what `python -m benchmarks.decoder` finds for a small frame, and for a page of code of 25 kB."""
FIRST_RETRY_S, LONGEST_RETRY_S = 0.25, 5.0
FINAL_CODES = range(4400, 4412)
"""Closed with one of these a page does not come back, but for 4408."""
PARTIAL = 4
"""Flag of a repair (section 2.4)."""

AGE_STEP_US = 50_000


@dataclass(frozen=True)
class Where:
    """The address of a session's stream, and who asks."""

    host: str
    port: int
    path: str
    cookie: str

    @property
    def origin(self) -> str:
        """The page's own."""
        return f"http://{self.host}:{self.port}"


@dataclass(frozen=True)
class Options:
    """What one viewer is like. ``decode`` is ``model``, or ``real``: modelled, and looked at later.

    ``log`` keeps every commit, for `since`.
    """

    kbps: float = 0.0
    delay_ms: float = 0.0
    jitter_ms: float = 0.0
    decode: str = "model"
    log: bool = False
    never_reads: bool = False
    shaped: bool = False
    """Behind a `Shaper` even if nothing bounds the link yet."""
    codecs: tuple[str, ...] = ("jpeg", "h264", "h264-444")


@dataclass
class Counts:
    """What came since the last mark. Times in µs."""

    messages: int = 0
    snapshots: int = 0
    repairs: int = 0
    key_frames: int = 0
    bytes: int = 0
    video_frames: int = 0
    first_frame: int = 0
    last_frame: int = 0
    """Ids of frames: how many the engine has made meanwhile, whoever got them."""
    received: list[int] = field(default_factory=list)
    """capture → received, of frames."""
    relayed: list[int] = field(default_factory=list)
    """publish → received, of frames."""
    encoded: list[int] = field(default_factory=list)
    """capture → encoded, of frames."""
    published: list[int] = field(default_factory=list)
    """capture → published, of frames."""
    committed: list[int] = field(default_factory=list)
    """capture → committed, of frames."""
    ages: list[int] = field(default_factory=list)
    """How old the picture was, by the stamps in it, every 50 ms of its life; where it is decoded."""


class Viewer:
    """A page that shows a session. `open` returns when it shows the first picture."""

    def __init__(self, where: Where, options: Options) -> None:
        self.where, self.options = where, options
        self.counts = Counts()
        self.eye = Eye() if options.decode == "real" else None
        self.texts: list[dict[str, Any]] = []
        self.closes: list[int] = []
        self.commits: list[tuple[int, int, str]] = []
        """(committed, captured, ``frame``, ``snapshot`` or ``repair``), if they are kept."""
        self.undecodable = 0
        self.welcomed_s = self.pictured_s = self.full_s = 0.0
        self._socket: WebSocket | None = None
        self._welcomed = False
        self._shaper: Shaper | None = None
        self._pictured = asyncio.Event()
        self._full = asyncio.Event()
        self._lacks = -1
        """Tiles that have not come with all their pixels yet; -1 before the first picture."""
        self._lost = asyncio.Event()
        self._busy_until = 0.0
        self._seq = 0
        self._task: asyncio.Task[None] | None = None
        self._pings: asyncio.Task[None] | None = None
        self._began = 0.0
        self._stamp_us = self._shown_us = 0
        self._committed: asyncio.Queue[tuple[list[bytes], int]] = asyncio.Queue()
        self._parts: list[bytes] = []
        self._looks: asyncio.Task[None] | None = None
        self.exact_us = 0
        """When the picture was committed that was the first to be the same as what it is compared with; 0: none yet."""
        self._epoch = self._newest = self._serial = 0

    async def open(self, seconds: float = 20.0, full: bool = False) -> None:
        """Connect; return with the first picture, or the first that has all its pixels. Raises `TimeoutError`."""
        options = self.options
        if options.kbps or options.delay_ms or options.jitter_ms or options.shaped:
            shape = LinkShape(options.kbps, options.delay_ms / 1000, options.jitter_ms / 1000)
            self._shaper = Shaper(self.where.host, self.where.port, shape)
            await self._shaper.start()
        self._task = asyncio.create_task(self._keep())
        self._pings = asyncio.create_task(self._ping())
        if self.eye is not None:
            self._looks = asyncio.create_task(self._look(self.eye))
        if not options.never_reads:
            async with asyncio.timeout(seconds):
                await (self._full if full else self._pictured).wait()

    async def close(self) -> None:
        """Leave."""
        for task in (self._task, self._pings, self._looks):
            if task is not None:
                task.cancel()
        if self._socket is not None:
            self._socket.close()
        if self._shaper is not None:
            await self._shaper.stop()
        if self.eye is not None:
            self.eye.close()

    def shape(self, **changes: Any) -> None:
        """Change the link, which must be a shaped one."""
        if self._shaper is None:
            raise ValueError("this viewer has no shaped link")
        for name, value in changes.items():
            setattr(self._shaper.shape, name, value)

    def say(self, message: dict[str, Any]) -> None:
        """Send a text message; as the page does it, nothing before the server's welcome."""
        if self._socket is not None and self._welcomed:
            self._socket.send(json.dumps(message))

    def input(self, events: list[list[Any]]) -> int:
        """Send input events; return when."""
        self._seq += 1
        now = monotonic_us()
        self.say({"type": "input", "seq": self._seq, "events": events})
        return now

    # ---- connection ----------------------------------------------------------------------------------------------

    async def _keep(self) -> None:
        """Connect, and connect again as the page does."""
        delay = FIRST_RETRY_S
        while True:
            self._lost.clear()
            self._began = time.monotonic()
            port = self._shaper.port if self._shaper is not None else self.where.port
            self._socket, self._welcomed = WebSocket(self._message, self._closed), False
            try:
                await self._socket.open(
                    self.where.host, port, self.where.path, f"sessionid={self.where.cookie}", self.where.origin
                )
                hello = {"type": "hello", "versions": [1], "codecs": list(self.options.codecs)}
                self._socket.send(json.dumps(hello))
                before = len(self.texts)
                await self._lost.wait()
                if any(text["type"] == "welcome" for text in self.texts[before:]):
                    delay = FIRST_RETRY_S
            except (OSError, Refused, TimeoutError):
                pass
            if self.closes and self.closes[-1] in FINAL_CODES and self.closes[-1] != 4408:
                return
            await asyncio.sleep(delay)
            delay = min(delay * 2, LONGEST_RETRY_S)

    async def _ping(self) -> None:
        while True:
            await asyncio.sleep(5)
            self.say({"type": "ping", "t": time.monotonic()})

    def _closed(self, code: int) -> None:
        self.closes.append(code)
        self._lost.set()

    def _message(self, data: memoryview | str) -> None:
        if not isinstance(data, str):
            self._picture(data)
            return
        message = json.loads(data)
        if message["type"] == "welcome":
            self._welcomed = True
            self._seq = self._serial = 0
            self.welcomed_s = time.monotonic() - self._began
            if self.options.never_reads and self._socket is not None:
                self._socket.pause()
        if message["type"] not in ("pong", "cursor", "stats"):
            self.texts.append(message)
            del self.texts[:-200]

    def pause(self) -> None:
        """Stop reading."""
        if self._socket is not None:
            self._socket.pause()

    def resume(self) -> None:
        """Read again."""
        if self._socket is not None:
            self._socket.resume()

    # ---- pictures ------------------------------------------------------------------------------------------------

    def _picture(self, data: memoryview) -> None:
        now, counts = monotonic_us(), self.counts
        header = wire.peek(data)
        counts.messages += 1
        counts.bytes += len(data)
        if header.kind == wire.SNAPSHOT:
            whole = not header.flags & PARTIAL
            counts.snapshots += whole and not header.more
            counts.repairs += not whole and not header.more
        else:
            counts.first_frame = counts.first_frame or header.frame_id
            counts.last_frame = header.frame_id
            counts.received.append(now - header.capture_us)
            counts.encoded.append(header.encode_us)
            if header.publish_us:
                counts.relayed.append(now - header.publish_us)
                counts.published.append(header.publish_us - header.capture_us)
        if not self._full.is_set():
            self._note_pixels(wire.parse_message(data))
        if self.options.log or self.eye is not None:
            for op in wire.parse_message(data).ops:
                if op.kind == wire.H264:
                    counts.video_frames += 1
                    counts.key_frames += bool(op.flags & wire.KEY)
        if self.eye is not None:
            self._parts.append(bytes(data))
        loop = asyncio.get_running_loop()
        self._busy_until = max(self._busy_until, loop.time()) + DECODE_S + DECODE_S_PER_BYTE * len(data)
        if not header.more:
            parts, self._parts = self._parts, []
            loop.call_at(self._busy_until, self._commit, header, parts)

    def _note_pixels(self, message: wire.Message) -> None:
        """Follow which tiles have all their pixels; a snapshot brings all tiles, whatever it leaves black."""
        header = message.header
        grid = Grid(header.width, header.height)
        whole = [op.rectangle for op in message.ops if (op.pw, op.ph) == (op.w, op.h) or op.kind == wire.FILL]
        few = [op for op in message.ops if op.kind == wire.JPEG and (op.pw, op.ph) != (op.w, op.h)]
        if header.kind == wire.SNAPSHOT and not header.partial:
            self._lacks = 0
        if self._lacks > 0:
            self._lacks &= ~covered_by(grid, whole)
        for op in few:
            self._lacks |= touched(grid, op.rectangle)

    def _commit(self, header: wire.Header, parts: list[bytes]) -> None:
        now = monotonic_us()
        self._committed.put_nowait((parts, now)) if parts else None
        if header.kind == wire.FRAME:
            self.counts.committed.append(now - header.capture_us)
        if self.options.log:
            kind = "frame" if header.kind == wire.FRAME else "repair" if header.flags & PARTIAL else "snapshot"
            self.commits.append((now, header.capture_us, kind))
            del self.commits[:-20000]
        if header.epoch != self._epoch:
            self._epoch, self._newest = header.epoch, 0
        self._newest = max(self._newest, header.frame_id)
        # The last word of the header: which snapshot or repair of this connection it is, 0 for a frame.
        self._serial = max(self._serial, header[-1])
        if self._socket is not None and self._welcomed:
            self._socket.send(
                f'{{"type":"ack","epoch":{header.epoch},"frame":{self._newest},"serial":{self._serial},"decode_ms":1}}'
            )
        if not self._pictured.is_set():
            self.pictured_s = time.monotonic() - self._began
            self._pictured.set()
        if not self._lacks and not self._full.is_set():
            self.full_s = time.monotonic() - self._began
            self._full.set()

    # ---- what is seen --------------------------------------------------------------------------------------------

    def compare(self, framebuffer: Path) -> None:
        """From now on look whether the picture is that of an X server at rest: see `exact_us`."""
        if self.eye is None:
            raise ValueError("this viewer does not decode")
        self.eye.compare(framebuffer)
        self.exact_us = 0

    async def _look(self, eye: Eye) -> None:
        while True:
            parts, at = await self._committed.get()
            seen = await eye.see(parts)
            self.undecodable += not seen.decoded
            if self._stamp_us:
                self.counts.ages += range(self._shown_us - self._stamp_us, at - self._stamp_us, AGE_STEP_US)
            self._shown_us, self._stamp_us = at, seen.stamp_us or self._stamp_us
            if seen.exact and not self.exact_us:
                self.exact_us = at
