"""Shared by all tests: the process' own state directory, Hypothesis profiles, and the browser's launch options.

Fixtures of a topic live beside its tests; those that several folders use are listed here.
"""

from __future__ import annotations

import os
import tempfile

from hypothesis import HealthCheck, settings

# Before Django's settings are imported: tests never write into the checkout's own state.
_state = tempfile.mkdtemp(prefix="stripedesk-test-")
os.environ.setdefault("STRIPEDESK_STATE_DIR", os.path.join(_state, "state"))
os.environ.setdefault("STRIPEDESK_RUNTIME_DIR", os.path.join(_state, "run"))

# `make test` judges a change, so it runs the same examples each time; `make scripts` looks for new ones.
settings.register_profile("default", deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("thorough", parent=settings.get_profile("default"), derandomize=False, max_examples=2000)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "default"))


def pytest_unconfigure() -> None:
    """Remove what the run has written."""
    import shutil

    shutil.rmtree(_state, ignore_errors=True)
