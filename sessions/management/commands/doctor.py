"""``manage.py doctor``: what is wrong with this machine or deployment, and what to do about it."""

from __future__ import annotations

import json
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from ...doctor.finding import Finding, Verdict
from ...doctor.probes import PROBES, failed, run_all


class Command(BaseCommand):
    help = "Look at this machine and deployment, and say what is wrong and what to do. Exit status 1 if something is."
    requires_system_checks = ()  # they are one of its probes, and must not end it

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("probe", nargs="*", help="only these; default all")
        parser.add_argument("--json", action="store_true", help="as JSON")

    def handle(self, *args: Any, **options: Any) -> None:
        known = {probe.name: probe for probe in PROBES}
        if unknown := [name for name in options["probe"] if name not in known]:
            raise CommandError(f"There is no probe called {unknown[0]!r:.60}. Known are: {', '.join(known)}.")
        probes = [known[name] for name in options["probe"]] or PROBES
        rows = []
        for probe, finding in run_all(probes):
            rows.append((probe.name, finding))
            if not options["json"]:
                self._line(probe.name, finding)
        findings = [finding for _, finding in rows]
        if options["json"]:
            self.stdout.write(json.dumps([_row(name, finding) for name, finding in rows], indent=1))
        else:
            counts = {verdict: sum(found.verdict is verdict for found in findings) for verdict in Verdict}
            self.stdout.write(f"\n{', '.join(f'{count} {verdict}' for verdict, count in counts.items())}")
        if failed(findings):
            raise SystemExit(1)

    def _line(self, name: str, finding: Finding) -> None:
        styles = {Verdict.OK: self.style.SUCCESS, Verdict.WARN: self.style.WARNING, Verdict.FAIL: self.style.ERROR}
        verdict = styles[finding.verdict](f"{finding.verdict:4}")
        self.stdout.write(f"{verdict}  {name:14} {_printable(finding.detail)}")
        if finding.remedy:
            self.stdout.write(f"{'':21}→ {_printable(finding.remedy)}")


def _row(name: str, finding: Finding) -> dict[str, str]:
    return {"probe": name, "verdict": finding.verdict.value, "detail": finding.detail, "remedy": finding.remedy}


def _printable(text: str) -> str:
    return "".join(character if character.isprintable() else " " for character in text)
