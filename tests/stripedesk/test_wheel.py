"""The wheel holds every package and every file that the platform needs: a list that lacks one builds silently."""

from __future__ import annotations

import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
IGNORED = {"__pycache__", "csrc"}
COMPILED = {".pyc", ".so", ".o"}


def tracked(*folders: str) -> list[Path]:
    """Files below ``folders`` that belong to the project, relative to the root."""
    found = []
    for folder in folders:
        for path in (ROOT / folder).rglob("*"):
            relative = path.relative_to(ROOT)
            if path.is_file() and not IGNORED & set(relative.parts) and path.suffix not in COMPILED:
                found.append(relative)
    return found


def setuptools_table() -> dict[str, object]:
    return tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]


def test_every_package_is_named() -> None:
    packages = {
        ".".join(path.parent.parts) for path in tracked("sessions", "stripeengine") if path.name == "__init__.py"
    }
    named = set(setuptools_table()["packages"])  # type: ignore[call-overload]
    assert packages <= named, f"add to [tool.setuptools] packages: {sorted(packages - named)}"
    known = packages | {"stripedesk", "sessions.static", "sessions.templates", "sessions.desktop"}
    assert named <= known, f"no longer there: {sorted(named - known)}"


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> set[str]:
    """Names inside a wheel that setuptools built, without the C engine, which has tests of its own."""
    target = tmp_path_factory.mktemp("wheel")
    commands = f"-q egg_info --egg-base {target} build --build-base {target / 'build'} "
    commands += f"bdist_wheel --bdist-dir {target / 'bdist'} --dist-dir {target / 'dist'}"
    script = f"import sys; sys.argv = ['setup.py', *{commands.split()!r}]; from setuptools import setup; setup()"
    done = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    (wheel,) = (target / "dist").glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        return {name for name in archive.namelist() if ".dist-info/" not in name}


def test_all_python_is_inside(built: set[str]) -> None:
    expected = {str(path) for path in tracked("sessions", "stripeengine") if path.suffix in (".py", ".pyi")}
    expected |= {str(path.relative_to("platform")) for path in tracked("platform") if path.suffix == ".py"}
    assert expected - built == set()
    assert "sessions/migrations/0001_initial.py" in built


@pytest.mark.parametrize("folder", ["static", "templates", "sessions/desktop"])
def test_all_data_is_inside(built: set[str], folder: str) -> None:
    prefix = "" if folder.startswith("sessions") else "sessions/"
    expected = {prefix + str(path) for path in tracked(folder)}
    assert expected
    assert expected - built == set()


def test_nothing_else_is_inside(built: set[str]) -> None:
    assert {path.split("/")[0] for path in built} == {"stripedesk", "sessions", "stripeengine"}
    assert not [path for path in built if path.endswith((".c", ".o", ".pyc")) or path.startswith("tests")]
