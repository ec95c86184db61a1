"""Recordings: written and read back, cut short, corrupted."""

from __future__ import annotations

import struct
import tempfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stripeengine.dump import MAGIC, MESSAGE_MAX, DumpWriter, read_dump
from stripeengine.errors import WireError

RECORDS = st.lists(st.tuples(st.integers(0, 2**64 - 1), st.binary(max_size=300)), max_size=5)


@given(RECORDS, st.data())
def test_round_trip_and_every_cut(records: list[tuple[int, bytes]], data: st.DataObject) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "dump")
        ends = [len(MAGIC)]
        with DumpWriter(path) as writer:
            for time_us, message in records:
                writer.write(time_us, message)
                ends.append(path.stat().st_size)
        assert list(read_dump(path)) == records
        whole = path.read_bytes()
        cut = data.draw(st.integers(0, len(whole)))
        path.write_bytes(whole[:cut])
        reader = read_dump(path)
        if cut in ends:
            assert list(reader) == records[: ends.index(cut)]
            return
        with pytest.raises(WireError, match="ends inside|not a recording"):
            list(reader)
        complete = sum(end <= cut for end in ends[1:])
        assert len(list(_before_error(path))) == complete


def _before_error(path: Path) -> list[bytes]:
    messages = []
    try:
        for record in read_dump(path):
            messages.append(record.message)
    except WireError:
        pass
    return messages


def test_an_absurd_length_is_refused_before_it_is_read(tmp_path: Path) -> None:
    path = tmp_path / "dump"
    path.write_bytes(MAGIC + struct.pack("<QI", 1, MESSAGE_MAX + 1))
    with pytest.raises(WireError, match="claims 8388609 bytes"):
        list(read_dump(path))


def test_an_overlong_message_is_not_written(tmp_path: Path) -> None:
    path = tmp_path / "dump"
    with DumpWriter(path) as writer, pytest.raises(WireError, match="longer than"):
        writer.write(1, bytes(MESSAGE_MAX + 1))
    assert path.read_bytes() == MAGIC


def test_another_file_is_not_a_recording(tmp_path: Path) -> None:
    path = tmp_path / "dump"
    path.write_bytes(b"\x89PNG\r\n\x1a\n")
    with pytest.raises(WireError, match="is not a recording"):
        list(read_dump(path))
