"""`make` prepares a machine: what it says when something is missing, and that it does nothing twice."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """The files that set a checkout up, without the rest, and an empty PATH to be filled."""
    (tmp_path / "scripts").mkdir()
    (tmp_path / "programs").mkdir()
    shutil.copy(ROOT / "scripts" / "setup", tmp_path / "scripts")
    for name in ("packages.txt", "pyproject.toml", "Makefile"):
        shutil.copy(ROOT / name, tmp_path)
    programs = "awk cat cut dirname env grep head id ls mktemp rm sed sh sha256sum sort tail tr wc mkdir"
    for program in programs.split():
        (tmp_path / "programs" / program).symlink_to(shutil.which(program) or program)
    return tmp_path


def fake(checkout: Path, program: str, script: str) -> None:
    path = checkout / "programs" / program
    path.unlink(missing_ok=True)
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)


def setup(checkout: Path, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["/bin/sh", str(checkout / "scripts" / "setup"), *arguments],
        env={"PATH": str(checkout / "programs"), "HOME": str(checkout), **environment},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


NOTHING_INSTALLED = 'echo "not-installed"'
EVERYTHING_INSTALLED = "printf installed"


def test_a_machine_without_apt_is_told_what_to_do(checkout: Path) -> None:
    done = setup(checkout)
    assert done.returncode == 1
    assert "this machine has no apt" in done.stderr and "STRIPEDESK_SKIP_PACKAGES=1" in done.stderr


def test_without_root_the_command_to_run_as_root_is_shown(checkout: Path) -> None:
    fake(checkout, "apt-get", "echo must not be called >&2; exit 9")
    fake(checkout, "dpkg-query", NOTHING_INSTALLED)
    fake(checkout, "id", "echo 1000")
    done = setup(checkout)
    assert done.returncode == 1
    assert re.search(r"apt-get install --no-install-recommends .*bubblewrap.*redis-server", done.stderr)
    assert "chromium" not in done.stderr  # that is for the tests only
    assert "must not be called" not in done.stderr


def test_only_what_is_missing_is_installed_and_a_failure_shows_its_reason(checkout: Path) -> None:
    fake(checkout, "apt-get", 'case "$*" in *install*) echo "$*"; echo E: no such package; exit 100 ;; esac')
    fake(checkout, "dpkg-query", 'case "$*" in *slirp4netns|*chromium) exit 1 ;; *) printf installed ;; esac')
    fake(checkout, "id", "echo 0")
    done = setup(checkout, "test")
    assert done.returncode == 1
    assert "==> Debian packages: installing slirp4netns chromium" in done.stdout
    assert "install --no-install-recommends slirp4netns chromium" in done.stderr and "E: no such package" in done.stderr


def test_a_command_from_elsewhere_counts_as_its_package(checkout: Path) -> None:
    fake(checkout, "apt-get", "exit 9")
    fake(checkout, "dpkg-query", 'case "$*" in *nodejs|*npm) exit 1 ;; *) printf installed ;; esac')
    fake(checkout, "node", "exit 0")
    fake(checkout, "npm", "exit 0")
    done = setup(checkout, "test", PYTHON="no-python")
    assert "Debian packages" not in done.stdout
    assert "there is no Python 3.11" in done.stderr


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        ("echo it is older than 3.11", "python3: it is older than 3.11"),
        ("echo 'its C headers are missing (on Debian: python3-dev)'", "python3-dev"),
        ("exit 1", "python3: it does not run"),
    ],
)
def test_a_python_that_will_not_do_is_named_with_the_reason(checkout: Path, answer: str, words: str) -> None:
    fake(checkout, "python3", answer)
    done = setup(checkout, STRIPEDESK_SKIP_PACKAGES="1", PYTHON="python3")
    assert done.returncode == 1
    assert words in done.stderr and "make setup PYTHON=" in done.stderr


def test_without_a_compiler_it_says_so(checkout: Path) -> None:
    (checkout / ".venv" / "bin").mkdir(parents=True)
    (checkout / ".venv" / "pyvenv.cfg").write_text("")
    (checkout / "stripeengine" / "csrc").mkdir(parents=True)
    for name in ("_build.py", "csrc/engine.c", "csrc/engine.h"):
        (checkout / "stripeengine" / name).write_text("")
    fake(checkout, "venv-python", "exit 0")
    shutil.copy(checkout / "programs" / "venv-python", checkout / ".venv" / "bin" / "python")
    done = setup(checkout, STRIPEDESK_SKIP_PACKAGES="1")
    assert done.returncode == 1
    assert "there is no C compiler" in done.stderr and "build-essential" in done.stderr


def test_the_second_time_nothing_is_done(checkout: Path) -> None:
    (checkout / ".venv" / "bin").mkdir(parents=True)
    (checkout / ".venv" / "pyvenv.cfg").write_text("")
    (checkout / "stripeengine" / "csrc").mkdir(parents=True)
    for name in ("_build.py", "csrc/engine.c", "csrc/engine.h"):
        (checkout / "stripeengine" / name).write_text("")
    calls = checkout / "calls"
    python = checkout / ".venv" / "bin" / "python"
    python.write_text(
        f'#!/bin/sh\necho "$*" >> {calls}\n[ "$1" != stripeengine/_build.py ] || : > stripeengine/_stripeengine.so\n'
    )
    python.chmod(0o755)
    fake(checkout, "cc", "exit 0")
    fake(checkout, "touch", "")
    first = setup(checkout, STRIPEDESK_SKIP_PACKAGES="1")
    assert first.returncode == 0, first.stderr
    assert "Engine: compiling" in first.stdout and "pip install" in calls.read_text()
    calls.write_text("")
    second = setup(checkout, STRIPEDESK_SKIP_PACKAGES="1")
    assert second.stdout == "==> Set up.\n"
    assert "pip install" not in calls.read_text() and "_build.py" not in calls.read_text()
    # A change in the C sources compiles again, and nothing else.
    (checkout / "stripeengine" / "csrc" / "engine.c").write_text("int x;")
    third = setup(checkout, STRIPEDESK_SKIP_PACKAGES="1")
    assert third.stdout == "==> Engine: compiling\n==> Set up.\n"


def test_the_list_of_packages_is_known_to_debian() -> None:
    """Names are checked against this machine's package lists where there are any."""
    if shutil.which("apt-cache") is None:
        pytest.skip("no apt")
    lines = [line.split() for line in (ROOT / "packages.txt").read_text().splitlines()]
    names = [words[0] for words in lines if words and words[0][0] not in "#["]
    assert len(names) == len(set(names))
    known = subprocess.run(["apt-cache", "policy", *names], capture_output=True, text=True, check=True).stdout
    if "Candidate" not in known:
        pytest.skip("no package lists")
    unknown = set(names) - set(re.findall(r"^(\S+):$", known, re.MULTILINE))
    assert not unknown


def test_the_verbs_are_there() -> None:
    done = subprocess.run(["make", "-C", str(ROOT), "help"], capture_output=True, text=True, check=True)
    for verb in ("up", "setup", "test", "test-native", "lint", "bench"):
        assert f"make {verb}" in done.stdout
    assert os.access(ROOT / ".ci" / "run", os.X_OK) and os.access(ROOT / "scripts" / "setup", os.X_OK)
