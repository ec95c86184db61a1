"""All probes in the order of the report, and how they are run. docs/reference/doctor.md is compared with `PROBES`."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from . import database, desktop, engine, hosts, isolation, machine, redis_server, templates, web
from .finding import Finding, Verdict, fail

Look = Callable[[], Iterator[Finding]]

LOOKS: Final[dict[str, Look]] = {
    "settings": web.configuration,
    "packages": machine.packages,
    "engine": engine.engine,
    "disk": machine.disk,
    "shared-memory": machine.shared_memory,
    "limits": machine.limits,
    "sandbox": isolation.bubblewrap,
    "namespaces": isolation.namespaces,
    "cgroups": isolation.cgroups,
    "uids": isolation.uids,
    "network": isolation.network,
    "xvfb": desktop.xvfb,
    "fonts": desktop.fonts,
    "templates": templates.templates,
    "input-methods": desktop.input_methods,
    "redis": redis_server.redis_server,
    "channel-layers": redis_server.channel_layers,
    "database": database.database,
    "clocks": machine.clocks,
    "secret-key": web.secret_key,
    "addresses": web.addresses,
    "static-files": web.static_files,
    "checks": web.checks,
    "spawner": hosts.spawner,
    "host-agents": hosts.agents,
}


@dataclass(frozen=True)
class Probe:
    """One thing to look at. ``sentence`` is the first line of its function's documentation."""

    name: str
    look: Look

    @property
    def sentence(self) -> str:
        """What it looks at, for people."""
        return (self.look.__doc__ or "").splitlines()[0]

    def run(self) -> list[Finding]:
        """Return what it sees; a probe that fails itself is a finding, and ends no report."""
        try:
            return list(self.look())
        except Exception as error:  # a broken machine breaks what nobody foresaw
            return [
                fail(f"it could not be looked at: {type(error).__name__}: {error!s:.200}", "correct what comes before")
            ]


PROBES: Final = tuple(Probe(name, look) for name, look in LOOKS.items())


def run_all(probes: Sequence[Probe] = PROBES) -> Iterator[tuple[Probe, Finding]]:
    """Run probes one after the other; yields as soon as there is something to say."""
    for probe in probes:
        for finding in probe.run():
            yield probe, finding


def failed(findings: Sequence[Finding]) -> bool:
    """Whether something does not work."""
    return any(finding.verdict is Verdict.FAIL for finding in findings)
