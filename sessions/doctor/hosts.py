"""Those who run sessions: the spawner, and the host agents that the database knows."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

from django.db import Error as DatabaseTrouble
from django.utils import timezone

from ..conf import conf
from ..models import SessionHost, SessionTemplate
from ..spawners.registry import SpawnerUnusable, spawner_class
from .finding import Finding, fail, ok, warn

SILENT = timedelta(minutes=1)
"""By the clocks on the walls, generously: with neither agent nor web process left nobody marks a host as lost."""

REMEDY = "run manage.py sessionhost on it (manage.py up does), or delete it in the admin"


def spawner() -> Iterator[Finding]:
    """What starts desktops."""
    try:
        found = spawner_class(conf().spawner)
    except SpawnerUnusable as error:
        yield fail(str(error), "set STRIPEDESK_SPAWNER to one that works")
    else:
        yield ok(f"{conf().spawner} ({found.__module__}.{found.__qualname__})")


def agents() -> Iterator[Finding]:
    """Host agents: alive, with room, and without a problem of their own."""
    try:
        hosts = list(SessionHost.objects.all())
        templates = SessionTemplate.objects.filter(enabled=True).count()
    except DatabaseTrouble:
        yield ok("not looked at: see the probe of the database")
        return
    if not hosts:
        yield warn("no host agent has ever reported", "run manage.py sessionhost, or manage.py up")
    alive = [host for host in hosts if _lives(host)]
    for host in hosts:
        if host not in alive:
            since = f"since {host.heartbeat:%Y-%m-%d %H:%M:%S} UTC" if host.heartbeat else "yet"
            verdict = warn if alive else fail
            yield verdict(f"{host.name} has not been heard of {since}", REMEDY)
        elif host.problem:
            yield warn(f"{host.name}: {host.problem}", "see docs/explanation/sandbox.md")
        elif not host.capacity:
            yield warn(f"{host.name} takes no sessions", "raise its capacity in the admin, if that is not meant")
        else:
            yield ok(f"{host.name} lives, room for {host.capacity}")
    if not templates:
        yield warn("there is no template to launch", "python manage.py seed, or make one in the admin")


def _lives(host: SessionHost) -> bool:
    return host.alive and host.heartbeat is not None and timezone.now() - host.heartbeat < SILENT
