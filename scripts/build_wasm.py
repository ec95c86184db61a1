#!/usr/bin/env python3
"""Compile the browser's lossless decoder to WebAssembly: static/core/decoders/lossless.wasm.

The result is committed, so that nobody needs clang to run the platform (docs/decisions/wasm-decoder.md). It carries a
digest of the sources it was made from and the compiler's version; the tests compare both.

    scripts/build_wasm.py [FILE]    compile, to FILE if one is named
    scripts/build_wasm.py --check   exit 1 if the committed module is not made from the present sources

Needs clang with a WebAssembly back end and lld (on Debian: apt-get install clang lld). CLANG=… names another clang.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
SOURCES = ROOT / "stripeengine" / "wasm"
MODULE = ROOT / "static" / "core" / "decoders" / "lossless.wasm"
SECTION = b"stripedesk"  # of the module: where the digest and the compiler are named
FLAGS = [
    "--target=wasm32",
    "-std=c11",
    "-O3",
    "-msimd128",
    "-mbulk-memory",  # memory.fill for arrays that begin as zeros; every browser with simd128 has it
    "-ffreestanding",
    "-fno-builtin",  # or loops become calls of memcpy and memset, which nobody provides
    "-nostdlib",
    "-Wall",
    "-Wextra",
    "-Werror",
    "-Wl,--no-entry",
    "-Wl,--strip-all",
    "-Wl,--stack-first",  # an overflow traps instead of running into data
    "-Wl,-z,stack-size=65536",
    "-Wl,--initial-memory=131072",
    "-Wl,--max-memory=83886080",  # 8 Mi pixels, their ops and an 8 MiB message: module.c
]


def run(command: list[str], folder: Path = ROOT) -> subprocess.CompletedProcess[str]:
    """Run the compiler."""
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)  # noqa: S603


def digest_sources() -> str:
    """SHA-256 over the C sources, by name, and the compiler's flags."""
    digest = hashlib.sha256(" ".join(FLAGS).encode())
    for path in sorted(SOURCES.glob("*.[ch]")):
        digest.update(f"\n{path.name}\n".encode() + path.read_bytes())
    return digest.hexdigest()


def compiler_version(clang: str) -> str:
    """The first line a compiler says of itself."""
    return run([clang, "--version"]).stdout.partition("\n")[0].strip()


def read_origin(module: bytes) -> tuple[str, str]:
    """Digest of the sources and compiler of a module; empty where it does not say."""
    at = module.rfind(SECTION)
    lines = module[at + len(SECTION) :].decode(errors="replace").split("\n") if at >= 0 else []
    return (lines[0], lines[1]) if len(lines) == 2 else ("", "")


def custom_section(name: bytes, content: bytes) -> bytes:
    """A custom section of at most 16383 bytes."""
    body = bytes([len(name)]) + name + content
    return bytes([0, len(body) & 127 | 128, len(body) >> 7]) + body


def build(target: Path, clang: str) -> None:
    """Compile to ``target``. Raises `SystemExit` with the compiler's words."""
    with tempfile.TemporaryDirectory() as folder:
        output = Path(folder) / "module.wasm"
        # Names without folders: what the compiler writes into the module must not depend on where the project lies.
        names = sorted(path.name for path in SOURCES.glob("*.c"))
        done = run([clang, *FLAGS, *names, "-o", str(output)], SOURCES)
        if done.returncode != 0:
            raise SystemExit(f"The module could not be compiled (it needs clang and lld):\n{done.stderr}")
        origin = f"{digest_sources()}\n{compiler_version(clang)}".encode()
        target.write_bytes(output.read_bytes() + custom_section(SECTION, origin))


def main(arguments: list[str]) -> int:
    """Return the exit code."""
    if arguments == ["--check"]:
        if not MODULE.exists() or read_origin(MODULE.read_bytes())[0] != digest_sources():
            print(
                f"{MODULE.relative_to(ROOT)} is not made from {SOURCES.relative_to(ROOT)}: run scripts/build_wasm.py",
                file=sys.stderr,
            )
            return 1
        return 0
    if len(arguments) > 1 or (arguments and arguments[0].startswith("-")):
        print(__doc__, file=sys.stderr)
        return 2
    clang = os.environ.get("CLANG", "clang")
    if shutil.which(clang) is None:
        print(f"There is no {clang}. On Debian: apt-get install clang lld", file=sys.stderr)
        return 1
    target = Path(arguments[0]) if arguments else MODULE
    build(target, clang)
    print(f"{target}: {target.stat().st_size} bytes")
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
