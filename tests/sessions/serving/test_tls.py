"""TLS of the server's own: the same flow control as without, and closing while a client is paused."""

from __future__ import annotations

import asyncio
import datetime
import signal
import ssl
import time
import urllib.request
from collections.abc import Callable
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from websockets.asyncio.client import unix_connect
from websockets.exceptions import ConnectionClosed

from tests.sessions.serving.fixtures_server import Process, flood, free_port, start

__all__ = ["flood", "start"]


@pytest.fixture(scope="module")
def tls(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A certificate for localhost, which vouches for itself, and its key."""
    directory = tmp_path_factory.mktemp("tls")
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "localhost")])
    now = datetime.datetime.now(datetime.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), False)
        .sign(key, hashes.SHA256())
    )
    paths = directory / "certificate.pem", directory / "key.pem"
    paths[0].write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    plain = serialization.NoEncryption()
    paths[1].write_bytes(key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, plain))
    return paths


def trusting(tls: tuple[Path, Path]) -> ssl.SSLContext:
    return ssl.create_default_context(cafile=str(tls[0]))


async def test_a_paused_client_under_tls_costs_no_memory_and_can_be_closed(
    flood: Callable[..., tuple[Process, str]], tls: tuple[Path, Path]
) -> None:
    process, path = flood(2000, str(tls[0]), str(tls[1]))
    before = process.rss_mb()
    options = {"ssl": trusting(tls), "server_hostname": "localhost", "max_size": None, "compression": None}
    async with unix_connect(path, "wss://localhost/", max_queue=1, **options) as dead:
        await asyncio.sleep(1.0)
        assert process.rss_mb() < before + 16, "200 MB were waiting to be buffered"
        count = 0
        async with unix_connect(path, "wss://localhost/", **options) as good:
            with pytest.raises(ConnectionClosed) as closed:
                while True:
                    await good.recv()
                    count += 1
        assert count == 2000 and closed.value.rcvd is not None and closed.value.rcvd.code == 4411
        assert process.rss_mb() < before + 20
        dead.transport.abort()
    deadline = time.monotonic() + 10
    while process.log.read_text().count("sent ") < 2:  # the application of the paused one was let go
        assert time.monotonic() < deadline, process.log.read_text()
        await asyncio.sleep(0.05)
    async with unix_connect(path, "wss://localhost/", max_queue=1, **options):
        await asyncio.sleep(0.3)
        assert await asyncio.to_thread(process.stop, 15) in (0, -signal.SIGTERM)


def test_serve_speaks_tls(start: Callable[..., Process], tls: tuple[Path, Path]) -> None:
    port = free_port()
    line = ["manage.py", "serve", "--port", str(port), "--tls-certificate", str(tls[0]), "--tls-key", str(tls[1])]
    process = start(*line)
    assert f"Listening on https://127.0.0.1:{port}/" in process.wait_for("Listening on")
    with urllib.request.urlopen(f"https://localhost:{port}/healthz", context=trusting(tls), timeout=10) as answer:
        assert answer.status == 200
    assert process.stop() == 0


@pytest.mark.parametrize(
    ("swap", "says"),
    [("key", "There is no"), ("mixed", "cannot be used"), ("alone", "go together")],
)
def test_tls_that_cannot_work_is_said_so(
    start: Callable[..., Process], tls: tuple[Path, Path], swap: str, says: str
) -> None:
    certificate, key = tls
    line = {
        "key": ["--tls-certificate", str(certificate), "--tls-key", "/nowhere/key.pem"],
        "mixed": ["--tls-certificate", str(key), "--tls-key", str(key)],
        "alone": ["--tls-key", str(key)],
    }[swap]
    process = start("manage.py", "serve", "--port", str(free_port()), *line)
    assert process.process.wait(20) == 1
    text = process.log.read_text()
    assert says.lower() in text.lower() and "Traceback" not in text
