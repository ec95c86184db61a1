"""How an engine lives and ends: closing in every order, held frames, fork, exit, collection, imports."""

from __future__ import annotations

import gc
import os
import signal
import subprocess
import sys
import threading
import time
import weakref
from pathlib import Path

import numpy as np
import pytest

from stripeengine import Engine, EngineError, EngineSettings, FramebufferSource, SourceError, TestPatternSource, wire
from tests.stripeengine.fixtures_engine import Viewer, running

ROOT = Path(__file__).resolve().parents[2]


def run_python(code: str) -> subprocess.CompletedProcess[str]:
    """Run a program that uses the engine in a process of its own."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    return subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, timeout=60)


def test_closing_twice_and_using_a_closed_engine() -> None:
    source = FramebufferSource(64, 64)
    engine = Engine(source, EngineSettings())
    engine.start()
    engine.close()
    engine.close()
    assert engine.closed
    for use in (engine.start, engine.take, engine.fileno, engine.snapshot, engine.stats, engine.request_key_frames):
        with pytest.raises(EngineError, match="closed"):
            use()
    with pytest.raises(EngineError, match="closed"):
        engine.update(framerate=5)
    assert engine.failure is None


def test_closing_without_a_start_and_before_start_calls() -> None:
    with Engine(FramebufferSource(64, 64)) as engine:
        assert engine.take() is None and engine.cursor() is None
        assert engine.stats().frames == 0
        with pytest.raises(EngineError, match="not running"):
            engine.snapshot()


def test_a_held_frame_outlives_the_engine_and_the_source() -> None:
    source = FramebufferSource(64, 64)
    engine = Engine(source, EngineSettings())
    engine.start()
    viewer = Viewer(engine)
    assert viewer.wait(2)
    frame = engine.take()
    assert frame is not None
    part = frame.buffer[:48]
    copy = bytes(frame.buffer)
    engine.close()
    source.close()
    del engine, viewer, source
    gc.collect()
    assert bytes(frame.buffer) == copy
    assert frame.buffer.readonly
    assert (frame.frame_id, frame.ops) == (1, 1) and len(frame) == len(copy)
    frame.release()
    frame.release()
    with pytest.raises(ValueError, match="released"):
        frame.buffer  # noqa: B018
    assert bytes(part) == copy[:48], "a view of it keeps the memory"
    assert wire.parse_message(copy).header.epoch == frame.epoch


def test_a_source_serves_one_engine_at_a_time() -> None:
    source = FramebufferSource(64, 64)
    first = Engine(source)
    with pytest.raises(EngineError, match="another engine"):
        Engine(source)
    first.close()
    second = Engine(source)
    assert second.epoch != first.epoch and second.epoch != 0
    source.close()
    assert second.closed, "closing the source closes its engine first"
    with pytest.raises(SourceError, match="closed"):
        Engine(source)


def test_an_engine_restarted_on_its_source_sends_everything_again() -> None:
    source = FramebufferSource(64, 64)
    source.submit(np.full((64, 64, 3), 90, np.uint8))
    for _ in range(2):
        with Engine(source, EngineSettings(paint_over=False)) as engine:
            engine.start()
            viewer = Viewer(engine)
            viewer.drain()
            assert viewer.messages[0].header.resized and int(viewer.picture[5, 5, 0]) in range(87, 94)


def test_collection_closes_an_engine() -> None:
    engine = Engine(TestPatternSource(64, 64), EngineSettings())
    engine.start()
    descriptor = engine.fileno()
    gone = weakref.ref(engine)
    del engine
    gc.collect()
    assert gone() is None
    with pytest.raises(OSError):
        os.fstat(descriptor)


def test_engines_do_not_leak_descriptors_or_threads() -> None:
    def counts() -> tuple[int, int]:
        return len(os.listdir("/proc/self/fd")), len(os.listdir("/proc/self/task"))

    with running(256, 256):
        pass  # the pool starts with the first
    before = counts()
    for _ in range(10):
        with running(64, 64) as (source, _engine, viewer):
            viewer.drain(0.01)
        source.close()
    gc.collect()
    fds, tasks = counts()
    assert fds <= before[0] and tasks <= before[1] + 1


def test_closing_while_another_thread_uses_it() -> None:
    source = TestPatternSource(320, 200, framerate=240)
    engine = Engine(source, EngineSettings(framerate=240))
    engine.start()
    problems: list[BaseException] = []

    def use() -> None:
        try:
            while True:
                engine.take()
                engine.snapshot()
                engine.stats()
        except EngineError as error:
            if "closed" not in str(error) and "not running" not in str(error):
                problems.append(error)

    threads = [threading.Thread(target=use) for _ in range(3)]
    for thread in threads:
        thread.start()
    time.sleep(0.2)
    engine.close()
    for thread in threads:
        thread.join(5)
        assert not thread.is_alive()
    assert not problems


def test_many_engines_side_by_side() -> None:
    engines = [Engine(TestPatternSource(320, 200, "noise"), EngineSettings(paint_over=False)) for _ in range(6)]
    viewers = [Viewer(engine) for engine in engines]
    for engine in engines:
        engine.start()
    until = time.monotonic() + 0.5
    while time.monotonic() < until:
        for viewer in viewers:
            viewer.take()
        time.sleep(0.002)
    assert len({engine.epoch for engine in engines}) == 6
    assert all(len(viewer.messages) > 3 for viewer in viewers)
    for engine in engines:
        engine.close()


def test_a_forked_child_gets_clear_errors_and_closes_harmlessly() -> None:
    done = run_python(
        """
import os, sys
from stripeengine import Engine, EngineError, TestPatternSource
engine = Engine(TestPatternSource(640, 480, "noise"))
engine.start()
child = os.fork()
if child == 0:
    try:
        engine.take()
    except EngineError as error:
        assert "fork" in str(error)
        engine.close()
        with Engine(TestPatternSource(64, 64)) as other:
            other.start()
        sys.exit(7)
    sys.exit(1)
assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7
assert engine.failure is None
engine.close()
print("fine")
"""
    )
    assert done.stdout == "fine\n", done.stderr


@pytest.mark.parametrize("end", ["", "sys.exit(0)", "os.kill(os.getpid(), 2)"])
def test_leaving_without_close(end: str) -> None:
    done = run_python(
        f"""
import os, sys, time
from stripeengine import Engine, TestPatternSource
engine = Engine(TestPatternSource(640, 480, "noise"))
engine.start()
time.sleep(0.1)
held = engine.take()
print("end", flush=True)
{end}
"""
    )
    assert done.stdout == "end\n"
    assert done.returncode in (0, -signal.SIGINT, 130)
    assert "Fatal" not in done.stderr


def test_parts_load_no_more_than_they_need() -> None:
    done = run_python(
        """
import sys
import stripeengine.settings, stripeengine.wire
assert not {"cffi", "_cffi_backend", "numpy", "stripeengine.ffi"} & set(sys.modules), sys.modules.keys()
import stripeengine
assert "Engine" in dir(stripeengine)
from stripeengine import Engine, FramebufferSource, X11Source
assert not {"numpy", "av", "turbojpeg", "xxhash"} & set(sys.modules)
try:
    stripeengine.Motor
except AttributeError as error:
    assert "Motor" in str(error)
    print("fine")
"""
    )
    assert done.stdout == "fine\n", done.stderr


def test_every_public_name_resolves() -> None:
    import stripeengine

    for name in stripeengine.__all__:
        assert getattr(stripeengine, name).__name__ == name


def test_a_missing_extension_says_how_to_build_it() -> None:
    done = run_python(
        """
import sys
sys.modules["stripeengine._stripeengine"] = None
from stripeengine import EngineError
try:
    from stripeengine import Engine
except EngineError as error:
    print(error)
"""
    )
    assert "not built" in done.stdout and "make setup" in done.stdout


def test_the_pools_size_comes_from_the_environment() -> None:
    code = """
import os, time
from stripeengine import Engine, TestPatternSource
engine = Engine(TestPatternSource(1280, 720, "noise"))
engine.start()
time.sleep(0.4)
names = [open(f"/proc/self/task/{task}/comm").read().strip() for task in os.listdir("/proc/self/task")]
print(names.count("stripe-pool"), names.count("stripe-engine"))
"""
    for threads, expected in (("1", "0 1\n"), ("3", "2 1\n")):
        done = run_python(f"import os; os.environ['STRIPEENGINE_THREADS'] = '{threads}'\n" + code)
        assert done.stdout == expected, done.stderr
