"""What the worker does with the descriptor of the X server's framebuffer that it inherits."""

from __future__ import annotations

import logging
import os
from typing import Any

import pytest

from sessions.worker import config, worker
from stripeengine.errors import SourceError

from .test_config import GOOD


class Source:
    """Stands in for `X11Source`; ``given`` is what the last one got."""

    given: dict[str, Any] = {}
    failing = False

    def __init__(self, **values: Any) -> None:
        Source.given = values
        if values["framebuffer"] is not None:
            os.fstat(values["framebuffer"])
        if Source.failing:
            raise SourceError("no display")

    @property
    def direct(self) -> bool:
        return Source.given["framebuffer"] is not None and os.environ.get("DIRECT") == "1"


@pytest.fixture
def descriptor(monkeypatch: pytest.MonkeyPatch) -> int:
    monkeypatch.setattr(worker, "X11Source", Source)
    monkeypatch.setattr(Source, "failing", False)
    return os.memfd_create("framebuffer")


def source_of(descriptor: int | None) -> Any:
    made = worker.Worker(config.check({**GOOD, "framebuffer": descriptor}))
    return made._source({"socket": "/s", "number": 0, "auth": None})


def closed(descriptor: int) -> bool:
    try:
        os.fstat(descriptor)
    except OSError:
        return True
    return False


ASKED = "the X server's framebuffer cannot be read"


@pytest.mark.parametrize("direct", ["1", "0"])
async def test_the_engine_gets_it_and_it_is_closed(
    descriptor: int, direct: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("DIRECT", direct)
    with caplog.at_level(logging.INFO):
        source_of(descriptor)
    assert Source.given == {"socket": "/s", "number": 0, "auth": None, "framebuffer": descriptor}
    assert closed(descriptor)
    assert (ASKED in caplog.text) == (direct == "0")


async def test_it_is_closed_when_there_is_no_display(descriptor: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Source, "failing", True)
    with pytest.raises(SourceError):
        source_of(descriptor)
    assert closed(descriptor)


async def test_without_one_nothing_is_said(descriptor: int, caplog: pytest.LogCaptureFixture) -> None:
    os.close(descriptor)
    with caplog.at_level(logging.INFO):
        source_of(None)
    assert Source.given["framebuffer"] is None and ASKED not in caplog.text
