"""The database: whether it answers, has its tables, and is set up for several processes."""

from __future__ import annotations

from collections.abc import Iterator

from django.db import Error as DatabaseTrouble
from django.db import connection
from django.db.migrations.exceptions import InconsistentMigrationHistory
from django.db.migrations.executor import MigrationExecutor

from ..models import SessionHost
from .finding import Finding, fail, ok, warn

LEAST_POSTGRESQL = 140_000
LEAST_TIMEOUT = 5
LEAST_CONNECTIONS = 20


def database() -> Iterator[Finding]:
    """Whether it answers, whether it is migrated, and how it waits."""
    try:
        connection.ensure_connection()
        yield ok(f"{connection.display_name} answers")
        executor = MigrationExecutor(connection)
        behind = executor.migration_plan(executor.loader.graph.leaf_nodes())
    except DatabaseTrouble as error:
        said = " ".join(str(error).split())
        yield fail(f"it does not answer: {said:.200}", "start it, or correct DATABASE_URL")
        return
    except InconsistentMigrationHistory as error:
        yield fail(f"its migrations contradict each other: {error}", "restore a backup, or migrate back and forth")
        return
    if behind:
        yield fail(f"{len(behind)} migrations are missing, first {behind[0][0]}", "python manage.py migrate")
    else:
        yield ok("all migrations are there")
    try:
        yield from _sqlite(bool(behind)) if connection.vendor == "sqlite" else _postgresql()
    except DatabaseTrouble as error:
        yield fail(f"it does not tell how it is set up: {error}", "see its log")


def _sqlite(behind: bool) -> Iterator[Finding]:
    with connection.cursor() as cursor:
        cursor.execute("PRAGMA journal_mode")
        mode = str(cursor.fetchone()[0])
        cursor.execute("PRAGMA busy_timeout")
        timeout = int(cursor.fetchone()[0]) / 1000
    if mode not in ("wal", "memory"):
        yield warn(f"SQLite's journal is {mode}: readers and writers hold each other up", "PRAGMA journal_mode=WAL")
    else:
        yield ok(f"SQLite's journal is {mode}")
    if timeout < LEAST_TIMEOUT:
        yield warn(f"SQLite gives up after {timeout:.1f} s", "set OPTIONS['timeout'] of the database to 20")
    if not behind and SessionHost.objects.count() > 1:
        yield warn("several hosts on SQLite, which is a file of one machine", "set DATABASE_URL to a PostgreSQL")


def _postgresql() -> Iterator[Finding]:
    with connection.cursor() as cursor:
        cursor.execute("SELECT current_setting('server_version_num')::int, current_setting('max_connections')::int")
        version, most = cursor.fetchone()
        cursor.execute("SELECT count(*) FROM pg_stat_activity")
        (used,) = cursor.fetchone()
    if version < LEAST_POSTGRESQL:
        yield fail(f"PostgreSQL {version // 10_000}", f"install PostgreSQL {LEAST_POSTGRESQL // 10_000} or newer")
    if most - used < LEAST_CONNECTIONS:
        yield warn(f"{used} of {most} connections are taken", "raise max_connections, or run fewer web processes")
    else:
        yield ok(f"{used} of {most} connections are taken")
