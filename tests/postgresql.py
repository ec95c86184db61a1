"""A PostgreSQL of one's own for tests: `cluster` starts it and takes it away again. Blocks for some seconds."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

BINARIES = sorted(Path("/usr/lib/postgresql").glob("*/bin"))
NAME = "stripedesk"
"""Of the database, and of who may do everything there."""


@contextlib.contextmanager
def cluster(address: str = "", enter: Sequence[str] = ()) -> Iterator[Path]:
    """Yield the directory of its Unix socket. With ``address`` it listens there as well, and trusts whoever comes.

    ``enter`` is put before the command that starts it: to enter a namespace.
    """
    assert BINARIES, "install the Debian package postgresql (packages.txt, [test])"
    binaries = BINARIES[-1]
    base = Path(tempfile.mkdtemp(prefix="sd-pg-"))
    as_owner: list[str] = []
    if os.geteuid() == 0:  # PostgreSQL refuses to run as root
        shutil.chown(base, "postgres", "postgres")
        as_owner = ["setpriv", "--reuid=postgres", "--regid=postgres", "--clear-groups"]
    data = base / "data"

    def run(*line: str | Path, before: Sequence[str] = ()) -> None:
        subprocess.run([*before, *as_owner, *map(str, line)], check=True, capture_output=True, timeout=60, cwd="/")

    run(binaries / "initdb", "-D", data, "-U", NAME, "--auth=trust", "--no-sync", "-E", "UTF8")
    if address:
        with (data / "pg_hba.conf").open("a") as rules:
            rules.write("host all all all trust\n")
    options = f"-c listen_addresses={address} -c unix_socket_directories={base} -c fsync=off"
    run(binaries / "pg_ctl", "-D", data, "-w", "-l", base / "log", "-o", options, "start", before=enter)
    try:
        run(binaries / "createdb", "-h", base, "-U", NAME, NAME)
        yield base
    finally:
        run(binaries / "pg_ctl", "-D", data, "-m", "immediate", "stop")
        shutil.rmtree(base, ignore_errors=True)
