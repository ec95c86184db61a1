"""What the seccomp filters refuse, asked call by call; the same questions without a filter are answered otherwise."""

from __future__ import annotations

import errno
import json
import os
import shutil
import subprocess
import sys

import pytest

from sessions.spawners import seccomp

PROBES = """
import ctypes, json, os, platform, socket
libc = ctypes.CDLL(None, use_errno=True)
X86 = platform.machine() == "x86_64"

def call(x86, arm, *arguments):
    number = x86 if X86 else arm
    ctypes.set_errno(0)
    result = libc.syscall(ctypes.c_long(number), *(ctypes.c_long(a) for a in arguments))
    return "done" if result >= 0 else ctypes.get_errno()

def family(number):
    try:
        socket.socket(number, socket.SOCK_DGRAM).close()
    except OSError as error:
        return error.errno
    return "done"

def child(function):
    # in a process of its own: what succeeds shall not change what follows
    read, write = os.pipe()
    if not os.fork():
        os.write(write, json.dumps(function()).encode())
        os._exit(0)
    os.wait()
    return json.loads(os.read(read, 100))

def cloned():
    result = libc.syscall(ctypes.c_long(56 if X86 else 220), *(ctypes.c_long(a) for a in (0x10000000 | 17, 0, 0, 0, 0)))
    if result == 0:
        os._exit(0)
    return "done" if result > 0 else ctypes.get_errno()

print(json.dumps({
    "keyctl": call(250, 219, 0, -3, 1),
    "add_key": call(248, 217, 0, 0, 0, 0, -3),
    "bpf": call(321, 280, 99, 0, 0),
    "perf_event_open": call(298, 241, 0, 0, 0, 0, 0),
    "open_by_handle_at": call(304, 265, -1, 0, 0),
    "name_to_handle_at": call(303, 264, -1, 0, 0, 0, 0),
    "userfaultfd": call(323, 282, 1 << 30),
    "io_uring_setup": call(425, 425, 0, 0),
    "fsopen": call(430, 430, 0, 0),
    "mount": call(165, 40, 0, 0, 0, 0, 0),
    "pivot_root": call(155, 41, 0, 0),
    "setns": call(308, 268, -1, 0),
    "kexec_load": call(246, 104, 0, 99, 0, 1 << 40),
    "reboot": call(169, 142, 0, 0, 0, 0),
    "clock_settime": call(227, 112, 99, 0),
    "quotactl": call(179, 60, -1, 0, 0, 0),
    "personality of others": child(lambda: call(135, 92, 8)),
    "personality asked": call(135, 92, 0xFFFFFFFF),
    "personality of Linux": call(135, 92, 0),
    "TIOCSTI": call(16, 29, -1, 0x5412, 0),
    "project ids": call(16, 29, -1, 0x401C5820, 0),
    "other ioctls": call(16, 29, -1, 0x5413, 0),
    "x32": call(0x40000027, 172) if X86 else 38,
    "unix": family(socket.AF_UNIX),
    "inet": family(socket.AF_INET),
    "netlink": family(socket.AF_NETLINK),
    "vsock": family(40),
    "alg": family(38),
    "families to come": family(99),
    "ptrace": child(lambda: call(101, 117, 0, 0, 0, 0)),
    "process_vm_readv": call(310, 270, 1 << 30, 0, 0, 0, 0, 0),
    "unshare user": child(lambda: call(272, 97, 0x10000000)),
    "chroot": call(161, 51, 0),
    "clone3": call(435, 435, 0, 0),
    "clone with a namespace": child(cloned),
    "fork": os.waitpid(os.fork() or os._exit(0), 0)[1],
}))
"""

EPERM, ENOSYS, EAFNOSUPPORT = errno.EPERM, errno.ENOSYS, errno.EAFNOSUPPORT
COMMON = {
    **dict.fromkeys(("keyctl", "add_key", "bpf", "perf_event_open", "open_by_handle_at", "name_to_handle_at"), EPERM),
    **dict.fromkeys(("mount", "pivot_root", "setns", "kexec_load", "reboot", "clock_settime", "quotactl"), EPERM),
    **dict.fromkeys(("personality of others", "TIOCSTI", "project ids"), EPERM),
    **dict.fromkeys(("userfaultfd", "io_uring_setup", "fsopen", "x32"), ENOSYS),
    **dict.fromkeys(("vsock", "alg", "families to come"), EAFNOSUPPORT),
    "personality asked": "done",
    "personality of Linux": "done",
    "other ioctls": errno.EBADF,
    "unix": "done",
    "fork": 0,
}
DESKTOP = {"inet": "done", "netlink": "done", "unshare user": "done", "ptrace": "done", "chroot": errno.EFAULT}
WORKER = {
    **dict.fromkeys(("unshare user", "ptrace", "process_vm_readv", "chroot", "clone with a namespace"), EPERM),
    "clone3": ENOSYS,
}

PLAIN = ("personality of others", "TIOCSTI", "project ids", "add_key", "userfaultfd", "io_uring_setup", "mount")
PLAIN += ("clock_settime", "open_by_handle_at", "setns", "unshare user", "ptrace", "process_vm_readv", "clone3", "inet")
"""What an ordinary process without a filter is answered otherwise: the probes would notice that there is none."""


def probe(program: bytes | None) -> dict[str, object]:
    line = ["bwrap", "--ro-bind", "/", "/", "--dev", "/dev", "--proc", "/proc", "--unshare-pid"]
    rules = seccomp.descriptor_of(program) if program else None
    if rules is not None:
        line += ["--seccomp", str(rules)]
    dropped = ["setpriv", "--reuid", "1399999", "--regid", "1399999", "--clear-groups"] if os.geteuid() == 0 else []
    python = shutil.which("python3", path="/usr/bin") or sys.executable
    try:
        done = subprocess.run(
            [*line, *dropped, python, "-c", PROBES],
            capture_output=True,
            text=True,
            timeout=20,
            pass_fds=() if rules is None else (rules,),
            check=False,
        )
    finally:
        if rules is not None:
            os.close(rules)
    assert done.returncode == 0, done.stderr
    answers: dict[str, object] = json.loads(done.stdout)
    return answers


@pytest.fixture(scope="module")
def unfiltered() -> dict[str, object]:
    return probe(None)


def refused(answers: dict[str, object], expected: dict[str, object]) -> dict[str, object]:
    """What is answered otherwise than expected."""
    return {name: answers[name] for name, wanted in expected.items() if answers[name] != wanted}


def test_a_desktop_makes_namespaces_and_no_more(unfiltered: dict[str, object]) -> None:
    answers = probe(seccomp.desktop_filter())
    expected = {**COMMON, **DESKTOP}
    if unfiltered["unshare user"] != "done":
        del expected["unshare user"]  # the machine itself forbids it
    assert refused(answers, expected) == {}


@pytest.mark.parametrize(("network", "inet"), [(False, EAFNOSUPPORT), (True, "done")])
def test_a_worker_makes_not_even_those(network: bool, inet: object) -> None:
    answers = probe(seccomp.worker_filter(network))
    assert refused(answers, {**COMMON, **WORKER, "inet": inet, "netlink": EAFNOSUPPORT}) == {}


def test_the_probes_would_notice_that_there_is_no_filter(unfiltered: dict[str, object]) -> None:
    expected = {**COMMON, **WORKER, "inet": EAFNOSUPPORT}
    same = {name: unfiltered[name] for name in PLAIN if unfiltered[name] == expected[name]}
    # Some kernels forbid an ordinary user these by themselves.
    assert set(same) <= {"unshare user", "io_uring_setup", "userfaultfd", "mount", "clock_settime", "open_by_handle_at"}


def test_without_libseccomp_nothing_starts_and_the_package_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(*_: object, **__: object) -> None:
        raise OSError("libseccomp.so.2: cannot open shared object file")

    seccomp.desktop_filter.cache_clear()
    monkeypatch.setattr(seccomp.ctypes, "CDLL", missing)
    assert "install the Debian package libseccomp2" in seccomp.problem()
    from sessions.spawners import sandbox

    assert "libseccomp2" in sandbox.problem()
