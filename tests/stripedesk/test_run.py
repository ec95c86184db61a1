"""`make test-python`: which failures are run again, alone, and what is said and decided then."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.run import FEW, Ledger, by_chance

ROOT = Path(__file__).resolve().parents[2]

PRELUDE = """
import os, pathlib, pytest, signal, time
HERE = pathlib.Path(__file__).parent
BESIDE = "PYTEST_XDIST_WORKER" in os.environ
with open(HERE / "runs", "a") as runs:
    runs.write("beside\\n" if BESIDE else "alone\\n")
"""


def start(place: Path, *arguments: str, **modules: str) -> subprocess.Popen[str]:
    """Run a folder of test modules, given by name, as `make test-python` does ours."""
    (place / "pytest.ini").write_text("[pytest]\naddopts = -p no:django -p no:asyncio -p no:hypothesispytest\n")
    for name, text in modules.items():
        (place / f"test_{name}.py").write_text(PRELUDE + text)
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")}
    return subprocess.Popen(
        [sys.executable, "-m", "tests.run", "-n", "1", *arguments],
        cwd=place,
        env={**inherited, "PYTHONPATH": str(ROOT), "PYTHONDONTWRITEBYTECODE": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )


def output_of(process: subprocess.Popen[str]) -> str:
    try:
        return process.communicate(timeout=300)[0]
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)


def run(place: Path, *arguments: str, **modules: str) -> tuple[int, str, bool]:
    """Run to the end.

    Returns:
        The exit code, what was printed, and whether there was a second run.
    """
    process = start(place, *arguments, **modules)
    output = output_of(process)
    return process.returncode, output, "alone" in (place / "runs").read_text()


def closing(output: str) -> str:
    return output.strip().splitlines()[-1]


PASSES = "def test_passes(): pass\n"
FAILS_BESIDE_OTHERS = "def test_disturbed(): assert not BESIDE\n"
FAILS = "def test_broken(): assert 0\n"


def test_when_all_pass_there_is_one_run(tmp_path: Path) -> None:
    code, output, second = run(tmp_path, good=PASSES)
    assert code == 0 and not second
    assert "flaky" not in output and "1 passed" in closing(output)


def test_what_fails_only_beside_others_is_named_and_decides_nothing(tmp_path: Path) -> None:
    fails_at_its_end = (
        "@pytest.fixture\ndef thing():\n    yield\n    assert not BESIDE\n"
        "@pytest.mark.parametrize('x', ['a b'])\ndef test_ends(thing, x): pass\n"
    )
    code, output, second = run(tmp_path, good=PASSES, bad=FAILS_BESIDE_OTHERS, worse=fails_at_its_end)
    assert code == 0 and second
    assert "1 failed, 2 passed, 1 error" in output and "2 passed" in output  # both runs are shown
    named = closing(output).removeprefix("flaky, please mend: ")
    assert sorted(named.split(", ")) == ["test_bad.py::test_disturbed", "test_worse.py::test_ends[a b]"]


def test_what_fails_alone_too_is_the_verdict(tmp_path: Path) -> None:
    code, output, second = run(tmp_path, bad=FAILS_BESIDE_OTHERS, broken=FAILS)
    assert code == 1 and second
    assert "Not passed alone either: test_broken.py::test_broken\n" in output
    assert closing(output) == "flaky, please mend: test_bad.py::test_disturbed"


def test_a_test_that_is_skipped_when_alone_has_not_passed(tmp_path: Path) -> None:
    skips = "def test_shy():\n    if not BESIDE: pytest.skip()\n    assert 0\n"
    code, output, _ = run(tmp_path, shy=skips)
    assert code == 1
    assert closing(output) == "Not passed alone either: test_shy.py::test_shy"


def ledger_of(failed: int) -> Ledger:
    ledger = Ledger()
    ledger.failed = {f"test_many.py::test_one[{number}]": None for number in range(failed)}
    return ledger


def test_as_many_as_cannot_be_chance_are_not_run_again(capsys: pytest.CaptureFixture[str]) -> None:
    assert len(by_chance(1, ledger_of(FEW))) == FEW
    assert by_chance(1, ledger_of(FEW + 1)) == []
    assert f"Nothing is run again: {FEW + 1} tests failed, more than {FEW}." in capsys.readouterr().out


@pytest.mark.parametrize("code", [code for code in pytest.ExitCode if code != pytest.ExitCode.TESTS_FAILED])
def test_only_failed_tests_are_run_again(code: pytest.ExitCode) -> None:
    assert by_chance(code, ledger_of(1)) == []


def test_after_a_module_that_cannot_be_imported_nothing_is_run_again(tmp_path: Path) -> None:
    code, output, second = run(tmp_path, bad=FAILS_BESIDE_OTHERS, gone="import no_such_module\n")
    assert code != 0 and not second
    assert "no_such_module" in output


def test_after_a_process_that_died_nothing_is_run_again(tmp_path: Path) -> None:
    dies = "def test_kills():\n    if BESIDE: os.kill(os.getpid(), signal.SIGKILL)\n"
    code, output, second = run(tmp_path, dies=dies, bad=FAILS_BESIDE_OTHERS)
    assert code == 1 and not second
    assert "Nothing is run again: one of the processes died." in output


def test_after_a_run_cut_short_nothing_is_run_again(tmp_path: Path) -> None:
    code, output, second = run(tmp_path, "-x", bad=FAILS_BESIDE_OTHERS, good=PASSES)
    assert code == 2 and not second
    assert "1 failed" in output


@pytest.mark.parametrize("which", ["first", "second"])
def test_an_interruption_ends_either_run(tmp_path: Path, which: str) -> None:
    waits = (
        "def test_waits():\n"
        f"    if BESIDE and {which == 'second'}: assert 0\n"
        "    (HERE / 'waiting').touch()\n"
        "    time.sleep(600)\n"
    )
    process = start(tmp_path, waits=waits)
    deadline = time.monotonic() + 120
    while not (tmp_path / "waiting").exists():
        assert process.poll() is None and time.monotonic() < deadline
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    output = output_of(process)
    assert process.returncode == 2, output
    assert ("alone" in (tmp_path / "runs").read_text()) == (which == "second")
    assert "flaky" not in output
