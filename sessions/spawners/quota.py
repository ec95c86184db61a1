"""Project quotas (quotactl(2)): bounds a directory tree where its file system keeps them (ext4 and xfs, `prjquota`).

Needs root. Nothing here blocks longer than a look at a disk's metadata.
"""

from __future__ import annotations

import ctypes
import fcntl
import os
import struct
from dataclasses import dataclass
from pathlib import Path

PROJECT = 2
GET, SET = 0x800007, 0x800008
BLOCK = 1024
VALID_BLOCK_LIMITS = 1
FS_IOC_FSGETXATTR, FS_IOC_FSSETXATTR = 0x801C581F, 0x401C5820
FSXATTR = struct.Struct("=5I8x")
PROJECT_INHERITED = 0x200


class _Block(ctypes.Structure):
    """struct if_dqblk"""

    _fields_ = (
        ("block_hard", ctypes.c_uint64),
        ("block_soft", ctypes.c_uint64),
        ("space", ctypes.c_uint64),
        ("inode_hard", ctypes.c_uint64),
        ("inode_soft", ctypes.c_uint64),
        ("inodes", ctypes.c_uint64),
        ("block_time", ctypes.c_uint64),
        ("inode_time", ctypes.c_uint64),
        ("valid", ctypes.c_uint32),
    )


@dataclass(frozen=True)
class ProjectQuota:
    """The quota of ``project`` on the file system of ``device``."""

    device: str
    project: int

    @classmethod
    def of(cls, directory: Path, project: int) -> ProjectQuota | None:
        """Return the quota for ``directory``, or None where its file system keeps none or this is not root."""
        device = device_of(directory)
        quota = cls(device, project) if device and os.geteuid() == 0 else None
        try:
            if quota is not None:
                quota.used()
        except OSError:
            return None
        return quota

    def used(self) -> int:
        """Return the bytes that the project's files take. Raises OSError where no quota is kept."""
        block = _Block()
        self._call(GET, block)
        return int(block.space)

    def bound(self, directory: Path, size: int) -> None:
        """Let ``directory``, and all that is made in it from now on, take ``size`` bytes at most. Raises OSError."""
        blocks = max(1, size // BLOCK)
        self._call(SET, _Block(block_hard=blocks, block_soft=blocks, valid=VALID_BLOCK_LIMITS))
        descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
        try:
            known = fcntl.ioctl(descriptor, FS_IOC_FSGETXATTR, bytes(FSXATTR.size))
            flags, extent, extents, _, copied = FSXATTR.unpack(known)
            changed = FSXATTR.pack(flags | PROJECT_INHERITED, extent, extents, self.project, copied)
            fcntl.ioctl(descriptor, FS_IOC_FSSETXATTR, changed)
        finally:
            os.close(descriptor)

    def _call(self, command: int, block: _Block) -> None:
        library = ctypes.CDLL(None, use_errno=True)
        number = ctypes.c_int(command << 8 | PROJECT)
        if library.quotactl(number, self.device.encode(), ctypes.c_int(self.project), ctypes.byref(block)):
            raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()), self.device)


def device_of(directory: Path) -> str:
    """Return the block device that ``directory`` is on, or "" if there is none."""
    try:
        number = os.stat(directory).st_dev
        lines = Path("/proc/self/mountinfo").read_text().splitlines()
    except OSError:
        return ""
    wanted = f"{os.major(number)}:{os.minor(number)}"
    for line in lines:
        before, _, after = line.partition(" - ")
        if before.split()[2] == wanted and (source := after.split()[1]).startswith("/"):
            return source.replace("\\040", " ")
    return ""
