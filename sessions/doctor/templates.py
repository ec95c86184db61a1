"""Templates, tried against this machine: whether a session would find its program, its locale and its keyboard layout.

The admin says the same when a template is saved. Runs `locale`; a host may differ from the machine that looks.
"""

from __future__ import annotations

import os
import shlex
import shutil
from collections.abc import Iterator
from pathlib import Path

from django.db import Error as DatabaseTrouble

from ..models import SessionTemplate
from ..spawners import sandbox
from .desktop import has_locale, layouts
from .finding import Finding, ok, warn

VISIBLE = ("/usr", "/bin", "/sbin", "/lib", "/lib64")
"""What a sandbox sees of the machine, where programs are."""


def templates() -> Iterator[Finding]:
    """Programs, locales and keyboard layouts that templates name."""
    try:
        rows = list(SessionTemplate.objects.filter(enabled=True))
    except DatabaseTrouble:
        yield ok("not looked at: see the probe of the database")
        return
    sound = []
    for template in rows:
        problems = list(problems_of(template))
        yield from (warn(f"{template.name}: {finding.detail}", finding.remedy) for finding in problems)
        if not problems:
            sound.append(template.name)
    if sound or not rows:
        yield ok(f"{', '.join(sound) or 'none'}: nothing lacks")


def problems_of(template: SessionTemplate) -> Iterator[Finding]:
    """Return what a session of ``template`` would miss on this machine."""
    try:
        words = shlex.split(template.command)
        template.variables()
    except ValueError as error:
        yield warn(f"it cannot be read: {error}", "correct it in the admin")
        return
    if words and (problem := missing_program(words[0])):
        yield warn(problem, "install it on every host, or correct the command")
    if not has_locale(template.locale):
        remedy = "apt-get install locales-all, or generate it: dpkg-reconfigure locales"
        yield warn(f"there is no locale {template.locale}, so C.UTF-8 would be used", remedy)
    known = layouts()
    unknown = [part for part in template.keyboard_layout.split(",") if part not in known]
    if unknown and known:
        yield warn(f"there is no keyboard layout {', '.join(unknown)}, so us would be used", "correct the template")


def missing_program(name: str) -> str:
    """Return "", or a sentence why a sandbox would not find a program that is called so."""
    if "/" not in name:
        found = shutil.which(name, path=sandbox.PATH)
        return "" if found else f"there is no program called {name!r:.80} in {sandbox.PATH}"
    if not name.startswith("/"):
        return f"{name!r:.80} is relative to a home directory, which is empty at first"
    if not Path(os.path.realpath(name)).is_relative_to("/usr") and not name.startswith(tuple(f"{d}/" for d in VISIBLE)):
        return f"{name!r:.80} is outside of what a sandbox sees ({', '.join(VISIBLE)})"
    return "" if os.access(name, os.X_OK) else f"there is no program {name!r:.80}"
