"""Processor time and memory of another process."""

from __future__ import annotations

import subprocess
import sys

import pytest

from benchmarks.clocks import cpu_seconds, resident_mb

# Burns 0.2 s in a thread that is over before it answers, then 0.1 s in the first thread.
BURNER = """
import threading, time
def burn(seconds):
    end = time.thread_time() + seconds
    while time.thread_time() < end: pass
thread = threading.Thread(target=burn, args=(0.2,)); thread.start(); thread.join()
burn(0.1)
ballast = bytearray(50_000_000)
print(time.process_time(), flush=True)
input()
"""


def test_processor_time_is_the_process_own_with_threads_that_have_ended() -> None:
    process = subprocess.Popen([sys.executable, "-c", BURNER], stdin=-1, stdout=-1, text=True)
    assert process.stdin is not None and process.stdout is not None
    try:
        own = float(process.stdout.readline())
        assert own >= 0.3
        assert own <= cpu_seconds(process.pid) < own + 0.05
        assert 50 < resident_mb(process.pid) < 120
        # Asleep it costs nothing, at a resolution far below a tick of 10 ms.
        before = cpu_seconds(process.pid)
        subprocess.run(["sleep", "0.1"], check=True)
        assert cpu_seconds(process.pid) - before < 0.002
    finally:
        process.communicate("\n")
    with pytest.raises(ProcessLookupError, match=str(process.pid)):
        cpu_seconds(process.pid)
    assert resident_mb(process.pid) == 0
