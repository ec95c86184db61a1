"""The files that a sandbox is given: its /etc, and files that only one uid may read."""

from __future__ import annotations

import os
import secrets
from pathlib import Path

from . import sandbox


def write_private(path: Path, content: bytes, owner: int, mode: int = 0o400) -> None:
    """Write a new file that ``owner`` alone can open, whole before anybody sees it. Raises OSError."""
    temporary = path.with_name(f".{path.name}.new")
    temporary.unlink(missing_ok=True)
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
        file.flush()
        os.fchmod(descriptor, mode)
        if os.geteuid() == 0:
            os.fchown(descriptor, owner, owner)
    temporary.replace(path)


def write_etc(directory: Path, uid: int) -> None:
    """Write the files of a sandbox's /etc that say who lives in it: one user, called ``user``."""
    shell = "/bin/bash"
    passwd = ["root:x:0:0:root:/nonexistent:/usr/sbin/nologin", "nobody:x:65534:65534:nobody:/nonexistent:/bin/false"]
    passwd.append(f"user:x:{uid}:{uid}:Desktop user:{sandbox.HOME}:{shell}")
    files = {
        "passwd": "\n".join(passwd),
        "group": f"root:x:0:\nnogroup:x:65534:\nuser:x:{uid}:",
        "hosts": f"127.0.0.1 localhost {sandbox.HOST_NAME}\n::1 localhost {sandbox.HOST_NAME}",
        "hostname": sandbox.HOST_NAME,
        "machine-id": secrets.token_hex(16),
        "resolv.conf": "# This desktop has no network.",
    }
    for name, text in files.items():
        path = directory / name
        path.write_text(f"{text}\n")
        path.chmod(0o644)
