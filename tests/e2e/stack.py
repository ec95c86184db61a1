"""The whole product, started as a person would, for tests to use: `manage.py up` in a state directory of its own."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
PASSWORD = "e2e-Password-7"


def free_port() -> int:
    """Return a TCP port that was free a moment ago."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@dataclass
class Stack:
    """A running `manage.py up`. ``stop`` ends it and everything it started."""

    state_dir: Path
    runtime_dir: Path
    port: int
    extra_env: dict[str, str] = field(default_factory=dict)
    process: subprocess.Popen[str] | None = None
    lines: list[str] = field(default_factory=list)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def env(self) -> dict[str, str]:
        """The environment `up` and the management commands run in."""
        clean = {k: v for k, v in os.environ.items() if not k.startswith(("STRIPEDESK_", "DJANGO_", "DATABASE_URL"))}
        return {
            **clean,
            "STRIPEDESK_STATE_DIR": str(self.state_dir),
            "STRIPEDESK_RUNTIME_DIR": str(self.runtime_dir),
            "STRIPEDESK_ADMIN_PASSWORD": PASSWORD,
            **self.extra_env,
        }

    def start(self, timeout: float = 60) -> None:
        """Start and wait for the Ready line; raise with the output if it does not come."""
        self.process = subprocess.Popen(
            [sys.executable, str(ROOT / "manage.py"), "up", "--port", str(self.port)],
            env=self.env,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
        ready = threading.Event()
        threading.Thread(target=self._read, args=(ready,), daemon=True).start()
        deadline = time.monotonic() + timeout
        while not ready.wait(0.1):
            if self.process.poll() is not None or time.monotonic() > deadline:
                self.stop()
                raise RuntimeError("`manage.py up` did not become ready:\n" + "".join(self.lines))

    def _read(self, ready: threading.Event) -> None:
        assert self.process is not None and self.process.stdout is not None
        for line in self.process.stdout:
            self.lines.append(line)
            if re.match(r"Ready\s+http://", line):
                ready.set()

    def stop(self, timeout: float = 40) -> int:
        """Send SIGTERM, wait, return the exit code."""
        assert self.process is not None
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(timeout)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        return int(self.process.returncode)

    def web_pids(self) -> set[int]:
        """Return the processes that serve the stack's port."""
        found = set()
        for entry in Path("/proc").iterdir():
            if entry.name.isdigit():
                try:
                    words = (entry / "cmdline").read_bytes().split(b"\0")
                except OSError:
                    continue  # it has just ended
                if b"serve" in words and str(self.port).encode() in words:
                    found.add(int(entry.name))
        return found

    def manage(self, *arguments: str) -> str:
        """Run a management command against the same state and return what it printed."""
        done = subprocess.run(
            [sys.executable, str(ROOT / "manage.py"), *arguments],
            env=self.env,
            capture_output=True,
            text=True,
            timeout=60,
            check=True,
        )
        return done.stdout

    def query(self, expression: str) -> Any:
        """Evaluate a Python expression over the models (all imported) in the stack's database; JSON comes back."""
        code = f"import json; from sessions.models import *; print('\\x1e' + json.dumps({expression}, default=str))"
        return json.loads(self.manage("shell", "-v", "0", "-c", code).rsplit("\x1e", 1)[1])


def make_stack(**extra_env: str) -> Stack:
    """Return a stack with directories of its own, not started yet."""
    base = Path(tempfile.mkdtemp(prefix="sd-e2e-"))
    base.chmod(0o755)
    return Stack(base / "state", base / "run", free_port(), dict(extra_env))
