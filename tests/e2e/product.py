"""What a person does with the product, and what a test may look at behind it."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from contextlib import contextmanager
from typing import Any

import numpy as np
from PIL import ImageGrab
from playwright.sync_api import Page
from stack import Stack

from sessions.spawners.paths import SessionPaths

READ_PIXELS = """async () => {
  const canvas = document.getElementById('screen');
  const pixels = await canvas.stripedesk.readPixels(0, 0, canvas.width, canvas.height);
  let text = '';
  for (let i = 0; i < pixels.length; i += 32768) text += String.fromCharCode(...pixels.subarray(i, i + 32768));
  return {width: canvas.width, height: canvas.height, data: btoa(text)};
}"""


def wait_for(what: str, check: Callable[[], Any], timeout: float = 15, interval: float = 0.1) -> Any:
    """Return the first true value of ``check``; fail with ``what`` after ``timeout`` seconds."""
    deadline = time.monotonic() + timeout
    while True:
        value = check()
        if value:
            return value
        if time.monotonic() > deadline:
            raise AssertionError(f"waited {timeout:.0f} s in vain for {what}")
        time.sleep(interval)


class Product:
    """Launches, opens and stops sessions through the pages; reads the X screen and the canvas."""

    def __init__(self, stack: Stack, page: Page) -> None:
        self.stack = stack
        self.page = page
        self.launched: list[str] = []

    def post(self, path: str, **form: Any) -> Any:
        """POST a form with the page's own CSRF token, as its forms do; return Playwright's response."""
        token = next(c["value"] for c in self.page.context.cookies() if c["name"] == "csrftoken")
        return self.page.request.post(
            f"{self.stack.url}{path}",
            form=form,
            headers={"X-CSRFToken": token, "Referer": f"{self.stack.url}/"},
        )

    def sessions(self) -> list[dict[str, Any]]:
        """The user's sessions as the portal polls them."""
        answer: dict[str, Any] = self.page.request.get(f"{self.stack.url}/api/sessions/").json()
        return list(answer["sessions"])

    def session(self, session_id: str) -> dict[str, Any]:
        return next(s for s in self.sessions() if s["id"] == session_id)

    def launch(self, template: str, timeout: float = 30) -> str:
        """Click a template on the portal, wait until the session runs, return its id."""
        before = {s["id"] for s in self.sessions()}
        self.page.goto(f"{self.stack.url}/")
        self.page.locator(f"form:has(input[name=template][value='{template}']) button.launch-button").click()
        new = wait_for("the new session", lambda: {s["id"] for s in self.sessions()} - before)
        session_id = str(new.pop())
        self.launched.append(session_id)
        self.wait_state(session_id, "running", timeout)
        return session_id

    def wait_state(self, session_id: str, state: str, timeout: float = 30) -> dict[str, Any]:
        """Wait until the session is in ``state``."""
        return dict(
            wait_for(
                f"state {state} (it is {self.session(session_id)})",
                lambda: self.session(session_id)["state"] == state and self.session(session_id),
                timeout,
                0.2,
            )
        )

    def stop_all(self) -> None:
        """Stop whatever the test launched."""
        for session_id in self.launched:
            if self.session(session_id)["state"] not in ("ended", "failed", "stopping"):
                self.post(f"/s/{session_id}/stop/")
        for session_id in self.launched:
            wait_for("the end", lambda i=session_id: self.session(i)["state"] in ("ended", "failed"), 20, 0.2)

    def view(self, session_id: str, page: Page | None = None) -> Page:
        """Open the viewer and wait until it shows a picture."""
        page = page or self.page
        page.goto(f"{self.stack.url}/s/{session_id}/")
        self.wait_picture(page)
        return page

    def wait_picture(self, page: Page) -> None:
        """Wait until the page has committed a picture."""
        wait_for("a picture", lambda: self.stats(page).get("frames", 0) > 0, 20)

    @staticmethod
    def stats(page: Page) -> dict[str, Any]:
        """The client's own counters."""
        answer = page.evaluate("async () => await document.getElementById('screen').stripedesk?.stats() ?? {}")
        return dict(answer)

    @staticmethod
    def canvas(page: Page) -> np.ndarray:
        """What the canvas shows: height × width × 3 uint8."""
        import base64

        read = page.evaluate(READ_PIXELS)
        pixels = np.frombuffer(base64.b64decode(read["data"]), np.uint8)
        return pixels.reshape(read["height"], read["width"], 4)[:, :, :3]

    def spawner_state(self, session_id: str) -> dict[str, Any]:
        """What the host agent keeps to find the session again."""
        return dict(self.stack.query(f"DesktopSession.objects.get(pk='{session_id}').spawner_state"))

    @contextmanager
    def display(self, session_id: str) -> Any:
        """DISPLAY and XAUTHORITY of a session's X server, seen from outside as root."""
        paths = SessionPaths(session_id.replace("-", ""), self.stack.runtime_dir, self.stack.state_dir)
        old = {k: os.environ.get(k) for k in ("DISPLAY", "XAUTHORITY")}
        os.environ.update(DISPLAY=str(paths.x_socket), XAUTHORITY=str(paths.authority))
        try:
            yield os.environ["DISPLAY"]
        finally:
            for key, value in old.items():
                if value is None:
                    os.environ.pop(key, None)
                else:
                    os.environ[key] = value

    def screen(self, session_id: str) -> np.ndarray:
        """The X screen itself: height × width × 3 uint8."""
        with self.display(session_id) as display:
            return np.asarray(ImageGrab.grab(xdisplay=display).convert("RGB"))
