"""A session's logs: kept below their limit while it lives, and their last lines kept when it ends.

Programs inside write them: hostile bytes, without end. What is read is bounded and escaped. Blocks on files.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
from pathlib import Path

from ..spawners.paths import SessionPaths
from ..spawners.report import end_of
from .rhythm import until_beat

LOG_LIMIT = 1 << 20
LOG_KEPT = 64 << 10
LOG_INTERVAL = 2.0

TAIL_LINES = 20
TAIL_BYTES = 8192
LINE_LENGTH = 300
TAIL_LENGTH = 4000
"""Characters of a tail, headings included."""


async def bound_logs(paths: SessionPaths) -> None:
    """Keep the session's logs below their limit, for ever."""
    logs = [paths.desktop_log, paths.worker_log, paths.network_log]
    while True:
        await asyncio.sleep(until_beat(LOG_INTERVAL))
        for log in logs:
            with contextlib.suppress(OSError):
                # A thread for each look would cost more than all else that an agent does for an idle session.
                if os.stat(log).st_size > LOG_LIMIT:
                    await asyncio.to_thread(shorten, log)


def shorten(log: Path) -> None:
    """Cut a log down to its end. Its writers append, so they go on behind that. Blocks."""
    with log.open("r+b") as file:
        file.seek(-LOG_KEPT, os.SEEK_END)
        kept = file.read(LOG_KEPT)
        file.truncate(0)
        file.seek(0)
        file.write(kept)


def tail_of(paths: SessionPaths, with_worker: bool) -> str:
    """Return the last lines of the desktop's log, and of the worker's where that says why; bounded and escaped."""
    parts = [("desktop", paths.desktop_log)]
    if with_worker:
        parts.append(("worker", paths.worker_log))
    texts = []
    for name, log in parts:
        if lines := escaped_tail(log):
            texts.append("\n".join([f"[{name}]", *lines]))
    text = "\n".join(texts)
    return text if len(text) <= TAIL_LENGTH else "…" + text[len(text) - TAIL_LENGTH + 1 :]


def escaped_tail(log: Path) -> list[str]:
    """Return the last lines of ``log`` that are not empty; what is not printable is written as an escape."""
    lines = [escaped(line) for line in end_of(log, TAIL_BYTES).split(b"\n")]
    return [line for line in lines if line][-TAIL_LINES:]


def escaped(line: bytes) -> str:
    """Return ``line`` as printable text: bytes that are no UTF-8, and characters that move the cursor or the reading
    direction, as ``\\x1b`` and ``\\u202e``."""
    text = line.strip(b"\r\t ").decode(errors="backslashreplace")
    shown = "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)
    return shown if len(shown) <= LINE_LENGTH else shown[: LINE_LENGTH - 1] + "…"
