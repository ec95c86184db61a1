"""Workloads with a video that plays: small in a window, with typing beside it, full screen."""

from __future__ import annotations

import contextlib
import subprocess
import time
from collections.abc import Iterator

from benchmarks.display import Stage
from benchmarks.workloads import content, terminal
from benchmarks.workloads.pace import Look, Scene, watch

SMALL = (640, 360)
START_SECONDS = 1.0


def open_player(stage: Stage, size: tuple[int, int], x: int, y: int, *options: str) -> subprocess.Popen[bytes]:
    """Start a player with a clip of its own making; returns when its window shows."""
    path = stage.files / f"clip-{size[0]}.mkv"
    content.clip(path, *size)
    title = f"bench-video-{size[0]}"
    # By the clip's clock: after a pause it goes on, rather than catching up.
    command = ["ffplay", "-loglevel", "quiet", "-an", "-sync", "video", "-loop", "0", "-noborder"]
    command += ["-window_title", title, "-left", str(x), "-top", str(y), *options, str(path)]
    program, _ = stage.window(title, *command)
    time.sleep(START_SECONDS)
    return program


@contextlib.contextmanager
def _playing(stage: Stage, program: subprocess.Popen[bytes], beside: Scene | None = None) -> Iterator[Scene]:
    """Yield a scene during whose play ``program`` runs; outside it is stopped, its last picture on the screen."""
    with contextlib.ExitStack() as frozen:
        frozen.enter_context(stage.frozen(program))

        def play(seconds: float, look: Look) -> list[int]:
            frozen.close()
            sent: list[int] = []
            if beside is None:
                watch(seconds, look)
            else:
                sent = beside.play(seconds, look)
            frozen.enter_context(stage.frozen(program))
            return sent

        yield Scene(play) if beside is None else Scene(play, beside.rewind)


@contextlib.contextmanager
def small(stage: Stage) -> Iterator[Scene]:
    """640×360 in a window over a page of text."""
    stage.terminal(stage.whole_screen, *terminal.TYPING)
    with _playing(stage, open_player(stage, SMALL, 641, 353)) as scene:
        yield scene


@contextlib.contextmanager
def typing(stage: Stage) -> Iterator[Scene]:
    """The same, with typing into a terminal beside it."""
    program = open_player(stage, SMALL, 1201, 53)
    stage.terminal("140x60+10+20", *terminal.TYPING)
    stage.point(400, 500)
    stage.click()
    with _playing(stage, program, terminal.keys(stage)) as scene:
        yield scene


@contextlib.contextmanager
def full(stage: Stage) -> Iterator[Scene]:
    """As large as the screen."""
    program = open_player(stage, (stage.width, stage.height), 0, 0, "-fs")
    with _playing(stage, program) as scene:
        yield scene
