"""The environment variables a template adds: a text of ``NAME=value`` lines, read and checked.

Standard library only. Administrators write the text; a session's programs and its start script read the result, so
what makes the sandbox, the display or a shell do something else is reserved.
"""

from __future__ import annotations

import re
from typing import Final

MOST: Final = 64
"""Variables of one template."""

NAME_LENGTH: Final = 64
VALUE_LENGTH: Final = 1024
TEXT_LENGTH: Final = 8192

RESERVED: Final = frozenset(
    # What the sandbox sets, so that a session finds its home, its display and nobody else's.
    ("HOME", "USER", "LOGNAME", "SHELL", "PATH", "PWD", "OLDPWD", "DISPLAY", "XAUTHORITY", "TMPDIR")
    + ("XDG_RUNTIME_DIR", "XDG_CONFIG_DIRS", "XDG_DATA_DIRS", "DBUS_SESSION_BUS_ADDRESS", "WAYLAND_DISPLAY")
    # The template's own fields say these.
    + ("LANG", "LC_ALL", "LANGUAGE", "XKB_DEFAULT_LAYOUT", "XKB_DEFAULT_VARIANT")
    # What makes a shell read or do something else before its first line.
    + ("ENV", "BASH_ENV", "SHELLOPTS", "BASHOPTS", "PS4", "IFS", "CDPATH", "GLOBIGNORE", "PROMPT_COMMAND")
)
RESERVED_PREFIXES: Final = ("LD_", "GLIBC_", "BASH_FUNC_", "STRIPEDESK_", "DYLD_")
"""The dynamic linker's, exported shell functions, and the platform's own."""

_NAME = re.compile(rf"[A-Za-z_][A-Za-z0-9_]{{0,{NAME_LENGTH - 1}}}")


def parse_environment(text: str) -> dict[str, str]:
    """Return the variables of ``text``; empty lines and lines that begin with ``#`` are left out.

    Raises `ValueError` with a sentence that names the line and the remedy.
    """
    if len(text) > TEXT_LENGTH:
        raise ValueError(f"This is {len(text)} characters long; at most {TEXT_LENGTH} are allowed.")
    variables: dict[str, str] = {}
    for number, line in enumerate(re.split(r"\r\n|\n|\r", text), 1):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        name, equals, value = line.partition("=")
        name = name.strip()
        if not equals:
            raise ValueError(f"Line {number} has no '='. Write one NAME=value a line.")
        check_variable(name, value, f"Line {number}: ")
        if name in variables:
            raise ValueError(f"Line {number}: {name} is set twice. Leave one of the two.")
        variables[name] = value
    if len(variables) > MOST:
        raise ValueError(f"These are {len(variables)} variables; at most {MOST} are allowed.")
    return variables


def check_variable(name: str, value: str, where: str = "") -> None:
    """Raise `ValueError` unless a template may set ``name`` to ``value``; ``where`` begins the sentence."""
    if not _NAME.fullmatch(name):
        raise ValueError(
            f"{where}{name!r:.80} is not a variable's name. Use letters, digits and underscores, no digit first, "
            f"at most {NAME_LENGTH}."
        )
    if name in RESERVED or name.startswith(RESERVED_PREFIXES):
        raise ValueError(f"{where}{name} is set by the platform and cannot be changed here. Remove the line.")
    if len(value) > VALUE_LENGTH:
        raise ValueError(f"{where}the value of {name} is longer than {VALUE_LENGTH} characters. Shorten it.")
    if not value.isprintable():
        raise ValueError(f"{where}the value of {name} holds a control character. Remove it.")
