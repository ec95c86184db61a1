"""Many starts and stops leave nothing: no process, mount, namespace, control group, socket, file, Redis key or user.

Five in `make test`, two hundred in `make chaos` (STRIPEDESK_CHAOS=1).
"""

from __future__ import annotations

import os
import re
import signal
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from sessions.models import DesktopSession
from sessions.spawners import bounds
from sessions.spawners.cgroups import PREFIX
from sessions.states import State

from .conftest import ALIAS, Installation, children_of, wait_for
from .insider import COMMAND

AT_LENGTH = os.environ.get("STRIPEDESK_CHAOS") == "1"
STARTS = 200 if AT_LENGTH else 5
AT_ONCE = 5


def traces(installation: Installation, agent: int, sids: Iterable[str]) -> dict[str, Any]:
    """Everything on this machine that has to do with the installation, agent and Redis themselves left out."""
    directory, proc = str(installation.directory), Path("/proc")
    own = {agent, os.getpid(), *(int(line) for line in redis_pids(installation))}
    processes = [line for pk in sids for line in installation.processes_of(UUID(pk))]
    descriptors = []
    for link in (proc / str(agent) / "fd").iterdir():
        try:
            descriptors.append(os.readlink(link))
        except OSError:
            continue
    with installation.admin() as client:
        keys, users = client.keys("*"), client.acl_users()
    return {
        "processes": processes,
        "zombies": [pid for pid in children_of(agent) if pid not in own],
        "mounts": [line for line in (proc / "self/mountinfo").read_text().splitlines() if directory in line],
        "nsfs": sum(" nsfs " in line for line in (proc / "self/mountinfo").read_text().splitlines()),
        "namespaces": [target for target in descriptors if target.split(":")[0] in ("net", "mnt", "pid", "user")],
        "descriptors": dict(Counter(re.sub(r"[:\[/].*", "", target) or "file" for target in descriptors)),
        "groups": [
            name
            for base in bounds.hierarchy().bases.values()
            for name in all_below(base)
            if name.startswith(PREFIX) and any(sid in name for sid in sids)
        ],
        "sockets": [line for line in (proc / "net/unix").read_text().splitlines() if f"{directory}/run/s/" in line],
        "files": sorted(
            str(path.relative_to(directory))
            for top in (installation.runtime, installation.state / "desktops")
            for path in top.rglob("*")
        ),
        "keys": sorted(key for key in keys if any(sid.encode() in key for sid in sids)),
        "users": sorted(users),
    }


def redis_pids(installation: Installation) -> list[int]:
    return [installation._redis.pid] if installation._redis else []


def all_below(base: Path) -> list[str]:
    return [Path(place).name for place, _, _ in os.walk(base)]


@pytest.mark.usefixtures("root")
def test_starts_and_stops_leave_nothing_behind(installation: Installation) -> None:
    agent = installation.start_agent().pid
    warm = run(installation, [installation.launch(COMMAND, network="internet") for _ in range(AT_ONCE)])
    clean = traces(installation, agent, warm)
    assert clean["processes"] == clean["groups"] == clean["sockets"] == clean["keys"] == []
    sids: list[str] = []
    while len(sids) < STARTS:
        networks = ["internet" if number == 0 else "none" for number in range(AT_ONCE)]
        sids += run(installation, [installation.launch(COMMAND, network=network) for network in networks])
    left = traces(installation, agent, [*warm, *sids])
    # Connections to Redis are kept for the next who needs one: as many as were ever needed at once.
    before, after = clean.pop("descriptors"), left.pop("descriptors")
    assert after.pop("socket") <= before.pop("socket") + 2 * AT_ONCE
    assert left == clean
    assert after == before


@pytest.mark.usefixtures("root")
def test_what_a_killed_agent_left_is_swept_with_its_groups(installation: Installation) -> None:
    agent = installation.start_agent()
    pk = installation.launch(COMMAND)
    installation.until(pk, State.RUNNING)
    directories = list(bounds.noted(installation.paths(pk), "desktop").directories.values())
    assert all(directory.is_dir() for directory in directories)
    agent.send_signal(signal.SIGKILL)
    agent.wait(5)
    DesktopSession.objects.using(ALIAS).filter(pk=pk).delete()
    installation.start_agent()
    wait_for(lambda: not installation.paths(pk).runtime.exists(), 15, installation.log)
    assert not any(directory.exists() for directory in directories)
    assert installation.processes_of(pk) == []


def run(installation: Installation, sessions: list[UUID]) -> list[str]:
    """Start sessions and stop them again; return their ids."""
    for pk in sessions:
        installation.until(pk, State.RUNNING, seconds=60)
    for pk in sessions:
        installation.stop(pk)
    for pk in sessions:
        installation.until(pk, State.ENDED, seconds=60)
    return [pk.hex for pk in sessions]
