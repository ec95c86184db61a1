"""The platform on PostgreSQL: a cluster of its own, on a Unix socket, for one migration, one seed and one launch."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.postgresql import NAME, cluster

ROOT = Path(__file__).resolve().parents[2]

LAUNCH = """
from django.contrib.auth.models import User
from django.db import connection
from sessions.actions.launch import check_launch, do_launch
from sessions.models import DesktopSession

assert connection.vendor == "postgresql", connection.vendor
user = User.objects.create_user("anna", password="an-Ordinary-1")
session = do_launch(check_launch(user, "terminal"))
again = DesktopSession.objects.get(pk=session.pk)
assert (again.state, again.wanted) == ("requested", "running"), again.state
assert again.engine_settings() == session.engine_settings()
print("launched", again.name)
"""

RACE = """
import time
from concurrent.futures import ThreadPoolExecutor
from django.contrib.auth.models import User
from django.db import connection
from sessions.actions import launch as launching
from sessions.actions.errors import ActionError
from sessions.models import DesktopSession

wish = launching.check_launch(User.objects.create_user("bert", password="an-Ordinary-1"), "terminal")
check_quota = launching.check_quota

def check_slowly(owner, template):
    check_quota(owner, template)
    time.sleep(0.05)  # without a lock, all of them pass meanwhile

launching.check_quota = check_slowly

def launch(_):
    try:
        launching.do_launch(wish)
        return "launched"
    except ActionError as error:
        return error.code
    finally:
        connection.close()

with ThreadPoolExecutor(8) as pool:
    print("outcomes", *sorted(pool.map(launch, range(8))))
print("sessions", DesktopSession.objects.filter(owner__username="bert").count())
"""


@pytest.fixture(scope="module")
def database_url() -> Iterator[str]:
    """URL of a fresh PostgreSQL that nobody else uses; gone afterwards."""
    with cluster() as base:
        yield f"postgres://{NAME}@/{NAME}?host={base}"


@pytest.fixture(scope="module")
def manage(database_url: str, tmp_path_factory: pytest.TempPathFactory) -> Callable[..., str]:
    """Runs a management command on the migrated and seeded database; returns what it printed."""
    base = tmp_path_factory.mktemp("platform")
    env = {
        **os.environ,
        "DATABASE_URL": database_url,
        "REDIS_URL": f"unix://{base}/no-redis",  # a launch stands without Redis
        "STRIPEDESK_STATE_DIR": str(base / "state"),
        "STRIPEDESK_RUNTIME_DIR": str(base / "run"),
        "STRIPEDESK_SESSIONS_PER_USER": "1",
    }

    def run(*arguments: str) -> str:
        done = subprocess.run(
            [sys.executable, str(ROOT / "manage.py"), *arguments], env=env, capture_output=True, text=True, timeout=60
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    run("migrate", "-v", "0")
    run("seed")
    return run


def test_a_session_is_launched(manage: Callable[..., str]) -> None:
    assert "launched Terminal" in manage("shell", "-v", "0", "-c", LAUNCH)


def test_of_launches_at_once_the_quota_lets_one_through(manage: Callable[..., str]) -> None:
    printed = manage("shell", "-v", "0", "-c", RACE)
    assert "outcomes launched" + 7 * " quota" in printed
    assert "sessions 1" in printed
