"""One line of the doctor's report."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Verdict(StrEnum):
    """How it is: as it should be, less than it could be, or not working."""

    OK = "ok"
    WARN = "warn"
    FAIL = "fail"


@dataclass(frozen=True)
class Finding:
    """What a probe saw. ``remedy`` says what to do about it; every finding that is not OK has one."""

    verdict: Verdict
    detail: str
    remedy: str = ""


def ok(detail: str) -> Finding:
    """All is well."""
    return Finding(Verdict.OK, detail)


def warn(detail: str, remedy: str) -> Finding:
    """It works, and something is missing."""
    return Finding(Verdict.WARN, detail, remedy)


def fail(detail: str, remedy: str) -> Finding:
    """It does not work."""
    return Finding(Verdict.FAIL, detail, remedy)
