"""Tests tell an engine at rest from one that waits for a processor."""

from __future__ import annotations

import hashlib
import threading
import time

from tests.stripeengine.fixtures_rest import others_work


def test_a_thread_that_wants_to_run_is_seen_and_one_that_sleeps_is_not() -> None:
    wake, done = threading.Event(), threading.Event()

    def work() -> None:
        wake.wait()
        while not done.is_set():
            hashlib.sha256(bytes(1 << 24))  # without the interpreter's lock, as the engine's threads

    thread = threading.Thread(target=work)
    thread.start()

    def becomes(working: bool) -> bool:
        until = time.monotonic() + 20
        while time.monotonic() < until:
            if others_work() is working:
                return True
            time.sleep(0.005)
        return False

    try:
        assert becomes(False)
        wake.set()
        assert becomes(True)
    finally:
        wake.set()
        done.set()
        thread.join()
    assert becomes(False)
