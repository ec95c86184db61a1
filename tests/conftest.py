"""Shared by all tests: the process' own state directory, Hypothesis profiles, and which tests may run side by side.

Fixtures of a topic live beside its tests; those that several folders use are listed here.
"""

from __future__ import annotations

import os
import signal
import tempfile
from collections.abc import Generator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings

# Before Django's settings are imported: tests never write into the checkout's own state.
_state = tempfile.mkdtemp(prefix="stripedesk-test-")
# Each of the processes that share a run (pytest -n) has its own.
os.environ["STRIPEDESK_STATE_DIR"] = os.path.join(_state, "state")
os.environ["STRIPEDESK_RUNTIME_DIR"] = os.path.join(_state, "run")

# A shell without job control starts what runs in the background with Ctrl-C ignored, and what that starts inherits it.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

# `make test` judges a change, so it runs the same examples each time; `make scripts` looks for new ones.
settings.register_profile("default", deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("thorough", parent=settings.get_profile("default"), derandomize=False, max_examples=2000)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "default"))

TESTS = Path(__file__).resolve().parent
ONE_PRODUCT = ("faults", "e2e")
"""Folders whose tests share a running product, or the range of its uids: one after the other, beside the others."""

LONG = (*ONE_PRODUCT, "sessions/host", "static/browser", "sessions/serving", "stripeengine")
"""Where the tests are that take longest: they begin first, so that no process ends long after the others."""


def _folder(nodeid: str, folders: tuple[str, ...]) -> int:
    """Which of ``folders`` a test is in, by its id; their number if in none."""
    place = nodeid.removeprefix("tests/")
    return next((n for n, name in enumerate(folders) if place.startswith(f"{name}/")), len(folders))


@pytest.hookimpl(wrapper=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> Generator[None]:
    """Put the long ones first; after pytest-django, which has an order of its own."""
    yield
    items.sort(key=lambda item: _folder(item.nodeid, LONG))


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """Keep together, in one process, the tests of a module, and those of a folder of `ONE_PRODUCT`.

    Not by `xdist_group`: pytest 9.2 ids lose the group that xdist 3.8 writes into them.
    """
    from xdist.scheduler import LoadScopeScheduling

    class Places(LoadScopeScheduling):
        def _split_scope(self, nodeid: str) -> str:
            return (*ONE_PRODUCT, nodeid.split("::")[0])[_folder(nodeid, ONE_PRODUCT)]

    return Places(config, log)


def pytest_unconfigure() -> None:
    """Remove what the run has written."""
    import shutil

    shutil.rmtree(_state, ignore_errors=True)
