"""The committed WebAssembly module is the one its sources make, and the script that makes it says what it lacks."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
MODULE = Path("static/core/decoders/lossless.wasm")
SCRIPT = Path("scripts/build_wasm.py")


def build(root: Path, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, str(root / SCRIPT), *arguments],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """The sources, the script and the module in a place of their own."""
    shutil.copytree(ROOT / "stripeengine" / "wasm", tmp_path / "stripeengine" / "wasm")
    for path in (MODULE, SCRIPT):
        (tmp_path / path).parent.mkdir(parents=True)
        shutil.copy(ROOT / path, tmp_path / path)
    return tmp_path


def test_the_committed_module_is_made_from_these_sources() -> None:
    done = build(ROOT, "--check")
    assert done.returncode == 0, done.stderr


def test_a_changed_source_and_a_missing_module_are_noticed(copy: Path) -> None:
    with (copy / "stripeengine" / "wasm" / "huffman.h").open("a") as header:
        header.write("/* another */\n")
    done = build(copy, "--check")
    assert done.returncode == 1 and "run scripts/build_wasm.py" in done.stderr
    (copy / MODULE).unlink()
    assert build(copy, "--check").returncode == 1


def test_compiling_again_gives_the_committed_module(copy: Path) -> None:
    """Byte for byte with the same compiler; with another one, a module that passes the same tests."""
    clang = os.environ.get("CLANG", "clang")
    if shutil.which(clang) is None or shutil.which("wasm-ld") is None:
        pytest.skip("no clang and lld")
    target = copy / "again.wasm"
    done = build(copy, str(target))
    assert done.returncode == 0, done.stderr
    version = subprocess.run([clang, "--version"], capture_output=True, text=True, check=True).stdout.splitlines()[0]
    if version.strip().encode() in (ROOT / MODULE).read_bytes():
        assert target.read_bytes() == (ROOT / MODULE).read_bytes()
        return
    command = ["node", "--test", str(ROOT / "tests" / "static" / "core" / "wasm.test.js")]
    subprocess.run(command, env={**os.environ, "LOSSLESS_WASM": str(target)}, check=True, timeout=120)


def test_without_a_compiler_it_says_what_to_install(copy: Path) -> None:
    done = build(copy, CLANG="no-such-clang")
    assert done.returncode == 1 and "no-such-clang" in done.stderr and "apt-get install clang lld" in done.stderr
    assert (copy / MODULE).read_bytes() == (ROOT / MODULE).read_bytes()


def test_what_does_not_compile_leaves_the_module_and_shows_the_reason(copy: Path) -> None:
    if shutil.which("clang") is None:
        pytest.skip("no clang")
    (copy / "stripeengine" / "wasm" / "module.c").write_text("int x = ;\n")
    done = build(copy)
    assert done.returncode == 1 and re.search("module.c:1:9: error", done.stderr)
    assert (copy / MODULE).read_bytes() == (ROOT / MODULE).read_bytes()


def test_unknown_options_are_answered_with_the_usage() -> None:
    done = build(ROOT, "--chek")
    assert done.returncode == 2 and "--check" in done.stderr
