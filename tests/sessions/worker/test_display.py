"""An X server that hangs while nothing changes: the engine's scan of a still screen finds it out."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable

from tests.sessions.worker.conftest import WorkerProcess
from tests.stripeengine.fixtures_x11 import XServer


def test_a_worker_ends_and_says_that_its_still_display_hangs(
    start_worker: Callable[..., WorkerProcess], redis_url: str, display: XServer
) -> None:
    worker = start_worker(redis_url, display, verify_interval_ms=500)
    worker.wait_for(lambda status: status["state"] == "streaming")
    os.kill(display.pid, signal.SIGSTOP)
    try:
        status = worker.wait_for(lambda status: status["state"] == "failed", 30)
        assert "the X server has not answered for" in status["error"]
        assert worker.process.wait(20) == 3
    finally:
        os.kill(display.pid, signal.SIGCONT)
