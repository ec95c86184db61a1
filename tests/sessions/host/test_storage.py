"""Homes that stay: a uid of their own, a quota or a measurement, and a word to the user before the disk is full."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from sessions.models import UserProfile
from sessions.spawners import storage
from sessions.spawners.base import SpawnError
from sessions.spawners.limits import MB
from sessions.spawners.quota import ProjectQuota, device_of
from sessions.spawners.storage import Meter, claim_home, measure
from sessions.states import State

from .conftest import ALIAS, UID_BASE, Installation, wait_for
from .insider import COMMAND, in_desktop


def put(directory: Path, name: str, size: int) -> None:
    (directory / name).parent.mkdir(exist_ok=True, parents=True)
    (directory / name).write_bytes(os.urandom(size))


def test_a_home_is_its_owners_again_and_nobody_elses(tmp_path: Path) -> None:
    olga, ivan = (claim_home(tmp_path, 1_500_000, name, 10) for name in ("17", "18"))
    assert claim_home(tmp_path, 1_500_000, "17", 10) == olga
    assert olga.path != ivan.path and (olga.uid != ivan.uid or os.geteuid() != 0)
    assert olga.path.stat().st_mode & 0o777 == 0o700
    for name in ("", ".", "..", "a/b", ".hidden", "x" * 65, "a\n"):
        with pytest.raises(SpawnError, match="cannot name a home"):
            claim_home(tmp_path, 1_500_000, name, 10)


def test_what_a_home_holds_is_counted_as_on_disk_without_following_links(tmp_path: Path) -> None:
    home, outside = tmp_path / "home", tmp_path / "outside"
    put(home, "a/b", 3 * MB)
    put(outside, "large", 20 * MB)
    before = measure(home).used
    assert 3 * MB <= before < 4 * MB
    (home / "link").symlink_to(outside)
    (home / "file").symlink_to(outside / "large")
    os.link(home / "a/b", home / "again")
    with (home / "sparse").open("wb") as file:
        file.truncate(1 << 40)
    os.mkfifo(home / "pipe")
    assert measure(home).used < before + MB // 8


def test_a_home_too_large_to_count_is_full(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    home = claim_home(tmp_path, 1_500_000, "17", 100)
    for number in range(30):
        (home.path / str(number)).touch()
    monkeypatch.setattr(storage, "MOST_ENTRIES", 20)
    assert not measure(home.path).complete
    assert "Delete some" in (Meter(home).look() or "")
    shutil.rmtree(home.path)
    deep = home.path
    for _ in range(storage.DEEPEST + 5):
        deep = deep / "d"
    deep.mkdir(parents=True)
    assert not measure(home.path).complete


def test_a_full_home_is_said(tmp_path: Path) -> None:
    home = claim_home(tmp_path, 1_500_000, "17", 2)
    meter = Meter(home)
    assert meter.look() == ""
    assert meter.look() is None  # not yet time again
    put(home.path, "much", 2 * MB)
    assert "full: 2 MiB of 2 MiB" in (Meter(home).look() or "")


@pytest.fixture
def quota_disk(root: None, tmp_path: Path) -> Iterator[Path]:
    """A small ext4 file system with project quotas."""
    image, place = tmp_path / "image", tmp_path / "disk"
    place.mkdir()
    with image.open("wb") as file:
        file.truncate(64 * MB)
    made = ["mkfs.ext4", "-q", "-O", "quota,project", "-E", "quotatype=prjquota", str(image)]
    mounted = ["mount", "-o", "loop,prjquota", str(image), str(place)]
    for line in (made, mounted):
        if shutil.which(line[0]) is None:
            pytest.skip(f"needs {line[0]}")
        done = subprocess.run(line, capture_output=True, text=True, check=False)
        if done.returncode:
            pytest.skip(f"no file system with quotas can be made here: {done.stderr.strip()}")
    try:
        yield place
    finally:
        subprocess.run(["umount", str(place)], check=True)


def test_where_the_file_system_keeps_quotas_it_bounds_a_home(quota_disk: Path) -> None:
    home = claim_home(quota_disk, UID_BASE, "17", 8)
    other = claim_home(quota_disk, UID_BASE, "18", 8)
    assert home.quota is not None and home.quota.device == device_of(quota_disk) and home.quota != other.quota
    fill = ["setpriv", "--reuid", str(home.uid), "--regid", str(home.uid), "--clear-groups"]
    fill += ["dd", "if=/dev/zero", f"of={home.path / 'much'}", "bs=1M", "count=20"]
    quota_disk.chmod(0o755)
    home.path.parent.chmod(0o755)
    done = subprocess.run(fill, capture_output=True, text=True, check=False)
    assert "quota exceeded" in done.stderr.lower() and 6 * MB < (home.path / "much").stat().st_size <= 8 * MB
    assert home.measure().used <= 8 * MB
    assert "full" in (Meter(home).look() or "")
    assert Meter(other).look() == ""
    put(other.path, "little", MB)


def test_where_it_keeps_none_there_is_no_quota(tmp_path: Path) -> None:
    assert ProjectQuota.of(Path("/proc"), 5) is None
    assert device_of(tmp_path / "missing") == ""


@pytest.mark.usefixtures("root")
def test_a_persistent_home_is_there_again_and_its_owner_hears_that_it_is_full(installation: Installation) -> None:
    spec = {"limits": {"home_mb": 3}, "home": "persistent", "owner": "17"}
    installation.start_agent(TEST_SPEC=json.dumps(spec))
    first = installation.launch(COMMAND)
    installation.until(first, State.RUNNING)
    fill = "import os\nfor name in ('much', 'more'):\n open(name, 'wb').write(os.urandom(2 << 20))\nprint(os.getuid())"
    uid = in_desktop(installation, first, fill)
    wait_for(lambda: "home directory is full" in installation.session(first).message, 25, installation.log)
    installation.stop(first)
    installation.until(first, State.ENDED)
    second = installation.launch(COMMAND)
    installation.until(second, State.RUNNING)
    look = "import os\nprint(os.getuid(), os.path.getsize('much'), oct(os.stat('.').st_mode & 0o777))"
    assert in_desktop(installation, second, look) == f"{uid} {2 << 20} 0o700"
    # A full home opens, or nobody could tidy it up: he hears of it again, and quotas of storage know of it.
    wait_for(lambda: "home directory is full" in installation.session(second).message, 25, installation.log)
    profile = UserProfile.objects.using(ALIAS).get(user=installation.session(first).owner)
    assert profile.storage_bytes >= 4 << 20
