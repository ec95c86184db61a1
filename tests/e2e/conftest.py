"""Real everything: `manage.py up`, a sandboxed desktop, Chromium. One stack for the whole folder."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, sync_playwright

sys.path.insert(0, str(Path(__file__).resolve().parent))

from product import Product  # noqa: E402
from stack import PASSWORD, Stack, make_stack  # noqa: E402

CHROMIUM_ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


@pytest.fixture(scope="module")
def stack() -> Iterator[Stack]:
    """A running product."""
    running = make_stack()
    running.start()
    yield running
    running.stop()
    shutil.rmtree(running.state_dir.parent, ignore_errors=True)


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Headless Chromium from Debian. Ends with the module: while it lives, its event loop runs in this thread, and
    asynchronous tests of other folders would find it there."""
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path="/usr/bin/chromium", args=CHROMIUM_ARGUMENTS)
        yield chromium
        chromium.close()


@pytest.fixture
def context(browser: Browser) -> Iterator[BrowserContext]:
    """A browser profile of its own, nobody logged in."""
    fresh = browser.new_context(viewport={"width": 1400, "height": 950}, permissions=[])
    yield fresh
    fresh.close()


@pytest.fixture
def page(context: BrowserContext, stack: Stack) -> Page:
    """A page on which the administrator has logged in."""
    opened = context.new_page()
    opened.goto(f"{stack.url}/login/")
    opened.fill("input[name=username]", "admin")
    opened.fill("input[name=password]", PASSWORD)
    opened.click("button[type=submit], input[type=submit]")
    opened.wait_for_url(f"{stack.url}/")
    return opened


@pytest.fixture
def product(stack: Stack, page: Page) -> Iterator[Product]:
    """What a test does with the product; sessions it launched are stopped at the end."""
    used = Product(stack, page)
    yield used
    used.stop_all()
