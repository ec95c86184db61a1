"""One script played before a real engine: drawn, captured, decoded by everyone who watches, compared with the screen.

Single-threaded but for the engine's own threads. Whoever joins is given a snapshot and then what a relay would pass on
(docs/protocol.md, section 5): no delta frame of a stream whose key frame he has not seen. Who was there from the start
gets every message as it is. Nobody may ever miss anything. `Performance.audience` keeps what each of them was sent, for
other decoders to be held to.
"""

from __future__ import annotations

import contextlib
import os
import select
import time
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from stripeengine import Engine, EngineSettings, wire
from stripeengine.decode import Decoder
from stripeengine.wire_filter import filter_ops
from stripeengine.x11 import X11Source
from tests.stripeengine.fixtures_scripts import ROOT, Rectangle, Script, Step, print_script, shorten
from tests.stripeengine.fixtures_stage import Stage

Pixels = npt.NDArray[np.uint8]

PATIENCE_S = 15.0
"""How long a still screen may take to arrive: the slowest rate bound, the verification scan, a busy machine."""
SHORTEN_S = 20.0
_CALM_S = 0.06
_JOINERS = 3  # in Python each costs as much as the engine
_QUICK = {"framerate": 240, "repair_delay_ms": 20, "verify_interval_ms": 300}


class Mismatch(AssertionError):
    """A viewer does not see what is on the screen."""


@dataclass
class Spectator:
    """Someone who watches: ``sent`` is what he was sent, ``decoder`` what he sees."""

    name: str
    sent: list[bytes] = field(default_factory=list)
    decoder: Decoder = field(default_factory=Decoder)
    as_of: int | None = None  # of the snapshot he began with; None: there from the start
    keys: set[int] = field(default_factory=set)  # streams whose key frame he has

    def join(self, snapshot: list[bytes]) -> None:
        """Begin with a snapshot."""
        self.as_of = wire.peek(snapshot[0]).frame_id
        for data in snapshot:
            self._give(data)

    def follow(self, message: wire.Message) -> None:
        """Take a frame as a relay passes it on."""
        if self.as_of is not None and message.header.frame_id > self.as_of:
            for op in message.ops:
                if op.kind == wire.H264 and op.flags & wire.KEY:
                    self.keys.add(op.stream)
            self._give(bytes(filter_ops(message, lambda op: op.kind != wire.H264 or op.stream in self.keys)))
        else:
            self._give(bytes(message.raw))

    def _give(self, data: bytes) -> None:
        self.sent.append(data)
        self.decoder.apply(data)
        if self.decoder.missed:
            raise Mismatch(f"{self.name} misses {self.decoder.missed}")


class Referee:
    """Holds each frame to rules that the picture at the end does not show."""

    def __init__(self) -> None:
        self._video: npt.NDArray[np.bool_] = np.zeros((0, 0), dtype=bool)  # what has come from H.264

    def judge(self, message: wire.Message) -> None:
        """Raise `Mismatch` if the frame is too large or copies out of a video."""
        header, ops = message.header, message.ops
        if len(message.raw) > wire.MESSAGE_AIM and not (len(ops) == 1 and ops[0].flags & wire.KEY):
            raise Mismatch(f"frame {header.frame_id} has {len(message.raw)} bytes")
        if header.resized:
            self._video = np.zeros((header.height, header.width), dtype=bool)
        for op in ops:
            target = self._video[op.y : op.y + op.h, op.x : op.x + op.w]
            if op.kind == wire.COPY and self._video[op.sy : op.sy + op.h, op.sx : op.sx + op.w].any():
                raise Mismatch(f"frame {header.frame_id} copies out of a video: {op}")
            target[:] = op.kind == wire.H264


class Performance:
    """Plays a script; ``tamper`` may change what the engine sent, to see that it is found out.

    ``direct``: the engine reads the server's own memory, else it asks the server.
    """

    def __init__(
        self,
        stage: Stage,
        *,
        direct: bool = True,
        tamper: Callable[[bytes], bytes] | None = None,
        patience: float = PATIENCE_S,
    ) -> None:
        self.stage = stage
        self._direct = direct
        self.audience: list[Spectator] = []
        self.picture: Pixels = np.zeros((0, 0, 3), np.uint8)
        """The screen at the end, height×width×3 RGB."""
        self.kinds = dict.fromkeys(range(1, 6), 0)
        self.resizes = 0
        self._referee = Referee()
        self._tamper = tamper
        self._patience = patience

    def play(self, script: Script) -> None:
        """Play it to its end, and wait until everyone sees the screen exactly. Raises `Mismatch`."""
        name, first = script[0]
        assert name == "set", "a script begins with settings"
        self.stage.clear()
        server = self.stage.server
        screen = server.screen if self._direct else None
        with X11Source(socket=server.socket, auth=server.auth, framebuffer=screen) as source:
            assert source.direct == self._direct
            settings = EngineSettings().replace({**_QUICK, **first})
            with Engine(source, settings) as engine:
                self.engine = engine
                self.audience = [Spectator("who was there from the start")]
                engine.start()
                for step in script[1:]:
                    self._do(step)
                self._rest("at the end")
        self.picture = self.stage.truth()

    def _do(self, step: Step) -> None:
        name, *arguments = step
        if name == "set":
            self.engine.update(**arguments[0])
        elif name == "wait":
            self._follow(arguments[0] / 1000)
        elif name == "pause":
            time.sleep(arguments[0] / 1000)
        elif name == "join":
            self._join()
        elif name == "keys":
            self.engine.request_key_frames()
        elif name == "rest":
            settings = self.engine.settings
            if settings.mode == "lossless" or (settings.mode == "auto" and settings.lossless_when_still):
                self._rest("in the middle")
            else:
                self._follow(0.05)
        elif name == "video":
            self._video(*arguments)
        else:
            self.stage.draw(step)

    def _join(self) -> None:
        if len(self.audience) <= _JOINERS:
            joiner = Spectator(f"who joined as number {len(self.audience)}")
            joiner.join(self.engine.snapshot())
            self.audience.append(joiner)

    def _video(
        self,
        where: int,
        places: list[Rectangle],
        pictures: int,
        drift: tuple[int, int],
        pause_ms: int,
        typing: bool,
    ) -> None:
        """Let videos play; with ``drift`` their window moves, or they do on the root."""
        for number in range(pictures):
            dx, dy = drift[0] * number, drift[1] * number
            if where != ROOT and number and any(drift):
                self.stage.draw(("move", where, (dx, dy)))
                dx = dy = 0
            for x, y, width, height in places:
                corner = (7 * number % 59, 11 * number % 53)
                self.stage.draw(("picture", where, "photograph", corner, (x + dx, y + dy, width, height)))
            if typing:
                self.stage.draw(("text", ROOT, (6 * number, 0), ["a"], 0x101010, 0xF0F0F0))
            self._follow(pause_ms / 1000)

    def _follow(self, seconds: float) -> None:
        """Give everyone what comes within that time."""
        until = time.monotonic() + seconds
        while True:
            if self._take():
                continue
            rest = until - time.monotonic()
            if rest <= 0:
                return
            if select.select([self.engine.fileno()], [], [], rest)[0]:
                with contextlib.suppress(BlockingIOError):
                    os.eventfd_read(self.engine.fileno())

    def _take(self) -> bool:
        frame = self.engine.take()
        if frame is None:
            if self.engine.failure is not None:
                raise self.engine.failure
            return False
        with frame:
            data = bytes(frame.buffer)
        if self._tamper is not None:
            data = self._tamper(data)
        message = wire.parse_message(data)
        self._referee.judge(message)
        self.resizes += message.header.resized
        for op in message.ops:
            self.kinds[op.kind] += 1
        for spectator in self.audience:
            spectator.follow(message)
        return True

    def _rest(self, when: str) -> None:
        """Wait until everyone sees the screen, and still does when nothing more comes."""
        truth = self.stage.truth()
        deadline = time.monotonic() + self._patience
        while any(find_difference(s.decoder.picture, truth) for s in self.audience):
            if time.monotonic() > deadline:
                break
            self._follow(0.01)
        self._follow(_CALM_S)
        for spectator in self.audience:
            difference = find_difference(spectator.decoder.picture, truth)
            if difference:
                raise Mismatch(f"{when} {spectator.name} sees something else: {difference}")


def find_difference(seen: Pixels, truth: Pixels) -> str:
    """Say where two pictures differ, or nothing if they do not."""
    if seen.shape != truth.shape:
        return f"a picture of {seen.shape[1]}×{seen.shape[0]} instead of {truth.shape[1]}×{truth.shape[0]}"
    if np.array_equal(seen, truth):
        return ""
    rows, columns = np.nonzero((seen != truth).any(axis=2))
    y, x = int(rows[0]), int(columns[0])
    return (
        f"{len(rows)} pixels in x {columns.min()}…{columns.max()}, y {rows.min()}…{rows.max()}; "
        f"at ({x}, {y}) {seen[y, x].tolist()} instead of {truth[y, x].tolist()}"
    )


def check_script(
    script: Script, perform: Callable[[], Performance], watch: Callable[[Performance], None] = lambda _: None
) -> Performance:
    """Play a script in a `Performance` of ``perform``; when it fails, raise `Mismatch` with a script made short.

    ``watch`` looks at a performance that is over, and raises if it is not as it should be.
    """

    def play(candidate: Script) -> Performance:
        performance = perform()
        performance.play(candidate)
        watch(performance)
        return performance

    def fails(candidate: Script) -> bool:
        try:
            play(candidate)
        except Exception:
            return True
        return False

    try:
        return play(script)
    except Exception as problem:
        # Time decides what goes into which frame, so a script may fail once in a few times only.
        short = shorten(script, lambda candidate: fails(candidate) or fails(candidate), SHORTEN_S)
        kind = type(problem).__name__
        raise Mismatch(
            f"{kind}: {problem}\nMade {len(short)} of {len(script)} steps:\n{print_script(short)}"
        ) from problem
