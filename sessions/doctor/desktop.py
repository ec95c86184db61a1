"""What desktops show: the X server, fonts, locales, keyboard layouts, input methods. Runs short programs."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

from ..spawners import local
from .finding import Finding, fail, ok, warn

OPTIONS = ("-displayfd", "-nolisten", "-noreset", "-auth", "-dpi", "-screen", "-schedInterval", "-extension")
SCRIPTS = {
    "Chinese, Japanese and Korean": (("4e2d", "3042", "d55c"), "fonts-wqy-microhei"),
    "Arabic": (("0639",), "fonts-noto-core"),
    "Hebrew": (("05d0",), "fonts-noto-core"),
    "Hindi": (("0915",), "fonts-noto-core"),
    "emoji": (("1f600",), "fonts-noto-color-emoji"),
}
"""A character or more of each script, and a package that has them."""

RULES = Path("/usr/share/X11/xkb/rules/evdev.lst")
METHODS = ("ibus-daemon", "fcitx5", "fcitx")


def xvfb() -> Iterator[Finding]:
    """The X server and what starts with it."""
    if missing := local.missing_programs():
        names = " ".join(sorted({re.sub(r".*\((.*)\)", r"\1", program) for program in missing}))
        yield fail(f"not installed: {', '.join(missing)}", f"apt-get install {names}")
        return
    said = _said("Xvfb", "-help")
    lacking = [option for option in OPTIONS if option not in said]
    if lacking:
        yield fail(f"this Xvfb has no {', '.join(lacking)}", "install xvfb 1.20 or newer")
    else:
        yield ok("Xvfb, its tools and openbox are there")


def fonts() -> Iterator[Finding]:
    """Scripts that can be shown."""
    if shutil.which("fc-list") is None:
        yield warn("fc-list is not installed: fonts cannot be looked at", "apt-get install fontconfig fonts-noto-core")
        return
    for script, (characters, package) in SCRIPTS.items():
        if any(not _said("fc-list", f":charset={character}", "family").strip() for character in characters):
            yield warn(f"no font for {script}: boxes are shown", f"apt-get install {package}")
        else:
            yield ok(f"a font for {script}")


def has_locale(name: str) -> bool:
    """Whether the C library knows a locale, and as UTF-8."""
    return _said("locale", "charmap", LC_ALL=name).strip() == "UTF-8"


def layouts(rules: Path = RULES) -> frozenset[str]:
    """Return every layout that a list of XKB rules knows, alone and with each of its variants in parentheses."""
    try:
        text = rules.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return frozenset()
    section, found = "", set()
    for line in text.splitlines():
        words = line.split()
        if line.startswith("!"):
            section = words[1]
        elif words and section == "layout":
            found.add(words[0])
        elif len(words) > 1 and section == "variant":
            found.add(f"{words[1].rstrip(':')}({words[0]})")
    return frozenset(found)


def input_methods() -> Iterator[Finding]:
    """Whether Chinese, Japanese or Korean can be composed inside a session."""
    there = [name for name in METHODS if shutil.which(name)]
    yield ok(f"{there[0]} starts with every session" if there else "none; what browsers compose arrives without one")


def _said(*line: str, **variables: str) -> str:
    try:
        environment = {**os.environ, **variables}
        done = subprocess.run(line, capture_output=True, text=True, timeout=10, check=False, env=environment)  # noqa: S603
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout + done.stderr if line[-1] == "-help" else done.stdout
