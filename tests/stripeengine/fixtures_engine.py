"""A viewer of an `Engine`: waits on the eventfd, decodes every message, remembers what came."""

from __future__ import annotations

import contextlib
import os
import select
import time
from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

from stripeengine import Engine, EngineSettings, FramebufferSource, wire
from stripeengine.decode import Decoder
from tests.stripeengine.fixtures_rest import PATIENCE_S, SLICE_S, others_work

Pixels = npt.NDArray[np.uint8]


class Viewer:
    """Takes messages of an engine and applies them to a `Decoder`."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self.decoder = Decoder()
        self.messages: list[wire.Message] = []
        self.data: list[bytes] = []
        self.arrivals: list[float] = []

    @property
    def picture(self) -> Pixels:
        """What the viewer sees, H×W×3."""
        picture: Pixels = self.decoder.picture
        return picture

    def ops(self, since: int = 0) -> list[wire.Op]:
        """Every op of the messages from that index on."""
        return [op for message in self.messages[since:] for op in message.ops]

    def wait(self, seconds: float) -> bool:
        """Wait for the eventfd and read it."""
        if not select.select([self.engine.fileno()], [], [], seconds)[0]:
            return False
        with contextlib.suppress(BlockingIOError):
            os.read(self.engine.fileno(), 8)
        return True

    def take(self) -> bool:
        """Take and apply one message if there is one."""
        frame = self.engine.take()
        if frame is None:
            return False
        with frame:
            data = bytes(frame.buffer)
        self.messages.append(wire.parse_message(data))
        self.data.append(data)
        self.arrivals.append(time.monotonic())
        self.decoder.apply(data)
        return True

    def drain(self, quiet: float = 0.15) -> int:
        """Take everything until nothing has come for ``quiet`` seconds; return how many messages came.

        Only time counts in which the engine's threads sleep: see `fixtures_rest`.
        """
        before = len(self.messages)
        while self.take() or self._comes_within(quiet) or self.take():
            pass
        return len(self.messages) - before

    def _comes_within(self, quiet: float) -> bool:
        longest = time.monotonic() + quiet + PATIENCE_S
        while quiet > 0:
            if self.wait(min(quiet, SLICE_S)):
                return True
            if not others_work() or time.monotonic() > longest:
                quiet -= SLICE_S
        return False


@contextlib.contextmanager
def running(width: int, height: int, **settings: Any) -> Iterator[tuple[FramebufferSource, Engine, Viewer]]:
    """An engine over a framebuffer with these settings, started, and its viewer."""
    source = FramebufferSource(width, height)
    with Engine(source, EngineSettings(**{"framerate": 120, **settings})) as engine:
        engine.start()
        yield source, engine, Viewer(engine)


def smooth(width: int, height: int, seed: int = 0) -> Pixels:
    """A picture that codecs keep well: slow gradients."""
    y, x = np.mgrid[0:height, 0:width]
    planes = [x * 200 // width + y * 50 // height + seed * 40 + shift for shift in (10, 20, 30)]
    return np.stack([np.abs(plane % 460 - 230) for plane in planes], axis=2).astype(np.uint8)


def blocks(width: int, height: int, seed: int) -> Pixels:
    """Squares of 8 pixels of random colours: codecs keep them well, and no two seeds have much in common."""
    small = np.random.default_rng(seed).integers(0, 256, (-(-height // 8), -(-width // 8), 3), dtype=np.uint8)
    return small.repeat(8, axis=0).repeat(8, axis=1)[:height, :width]


def worst(a: Pixels, b: Pixels) -> int:
    """Largest difference of a channel."""
    return int(np.abs(a.astype(int) - b).max())


def mean(a: Pixels, b: Pixels) -> float:
    """Mean difference of a channel."""
    return float(np.abs(a.astype(int) - b).mean())
