"""``python -m stripeengine doctor``: what this machine can do, what is missing, and how to get it.

Looks only: loads the extension, asks the X server for its extensions, starts nothing.
"""

from __future__ import annotations

import argparse
import importlib
import importlib.metadata
import json
import os
import platform
import re
import shutil
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from ..errors import EngineError

SIMD_FLAGS = ("sse4_2", "avx", "avx2", "avx512f", "asimd", "neon", "sve")
LIBRARY = re.compile(r"/(lib(?:xcb[a-z0-9-]*|turbojpeg|jpeg|x264|yuv|xxhash))\.so[.0-9]*$")


@dataclass(frozen=True)
class Finding:
    """One line of the report. ``state``: ok, missing (needed), warning (something works less well), info."""

    name: str
    state: str
    detail: str
    remedy: str = ""


def add_parser(commands: Any) -> None:
    """Add the subcommand to an argparse sub-parser collection."""
    parser = commands.add_parser("doctor", help="say what this machine can do and what is missing")
    parser.add_argument("--display", default=None, help="X display to look at (default: DISPLAY)")
    parser.add_argument("--json", action="store_true", help="as JSON")
    parser.set_defaults(run=run)


def machine() -> Iterator[Finding]:
    """Look at the interpreter, the processor and the kernel."""
    yield Finding("python", "ok", platform.python_version())
    usable = len(os.sched_getaffinity(0))
    yield Finding("cores", "ok", f"{usable} usable of {os.cpu_count() or usable}{quota()}")
    flags = simd()
    yield Finding("simd", "ok" if flags else "warning", ", ".join(flags) or "none known: encoding will be slow")
    try:
        os.close(os.memfd_create("stripeengine-doctor", os.MFD_CLOEXEC))
        yield Finding("memfd", "ok", "shared memory can be passed to an X server")
    except (AttributeError, OSError) as error:
        yield Finding(
            "memfd",
            "warning",
            f"not available ({error}): X servers must run with the engine's uid and IPC namespace",
            "use Linux 3.17 or newer and allow memfd_create in the sandbox",
        )


def quota() -> str:
    """Return the control group's CPU limit as text, or nothing where there is none."""
    try:
        limit, period = Path("/sys/fs/cgroup/cpu.max").read_text(encoding="ascii").split()
        return "" if limit == "max" else f", limited to {int(limit) / int(period):.2f} by the control group"
    except (OSError, ValueError):
        return ""


def simd() -> list[str]:
    """Return the SIMD extensions of the processor that the codec libraries use."""
    try:
        text = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return []
    line = re.search(r"^(?:flags|Features)\s*:(.*)$", text, re.MULTILINE)
    present = line.group(1).split() if line else []
    return [flag for flag in SIMD_FLAGS if flag in present]


def extension() -> Iterator[Finding]:
    """Load the C engine and list the libraries that came with it."""
    try:
        ffi = importlib.import_module("stripeengine.ffi")
    except EngineError as error:
        yield Finding("engine", "missing", str(error), "make setup")
        return
    yield Finding("engine", "ok", "the C extension loads")
    if ffi.has_h264():
        yield Finding("h264", "ok", "built with x264 (the binary is GPL)")
    else:
        yield Finding(
            "h264",
            "warning",
            "built without x264: mode h264 is not available",
            "apt-get install libx264-dev, then build again without STRIPEENGINE_X264=0",
        )
    maps = Path("/proc/self/maps").read_text(encoding="utf-8", errors="replace")
    files = sorted({os.path.realpath(line.split(None, 5)[5]) for line in maps.splitlines() if ".so" in line})
    yield Finding("libraries", "info", ", ".join(os.path.basename(file) for file in files if LIBRARY.search(file)))


def display(name: str | None) -> Iterator[Finding]:
    """Look at an X server: the one asked for must do, the one in DISPLAY may."""
    wanted = name if name is not None else os.environ.get("DISPLAY", "")
    bad = "missing" if name is not None else "warning"
    if not wanted:
        yield Finding("display", "info", "not looked at: no --display, and DISPLAY is not set")
        return
    try:
        x11 = importlib.import_module("stripeengine.x11")
        report = x11.probe(wanted)
    except EngineError as error:
        yield Finding("display", bad, str(error), "start an X server, or name another with --display")
        return
    size = f"{report.width}x{report.height}, depth {report.depth}"
    if report.pixels_usable:
        yield Finding("display", "ok", f"{wanted}: {report.vendor}, {size}")
    else:
        remedy = "start the server with 24-bit TrueColor, such as -screen 0 1920x1080x24"
        yield Finding("display", bad, f"{wanted}: {size} cannot be captured", remedy)
    for extension_name, version in report.extensions.items():
        if version is not None:
            yield Finding(extension_name, "ok", version)
        elif extension_name == "RANDR":
            yield Finding(extension_name, "warning", "missing: the screen cannot change its size", "enable RANDR")
        else:
            yield Finding(extension_name, bad, "missing", f"start the server without '-extension {extension_name}'")
    if report.monitors:
        yield Finding("monitors", "info", "; ".join(describe_monitor(monitor) for monitor in report.monitors))
    memory = {
        "passed": ("ok", "passed descriptors: any uid, any namespace", ""),
        "sysv": ("warning", "System V: same uid and IPC namespace only", "use a server with MIT-SHM 1.2, locally"),
        "none": (bad, "the server cannot share memory with this process", "use a Unix socket and MIT-SHM 1.2"),
    }
    state, detail, remedy = memory[report.memory]
    yield Finding("shared memory", state, detail, remedy)


def describe_monitor(monitor: Any) -> str:
    """Return a monitor's name and geometry, as ``capture --monitor`` and ``--rect`` take them."""
    x, y, width, height = monitor.rect
    return f"{monitor.name} {width}x{height}+{x}+{y}{' (primary)' if monitor.primary else ''}"


def programs() -> Iterator[Finding]:
    """Look for the X server that sessions and tests start, and for the modules of the reference pipeline."""
    path = shutil.which("Xvfb")
    if path is not None:
        yield Finding("Xvfb", "ok", path)
    else:
        yield Finding("Xvfb", "warning", "not found: no private X server can be started", "apt-get install xvfb")
    for module in ("numpy", "xxhash", "PyTurboJPEG", "av"):
        try:
            yield Finding(module, "ok", importlib.metadata.version(module))
        except importlib.metadata.PackageNotFoundError:
            yield Finding(module, "warning", "missing: no reference pipeline, no decoder", f"pip install {module}")


def run(options: argparse.Namespace) -> int:
    """Print the findings; 1 if something needed is missing."""
    findings = [*machine(), *extension(), *display(options.display), *programs()]
    if options.json:
        print(json.dumps([asdict(finding) for finding in findings], indent=1))
    else:
        for finding in findings:
            print(f"{finding.state:8} {finding.name:14} {finding.detail}")
            if finding.remedy:
                print(f"{'':23} → {finding.remedy}")
    return int(any(finding.state == "missing" for finding in findings))
