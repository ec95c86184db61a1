"""The engines that can be measured: their names on the command line, whether they are there, and how they start.

``stripedesk:MODE`` is this repository's engine, ``pixelflux:MODE`` and ``ffmpeg:MODE`` are its peers. Checking an
engine runs a program and waits for it.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from benchmarks.child import Child
from benchmarks.display import Display
from stripeengine.settings import setting

OURS: Final = ("auto", "jpeg", "h264", "lossless")
MODES: Final = {"stripedesk": OURS, "pixelflux": ("jpeg", "h264", "h264-fullframe"), "ffmpeg": ("x264",)}
PEERS: Final = ("pixelflux:jpeg", "pixelflux:h264", "pixelflux:h264-fullframe", "ffmpeg:x264")
PEER_PYTHON: Final = "STRIPEDESK_BENCH_PYTHON"


class Unavailable(Exception):
    """An engine cannot be measured here; says why and what would help."""


@dataclass(frozen=True)
class Spec:
    """One engine in one mode."""

    engine: str
    mode: str

    @property
    def name(self) -> str:
        return f"{self.engine}:{self.mode}"

    @classmethod
    def parse(cls, text: str) -> Spec:
        """Return the engine that ``engine:mode`` names; raises `ValueError` naming the choices."""
        engine, _, mode = text.strip().partition(":")
        if mode not in MODES.get(engine, ()):
            known = ", ".join(f"{engine}:{mode}" for engine, modes in MODES.items() for mode in modes)
            raise ValueError(f"{text!r:.60} is not an engine; there are {known}")
        return cls(engine, mode)

    @property
    def python(self) -> str:
        """The interpreter its process runs in."""
        return os.environ.get(PEER_PYTHON, "") if self.engine == "pixelflux" else sys.executable

    def version(self) -> str:
        """Return its version; raises `Unavailable` if it cannot run here."""
        return {"stripedesk": self._our_version, "pixelflux": self._peer_version, "ffmpeg": self._ffmpeg_version}[
            self.engine
        ]()

    def _our_version(self) -> str:
        if self.mode not in setting("mode").choices:
            raise Unavailable(f"this engine has no mode {self.mode}; it has {', '.join(setting('mode').choices)}")
        git = ["git", "-C", str(Path(__file__).parent), "describe", "--always", "--dirty", "--exclude=*"]
        done = subprocess.run(git, capture_output=True, text=True)
        return done.stdout.strip() or "of this directory"

    def _peer_version(self) -> str:
        if not self.python:
            raise Unavailable(
                f"pixelflux needs an interpreter of its own: python3 -m venv DIR && DIR/bin/pip install pixelflux, "
                f"then {PEER_PYTHON}=DIR/bin/python"
            )
        code = "import importlib.metadata, pixelflux; print(importlib.metadata.version('pixelflux'))"
        try:
            done = subprocess.run([self.python, "-c", code], capture_output=True, text=True, timeout=60, check=True)
        except (OSError, subprocess.SubprocessError) as error:
            raise Unavailable(f"{PEER_PYTHON}={self.python} has no working pixelflux: {error}") from None
        return f"pixelflux {done.stdout.strip()}"

    def _ffmpeg_version(self) -> str:
        if shutil.which("ffmpeg") is None:
            raise Unavailable("there is no ffmpeg: apt-get install ffmpeg")
        done = subprocess.run(["ffmpeg", "-version"], capture_output=True, text=True, check=True, timeout=20)
        return "ffmpeg " + done.stdout.split()[2]

    def launch(self, display: Display, recording: Path) -> Child:
        """Start it on a display, recording to a file; its first answer comes when it captures."""
        script = str(Path(__file__).with_name("engine_process.py"))
        environment = {**display.server.environment, "BENCH_SIZE": f"{display.size[0]}x{display.size[1]}"}
        environment["BENCH_SCREEN"] = str(display.screen)
        return Child(self.name, [self.python, script, self.engine, self.mode, str(recording)], environment)
