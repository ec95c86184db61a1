"""`manage.py serve` as a process: addresses, static files, logs, shutdown. How it treats clients: `test_flow`."""

from __future__ import annotations

import asyncio
import signal
import socket
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from websockets.asyncio.client import unix_connect
from websockets.exceptions import InvalidStatus

from tests.sessions.fixtures_redis import RedisServer
from tests.sessions.serving.fixtures_server import ROOT, Process, flood, free_port, start

__all__ = ["flood", "start"]


# ---- manage.py serve ---------------------------------------------------------------------------------------------


@pytest.fixture
def serve(start: Callable[..., Process]) -> Callable[..., tuple[Process, str]]:
    def run(*arguments: str, **environment: str) -> tuple[Process, str]:
        port = free_port()
        process = start("manage.py", "serve", "--port", str(port), *arguments, **environment)
        process.wait_for("Listening on")
        return process, f"http://127.0.0.1:{port}"

    return run


def get(url: str) -> tuple[int, Any]:
    try:
        with urllib.request.urlopen(url, timeout=10) as answer:
            return answer.status, answer.headers
    except urllib.error.HTTPError as error:
        return error.code, error.headers


def test_static_files_have_the_right_types_and_the_log_no_queries(serve: Callable[..., tuple[Process, str]]) -> None:
    process, url = serve()
    script = next((ROOT / "static").rglob("*.js")).relative_to(ROOT / "static")
    status, headers = get(f"{url}/static/{script}?secret=hunter2")
    assert (status, headers.get_content_type()) == (200, "text/javascript")
    assert get(f"{url}/static/nothing.js")[0] == 404
    assert get(f"{url}/static/../manage.py")[0] == 404
    assert get(f"{url}/nothing/?secret=hunter3")[0] == 404
    log = process.wait_for("/nothing/")
    assert f"GET /static/{script}" in log and "hunter" not in log
    assert process.stop() == 0


def test_a_taken_port_is_said_so(serve: Callable[..., tuple[Process, str]], start: Callable[..., Process]) -> None:
    _, url = serve()
    second = start("manage.py", "serve", "--port", url.rsplit(":", 1)[1])
    assert second.process.wait(20) == 1
    text = second.log.read_text()
    assert "Cannot listen on 127.0.0.1:" in text and "--port" in text and "Traceback" not in text


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--port", "99999"], "from 0 to 65535"),
        (["--host", "203.0.113.7", "--port", "1234"], "Cannot listen on 203.0.113.7:1234"),
        (["--socket", "/nowhere/at/all.sock"], "There is no directory /nowhere/at"),
        (["--socket", "/tmp/" + "x" * 200], "longer than the 107 bytes"),
        (["--socket", "/etc/hostname"], "is not a socket"),
    ],
)
def test_an_impossible_address_is_said_so(start: Callable[..., Process], arguments: list[str], says: str) -> None:
    process = start("manage.py", "serve", *arguments)
    assert process.process.wait(20) == 1
    text = process.log.read_text()
    assert says in text and "Traceback" not in text


async def test_a_unix_socket_replaces_a_stale_one_and_refuses_a_live_one(
    start: Callable[..., Process], tmp_path: Path, redis_server: RedisServer
) -> None:
    path = tmp_path / "web.sock"
    with socket.socket(socket.AF_UNIX) as stale:
        stale.bind(str(path))
    process = start("manage.py", "serve", "--socket", str(path), REDIS_URL=redis_server.url)
    await asyncio.to_thread(process.wait_for, "Listening on")
    assert path.stat().st_mode & 0o777 == 0o660
    with pytest.raises(InvalidStatus) as refused:  # an origin that is not ours
        async with unix_connect(str(path), "ws://localhost/ws/link/abc/", origin="http://evil.example"):
            pass
    assert refused.value.response.status_code == 403
    second = start("manage.py", "serve", "--socket", str(path))
    assert await asyncio.to_thread(second.process.wait, 20) == 1
    assert "Another server listens" in second.log.read_text()
    assert process.process.poll() is None
    assert await asyncio.to_thread(process.stop) == 0


def test_ctrl_c_ends_it(serve: Callable[..., tuple[Process, str]]) -> None:
    process, _ = serve()
    process.process.send_signal(signal.SIGINT)
    assert process.process.wait(10) == 0
