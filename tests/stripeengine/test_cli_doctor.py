"""``python -m stripeengine doctor`` and ``settings``."""

from __future__ import annotations

import dataclasses
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from stripeengine.settings import EngineSettings, describe
from tests.stripeengine.fixtures_x11 import XServer, have_xvfb

ROOT = Path(__file__).resolve().parents[2]
needs_xvfb = pytest.mark.skipif(not have_xvfb(), reason="Xvfb is not installed")


def run(*arguments: str, server: XServer | None = None, **environment: str) -> subprocess.CompletedProcess[str]:
    base = dict(os.environ) if server is None else server.environment
    if server is None:
        base.pop("DISPLAY", None)
    return subprocess.run(
        [sys.executable, "-m", "stripeengine", *arguments],
        cwd=ROOT,
        env={**base, **environment},
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )


def findings(done: subprocess.CompletedProcess[str]) -> dict[str, dict[str, Any]]:
    return {finding["name"]: finding for finding in json.loads(done.stdout)}


def test_this_machine_can_run_the_engine() -> None:
    done = run("doctor", "--json")
    found = findings(done)
    assert done.returncode == 0, done.stderr
    assert found["engine"]["state"] == "ok"
    assert found["display"]["state"] == "info"
    assert "libturbojpeg" in found["libraries"]["detail"]
    assert "libxcb" in found["libraries"]["detail"]


@needs_xvfb
def test_a_good_display_shows_its_extensions() -> None:
    with XServer((320, 240)) as server:
        done = run("doctor", "--json", "--display", server.display, server=server)
        found = findings(done)
        assert done.returncode == 0
        assert "320x240, depth 24" in found["display"]["detail"]
        assert found["MIT-SHM"]["detail"] == "1.2"
        assert {found[name]["state"] for name in ("DAMAGE", "XFIXES", "RANDR", "XTEST", "shared memory")} == {"ok"}
        assert found["monitors"]["detail"] == "screen 320x240+0+0"
        readable = run("doctor", "--display", server.display, server=server)
        assert "MIT-SHM" in readable.stdout


@needs_xvfb
def test_a_lacking_display_names_each_remedy() -> None:
    with XServer((320, 240), without=["DAMAGE", "MIT-SHM", "XTEST"]) as server:
        done = run("doctor", "--json", "--display", server.display, server=server)
        found = findings(done)
        assert done.returncode == 1
        for name in ("DAMAGE", "MIT-SHM", "XTEST"):
            assert found[name]["state"] == "missing"
            assert found[name]["remedy"] == f"start the server without '-extension {name}'"
        assert found["shared memory"]["state"] == "missing"
        # The same server merely in DISPLAY is a warning: nobody asked for it.
        assert run("doctor", server=server).returncode == 0


def test_a_display_that_is_not_there() -> None:
    done = run("doctor", "--json", "--display", ":4999")
    assert done.returncode == 1
    assert "there is no X server :4999" in findings(done)["display"]["detail"]
    assert findings(done)["display"]["remedy"]


def test_without_xvfb_the_remedy_is_named() -> None:
    done = run("doctor", PATH="/nonexistent")
    assert "apt-get install xvfb" in done.stdout


def test_an_unbuilt_engine_is_missing() -> None:
    code = (
        "import sys\n"
        "sys.modules['stripeengine._stripeengine'] = None\n"
        "from stripeengine.__main__ import main\n"
        "sys.exit(main(['doctor', '--json']))\n"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=30)
    assert done.returncode == 1, done.stderr
    assert findings(done)["engine"]["state"] == "missing"
    assert findings(done)["engine"]["remedy"] == "make setup"


def test_settings_agree_with_the_dataclass() -> None:
    table = json.loads(run("settings", "--json").stdout)
    assert [row["name"] for row in table] == [field.name for field in dataclasses.fields(EngineSettings)]
    assert {row["name"]: row["default"] for row in table} == EngineSettings().as_dict()
    markdown = run("settings", "--markdown").stdout
    plain = run("settings").stdout
    for setting in describe():
        assert f"| `{setting.name}` |" in markdown
        assert setting.help in plain
    assert len(markdown.splitlines()) == len(describe()) + 2


def test_no_command_is_one_line_and_code_2() -> None:
    done = run()
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
    both = run("settings", "--json", "--markdown")
    assert both.returncode == 2
    assert both.stderr.count("\n") == 1
