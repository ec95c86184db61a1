"""The heartbeat of a host without an agent: for sessions whose workers a test or a benchmark starts by itself.

A thread of its own writes to the SQLite database; without it whoever watches the hosts would end the sessions.
"""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

BEAT_S = 1.0
BEAT = "UPDATE desktops_sessionhost SET beat = beat + 1"


@contextmanager
def beating(database: Path) -> Iterator[None]:
    """Let every host in ``database`` beat meanwhile."""
    ended = threading.Event()

    def run() -> None:
        with closing(sqlite3.connect(database, timeout=20, isolation_level=None)) as connection:
            while not ended.wait(BEAT_S):
                connection.execute(BEAT)

    thread = threading.Thread(target=run, name="beat", daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()
