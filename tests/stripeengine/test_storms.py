"""Resize storms, a server that dies between frames, more engines than threads: a clear state, the stream resumes."""

from __future__ import annotations

import contextlib
import os
import random
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from Xlib.error import ConnectionClosedError

from stripeengine import Engine, EngineSettings, FramebufferSource
from stripeengine.errors import SourceError
from stripeengine.x11 import X11Source
from tests.stripeengine.fixtures_engine import Viewer, running
from tests.stripeengine.fixtures_x11 import Painter, XServer, have_xvfb

ROOT = Path(__file__).resolve().parent.parent.parent
PATIENCE = 15.0


def wait_exact(viewer: Viewer, picture: np.ndarray[tuple[int, ...], np.dtype[np.uint8]]) -> None:
    """Follow the engine until its viewer has exactly that picture."""
    end = time.monotonic() + PATIENCE
    while not viewer.messages or not np.array_equal(viewer.picture, picture):
        assert time.monotonic() < end, "the picture at rest is not the source's"
        viewer.wait(0.05)
        while viewer.take():
            pass
    assert viewer.engine.failure is None


@pytest.mark.parametrize("mode", ["auto", "lossless"])
def test_after_a_storm_of_resizes_the_picture_is_exact(mode: str) -> None:
    generator, noise = random.Random(1), np.random.default_rng(1)
    with running(320, 240, mode=mode, repair_delay_ms=20) as (source, _, viewer):
        for number in range(150):
            width, height = generator.randint(1, 500), generator.randint(1, 400)
            source.resize(width, height)
            picture = noise.integers(0, 256, (height, width, 3), np.uint8) // (1 + number % 5 * 60)
            source.submit(picture)
            if number % 3 == 0:
                viewer.take()
        wait_exact(viewer, picture)


@pytest.mark.skipif(not have_xvfb(), reason="Xvfb is not installed")
@pytest.mark.parametrize("mode", ["auto", "lossless", "jpeg", "h264"])
def test_a_server_killed_between_frames_leaves_nothing_and_a_new_one_is_streamed(mode: str) -> None:
    settings = EngineSettings(mode=mode)
    held = []
    for _ in range(3):
        with (
            XServer((640, 480)) as server,
            X11Source(socket=server.socket, auth=server.auth) as source,
            Engine(source, settings) as engine,
        ):
            engine.start()
            viewer = Viewer(engine)
            end = time.monotonic() + PATIENCE
            while not viewer.take():
                assert time.monotonic() < end, "nothing is streamed"
                viewer.wait(0.05)
            painter = Painter(server)
            for number in range(50):
                painter.fill(number * 9, number * 7, 90, 80, number * 0x040810)
                viewer.take()
            server.kill()  # what was drawn last is being fetched
            with contextlib.suppress(ConnectionClosedError):
                painter.close()
            end = time.monotonic() + PATIENCE
            while engine.failure is None:
                assert time.monotonic() < end, "the engine does not notice"
                viewer.wait(0.05)
                viewer.take()
            assert isinstance(engine.failure, SourceError)
            assert "the X server went away" in str(engine.failure)
        held.append((len(os.listdir("/proc/self/fd")), len(os.listdir("/proc/self/task"))))
    assert held[1] == held[2], "descriptors or threads are left behind"


CROWD = "import sys; from tests.stripeengine.test_storms import crowd; crowd(int(sys.argv[1]))"


def crowd(engines: int) -> None:
    """That many engines send large noise at once; each gets its turn and ends exact."""
    noise = np.random.default_rng(2).integers(0, 256, (240, 400, 3), np.uint8)
    sources = [FramebufferSource(400, 240) for _ in range(engines)]
    viewers = []
    for source in sources:
        engine = Engine(source, EngineSettings(mode="lossless", framerate=60))
        engine.start()
        viewers.append(Viewer(engine))
    for turn in range(6):
        for source in sources:
            source.submit(np.roll(noise, turn * 31))
        for viewer in viewers:
            viewer.take()
    for viewer in viewers:
        wait_exact(viewer, np.roll(noise, 5 * 31))
    for source in sources:
        source.close()


@pytest.mark.parametrize("threads", [1, 2])
def test_more_engines_than_encoder_threads_all_get_their_turn(threads: int) -> None:
    """The pool's size is fixed when it starts, so this needs a process of its own."""
    environment = {**os.environ, "STRIPEENGINE_THREADS": str(threads)}
    command = [sys.executable, "-c", CROWD, "10"]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
