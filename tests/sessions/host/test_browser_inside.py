"""A browser in a desktop keeps its own sandbox: the filter and the namespaces leave it what it needs."""

from __future__ import annotations

import json
import shutil

import pytest

from sessions.states import State

from .conftest import Installation
from .insider import COMMAND, in_desktop

BROWSER = """
import glob, json, os, subprocess, time
url = "data:text/html,<title>there</title><p>hello<script>document.body.append(6*7)</script>"
browser = subprocess.Popen(["chromium", "--no-first-run", "--disable-gpu", "--user-data-dir=/tmp/c", url],
                           stdout=subprocess.DEVNULL, stderr=open("/tmp/said", "w"))
seen, end = {}, time.monotonic() + 60
while time.monotonic() < end and browser.poll() is None and not seen:
    time.sleep(0.3)
    for path in glob.glob("/proc/[0-9]*"):
        try:
            if b"--type=renderer" in open(path + "/cmdline", "rb").read():
                status = dict(line.split(":", 1) for line in open(path + "/status").read().splitlines())
                if status["Seccomp_filters"].strip() >= "2":
                    seen = {
                        "namespaces": len(status["NSpid"].split()),
                        "filters": int(status["Seccomp_filters"]),
                        "user": os.readlink(path + "/ns/user") != os.readlink("/proc/self/ns/user"),
                    }
        except (OSError, KeyError):
            pass
windows = 1  # also where a window ends while it is asked for its name
while time.monotonic() < end and browser.poll() is None and windows:
    windows = subprocess.run(["xdotool", "search", "--name", "there"], capture_output=True, timeout=20).returncode
    time.sleep(0.3)
browser.kill()
print(json.dumps([seen, windows, open("/tmp/said").read()[-600:]]))
"""


@pytest.mark.usefixtures("root")
@pytest.mark.skipif(shutil.which("chromium") is None, reason="needs chromium")
def test_chromium_runs_with_its_own_sandbox(installation: Installation) -> None:
    installation.start_agent()
    pk = installation.launch(COMMAND)
    installation.until(pk, State.RUNNING)
    seen, windows, said = json.loads(in_desktop(installation, pk, BROWSER, 100))
    # Ours and its own; seen from inside ours, a process namespace of the renderers' own; a user namespace too.
    assert seen and seen["filters"] >= 2 and seen["namespaces"] >= 2 and seen["user"], said
    assert windows == 0, said
