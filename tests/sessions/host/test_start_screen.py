"""The start script with a screen in shared memory: the server draws into it, and starts all the same if it cannot."""

from __future__ import annotations

import mmap
import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from sessions.spawners.screen import NAME, make_screen
from sessions.spawners.variables import variables_of

from .conftest import wait_for
from .test_start_script import DESKTOP, Started, server_line, spec

WITHOUT = "The X server is started without its screen in shared memory."
SIZE = 800 * 600 * 4


Start = Callable[[int], Started]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Starts a desktop with a standard input; its program notes what it has inherited."""
    started: list[Started] = []

    def begin(stdin: int) -> Started:
        command = ["sh", "-c", "ls -l /proc/self/fd >$HOME/seen; exec sleep 60"]
        made = Started(tmp_path, "application", command, variables_of(spec()), DESKTOP / "start.sh", stdin)
        started.append(made)
        made.until_ready()
        return made

    yield begin
    for made in started:
        made.close()


@pytest.fixture
def screen() -> Iterator[int]:
    made = make_screen(os.geteuid())
    yield made
    os.close(made)


def test_the_server_draws_into_the_file_it_is_given_and_programs_do_not_inherit_it(start: Start, screen: int) -> None:
    made = start(screen)
    assert b"-fbdir" in server_line(made) and WITHOUT not in made.said()
    made.output("xsetroot", "-solid", "#123456")
    with mmap.mmap(screen, 0, prot=mmap.PROT_READ) as memory:
        assert memory[SIZE // 2 : SIZE // 2 + 4000].count(b"\x56\x34\x12") >= 640 - 1
    status = os.fstat(screen)
    assert status.st_size > SIZE and status.st_blocks * 512 < SIZE - 100 * 800 * 4  # 120 rows are not seen
    assert "->" in (seen := wait_for((made.directory / "seen").read_text, 5, "the descriptors")) and NAME not in seen


FAILING = {
    "without fallocate": ("fallocate", "exit 1"),
    "with a server that cannot": ("Xvfb", "exit 1"),
    "with too small a bound for files": ("Xvfb", "ulimit -f 900"),
}
"""A program and what it does first, the X server only if it is to draw into the file."""


@pytest.mark.parametrize("name", FAILING)
def test_it_starts_all_the_same(start: Start, screen: int, tmp_path: Path, name: str) -> None:
    program, text = FAILING[name]
    (tmp_path / "bin").mkdir()
    text = f'case "$*" in *-fbdir* | --punch-hole*) {text} ;; esac; exec -a {program} /usr/bin/{program} "$@"'
    (tmp_path / "bin" / program).write_text(f"#!/bin/bash\n{text}\n")
    (tmp_path / "bin" / program).chmod(0o755)
    made = start(screen)
    assert b"-fbdir" not in server_line(made) and WITHOUT in made.said()
    assert "640x480" in made.output("xdpyinfo")
    if program == "Xvfb":
        assert os.fstat(screen).st_blocks * 512 <= 8192  # what the first server wrote
    assert NAME not in wait_for((tmp_path / "seen").read_text, 5, "the descriptors")
    time.sleep(0.3)
    assert made.process.poll() is None  # the first server's end is not taken for the second's


def test_another_file_is_not_drawn_into(start: Start, tmp_path: Path) -> None:
    with (tmp_path / "precious").open("w+") as file:
        made = start(file.fileno())
        assert b"-fbdir" not in server_line(made) and WITHOUT not in made.said()
    assert (tmp_path / "precious").read_text() == ""
