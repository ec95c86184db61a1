"""One desktop takes all it can get: it is stopped at its limits and told so, and its neighbour keeps its frame rate."""

from __future__ import annotations

import json
import os
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from uuid import UUID

import msgpack
import pytest

from sessions.spawners import bounds, cgroups
from sessions.spawners.bounds import Bounds
from sessions.spawners.cgroups import Hierarchy, NoGroup, UnifiedGroup
from sessions.spawners.limits import MB, Limits, size_text
from sessions.spawners.paths import SessionPaths
from sessions.states import State
from sessions.worker.messages import CONTROL_PREFIX, FRAMES_PREFIX, frames_group, group_channel, worker_group

from .conftest import Installation, wait_for
from .insider import COMMAND, answer_of_desktop, in_desktop, send_to_desktop

LIMITS = {"cpu": 0.5, "memory_mb": 300, "processes": 120, "tmp_mb": 20, "home_mb": 30}

PAINTER = """
import os, socket, struct, time
x = socket.socket(socket.AF_UNIX)
x.connect("/tmp/.X11-unix/X0")
name, cookie = b"MIT-MAGIC-COOKIE-1", open(os.environ["XAUTHORITY"], "rb").read()[-16:]
x.sendall(struct.pack("<BxHHHHxx", 0x6C, 11, 0, len(name), 16) + name + b"\\0\\0" + cookie)
setup = x.recv(8, socket.MSG_WAITALL)
setup += x.recv(struct.unpack_from("<H", setup, 6)[0] * 4, socket.MSG_WAITALL)
(gc,), (vendor,), formats = struct.unpack_from("<I", setup, 12), struct.unpack_from("<H", setup, 24), setup[29]
(root,) = struct.unpack_from("<I", setup, 40 + (vendor + 3) // 4 * 4 + 8 * formats)
x.sendall(struct.pack("<BxHIII", 55, 4, gc, root, 0))  # CreateGC
if os.fork():
    os._exit(0)
colour, due = 0, time.monotonic()
while True:
    colour = (colour + 0x0B1D17) & 0xFFFFFF
    x.sendall(struct.pack("<BxHIII", 56, 4, gc, 4, colour) + struct.pack("<BxHII4H", 70, 5, root, gc, 20, 20, 300, 200))
    due = max(due + 1 / 30, time.monotonic())
    time.sleep(max(0, due - time.monotonic()))
"""
"""An application that draws 30 times a second (ChangeGC, PolyFillRectangle on the root), as a film does."""

PICTURES_S = 2.5

BOMB = """
import os, time
n = 0
try:
    while True:
        if not os.fork():
            time.sleep(4)
            os._exit(0)
        n += 1
except BlockingIOError:
    print(n)
"""


FILLER = """
import os
for place in ("/tmp", "/dev/shm", "/var/tmp", os.environ["HOME"], os.environ["XDG_RUNTIME_DIR"], "/", "/dev", "/run"):
    path, written = os.path.join(place, "filler"), 0
    try:
        with open(path, "wb", 0) as file:
            while written < 400 << 20:
                written += file.write(bytes(1 << 20))
    except OSError as error:
        print(place, written >> 20, error.strerror)
    if os.path.exists(path):
        os.unlink(path)
"""


@pytest.fixture
def neighbours(installation: Installation) -> Iterator[tuple[Installation, UUID, UUID]]:
    """Two running sessions with small limits; the first misbehaves."""
    if not {"memory", "pids", "cpu"} <= set(bounds.hierarchy().bases):
        pytest.skip("no control groups can be made here")
    installation.start_agent("real", TEST_SPEC=json.dumps({"limits": LIMITS}))
    first, second = installation.launch(COMMAND), installation.launch(COMMAND)
    for pk in (first, second):
        installation.until(pk, State.RUNNING)
    yield installation, first, second


def told(installation: Installation, pk: UUID, words: str) -> None:
    wait_for(lambda: words in installation.session(pk).message, 15, lambda: f"{words}\n{installation.log()}")
    assert installation.session(pk).state == State.RUNNING


@pytest.mark.usefixtures("root")
def test_who_takes_all_he_can_get_hurts_nobody_and_is_told(neighbours: tuple[Installation, UUID, UUID]) -> None:
    installation, first, second = neighbours
    assert in_desktop(installation, second, PAINTER) == ""
    wait_for(lambda: pictures(installation, second, 1.0) > 10, 10, "the neighbour's pictures")
    before = pictures(installation, second)
    least = before * 0.7

    # A CPU burner: many busy processes get half a core together.
    burn = "import os, time\nfor _ in range(8):\n if not os.fork():\n  end = time.monotonic() + 6\n"
    send_to_desktop(installation, first, f"{burn}  while time.monotonic() < end: pass\n  os._exit(0)\nprint('burnt')")
    group = bounds.noted(installation.paths(first), "desktop")
    began, used = time.monotonic(), cpu_of(group)
    assert pictures(installation, second) > least
    cores = (cpu_of(group) - used) / (time.monotonic() - began)
    assert 0.03 < cores < LIMITS["cpu"] * 1.25
    answer_of_desktop(installation, first)

    # A fork bomb: forks fail at the limit, and the neighbour still starts programs.
    send_to_desktop(installation, first, BOMB)
    assert pictures(installation, second) > least
    assert in_desktop(installation, second, "import os; print(os.system('true'))") == "0"
    assert 20 < int(answer_of_desktop(installation, first)) < LIMITS["processes"]
    told(installation, first, f"the limit of {LIMITS['processes']} processes is reached")

    # A memory hog is ended; its desktop and its neighbour are not.
    send_to_desktop(installation, first, "kept = []\nwhile True:\n kept.append(bytearray(10 << 20))")
    assert pictures(installation, second) > least
    assert answer_of_desktop(installation, first) in ("", "Killed")
    told(installation, first, "ran out of its memory limit of 300 MiB")
    assert installation.session(second).message == ""
    assert in_desktop(installation, first, "print('alive')") == "alive"

    # A disk filler: every place that can be written to ends at its size.
    send_to_desktop(installation, first, FILLER)
    assert pictures(installation, second) > least
    filled = dict(line.split(" ", 1) for line in answer_of_desktop(installation, first).splitlines())
    assert filled.pop("/tmp").split(" ", 1)[1] == filled.pop("/dev/shm").split(" ", 1)[1] == "No space left on device"
    assert filled.pop("/home/user").endswith("No space left on device")
    assert {words for place, words in filled.items() if place in ("/", "/dev", "/run")} == {"0 Read-only file system"}
    assert len(filled) == 5 and all(int(words.split()[0]) <= 64 for words in filled.values())


def pictures(installation: Installation, pk: UUID, seconds: float = PICTURES_S) -> float:
    """How many pictures a second a session's worker publishes, with somebody to look at them."""
    watch = msgpack.packb({"type": "worker.watch", "bus": "test", "viewers": 1})
    with installation.admin() as admin, admin.pubsub() as frames:
        frames.subscribe(group_channel(FRAMES_PREFIX, frames_group(pk.hex)))
        assert admin.publish(group_channel(CONTROL_PREFIX, worker_group(pk.hex)), watch) == 1
        count, ends = 0, time.monotonic() + seconds
        while (left := ends - time.monotonic()) > 0:
            message = frames.get_message(ignore_subscribe_messages=True, timeout=left)
            count += message is not None and msgpack.unpackb(message["data"])["type"] == "frame"
    return count / seconds


def cpu_of(group: cgroups.Group) -> float:
    """Seconds of CPU that the group's processes have used, as far as they live."""
    ticks = 0
    for pid in (next(iter(group.directories.values())) / "cgroup.procs").read_text().split():
        try:
            ticks += sum(map(int, Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[11:13]))
        except OSError:
            continue
    return ticks / os.sysconf("SC_CLK_TCK")


@pytest.mark.usefixtures("root")
def test_groups_are_found_again_and_removed_with_what_is_in_them(tmp_path: Path) -> None:
    if not bounds.hierarchy().bases:
        pytest.skip("no control groups can be made here")
    paths = SessionPaths("e" * 32, tmp_path, tmp_path)
    paths.make()
    made = Bounds(paths)
    made.make(Limits(memory_mb=100), None)
    sleeper = subprocess.Popen(made.desktop.joined(["sleep", "60"]))
    directories = [*made.desktop.directories.values(), *made.worker.directories.values()]
    wait_for(lambda: str(sleeper.pid) in (directories[0] / "cgroup.procs").read_text().split(), 5, "the group")
    later = Bounds(paths)
    later.find(Limits(), None)
    assert later.desktop.directories == made.desktop.directories and all(d.is_dir() for d in directories)
    later.remove()
    assert sleeper.wait(5) == -9
    assert not any(directory.exists() for directory in directories)
    later.remove()
    paths.remove()


def test_a_note_of_groups_that_makes_no_sense_names_none(tmp_path: Path) -> None:
    paths = SessionPaths("e" * 32, tmp_path, tmp_path)
    paths.make()
    for text in ("", "[]", '{"version": 1, "groups": {"desktop": {"cpu": "/sys/fs/cgroup/cpu"}}}'):
        paths.groups.write_text(text)
        assert isinstance(bounds.noted(paths, "desktop"), NoGroup)


def test_limits_that_do_not_hold_are_said_with_a_remedy() -> None:
    assert Hierarchy(1, dict.fromkeys(cgroups.CONTROLLERS, Path("/"))).problem() == ""
    assert "CPU, memory, processes" in Hierarchy(0, {}).problem()
    assert "Delegate=yes" in Hierarchy(1, {"cpu": Path("/")}).problem()


def proc(directory: Path, mountinfo: str, cgroup: str) -> Path:
    (directory / "mountinfo").write_text(mountinfo)
    (directory / "cgroup").write_text(cgroup)
    return directory


def unified(directory: Path, handed_down: str = "cpu memory pids") -> Path:
    """The files that a version 2 group shows, as far as they are read before any is written."""
    directory.mkdir(parents=True, exist_ok=True)
    (directory / "cgroup.controllers").write_text("cpuset cpu io memory pids\n")
    (directory / "cgroup.subtree_control").write_text(handed_down)
    return directory


def test_groups_are_made_below_the_agents_own(tmp_path: Path) -> None:
    own = unified(tmp_path / "fs" / "system.slice" / "stripedesk.service")
    info = f"30 24 0:27 / {tmp_path}/fs rw,nosuid - cgroup2 cgroup2 rw\n"
    found = cgroups.find(proc(tmp_path, info, "0::/system.slice/stripedesk.service\n"))
    assert (found.version, set(found.bases.values())) == (2, {own})
    assert found.group("a" * 32, "worker").directories["pids"] == own / f"stripedesk-{'a' * 32}-worker"
    # systemd's DelegateSubgroup=, or an earlier agent, has put it a step below
    found = cgroups.find(proc(tmp_path, info, "0::/system.slice/stripedesk.service/agent\n"))
    unified(own / "agent")
    found = cgroups.find(proc(tmp_path, info, "0::/system.slice/stripedesk.service/agent\n"))
    assert set(found.bases.values()) == {own}


def test_in_a_container_the_mount_is_where_groups_are(tmp_path: Path) -> None:
    for name in ("cpu", "memory"):
        (tmp_path / name / "below").mkdir(parents=True)
    info = f"31 24 0:28 /docker/x {tmp_path}/cpu rw - cgroup cgroup rw,cpu,cpuacct\n"
    info += f"32 24 0:29 / {tmp_path}/memory rw - cgroup cgroup rw,memory\nnonsense\n"
    found = cgroups.find(proc(tmp_path, info, "4:memory:/below\n3:cpu,cpuacct:/docker/x/below\n"))
    cpu = tmp_path / "cpu" / "below"
    assert found.bases == {"cpu": cpu, "cpuacct": cpu, "memory": tmp_path / "memory" / "below"}
    assert "processes" in found.problem()


def test_what_version_2_is_told_and_tells(tmp_path: Path) -> None:
    group = UnifiedGroup(dict.fromkeys(cgroups.CONTROLLERS, tmp_path))
    for name in ("memory.max", "memory.swap.max", "pids.max", "cpu.weight", "cpu.max"):
        (tmp_path / name).write_text("")
    group.make(Limits(cpu=1.5, memory_mb=2, processes=7), weight=4)
    assert (tmp_path / "cpu.max").read_text() == "150000 100000"
    assert (tmp_path / "memory.max").read_text() == str(2 * MB)
    others = [(tmp_path / name).read_text() for name in ("memory.swap.max", "pids.max", "cpu.weight")]
    assert others == ["0", "7", "400"]
    (tmp_path / "memory.events").write_text("low 0\noom 5\noom_kill 3\n")
    (tmp_path / "pids.events").write_text("max 12\n")
    assert group.hits() == cgroups.Hits(memory=3, processes=12)


@pytest.mark.parametrize("memory_mb", [64, 300, 4096])
def test_files_in_memory_leave_room_for_programs(memory_mb: int) -> None:
    limits = Limits(memory_mb=memory_mb, tmp_mb=10_000, home_mb=100_000)
    assert 2 * limits.tmp_bytes() + limits.ephemeral_home_bytes() <= memory_mb * MB * 0.75


def test_sizes_read_well() -> None:
    assert [size_text(n) for n in (512, 1024, 1536, 2048)] == ["512 MiB", "1 GiB", "1.5 GiB", "2 GiB"]
