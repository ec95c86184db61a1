"""The group by which a worker reaches Redis, whatever Redis is doing when the worker starts."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from sessions.hostagent.worker_process import groups_of

OF_WORKERS, OTHER = 1_900_000, 1_900_001


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root: files of another group")
def test_a_redis_that_is_away_or_has_just_come_is_reached_all_the_same(tmp_path: Path) -> None:
    directory = tmp_path / "redis"
    directory.mkdir()
    socket = directory / "redis.sock"
    assert groups_of(socket, directory) == []  # nobody but root reaches it
    os.chown(directory, 0, OF_WORKERS)
    directory.chmod(0o750)
    assert groups_of(socket, directory) == [OF_WORKERS]  # away
    socket.touch()
    socket.chmod(0o770)
    assert groups_of(socket, directory) == [OF_WORKERS]  # not given to the group yet
    os.chown(socket, 0, OTHER)
    assert groups_of(socket, directory) == groups_of(socket, socket) == [OTHER]
    socket.chmod(0o700)
    directory.chmod(0o700)
    assert groups_of(socket, directory) == []
