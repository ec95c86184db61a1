"""An office in two minutes: typing, reading, paging through code, switching windows, a little video, and thinking."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator

from benchmarks.display import Stage
from benchmarks.workloads import browser, content, terminal, video, windows
from benchmarks.workloads.pace import Look, Scene, watch

# What, and its share of the time. People mostly read and type.
PHASES = (("type", 0.25), ("think", 0.2), ("read", 0.2), ("page", 0.1), ("switch", 0.1), ("watch", 0.15))


@contextlib.contextmanager
def office(stage: Stage) -> Iterator[Scene]:
    """All windows are there all the time; each phase raises the one it needs."""
    listing = terminal.pager(stage, stage.whole_screen)
    page = browser.show(stage, "bench-page", content.page(), place=(120, 60, 1500, 960))
    player = video.open_player(stage, video.SMALL, 1201, 53)
    editor = stage.terminal("120x50+60+90", *terminal.TYPING)
    time.sleep(terminal.SETTLE_SECONDS)
    clip = int(stage.ask("search", "--onlyvisible", "--name", "^bench-video").split()[-1])
    acts: dict[str, tuple[int, tuple[int, int], Scene]] = {
        "type": (editor, (400, 500), terminal.keys(stage)),
        "read": (page, (860, 540), browser.wheel(stage, browser.NOTCHES_PER_SECOND)),
        "page": (listing, (400, 1060), terminal.pages(stage)),
        "switch": (listing, (400, 1060), windows.switch_scene(stage, [listing, page, editor])),
    }
    with contextlib.ExitStack() as frozen:
        frozen.enter_context(stage.frozen(player))

        def show_video(seconds: float, look: Look) -> None:
            stage.ask("windowactivate", str(clip))
            frozen.close()
            watch(seconds, look)
            frozen.enter_context(stage.frozen(player))

        def play(seconds: float, look: Look) -> list[int]:
            sent = []
            for name, share in PHASES:
                if name == "watch":
                    show_video(seconds * share, look)
                elif name == "think":
                    watch(seconds * share, look)
                else:
                    window, place, act = acts[name]
                    stage.ask("windowactivate", str(window))
                    stage.point(*place)
                    sent += act.play(seconds * share, look)
            return sent

        def rewind() -> None:
            for name in ("type", "read", "page"):
                window, place, act = acts[name]
                stage.ask("windowactivate", str(window))
                stage.point(*place)
                act.rewind()
            stage.ask("windowactivate", str(editor))

        yield Scene(play, rewind)
