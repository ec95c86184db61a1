"""Reads what a desktop's start script reports, and turns an end into words for people.

The report and the log are written inside the sandbox: both are hostile input, read in bounded pieces, and only known
words of them are believed.
"""

from __future__ import annotations

import errno
import os
from dataclasses import dataclass
from pathlib import Path

from ..states import Reason, Stage
from .base import Exit, SpawnError

REPORT_LIMIT = 4096
TAIL_BYTES = 4096
TAIL_LINES = 5
MESSAGE_LIMIT = 480

REPORTABLE = frozenset(
    {Reason.COMMAND_NOT_FOUND, Reason.COMMAND_DIED, Reason.NO_DISPLAY, Reason.DESKTOP_EXITED, Reason.OUT_OF_RESOURCES}
)
STAGES = (Stage.DISPLAY, Stage.DESKTOP, Stage.STREAM)


@dataclass(frozen=True)
class Report:
    """The newest state of a start script: stages it went through, its display, and its end if it came to one."""

    stage: Stage | None
    display: int | None
    end: Exit | None


def read_report(path: Path) -> Report:
    """Read a report; lines that make no sense are skipped. A missing report is an empty one."""
    stage, display, end = None, None, None
    for line in _head(path).splitlines():
        word, _, rest = line.partition(" ")
        if word == "stage" and rest in STAGES:
            stage = Stage(rest)
        elif word == "display" and rest.isascii() and rest.isdigit() and int(rest) < 10_000:
            display = int(rest)
        elif word in ("failed", "ended") and end is None:
            code, _, sentence = rest.partition(" ")
            if code in REPORTABLE:
                end = Exit(Reason(code), printable(sentence) or Reason(code).label, failed=word == "failed")
    return Report(stage, display, end)


def explain(report: Report, log: Path) -> Exit:
    """Return why a desktop is gone, with the last lines of its log if that was an accident."""
    if report.end is not None and not report.end.failed:
        return report.end
    if report.end is not None:
        reason, sentence = report.end.reason, report.end.message
    elif report.stage is None:
        reason, sentence = Reason.NO_SANDBOX, "The sandbox could not be made."
    elif report.display is None:
        reason, sentence = Reason.NO_DISPLAY, "The display could not be started."
    else:
        reason, sentence = Reason.DESKTOP_EXITED, "The desktop ended unexpectedly."
    return Exit(reason, with_tail(sentence, log), failed=True)


def with_tail(sentence: str, log: Path) -> str:
    """Return ``sentence`` followed by the last lines of ``log``, within what a message may hold."""
    lines = last_lines(log)
    if not lines:
        return sentence[:MESSAGE_LIMIT]
    room = MESSAGE_LIMIT - len(sentence) - len(" Its last words: ")
    tail = " | ".join(lines)
    return f"{sentence} Its last words: {tail if len(tail) <= room else '…' + tail[len(tail) - room + 1 :]}"


def last_lines(log: Path, count: int = TAIL_LINES) -> list[str]:
    """Return the last ``count`` lines that are not empty, made printable."""
    text = end_of(log, TAIL_BYTES).decode(errors="replace")
    lines = [cleaned for line in text.splitlines() if (cleaned := printable(line))]
    return lines[-count:]


def end_of(log: Path, size: int) -> bytes:
    """Return the last ``size`` bytes of ``log``; nothing if it cannot be read."""
    try:
        with log.open("rb") as file:
            file.seek(max(0, file.seek(0, os.SEEK_END) - size))
            return file.read(size)
    except OSError:
        return b""


def printable(text: str) -> str:
    """Return ``text`` without control characters, trimmed: what people may safely be shown."""
    return "".join(character for character in text if character.isprintable()).strip()[:MESSAGE_LIMIT]


def of_os_error(error: OSError) -> SpawnError:
    """Return the `SpawnError` that says what an error of the operating system means for a session."""
    name = f" ({error.filename})" if error.filename else ""
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return SpawnError(
            Reason.OUT_OF_RESOURCES, f"The host's disk is full{name}. Free some space, or stop other sessions."
        )
    if error.errno in (errno.ENOMEM, errno.EAGAIN, errno.EMFILE, errno.ENFILE):
        return SpawnError(
            Reason.OUT_OF_RESOURCES,
            f"The host is out of memory, processes or open files: {error.strerror}. Stop other sessions.",
        )
    return SpawnError(Reason.NO_SANDBOX, f"The session's files could not be made{name}: {error.strerror}.")


def _head(path: Path) -> str:
    try:
        with path.open("rb") as file:
            return file.read(REPORT_LIMIT).decode(errors="replace")
    except OSError:
        return ""
