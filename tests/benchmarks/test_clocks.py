"""Processor time and memory of another process."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from benchmarks.clocks import cpu_seconds, resident_mb, waited_seconds

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
    assert waited_seconds(process.pid) == 0


def test_two_who_share_a_processor_wait_for_each_other() -> None:
    place = {min(os.sched_getaffinity(0))}
    program = f"import os; os.sched_setaffinity(0, {place}); print(flush=True); input()" + BURNER
    both = [subprocess.Popen([sys.executable, "-c", program], stdin=-1, stdout=-1, text=True) for _ in range(2)]
    try:
        for step in range(2):
            for process in both:
                assert process.stdin is not None and process.stdout is not None
                process.stdout.readline()
                if step == 0:
                    process.stdin.write("\n")
            for process in both:
                assert process.stdin is not None
                process.stdin.flush()
        # Each burns 0.3 s on the one processor, beginning together.
        assert sum(waited_seconds(process.pid) for process in both) > 0.15
    finally:
        for process in both:
            process.communicate("\n")
