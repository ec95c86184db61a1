"""A real Chromium and a server that says what a test wants it to say.

Playwright's synchronous API leaves an event loop running in its thread, which other tests' loops do not survive. So the
browser lives in a thread of its own, and the tests of this folder run there.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, sync_playwright

sys.path.insert(0, str(Path(__file__).resolve().parent))

from fake_server import FakeServer  # noqa: E402

CHROMIUM_ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]

_thread = ThreadPoolExecutor(1, "browser")


@pytest.hookimpl(tryfirst=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> bool:
    """Run a test of this folder in the browser's thread."""
    names = pyfuncitem._fixtureinfo.argnames
    arguments = {name: pyfuncitem.funcargs[name] for name in names}
    _thread.submit(pyfuncitem.obj, **arguments).result()
    return True


@pytest.fixture(scope="package")
def chromium() -> Iterator[Browser]:
    """Headless Chromium from Debian, in the browser's thread."""
    playwright = _thread.submit(sync_playwright().start).result()
    launch = playwright.chromium.launch
    browser = _thread.submit(launch, executable_path="/usr/bin/chromium", args=CHROMIUM_ARGUMENTS).result()
    yield browser
    _thread.submit(browser.close).result()
    _thread.submit(playwright.stop).result()


@pytest.fixture
def server() -> Iterator[FakeServer]:
    """A server on free loopback ports."""
    running = FakeServer()
    yield running
    running.stop()


@pytest.fixture
def page(chromium: Browser) -> Iterator[Page]:
    """A page in a profile of its own; the test fails if the page threw an error."""
    context = _thread.submit(chromium.new_context, viewport={"width": 900, "height": 640}).result()
    opened = _thread.submit(context.new_page).result()
    errors: list[str] = []
    opened.on("pageerror", lambda error: errors.append(str(error)))
    yield opened
    _thread.submit(context.close).result()
    assert errors == []
