"""``python -m stripeengine settings``: every setting with range, default, unit and help."""

from __future__ import annotations

import argparse
import json
from typing import Any

from ..settings import Setting, describe


def add_parser(commands: Any) -> None:
    """Add the subcommand to an argparse sub-parser collection."""
    parser = commands.add_parser("settings", help="print every setting with its range and default")
    form = parser.add_mutually_exclusive_group()
    form.add_argument("--markdown", action="store_true", help="as a Markdown table")
    form.add_argument("--json", action="store_true", help="as JSON")
    parser.set_defaults(run=run)


def allowed(setting: Setting) -> str:
    """Return what values a setting takes, for people."""
    if setting.kind is bool:
        return "true, false"
    if setting.choices:
        return ", ".join(setting.choices)
    steps = f" in steps of {setting.step}" if setting.step != 1 else ""
    return f"{setting.minimum} to {setting.maximum}{steps}"


def default(setting: Setting) -> str:
    """Return a setting's default as it is typed on the command line."""
    return str(setting.default).lower() if setting.kind is bool else str(setting.default)


def as_json(setting: Setting) -> dict[str, Any]:
    """Return a setting's description as plain data."""
    return {
        "name": setting.name,
        "type": setting.kind.__name__,
        "default": setting.default,
        "minimum": setting.minimum,
        "maximum": setting.maximum,
        "step": setting.step,
        "choices": list(setting.choices),
        "unit": setting.unit,
        "help": setting.help,
    }


def run(options: argparse.Namespace) -> int:
    """Print the table; always 0."""
    table = describe()
    if options.json:
        print(json.dumps([as_json(setting) for setting in table], indent=1))
    elif options.markdown:
        print("| setting | values | default | unit | meaning |\n|---|---|---|---|---|")
        for s in table:
            print(f"| `{s.name}` | {allowed(s)} | {default(s)} | {s.unit} | {s.help} |")
    else:
        for s in table:
            unit = f" {s.unit}" if s.unit else ""
            print(f"{s.name}\n    {s.help}\n    {allowed(s)}{unit}; default {default(s)}")
    return 0
