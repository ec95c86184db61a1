"""The benchmark of the browser's decoder: what it refuses, what its frames are, and a short run in a real Chromium."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from benchmarks import decoder
from stripeengine.lossless import decode_batch

ROOT = Path(__file__).resolve().parents[2]


def test_too_few_rounds_are_refused(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stopped:
        decoder.main(["--rounds", "1"])
    assert stopped.value.code == 2
    assert "--rounds must be at least 2" in capsys.readouterr().err


def test_a_change_is_what_the_engine_sends_for_it() -> None:
    name, before, after = next(decoder.make_changes())
    change = decoder.encode(name, before, after)
    picture = before.copy()
    for payload, rectangles in change.batches:
        for (x, y, w, h), pixels in zip(
            rectangles, decode_batch(payload, [(w, h) for _, _, w, h in rectangles]), strict=True
        ):
            picture[y : y + h, x : x + w] = pixels
    assert (before != after).any() and np.array_equal(picture, after)
    assert change.size < 1000 and change.pixels < 1000, "a letter is a small change"


def test_the_table_shows_the_fastest_medians_and_quartiles() -> None:
    change = decoder.Change("one", [(b"12345", [(0, 0, 10, 4)])])
    rows = decoder.table([change], {"one": {"javascript": [1, 2, 3], "wasm": [0.25, 0.5, 9]}}).splitlines()
    assert rows[2] == "| one | 5 | 40 | 1.000 | 2.000 (1.000–3.000) | 0.250 | 0.500 (0.250–9.000) | 4.0 | 4.0 |"


def test_both_decoders_are_measured_in_one_run(tmp_path: Path) -> None:
    """In a process of its own: Playwright leaves an event loop behind."""
    target = tmp_path / "samples.json"
    command = [sys.executable, "-m", "benchmarks.decoder", "--rounds", "2", "--json", str(target)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    samples = json.loads(target.read_text())["samples"]
    assert len(samples) == 5 and all(name in done.stdout for name in samples)
    for methods in samples.values():
        assert set(methods) == {"javascript", "wasm"}
        assert all(len(times) == 2 and min(times) > 0 for times in methods.values())
