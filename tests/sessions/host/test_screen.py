"""A desktop's screen in shared memory: who gets it, who does not, and what is refused in its place."""

from __future__ import annotations

import errno
import fcntl
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from uuid import UUID

import pytest

from sessions.spawners.processes import ProcessId
from sessions.spawners.screen import (
    NAME,
    find_screen,
    identity_from,
    identity_of,
    make_screen,
    open_screen,
    reopen_screen,
)
from sessions.states import State

from .conftest import ROOT, Installation, wait_for
from .insider import COMMAND, in_desktop, in_worker

WHOLE = "import mmap, os, struct; descriptor = config['framebuffer']; memory = mmap.mmap(descriptor, 0, prot=1)\n"
READ = WHOLE + (
    "head = struct.unpack('>25I', memory[:100]); start = head[0] + 12 * head[19]; row = head[12]\n"
    "places = [start + y * row + 4 * x for x, y in ((0, 0), (100, 200), (800, 600))]\n"
    "print([memory[place : place + 3].hex() for place in places])"
)
"""Prints three pixels, as blue, green and red."""

WRITE = (
    WHOLE
    + """
for attempt in (
    lambda: os.ftruncate(descriptor, 0),
    lambda: os.write(descriptor, b'x'),
    lambda: mmap.mmap(descriptor, 4096, prot=3),
    lambda: os.open(f'/proc/self/fd/{descriptor}', os.O_RDWR),
    lambda: os.chmod(descriptor, 0o666),
):
    try:
        attempt()
        print('done')
    except OSError as error:
        print(error.errno)
"""
)

DRAW = "import subprocess; print(subprocess.run(['xsetroot', '-solid', '#123456']).returncode)"

CUT = """
import os
for pid in filter(str.isdigit, os.listdir('/proc')):
    try:
        for name in os.listdir(f'/proc/{pid}/fd'):
            path = f'/proc/{pid}/fd/{name}'
            if os.readlink(path).startswith('/memfd:stripedesk-screen'):
                os.truncate(path, 0)
                print('cut')
    except OSError as error:
        print(type(error).__name__)
"""

HEIR = "import os; print([link for name in os.listdir('/proc/self/fd') if 'screen' in (link := read(name))])"
INHERITED = "def read(name):\n try: return os.readlink(f'/proc/self/fd/{name}')\n except OSError: return ''\n" + HEIR


@pytest.fixture
def screen() -> Iterator[int]:
    made = make_screen(os.geteuid())
    yield made
    os.close(made)


def descriptors() -> int:
    return len(os.listdir("/proc/self/fd"))


def screens_of(pid: int) -> int:
    """How many descriptors of screens a process has."""
    count = 0
    for link in Path(f"/proc/{pid}/fd").iterdir():
        try:
            count += NAME in os.readlink(link)
        except OSError:  # it has just been closed
            continue
    return count


# ---- the file --------------------------------------------------------------------------------------------------


def test_it_grows_gives_back_pages_and_is_never_cut_off(screen: int) -> None:
    os.write(screen, b"x" * (1 << 20))
    punch = ["fallocate", "--punch-hole", "--offset", "8192", "--length", str(1 << 20), "/dev/stdin"]
    subprocess.run(punch, stdin=screen, check=True)
    status = os.fstat(screen)
    assert (status.st_size, status.st_blocks * 512) == (1 << 20, 8192)
    for size in (0, 8192, (1 << 20) - 1):
        with pytest.raises(PermissionError):
            os.ftruncate(screen, size)
    assert status.st_mode & 0o777 == 0o600


@pytest.mark.usefixtures("root")
def test_one_user_may_open_it() -> None:
    screen = make_screen(1234)
    try:
        assert os.fstat(screen).st_uid == 1234
    finally:
        os.close(screen)


def test_it_is_opened_again_to_read(screen: int) -> None:
    os.write(screen, b"picture")
    again = reopen_screen(screen)
    assert again is not None and os.read(again, 10) == b"picture"
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.write(again, b"x")
    assert identity_of(again) == identity_of(screen)
    os.close(again)


def unsealed(_: Path) -> int:
    return os.memfd_create(NAME, os.MFD_ALLOW_SEALING)


def sealed_otherwise(_: Path) -> int:
    made = os.memfd_create(NAME, os.MFD_ALLOW_SEALING)
    fcntl.fcntl(made, fcntl.F_ADD_SEALS, fcntl.F_SEAL_GROW | fcntl.F_SEAL_WRITE)
    return made


def fifo(directory: Path) -> int:
    os.mkfifo(directory / "fifo")
    return os.open(directory / "fifo", os.O_RDWR)


def stream(_: Path) -> int:
    return socket.socket(socket.AF_UNIX).detach()


def plain_file(directory: Path) -> int:
    return os.open(directory / "file", os.O_RDWR | os.O_CREAT)


def directory_itself(directory: Path) -> int:
    return os.open(directory, os.O_RDONLY)


def device(_: Path) -> int:
    return os.open("/dev/null", os.O_RDWR)


OTHERS = [unsealed, sealed_otherwise, fifo, stream, plain_file, directory_itself, device]


@pytest.mark.parametrize("make", OTHERS)
def test_nothing_else_is_taken_for_it(tmp_path: Path, make: Callable[[Path], int]) -> None:
    made = make(tmp_path)
    before = descriptors()
    assert reopen_screen(made) is None
    assert open_screen(f"/proc/{os.getpid()}/fd/{made}") is None
    assert descriptors() == before
    os.close(made)


def test_a_descriptor_that_is_none_is_refused() -> None:
    assert reopen_screen(-1) is None and reopen_screen(1 << 20) is None


@pytest.mark.parametrize("state", [None, [], [1], [1, 2, 3], [1, "2"], [True, 1], {"0": 1}, "12"])
def test_an_identity_that_makes_no_sense_is_none(state: object) -> None:
    assert identity_from(state) is None


def test_it_is_found_at_a_process_among_others_of_its_name(screen: int) -> None:
    other = make_screen(os.geteuid())
    decoys = [unsealed(Path()), other, sealed_otherwise(Path())]
    wait = [sys.executable, "-c", "import sys; sys.stdin.read()"]
    held = subprocess.Popen(wait, stdin=subprocess.PIPE, pass_fds=(*decoys, screen))
    bare = subprocess.Popen(wait, stdin=subprocess.PIPE, pass_fds=decoys)
    try:
        holder, without = ProcessId.of(held.pid), ProcessId.of(bare.pid)
        assert holder is not None and without is not None
        before = descriptors()
        assert find_screen(without, identity_of(screen)) is None
        assert find_screen(ProcessId(1 << 22, 0), identity_of(screen)) is None
        assert descriptors() == before
        found = find_screen(holder, identity_of(screen))
        assert found is not None and identity_of(found) == identity_of(screen)
        assert fcntl.fcntl(found, fcntl.F_GETFL) & os.O_ACCMODE == os.O_RDONLY
        assert fcntl.fcntl(found, fcntl.F_GETFD) & fcntl.FD_CLOEXEC
        os.close(found)
        assert descriptors() == before
    finally:
        for child in (held, bare):
            child.communicate(b"")
        for decoy in decoys:
            os.close(decoy)


# ---- in a session ----------------------------------------------------------------------------------------------


def sandboxed_session(installation: Installation) -> UUID:
    pk = installation.launch(COMMAND)
    installation.until(pk, State.RUNNING)
    return pk


def shown(installation: Installation, pk: UUID) -> str:
    """Draw as one of the desktop's programs; return what the worker reads then."""
    assert in_desktop(installation, pk, DRAW) == "0"
    return in_worker(installation, pk, READ)


@pytest.mark.usefixtures("root")
def test_a_worker_reads_what_a_program_drew_and_can_do_no_more(installation: Installation) -> None:
    agent = installation.start_agent("obey")
    pk = sandboxed_session(installation)
    assert shown(installation, pk) == "['563412', '563412', '563412']"
    written = in_worker(installation, pk, WRITE).split()
    assert written == [str(code) for code in (errno.EINVAL, errno.EBADF, errno.EACCES, errno.EACCES, errno.EPERM)]
    assert in_desktop(installation, pk, INHERITED) == "[]"
    assert "cut" not in in_desktop(installation, pk, CUT) and shown(installation, pk).count("563412") == 3
    assert screens_of(agent.pid) == 1
    # Only the part of the largest size that is seen takes memory.
    status = os.stat(screen_of(agent.pid))
    assert [status.st_dev, status.st_ino] == installation.session(pk).spawner_state["screen"]
    assert status.st_size > 1920 * 1080 * 4 and status.st_blocks * 512 < 1920 * 620 * 4
    installation.stop(pk)
    installation.until(pk, State.ENDED)
    assert screens_of(agent.pid) == 0


def screen_of(pid: int) -> Path:
    return next(link for link in Path(f"/proc/{pid}/fd").iterdir() if NAME in os.readlink(link))


@pytest.mark.usefixtures("root")
def test_the_real_worker_maps_it_and_keeps_no_descriptor(installation: Installation) -> None:
    installation.start_agent("real")
    pk = sandboxed_session(installation)
    worker = installation.session(pk).spawner_state["worker"]["pid"]
    [streaming] = [int(pid) for pid in wait_for(lambda: mapping(worker), 10, "the mapping")]
    assert screens_of(streaming) == 0
    assert "framebuffer" not in installation.paths(pk).worker_log.read_text()


def mapping(init: int) -> list[str]:
    """The processes of a sandbox that have a screen mapped, to read only."""
    namespace = os.readlink(f"/proc/{init}/ns/pid")
    found = []
    for entry in Path("/proc").iterdir():
        try:
            if entry.name.isdigit() and os.readlink(entry / "ns/pid") == namespace:
                found += [
                    entry.name for line in (entry / "maps").read_text().splitlines() if NAME in line and "r--s" in line
                ]
        except OSError:  # it has just ended
            continue
    return found


@pytest.mark.usefixtures("root")
def test_a_later_agent_finds_it_again_for_a_later_worker(installation: Installation) -> None:
    first = installation.start_agent("obey")
    pk = sandboxed_session(installation)
    first.send_signal(signal.SIGKILL)
    first.wait(5)
    agent = installation.start_agent("obey")
    wait_for(lambda: "found again" in installation.log(), 15, installation.log)
    assert screens_of(agent.pid) == 0  # the worker that is there has it
    # A hostile program shows others of its name, and calls itself as the X server is called.
    send_decoys(installation, pk)
    for _ in range(2):
        worker = installation.session(pk).spawner_state["worker"]
        os.kill(worker["pid"], signal.SIGKILL)
        wait_for(lambda was=worker: installation.session(pk).spawner_state["worker"] not in (was, None), 15, "a worker")
        assert shown(installation, pk) == "['563412', '563412', '563412']"
        assert screens_of(agent.pid) == 1
    installation.stop(pk)
    installation.until(pk, State.ENDED)
    assert screens_of(agent.pid) == 0


def send_decoys(installation: Installation, pk: UUID) -> None:
    code = (
        "import os, shutil, subprocess\n"
        "plain = os.memfd_create('stripedesk-screen', 0)\n"
        "shutil.copy('/bin/sleep', '/tmp/Xvfb')\n"
        "print(subprocess.Popen(['/tmp/Xvfb', '60'], pass_fds=[plain]).poll())"
    )
    assert in_desktop(installation, pk, code) == "None"


def test_without_a_sandbox_it_is_the_same(installation: Installation, tmp_path: Path) -> None:
    for directory in ("/usr/bin", "/usr/sbin"):
        for program in Path(directory).iterdir():
            if program.name != "bwrap" and not (tmp_path / program.name).exists():
                (tmp_path / program.name).symlink_to(program)
    environment = {"PATH": str(tmp_path), "STRIPEDESK_ALLOW_UNSANDBOXED": "1"}
    first = installation.start_agent("obey", **environment)
    pk = installation.launch("sh -c 'xsetroot -solid \"#123456\"; ls -l /proc/self/fd >$HOME/fds; sleep 60'")
    installation.until(pk, State.RUNNING)

    def drawn() -> bool:
        return in_worker(installation, pk, READ) == "['563412', '563412', '563412']"

    wait_for(drawn, 10, "the picture")
    assert NAME not in (installation.paths(pk).home / "fds").read_text()
    first.send_signal(signal.SIGKILL)
    first.wait(5)
    installation.start_agent("obey", **environment)
    wait_for(lambda: "found again" in installation.log(), 15, installation.log)
    worker = installation.session(pk).spawner_state["worker"]
    os.kill(worker["pid"], signal.SIGKILL)
    wait_for(lambda: installation.session(pk).spawner_state["worker"] not in (worker, None), 15, "a worker")
    wait_for(drawn, 10, "the picture")


def test_the_start_script_knows_it_by_its_name() -> None:
    assert f"/memfd:{NAME}*)" in (ROOT / "sessions/desktop/start.sh").read_text()
