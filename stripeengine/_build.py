"""Build of the C engine as the extension module ``stripeengine._stripeengine`` (cffi, API mode).

``setup.py`` names this file in ``cffi_modules``; ``python stripeengine/_build.py`` compiles in place. What cffi parses
are the very headers the C code includes. Libraries come from pkg-config; ``STRIPEENGINE_X264=0`` leaves x264 (GPL) out.
"""

from __future__ import annotations

import os
import shlex
import subprocess  # noqa: S404 - pkg-config is how Debian describes its libraries
from pathlib import Path

from cffi import FFI

ROOT = Path(__file__).resolve().parent.parent
SOURCES = ROOT / "stripeengine" / "csrc"
# The order matters to cffi: decl_x11.h uses the types of decl.h.
DECLARATIONS = ("decl.h", "decl_x11.h")
LIBRARIES = ["xcb", "xcb-shm", "xcb-damage", "xcb-xfixes", "xcb-randr", "xcb-xtest"]
LIBRARIES += ["libturbojpeg", "libxxhash", "libdeflate"]


def with_x264() -> bool:
    """Tell whether this build shall contain x264."""
    return os.environ.get("STRIPEENGINE_X264", "1").strip().lower() not in ("0", "no", "false", "off")


def pkg_config(option: str, libraries: list[str]) -> list[str]:
    """Return the words pkg-config prints for ``option``; raise `SystemExit` that names what is missing."""
    command = ["pkg-config", option, *libraries]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603
    except FileNotFoundError:
        raise SystemExit("the engine needs pkg-config to be built: apt-get install pkg-config") from None
    if done.returncode:
        raise SystemExit(
            f"the engine cannot be built, a library is missing: {done.stderr.strip()}\n"
            "On Debian: apt-get install libxcb1-dev libxcb-shm0-dev libxcb-damage0-dev libxcb-xfixes0-dev "
            "libxcb-randr0-dev libxcb-xtest0-dev libturbojpeg0-dev libxxhash-dev libdeflate-dev libx264-dev\n"
            "(STRIPEENGINE_X264=0 builds without x264)"
        )
    return shlex.split(done.stdout)


def declarations() -> str:
    """Return what cffi parses: the public headers, in order."""
    paths = (SOURCES / name for name in DECLARATIONS)
    return "\n".join(path.read_text(encoding="utf-8") for path in paths if path.exists())


def builder() -> FFI:
    """Return the configured cffi builder."""
    libraries = [*LIBRARIES, *(["x264"] if with_x264() else [])]
    ffi = FFI()
    ffi.cdef(declarations())
    ffi.set_source(
        "stripeengine._stripeengine",
        '#include "stripeengine.h"',
        # Relative to the root, where setup.py and compile() run: absolute paths break source distributions.
        sources=sorted(str(path.relative_to(ROOT)) for path in SOURCES.glob("*.c")),
        depends=sorted(str(path.relative_to(ROOT)) for path in SOURCES.glob("*.h")),
        include_dirs=[str(SOURCES.relative_to(ROOT))],
        define_macros=[("_GNU_SOURCE", "1"), ("SE_WITH_X264", "1" if with_x264() else "0")],
        extra_compile_args=["-std=c11", "-O3", "-Wall", "-Wextra", "-pthread", "-fvisibility=hidden"]
        + pkg_config("--cflags", libraries),
        extra_link_args=["-pthread", *pkg_config("--libs", libraries)],
    )
    return ffi


ffibuilder = None if __name__ == "__main__" else builder()

if __name__ == "__main__":
    os.chdir(ROOT)
    built = Path(builder().compile(verbose=True))
    for stale in (ROOT / "stripeengine").glob("_stripeengine*.so"):
        if stale.name != built.name:  # from another way of building: Python might load that one
            stale.unlink()
