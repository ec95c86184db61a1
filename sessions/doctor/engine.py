"""The streaming engine, as `python -m stripeengine doctor` sees it."""

from __future__ import annotations

from collections.abc import Iterator

from stripeengine.cli import doctor as of_engine

from .finding import Finding, fail, ok, warn


def engine() -> Iterator[Finding]:
    """Whether the engine is compiled, with what, and what the processor and the kernel give it."""
    for found in (*of_engine.extension(), *of_engine.machine()):
        text = f"{found.name}: {found.detail}"
        if found.state == "missing":
            yield fail(text, found.remedy or "make setup")
        elif found.state == "warning":
            yield warn(text, found.remedy or "use another machine where speed counts")
        else:
            yield ok(text)
