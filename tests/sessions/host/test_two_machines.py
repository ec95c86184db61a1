"""Two hosts that only the network joins to the database and to Redis: network namespaces on one machine.

What is cut is a link, so that nobody is told of an end: connections just stay silent, as when a machine loses its
power. A host agent that is killed or stands still beside others is in `test_policies` and `tests/faults`.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from django.core.management import call_command
from django.db import connections

from sessions.models import DesktopSession, SessionHost
from sessions.spawners.processes import ProcessId
from sessions.states import Reason, State
from tests.postgresql import NAME, cluster

from .conftest import ALIAS, REDIS_PASSWORD, UID_BASE, Installation, wait_for

SEEN_WITHIN_S = 10.0 if os.environ.get("STRIPEDESK_CHAOS") == "1" else 25.0
"""Ten seconds are asked; a machine that runs other tests meanwhile has more."""

ROOM = 2
HOSTS = ("host-a", "host-b")


class Namespace:
    """A network namespace, kept by a process that sleeps in it."""

    def __init__(self) -> None:
        self._holder = subprocess.Popen(["unshare", "-n", "sleep", "infinity"])
        self.pid = self._holder.pid
        own = os.readlink("/proc/self/ns/net")
        wait_for(lambda: os.readlink(f"/proc/{self.pid}/ns/net") != own, 10, "a network namespace")
        self.ip("link", "set", "lo", "up")

    @property
    def enter(self) -> list[str]:
        """What to put before a command for it to run here."""
        return ["nsenter", "-t", str(self.pid), "-n", "--"]

    def ip(self, *arguments: str) -> None:
        subprocess.run([*self.enter, "ip", *arguments], check=True, capture_output=True, timeout=10)

    def close(self) -> None:
        self._holder.kill()
        self._holder.wait()


class Site(Installation):
    """Database and Redis in a namespace, and a machine in one of its own for each of `HOSTS`, with a link to them."""

    def __init__(self, directory: Path) -> None:
        super().__init__(directory)
        self.hub = Namespace()
        self.machines = {name: Namespace() for name in HOSTS}
        self.addresses = {name: f"10.99.{number}" for number, name in enumerate(HOSTS)}
        for name, machine in self.machines.items():
            line = ["link", "add", name, "type", "veth", "peer", "name", "hub", "netns", str(machine.pid)]
            self.hub.ip(*line)
            self.hub.ip("address", "add", f"{self.addresses[name]}.1/24", "dev", name)
            machine.ip("address", "add", f"{self.addresses[name]}.2/24", "dev", "hub")
            machine.ip("link", "set", "hub", "up")
            self.link(name, True)

    def link(self, name: str, there: bool) -> None:
        """Cut a machine off, or join it again."""
        self.hub.ip("link", "set", name, "up" if there else "down")

    def redis_command(self) -> list[str]:
        return [*self.hub.enter, "redis-server", "--port", "6379", "--bind", "0.0.0.0"]

    def start(self, name: str) -> subprocess.Popen[bytes]:
        """Start the host agent of a machine."""
        state, runtime = self.directory / name, self.directory / f"run-{name}"
        state.mkdir(mode=0o700, exist_ok=True)
        runtime.mkdir(exist_ok=True)
        runtime.chmod(0o711)
        hub = f"{self.addresses[name]}.1"
        return self.start_agent(
            name=name,
            enter=self.machines[name].enter,
            STRIPEDESK_STATE_DIR=str(state),
            STRIPEDESK_RUNTIME_DIR=str(runtime),
            STRIPEDESK_UID_BASE=str(UID_BASE + 30 * HOSTS.index(name)),
            STRIPEDESK_HOST_CAPACITY=str(ROOM),
            DATABASE_URL=f"postgres://{NAME}@{hub}/{NAME}",
            REDIS_URL=f"redis://:{REDIS_PASSWORD}@{hub}:6379",
        )

    def close(self) -> None:
        for name in HOSTS:
            self.link(name, True)
        super().close()
        for namespace in (self.hub, *self.machines.values()):
            namespace.close()


@pytest.fixture
def site(root: None, empty_database: Path, django_db_blocker: Any) -> Iterator[Site]:
    if subprocess.run(["unshare", "-n", "true"], capture_output=True, check=False).returncode:
        pytest.skip("no network namespaces can be made here")
    directory = Path(tempfile.mkdtemp(prefix="sdh-"))
    directory.chmod(0o711)
    made = Site(directory)
    try:
        with cluster("*", made.hub.enter) as socket:
            server = {"ENGINE": "django.db.backends.postgresql", "NAME": NAME, "USER": NAME, "HOST": str(socket)}
            connections.settings[ALIAS] = connections.configure_settings({"default": {}, ALIAS: server})[ALIAS]
            del connections[ALIAS]
            with django_db_blocker.unblock():
                try:
                    call_command("migrate", database=ALIAS, verbosity=0)
                    made.start_redis()
                    yield made
                finally:
                    made.close()
                    connections[ALIAS].close()
    finally:
        shutil.rmtree(directory, ignore_errors=True)


def hosts(name: str) -> SessionHost:
    return SessionHost.objects.using(ALIAS).get(name=name)


def begun(name: str) -> bool:
    """Whether the host's agent has begun."""
    return SessionHost.objects.using(ALIAS).filter(name=name, beat__gt=0).exists()


def on(name: str, sessions: list[UUID]) -> list[DesktopSession]:
    rows = DesktopSession.objects.using(ALIAS).filter(pk__in=sessions, host__name=name)
    return list(rows.order_by("number"))


def vanishes(site: Site, name: str, sessions: list[DesktopSession]) -> None:
    """Wait until a host that has just gone is seen to be lost, and its sessions say so."""
    began = time.monotonic()

    def said() -> bool:
        rows = [site.session(row.pk) for row in sessions]
        return all(row.state == State.RECOVERING and row.reason == Reason.HOST_LOST for row in rows)

    wait_for(said, 40, lambda: f"the loss to be seen\n{site.log('host-a')}\n{site.log('host-b')}")
    took = time.monotonic() - began
    print(f"{name} seen to be lost after {took:.1f} s")
    assert took < SEEN_WITHIN_S
    assert hosts(name).lost and all("does not answer" in site.session(row.pk).message for row in sessions)


def back(site: Site, row: DesktopSession) -> None:
    """Wait until a session runs again, on the desktop it had."""
    again = site.until(row.pk, State.RUNNING, seconds=60)
    assert again.spawner_state["init"] == row.spawner_state["init"]
    assert ProcessId.from_state(again.spawner_state["init"]).alive()  # type: ignore[union-attr]


def test_a_machine_that_vanishes_is_seen_and_its_desktops_are_found_again(site: Site) -> None:
    agents = {name: site.start(name) for name in HOSTS}
    for name in HOSTS:
        wait_for(lambda name=name: begun(name), 30, lambda name=name: site.log(name))
    launched = [site.launch("sleep 300") for _ in range(2 * ROOM)]
    for pk in launched:
        site.until(pk, State.RUNNING, seconds=60)
    placed = {name: on(name, launched) for name in HOSTS}
    assert [len(rows) for rows in placed.values()] == [ROOM, ROOM]

    # The link is cut: nobody is told. What runs there goes on, and what starts meanwhile starts elsewhere.
    waiting = site.launch("sleep 300")
    wait_for(lambda: site.session(waiting).message.startswith("Number 1"), 30, "a place in line")
    site.link("host-a", False)
    vanishes(site, "host-a", placed["host-a"])
    assert all(site.session(row.pk).state == State.RUNNING for row in placed["host-b"])
    stopped, kept = placed["host-a"]
    site.stop(stopped.pk)
    wait_for(lambda: site.session(stopped.pk).state == State.ENDED, 10, "the end of what nobody wants")
    assert ProcessId.from_state(stopped.spawner_state["init"]).alive()  # type: ignore[union-attr]
    site.stop(placed["host-b"][0].pk)
    assert site.until(waiting, State.RUNNING, seconds=40).host.name == "host-b"

    # It is back: its desktop goes on, and what was stopped meanwhile is cleared away.
    site.link("host-a", True)
    back(site, kept)
    assert not hosts("host-a").lost
    gone = ProcessId.from_state(stopped.spawner_state["init"])
    wait_for(lambda: not gone.alive(), 20, "what was stopped to be cleared away")  # type: ignore[union-attr]

    # The other one's agent is killed, and started again a while after.
    rows = [site.session(waiting), site.session(placed["host-b"][1].pk)]
    agents["host-b"].send_signal(signal.SIGKILL)
    vanishes(site, "host-b", rows)
    assert site.session(kept.pk).state == State.RUNNING
    site.start("host-b")
    for row in rows:
        back(site, row)
