"""Recordings of wire messages: the file format of docs/reference/dump.md, written and read.

Writing blocks on the file; nothing is buffered across messages, so a recording that is cut short loses one message at
most. Standard library only.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Iterator
from types import TracebackType
from typing import BinaryIO, NamedTuple, Self

from .errors import WireError

MAGIC = b"SEDUMP1\n"
MESSAGE_MAX = 8 << 20  # docs/protocol.md, section 2
_RECORD = struct.Struct("<QI")


class DumpedMessage(NamedTuple):
    """One record: when the message was taken from the engine (monotonic µs) and the message."""

    time_us: int
    message: bytes


class DumpWriter:
    """Writes messages to a new file at ``path``; raises `OSError` as the file does."""

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self._file: BinaryIO = open(path, "wb", buffering=0)  # noqa: SIM115 - closed by close()
        self._file.write(MAGIC)

    def write(self, time_us: int, message: bytes | memoryview) -> None:
        """Append one message; raises `WireError` if it is longer than the protocol allows."""
        size = len(message)
        if size > MESSAGE_MAX:
            raise WireError(f"a message of {size} bytes is longer than the {MESSAGE_MAX} the protocol allows")
        record = _RECORD.pack(time_us, size)
        rest = memoryview(b"".join((record, message)))
        while rest:  # an unbuffered file may take less than all of it
            rest = rest[self._file.write(rest) :]

    def close(self) -> None:
        """Close the file. Idempotent."""
        self._file.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def read_dump(path: str | os.PathLike[str]) -> Iterator[DumpedMessage]:
    """Yield the messages of a recording; raises `WireError` naming the offset where it is not one or ends early."""
    with open(path, "rb") as file:
        if file.read(len(MAGIC)) != MAGIC:
            raise WireError(f"{os.fspath(path)} is not a recording: it does not start with {MAGIC!r}")
        while True:
            offset = file.tell()
            record = file.read(_RECORD.size)
            if not record:
                return
            if len(record) < _RECORD.size:
                raise WireError(f"the recording ends inside the record at byte {offset}")
            time_us, length = _RECORD.unpack(record)
            if length > MESSAGE_MAX:
                raise WireError(f"the record at byte {offset} claims {length} bytes; {MESSAGE_MAX} are possible")
            message = file.read(length)
            if len(message) < length:
                raise WireError(f"the recording ends inside the message at byte {offset}")
            yield DumpedMessage(time_us, message)
