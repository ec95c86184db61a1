"""Memory, descriptors and threads stay as they are: a short soak, and proof that a leak would show."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from tests.stripeengine.soak import ALLOCATED_KB, RESIDENT_KB, Report, Usage

ROOT = Path(__file__).resolve().parent.parent.parent


def test_a_short_soak_stays_flat() -> None:
    """In a process of its own: other tests leave threads and memory behind."""
    command = [sys.executable, "-m", "tests.stripeengine.soak", "--frames", "3000", "--resizes", "40"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_what_grows_is_named() -> None:
    before = Usage(50_000, 20_000, 20, 7)
    grown = Usage(50_000 + RESIDENT_KB + 1, 20_000 + ALLOCATED_KB + 1, 21, 8)
    report = Report(100, 10, 10, 1.0, (before, grown))
    assert [problem.split()[0] for problem in report.problems] == ["allocated", "resident", "20", "7"]
    most = Usage(50_000 + RESIDENT_KB, 20_000 + ALLOCATED_KB, 20, 7)
    assert not Report(100, 10, 10, 1.0, (before, most)).problems
