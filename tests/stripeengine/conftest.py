"""The X server that a module's tests share, and what draws on it. Modules that need another define their own."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.stripeengine.fixtures_x11 import Painter, XServer


@pytest.fixture(scope="module")
def server() -> Iterator[XServer]:
    """A screen of 640×480."""
    with XServer((640, 480)) as running:
        yield running


@pytest.fixture
def painter(server: XServer) -> Iterator[Painter]:
    """Something to draw with, on a black screen."""
    with Painter(server) as running:
        running.fill(0, 0, *server.size, 0x000000)
        yield running
