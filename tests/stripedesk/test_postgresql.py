"""The platform on PostgreSQL: a cluster of its own, on a Unix socket, for one migration, one seed and one launch."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
BINARIES = sorted(Path("/usr/lib/postgresql").glob("*/bin"))

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


@pytest.fixture(scope="module")
def database_url() -> Iterator[str]:
    """URL of a fresh PostgreSQL that nobody else uses; gone afterwards."""
    assert BINARIES, "install the Debian package postgresql (packages.txt, [test])"
    binaries = BINARIES[-1]
    base = Path(tempfile.mkdtemp(prefix="sd-pg-"))
    as_owner: list[str] = []
    if os.geteuid() == 0:  # PostgreSQL refuses to run as root
        shutil.chown(base, "postgres", "postgres")
        as_owner = ["setpriv", "--reuid=postgres", "--regid=postgres", "--clear-groups"]
    data = base / "data"

    def run(*line: str | Path) -> None:
        subprocess.run([*as_owner, *map(str, line)], check=True, capture_output=True, timeout=60, cwd="/")

    run(binaries / "initdb", "-D", data, "-U", "stripedesk", "--auth=trust", "--no-sync", "-E", "UTF8")
    options = f"-c listen_addresses= -c unix_socket_directories={base} -c fsync=off"
    run(binaries / "pg_ctl", "-D", data, "-w", "-l", base / "log", "-o", options, "start")
    try:
        run(binaries / "createdb", "-h", base, "-U", "stripedesk", "stripedesk")
        yield f"postgres://stripedesk@/stripedesk?host={base}"
    finally:
        run(binaries / "pg_ctl", "-D", data, "-m", "immediate", "stop")
        shutil.rmtree(base, ignore_errors=True)


def test_migrate_seed_and_launch(database_url: str, tmp_path: Path) -> None:
    env = {
        **os.environ,
        "DATABASE_URL": database_url,
        "REDIS_URL": f"unix://{tmp_path}/no-redis",  # a launch stands without Redis
        "STRIPEDESK_STATE_DIR": str(tmp_path / "state"),
        "STRIPEDESK_RUNTIME_DIR": str(tmp_path / "run"),
    }

    def manage(*arguments: str) -> str:
        done = subprocess.run(
            [sys.executable, str(ROOT / "manage.py"), *arguments], env=env, capture_output=True, text=True, timeout=60
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    manage("migrate", "-v", "0")
    manage("seed")
    assert "launched Terminal" in manage("shell", "-v", "0", "-c", LAUNCH)
