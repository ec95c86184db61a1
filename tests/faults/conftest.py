"""The whole product with one session that draws all the time, and viewers who come back as the page does.

One stack for a module: every test leaves it well, or the next one says so. `make chaos` runs the same at length
(STRIPEDESK_CHAOS=1).
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from benchmarks.delivery.kills import VIEWERS, Product, product, wait_for
from benchmarks.delivery.site import Crowd
from sessions.management.commands.up import WEB_PROCESSES
from tests.e2e.stack import Stack

AT_LENGTH = os.environ.get("STRIPEDESK_CHAOS") == "1"
RUNTIME_BYTES = "16m"


def listening(port: int) -> int:
    """How many sockets listen on a TCP port."""
    lines = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    return sum(words[1].endswith(f":{port:04X}") and words[3] == "0A" for words in lines)


class Watched:
    """The product and its viewers. ``init`` is the desktop as it was at first."""

    def __init__(self, running: Product, crowd: Crowd, viewers: list[int]) -> None:
        self.running, self.crowd, self.viewers = running, crowd, viewers
        self.init = running.row()["init"]

    @property
    def runtime(self) -> Path:
        return self.running.stack.runtime_dir

    def message(self) -> str:
        return str(self.running.row()["message"])

    def descendants(self, name: str) -> list[int]:
        """Processes of the desktop with that name."""
        parents, names = {}, {}
        for entry in Path("/proc").iterdir():
            if entry.name.isdigit():
                try:
                    text = (entry / "stat").read_text()
                except OSError:
                    continue
                names[int(entry.name)] = text[text.index("(") + 1 : text.rindex(")")]
                parents[int(entry.name)] = int(text.rpartition(")")[2].split()[1])

        def inside(pid: int) -> bool:
            while pid > 1:
                if pid == self.init["pid"]:
                    return True
                pid = parents.get(pid, 0)
            return False

        return [pid for pid, found in names.items() if found == name and inside(pid)]

    def story(self) -> str:
        """What one needs to know when a picture does not come back: of the session, and of each viewer's connection."""
        row = self.running.row()
        lines = [f"{row['state']}: {row['message']}", f"{listening(self.running.stack.port)} web processes listen"]
        for viewer in self.viewers:
            seen = self.crowd.order("state", viewer=viewer)
            texts = [{**text, "presets": "…"} if "presets" in text else text for text in seen["texts"][-3:]]
            lines.append(f"viewer {viewer}: closed with {seen['closes'][-3:]}, last told {texts}")
        return "\n".join(lines)

    def well(self) -> None:
        """Wait until the session runs on the desktop it had at first, its application alive."""
        wait_for(lambda: self.running.row()["state"] == "running", "a running session", 40)
        # A web process that is not back yet leaves its viewers nowhere to go when the other dies too.
        wait_for(lambda: listening(self.running.stack.port) == WEB_PROCESSES, "both web processes", 40)
        assert self.running.row()["init"] == self.init
        assert self.descendants("xterm")


@pytest.fixture(scope="module")  # not the session: it draws and is watched all the time
def product_running() -> Iterator[Watched]:
    if os.geteuid() != 0:
        pytest.skip("needs root: desktops in sandboxes of their own")
    mounted: list[Path] = []

    def small_disk(stack: Stack) -> None:
        stack.runtime_dir.mkdir(mode=0o711)
        options = f"size={RUNTIME_BYTES},mode=0711"
        subprocess.run(["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(stack.runtime_dir)], check=True)
        mounted.append(stack.runtime_dir)

    try:
        with product(small_disk) as running, running.crowd() as child:
            crowd = Crowd(child)
            yield Watched(running, crowd, crowd.open(running.session, VIEWERS, log=True))
    finally:
        for path in mounted:
            subprocess.run(["umount", "-l", str(path)], check=False)
            shutil.rmtree(path.parent, ignore_errors=True)


@pytest.fixture
def watched(product_running: Watched) -> Iterator[Watched]:
    product_running.well()
    yield product_running
    product_running.well()
