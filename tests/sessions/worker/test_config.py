"""The worker's configuration file: every refusal names its cause in one line."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from sessions.worker.config import ConfigError, check, load

GOOD: dict[str, Any] = {
    "session": "0" * 32,
    "redis_url": "unix:///tmp/redis.sock",
    "display_socket": "/tmp/.X11-unix/X0",
    "display_number": 0,
    "auth_name": "MIT-MAGIC-COOKIE-1",
    "auth_data": "00ff",
    "framebuffer": 7,
    "settings": {"mode": "jpeg", "framerate": 30},
}


def test_a_good_one_is_taken(tmp_path: Path) -> None:
    path = tmp_path / "c.json"
    path.write_text(json.dumps(GOOD))
    path.chmod(0o400)
    config = load(str(path))
    assert config.auth_data == b"\x00\xff"
    assert config.settings.framerate == 30
    assert config.framebuffer == 7 and check({**GOOD, "framebuffer": None}).framebuffer is None
    assert "ff" not in repr(config)


@pytest.mark.parametrize(
    ("changes", "names"),
    [
        ({"session": "xyz"}, "session must be 32"),
        ({"redis_url": "http://x"}, "redis_url must start with"),
        ({"redis_url": 5}, "redis_url must start with"),
        ({"display_socket": ""}, "display_socket must be text"),
        ({"display_number": -1}, "display_number"),
        ({"display_number": True}, "display_number"),
        ({"framebuffer": 2}, "framebuffer must be null or a descriptor"),
        ({"framebuffer": True}, "framebuffer must be null"),
        ({"framebuffer": "7"}, "framebuffer must be null"),
        ({"framebuffer": 65536}, "framebuffer must be null"),
        ({"auth_data": "zz"}, "auth_data must be hexadecimal"),
        ({"settings": {"framerate": 0}}, "framerate must be between"),
        ({"settings": {"speed": 9}}, "no setting called 'speed'"),
        ({"settings": []}, "settings must be an object"),
        ({"surprise": 1}, "surprise"),
    ],
)
def test_a_wrong_member_is_named(changes: dict[str, Any], names: str) -> None:
    with pytest.raises(ConfigError, match=names):
        check({**GOOD, **changes})


def test_a_missing_member_is_named() -> None:
    with pytest.raises(ConfigError, match="auth_name"):
        check({name: value for name, value in GOOD.items() if name != "auth_name"})


def test_a_file_that_others_can_read_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "c.json"
    path.write_text(json.dumps(GOOD))
    path.chmod(0o644)
    with pytest.raises(ConfigError, match="chmod 0400"):
        load(str(path))


@pytest.mark.parametrize("content", ["{", "[]", "x" * 70_000])
def test_the_process_exits_4_with_one_line(tmp_path: Path, content: str) -> None:
    path = tmp_path / "c.json"
    path.write_text(content)
    path.chmod(0o400)
    done = subprocess.run(
        [sys.executable, "-m", "sessions.worker", "--config", str(path)],
        capture_output=True,
        text=True,
        timeout=20,
        cwd=Path(__file__).parents[3],
        env={**os.environ, "PYTHONPATH": ""},
    )
    assert done.returncode == 4
    assert done.stderr.startswith("configuration refused: ") and done.stderr.count("\n") == 1
