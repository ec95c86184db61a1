"""Where a host lacks something: control groups, or an agent that is root. It is said, and the rest holds.

Each agent has a mount namespace of its own, which lacks what it shall not find.
"""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from uuid import UUID

import pytest

from sessions.models import SessionHost
from sessions.states import State

from .conftest import ALIAS, REDIS_GID, ROOT, UID_BASE, Installation, wait_for
from .insider import COMMAND, answer_of_desktop, in_desktop, send_to_desktop

pytestmark = pytest.mark.usefixtures("root")

AGENT_UID = UID_BASE - 2
LIMITS = {"memory_mb": 300, "processes": 120, "tmp_mb": 20, "home_mb": 30}
NO_GROUPS = "umount -R -l /sys/fs/cgroup"

HOG = """
kept = []
try:
    while True:
        kept.append(bytearray(10 << 20))
except MemoryError:
    print(len(kept) * 10)
"""
BOMB = """
import os, time
n = 0
try:
    while n < 1000:
        if not os.fork():
            time.sleep(3)
            os._exit(0)
        n += 1
except BlockingIOError:
    pass
print(n)
"""
FILLER = """
try:
    with open("/tmp/filler", "wb", 0) as file:
        while file.tell() < 400 << 20:
            file.write(bytes(1 << 20))
except OSError as error:
    print(error.strerror)
"""
UIDS = "import os; print(sorted({os.stat(f'/proc/{pid}').st_uid for pid in os.listdir('/proc') if pid.isdigit()}))"


def prepared(script: str, command: Sequence[str] = ()) -> list[str]:
    """The prefix that runs a command in a mount namespace that a shell script has changed; ``command`` comes before."""
    return ["unshare", "-m", "sh", "-ec", f'{script}\nexec "$@"', "sh", *command]


def host() -> SessionHost:
    wait_for(lambda: SessionHost.objects.using(ALIAS).filter(beat__gt=0).exists(), 20, "the agent")
    return SessionHost.objects.using(ALIAS).get()


Run = Callable[[Installation, UUID, str], str]


def assert_bounded(installation: Installation, pk: UUID, run: Run) -> None:
    """Whoever takes all he can get ends at the bounds of single processes."""
    assert 100 < int(run(installation, pk, HOG)) < LIMITS["memory_mb"]
    assert 20 < int(run(installation, pk, BOMB)) < LIMITS["processes"]
    assert run(installation, pk, FILLER) == "No space left on device"
    assert installation.session(pk).state == State.RUNNING


def run_as_agent(installation: Installation, pk: UUID, code: str) -> str:
    """Run Python in a desktop that knows no user but the agent's, so that root's files cannot be made there."""
    os.setegid(REDIS_GID)
    os.seteuid(AGENT_UID)
    try:
        send_to_desktop(installation, pk, code)
    finally:
        os.seteuid(0)
        os.setegid(0)
    return answer_of_desktop(installation, pk)


def test_without_control_groups_single_processes_are_bounded_and_the_host_says_so(installation: Installation) -> None:
    installation.start_agent(enter=prepared(NO_GROUPS), TEST_SPEC=json.dumps({"limits": LIMITS}))
    problem = host().problem
    assert "No control groups for CPU, memory, processes: sessions can hurt each other there." in problem
    assert "Run the agent as root" in problem and problem in installation.log()
    pk = installation.launch(COMMAND)
    installation.until(pk, State.RUNNING)
    assert_bounded(installation, pk, in_desktop)
    installation.stop(pk)
    installation.until(pk, State.ENDED)
    assert installation.processes_of(pk) == [] and installation.session(pk).cpu_seconds > 0


def test_an_agent_that_is_not_root_keeps_sessions_apart_all_the_same(installation: Installation) -> None:
    enter = as_nobody(installation)
    installation.start_agent(enter=enter, TEST_SPEC=json.dumps({"limits": LIMITS}))
    row = host()
    if not row.sandboxed:
        pytest.skip(f"no sandbox can be made without root: {row.problem}")
    first, second = installation.launch(COMMAND), installation.launch(COMMAND)
    for pk in (first, second):
        installation.until(pk, State.RUNNING)
    # All of a session runs as the agent's user, in namespaces of its own: it sees itself alone.
    assert run_as_agent(installation, first, UIDS) == f"[{AGENT_UID}]"
    init = installation.session(first).spawner_state["init"]["pid"]
    assert os.stat(f"/proc/{init}").st_uid == AGENT_UID
    assert installation.status(first)["uid"] == AGENT_UID and installation.status(first)["interfaces"] == ["lo"]
    other = installation.paths(second)
    places = [other.runtime, other.data, installation.state, installation.redis_socket, Path(f"/proc/{init}")]
    assert run_as_agent(installation, first, f"import os; print(*map(os.path.exists, {[*map(str, places)]!r}))") == (
        " ".join(["False"] * len(places))
    )
    assert run_as_agent(installation, first, "import os; print(os.popen('pgrep -c Xvfb').read())") == "1"
    config = json.loads(installation.paths(first).worker_config.read_text())
    assert config["framebuffer"] is not None
    assert "-fbdir" in run_as_agent(installation, first, "import os; print(os.popen('ps -C Xvfb -o args=').read())")
    assert_bounded(installation, first, run_as_agent)
    for pk in (first, second):
        installation.stop(pk)
        installation.until(pk, State.ENDED)
        assert not installation.paths(pk).runtime.exists() and not installation.paths(pk).data.exists()
    assert processes_of(AGENT_UID) == {installation.agents[0].pid}


def processes_of(uid: int) -> set[int]:
    return {int(name) for name in os.listdir("/proc") if name.isdigit() and uid_of(name) == uid}


def uid_of(pid: str) -> int | None:
    try:
        return os.stat(f"/proc/{pid}").st_uid
    except OSError:  # it has just ended
        return None


def as_nobody(installation: Installation) -> list[str]:
    """The prefix that runs an agent as a user without any privilege, who may read the code and has the files."""
    for path in (installation.state, *installation.state.iterdir(), installation.runtime):
        os.chown(path, AGENT_UID, REDIS_GID)
    ids = ["setpriv", "--reuid", str(AGENT_UID), "--regid", str(REDIS_GID), "--clear-groups", "--no-new-privs"]
    ids += ["--inh-caps=-all", "--bounding-set=-all"]
    shown = "\n".join(shown_to_all(installation.directory, [ROOT, Path(sys.prefix), Path(sys.base_prefix)]))
    enter = prepared(f"{NO_GROUPS}\n{shown}", ids)
    tried = subprocess.run([*enter, sys.executable, "-c", "import django"], capture_output=True, text=True, check=False)
    if tried.returncode:
        pytest.skip(f"nobody but root can read the code here: {tried.stderr.strip().splitlines()[-1]}")
    return enter


def shown_to_all(scratch: Path, paths: Sequence[Path]) -> list[str]:
    """Shell commands that make ``paths`` reachable below directories that are their owner's alone."""
    lines: list[str] = []
    closed = {next((str(p) for p in [*path.parents][::-1] if not p.stat().st_mode & 1), "") for path in paths} - {""}
    for number, directory in enumerate(sorted(closed)):
        below = [path for path in paths if path.is_relative_to(directory)]
        kept = [shlex.quote(str(scratch / f"shown-{number}-{place}")) for place in range(len(below))]
        for path, place in zip(below, kept, strict=True):
            lines.append(f"mkdir -p {place}; mount --rbind {shlex.quote(str(path))} {place}")
        lines.append(f"mount -t tmpfs -o mode=755 tmpfs {shlex.quote(directory)}")
        for path, place in zip(below, kept, strict=True):
            lines.append(f"mkdir -p {shlex.quote(str(path))}; mount --rbind {place} {shlex.quote(str(path))}")
    return lines
