"""The Python tests, three processes side by side; what failed there once more, alone. `make test-python` is this.

Usage: ``python -m tests.run [pytest argument]...`` in the folder of pytest's configuration. Ends with pytest's code.

Some tests wait for programs that share two processors with two other tests and all these have started. One that fails
so and passes alone judges the machine, so it decides nothing, but is named at the end: it waits for a time instead of
for what it needs, or shares something. Only a few failed tests can be chance. Nothing is run again after more than
`FEW`, after a module that cannot be imported, a process that died, an interruption or `-x`: then what was not seen
could have failed as well.

The second run replaces this process (`exec`), so that nothing of the first is left in it and signals reach pytest.
"""

from __future__ import annotations

import os
import sys

import pytest

BESIDE_OTHERS = ("-n", "3", "--dist", "loadscope", "--no-loadscope-reorder", "--max-worker-restart", "0")
"""Three at a time on two processors: half of what the tests do is wait. `conftest.py` says which stay together. When
one of the processes dies, the run ends: another in its place may wait for ever (xdist 3.8)."""

FEW = 12
"""So many failed tests, at most, are run again."""

AGAIN = "--again"
"""The first argument of the second run; the ids of the tests follow."""


class Ledger:
    """A pytest plugin: what failed and passed, by id in the order of the reports, and whether every test was seen."""

    def __init__(self) -> None:
        self.failed: dict[str, None] = {}
        self.passed: set[str] = set()
        self.unseen = ""
        """Why some tests may have been left out; empty if none was."""

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.failed:
            self.failed[report.nodeid] = None
        elif report.passed and report.when == "call":
            self.passed.add(report.nodeid)

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        if report.failed:
            self.unseen = f"{report.nodeid} could not be collected"

    @pytest.hookimpl(optionalhook=True)
    def pytest_testnodedown(self, node: object, error: object | None) -> None:
        """Called by xdist for each of the processes; with an ``error`` if it died."""
        if error is not None:
            self.unseen = "one of the processes died"


def by_chance(code: int, ledger: Ledger) -> list[str]:
    """The tests to run again, alone, after a run that ended with ``code``; none if its verdict stands."""
    if code != pytest.ExitCode.TESTS_FAILED:
        return []
    doubt = ledger.unseen or (f"{len(ledger.failed)} tests failed, more than {FEW}" if len(ledger.failed) > FEW else "")
    if doubt:
        print(f"\nNothing is run again: {doubt}.")
        return []
    return list(ledger.failed)


def first(arguments: list[str]) -> int:
    """Run the tests that ``arguments`` name, all if none, side by side; `again` follows if some failed by chance."""
    environment = dict(os.environ)  # before conftest.py writes into it
    ledger = Ledger()
    code = int(pytest.main([*BESIDE_OTHERS, *arguments], plugins=[ledger]))
    tests = by_chance(code, ledger)
    if not tests:
        return code
    print(f"\nFailed beside others, run once more, alone: {', '.join(tests)}", flush=True)
    os.execve(sys.executable, [sys.executable, "-m", "tests.run", AGAIN, *tests], environment)


def again(tests: list[str]) -> int:
    """Run ``tests``, given by id, one after the other in this process: its verdict counts, if it has seen them pass."""
    ledger = Ledger()
    code = int(pytest.main(list(tests), plugins=[ledger]))
    flaky = [test for test in tests if test in ledger.passed and test not in ledger.failed]
    if code == pytest.ExitCode.OK and len(flaky) < len(tests):
        code = int(pytest.ExitCode.TESTS_FAILED)  # one that is skipped when alone has not passed
    if code != pytest.ExitCode.INTERRUPTED and len(flaky) < len(tests):
        print(f"\nNot passed alone either: {', '.join(test for test in tests if test not in flaky)}")
    if flaky:
        print(f"\nflaky, please mend: {', '.join(flaky)}")
    return code


def main(arguments: list[str]) -> int:
    """Return the exit code of the run whose verdict counts."""
    return again(arguments[1:]) if arguments[:1] == [AGAIN] else first(arguments)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
