"""Runs a test's Python inside a session's sandboxes: as one of the desktop's programs, or as the worker.

It is started by the sandbox itself, with its filter, limits and namespaces: nothing is entered from outside.
"""

from __future__ import annotations

import json
from typing import Any
from uuid import UUID

from .conftest import Installation, wait_for

COMMAND = (
    "sh -c 'while :; do if [ -f ask ]; then mv ask run; timeout 60 python3 run >out 2>&1 </dev/null; "
    "mv out answer; fi; sleep .03; done'"
)
"""A desktop's command that runs what is put into its home as ``ask``."""


def in_desktop(installation: Installation, pk: UUID, code: str, seconds: float = 30) -> str:
    """Run Python in the desktop of a session launched with `COMMAND`; return what it printed."""
    send_to_desktop(installation, pk, code)
    return answer_of_desktop(installation, pk, seconds)


def answer_of_desktop(installation: Installation, pk: UUID, seconds: float = 30) -> str:
    """Wait for what was sent to end; return what it printed."""
    answer = installation.home(pk) / "answer"
    wait_for(answer.exists, seconds, "the desktop's answer")
    text = answer.read_text()
    answer.unlink()
    return text.strip()


def send_to_desktop(installation: Installation, pk: UUID, code: str) -> None:
    """Start Python in the desktop and do not wait for it."""
    home = installation.home(pk)
    (home / "new").write_text(code)
    (home / "new").chmod(0o644)
    (home / "new").rename(home / "ask")


def in_worker(installation: Installation, pk: UUID, code: str) -> str:
    """Run Python in a worker that behaves as "obey", with ``client`` and ``config`` at hand; return what it printed."""
    channel = f"stripedesk__group__session.{pk.hex}"
    with installation.admin() as admin, admin.pubsub() as answers:
        answers.subscribe(f"{channel}.answer")
        wait_for(lambda: answers.get_message(timeout=1), 5, "the subscription")
        wait_for(lambda: admin.publish(f"{channel}.ask", code), 10, "the worker listens")

        def answer() -> Any:
            message = answers.get_message(ignore_subscribe_messages=True, timeout=1)
            return message and json.loads(message["data"])

        return str(wait_for(answer, 20, "the worker's answer")["said"]).strip()
