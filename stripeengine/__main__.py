"""``python -m stripeengine``: capture a screen, look at this machine, print the settings.

Exit codes: 0 done, 1 something failed or is missing, 2 the command line asks for something impossible.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from typing import NoReturn

from .cli import capture, doctor, settings
from .errors import EngineError

PROGRAM = "stripeengine"


class OneLineParser(argparse.ArgumentParser):
    """A parser whose complaints are one line, without the usage in front."""

    def error(self, message: str) -> NoReturn:
        """Print ``message`` and exit with 2."""
        self.exit(2, f"{self.prog}: {message} (see {self.prog} --help)\n")


def build_parser() -> argparse.ArgumentParser:
    """Return the parser of all subcommands."""
    parser = OneLineParser(prog=PROGRAM, description="The engine of Stripedesk on its own.")
    commands = parser.add_subparsers(dest="command", required=True, metavar="command")
    for module in (capture, doctor, settings):
        module.add_parser(commands)
    return parser


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code."""
    options = build_parser().parse_args(arguments)
    try:
        code = options.run(options)
        sys.stdout.flush()
        return int(code)
    except BrokenPipeError:
        # Whoever read our output has gone; nothing is left to say, not even by the interpreter's last flush.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except (EngineError, OSError) as error:
        print(f"{PROGRAM} {options.command}: {error}", file=sys.stderr)
        return 2


if __name__ == "__main__":
    sys.exit(main())
