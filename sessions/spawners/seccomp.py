"""Seccomp filters: the system calls that programs in a sandbox have no use for, and an attacker has.

A filter is a BPF program that bubblewrap loads; libseccomp, which knows every architecture's numbers, writes it. Calls
are refused with an error, not death, so that programs which try and fall back go on. Any ABI but the machine's own
(i386, x32) is closed: its numbers would go past the rules. Nothing here blocks.
"""

from __future__ import annotations

import ctypes
import errno
import os
from functools import cache

ALLOW = 0x7FFF0000
ERRNO = 0x00050000
ACT_BADARCH = 2  # enum scmp_filter_attr
NOT_EQUAL, EQUAL, AT_LEAST, MASKED_EQUAL = 1, 4, 5, 7  # enum scmp_compare
NO_SUCH_CALL = -1

AF_UNIX, AF_INET, AF_INET6, AF_NETLINK = 1, 2, 10, 16
TIOCSTI, TIOCLINUX, FS_IOC_FSSETXATTR = 0x5412, 0x541C, 0x401C5820
CLONE_NEW = (0x00000080, 0x00020000, 0x02000000, 0x04000000, 0x08000000, 0x10000000, 0x20000000, 0x40000000)
"""TIME, NS, CGROUP, UTS, IPC, USER, PID, NET."""

MACHINE = (
    *("kexec_load", "kexec_file_load", "init_module", "finit_module", "delete_module", "create_module"),
    *("reboot", "swapon", "swapoff", "acct", "quotactl", "quotactl_fd", "iopl", "ioperm", "syslog", "vhangup"),
    *("settimeofday", "clock_settime", "clock_adjtime", "clock_settime64", "clock_adjtime64", "stime"),
    *("sethostname", "setdomainname", "bpf", "perf_event_open", "fanotify_init", "lookup_dcookie"),
    *("add_key", "request_key", "keyctl", "open_by_handle_at", "name_to_handle_at", "setns", "kcmp"),
)
"""Calls about the machine as a whole, refused with EPERM."""

MOUNTS = ("mount", "umount", "umount2", "pivot_root")
"""Refused with EPERM. Browsers make user namespaces and chroot in them; they mount nothing."""

OPTIONAL = (
    *("io_uring_setup", "io_uring_enter", "io_uring_register", "userfaultfd"),
    *("open_tree", "open_tree_attr", "move_mount", "fsopen", "fsconfig", "fsmount", "fspick", "mount_setattr"),
)
"""Young calls with a rich history of holes, refused as if the kernel did not know them: programs fall back."""

OBSOLETE = (
    *("uselib", "ustat", "sysfs", "_sysctl", "nfsservctl", "query_module", "get_kernel_syms", "vm86", "vm86old"),
    *("modify_ldt", "afs_syscall", "getpmsg", "putpmsg", "security", "tuxcall", "vserver", "migrate_pages"),
)
"""Refused with ENOSYS."""

OTHERS = ("ptrace", "process_vm_readv", "process_vm_writev", "pidfd_getfd", "process_madvise", "unshare", "chroot")
"""What a worker has no use for besides: looking into processes, namespaces."""


class SeccompMissing(Exception):
    """No filter can be made. The text names cause and remedy."""


@cache
def desktop_filter() -> bytes:
    """Return the filter of a desktop. Raises `SeccompMissing`."""
    rules = _Rules()
    rules.common()
    rules.only_families(AF_UNIX, AF_INET, AF_INET6, AF_NETLINK)
    return rules.program()


@cache
def worker_filter(network: bool) -> bytes:
    """Return the filter of a worker, which makes no namespaces and, unless ``network``, Unix sockets only."""
    rules = _Rules()
    rules.common()
    rules.refuse(OTHERS, errno.EPERM)
    for flag in CLONE_NEW[
        1:
    ]:  # CLONE_NEWTIME is in the byte where clone has the child's signal; unshare alone takes it
        rules.refuse(["clone"], errno.EPERM, (0, MASKED_EQUAL, flag, flag))
    # Its flags are in memory, where no filter looks; the C library then uses clone.
    rules.refuse(["clone3"], errno.ENOSYS)
    if network:
        rules.only_families(AF_UNIX, AF_INET, AF_INET6)
    else:
        rules.refuse(["socket"], errno.EAFNOSUPPORT, (0, NOT_EQUAL, AF_UNIX, 0))
    return rules.program()


def descriptor_of(program: bytes) -> int:
    """Return a descriptor to read ``program`` from, for bubblewrap's ``--seccomp``. The caller closes it."""
    descriptor = os.memfd_create("seccomp")
    os.write(descriptor, program)
    os.lseek(descriptor, 0, os.SEEK_SET)
    return descriptor


def problem() -> str:
    """Return why no filter can be made, or ""."""
    try:
        desktop_filter()
    except SeccompMissing as error:
        return str(error)
    return ""


class _Comparison(ctypes.Structure):
    """struct scmp_arg_cmp"""

    _fields_ = (
        ("arg", ctypes.c_uint),
        ("op", ctypes.c_int),
        ("datum_a", ctypes.c_uint64),
        ("datum_b", ctypes.c_uint64),
    )


class _Rules:
    """A filter in the making. What is not refused is allowed."""

    def __init__(self) -> None:
        try:
            self._library = ctypes.CDLL("libseccomp.so.2", use_errno=True)
        except OSError as error:
            raise SeccompMissing(
                f"libseccomp cannot be loaded ({error}): install the Debian package libseccomp2"
            ) from None
        self._library.seccomp_init.restype = ctypes.c_void_p
        self._context = ctypes.c_void_p(self._library.seccomp_init(ctypes.c_uint32(ALLOW)))
        if not self._context:
            raise SeccompMissing("libseccomp cannot begin a filter: out of memory")
        self._check(self._library.seccomp_attr_set(self._context, ACT_BADARCH, ctypes.c_uint32(ERRNO | errno.ENOSYS)))

    def __del__(self) -> None:
        if getattr(self, "_context", None):
            self._library.seccomp_release(self._context)

    def common(self) -> None:
        """Refuse what neither a desktop nor a worker needs."""
        self.refuse((*MACHINE, *MOUNTS), errno.EPERM)
        self.refuse((*OPTIONAL, *OBSOLETE), errno.ENOSYS)
        # A personality other than Linux's (0) or a question about it (all ones): then two neighbouring bits of it,
        # the last and the first counted as such, are set and clear.
        for bit in range(32):
            mask = 1 << bit | 1 << (bit + 1) % 32
            self.refuse(["personality"], errno.EPERM, (0, MASKED_EQUAL, mask, 1 << bit))
        # Typing into somebody's terminal; giving a file to another project, whose quota it then counts against.
        for request in (TIOCSTI, TIOCLINUX, FS_IOC_FSSETXATTR):
            self.refuse(["ioctl"], errno.EPERM, (1, MASKED_EQUAL, 0xFFFFFFFF, request))

    def only_families(self, *families: int) -> None:
        """Refuse sockets of other families: vsock and others know no network namespace."""
        for family in range(max(families) + 1):
            if family not in families:
                self.refuse(["socket"], errno.EAFNOSUPPORT, (0, EQUAL, family, 0))
        self.refuse(["socket"], errno.EAFNOSUPPORT, (0, AT_LEAST, max(families) + 1, 0))

    def refuse(
        self, names: tuple[str, ...] | list[str], error: int, comparison: tuple[int, int, int, int] | None = None
    ) -> None:
        """Refuse calls with ``error``, if ``comparison`` (argument, operator, data) holds; skip unknown names."""
        for name in names:
            number = self._library.seccomp_syscall_resolve_name(name.encode())
            if number == NO_SUCH_CALL:
                continue  # a call younger than the library, or of another architecture
            array = (_Comparison * 1)(_Comparison(*comparison)) if comparison else None
            added = self._library.seccomp_rule_add_array(
                self._context, ctypes.c_uint32(ERRNO | error), number, 1 if comparison else 0, array
            )
            # Numbers below -1 stand for calls that this architecture does not have.
            if number >= 0:
                self._check(added)

    def program(self) -> bytes:
        """Return the BPF program."""
        descriptor = os.memfd_create("filter")
        try:
            self._check(self._library.seccomp_export_bpf(self._context, descriptor))
            os.lseek(descriptor, 0, os.SEEK_SET)
            return os.read(descriptor, 1 << 20)
        finally:
            os.close(descriptor)

    @staticmethod
    def _check(result: int) -> None:
        if result < 0:
            raise SeccompMissing(f"libseccomp cannot write the filter: {os.strerror(-result)}")
