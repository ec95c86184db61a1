"""The source root `platform/` must not shadow the standard library's module of that name."""

from __future__ import annotations

import platform
import subprocess
import sys
import sysconfig
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def test_platform_is_the_standard_librarys() -> None:
    assert Path(platform.__file__).parent == Path(sysconfig.get_path("stdlib"))
    assert not (ROOT / "platform" / "__init__.py").exists()


def test_it_is_so_from_the_repository_root_and_in_manage_py() -> None:
    script = "import platform, uuid; assert platform.system(), platform; print(platform.__file__)"
    done = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=True)
    assert Path(done.stdout.strip()).parent == Path(sysconfig.get_path("stdlib"))
    shell = [sys.executable, "manage.py", "shell", "--no-imports", "-c", script]
    done = subprocess.run(shell, cwd=ROOT, capture_output=True, text=True, check=True)
    assert Path(done.stdout.strip().splitlines()[-1]).parent == Path(sysconfig.get_path("stdlib"))
