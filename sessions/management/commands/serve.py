"""``manage.py serve``: the web tier's server, on an address or a Unix socket."""

from __future__ import annotations

import logging
import os
import socket
import stat
import sys
from argparse import SUPPRESS, ArgumentParser
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from sessions.conf import SOCKET_PATH_LIMIT
from sessions.serving.processes import Processes, follow_parent

MOST_PROCESSES = 64
BACKLOG = 1024


class Command(BaseCommand):
    """Serves pages, static files and WebSockets until SIGTERM or Ctrl-C."""

    help = "Serve the portal and the viewers' WebSockets, with flow control."

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Add the address."""
        parser.add_argument("--host", default="127.0.0.1", help="address to listen on (default: 127.0.0.1)")
        parser.add_argument("--port", type=int, default=8000, help="TCP port (default: 8000)")
        parser.add_argument("--socket", metavar="PATH", help="listen on this Unix socket instead")
        parser.add_argument(
            "--processes", type=int, default=1, metavar="N", help="so many behind the address (default: 1)"
        )
        parser.add_argument(
            "--share-port", action="store_true", help="others may listen on the same port; it is one of them"
        )
        parser.add_argument("--tls-certificate", metavar="FILE", type=Path, help="PEM, with its chain; needs --tls-key")
        parser.add_argument("--tls-key", metavar="FILE", type=Path, help="PEM; needs --tls-certificate")
        parser.add_argument("--child-of", type=int, help=SUPPRESS)
        parser.add_argument("--descriptor", type=int, help=SUPPRESS)

    def handle(self, *args: Any, **options: Any) -> None:
        """Run the server; raise `CommandError` when it cannot listen."""
        from sessions.serving.listening import ListenFailed

        if options["child_of"]:
            follow_parent(options["child_of"])
        if not 0 <= options["port"] <= 65535:
            raise CommandError(f"A port is a number from 0 to 65535, not {options['port']}.")
        if not 1 <= options["processes"] <= MOST_PROCESSES:
            raise CommandError(f"--processes is a number from 1 to {MOST_PROCESSES}, not {options['processes']}.")
        if (options["tls_certificate"] is None) != (options["tls_key"] is None):
            raise CommandError("--tls-certificate and --tls-key go together.")
        try:
            if options["processes"] > 1:
                self._serve_many(options)
            else:
                self._serve(options)
        except ListenFailed as error:
            raise CommandError(str(error)) from None

    def _serve(self, options: dict[str, Any]) -> None:
        from daphne.endpoints import build_endpoint_description_strings

        from sessions.hosts import watch_from_web
        from sessions.serving.server import FlowServer  # before anything else imports a Twisted reactor
        from sessions.serving.listening import Adopted, TlsContext, bind_tcp  # isort: skip

        tls = TlsContext(options["tls_certificate"], options["tls_key"]) if options["tls_key"] else None
        host, port, path = options["host"], options["port"], options["socket"]
        endpoint: str | Adopted
        if options["descriptor"] is not None:
            endpoint = Adopted(socket.socket(fileno=options["descriptor"]), tls)
        elif path and tls:
            endpoint = Adopted(_unix_listener(path), tls)
        elif path:
            endpoint = _unix_endpoint(path)
        elif options["share_port"] or tls:
            endpoint = Adopted(bind_tcp(host, port, shared=options["share_port"]), tls)
        else:
            [endpoint] = build_endpoint_description_strings(host=host, port=port)
        where = f"unix:{path}" if path else f"http{'s' if tls else ''}://{host}:{port}/"
        logging.getLogger("daphne").setLevel(logging.WARNING)  # its endpoints and missing HTTP/2 concern nobody
        watch_from_web()
        server = FlowServer(_application(), [endpoint], ready=lambda: self.stdout.write(f"Listening on {where}"))
        server.run()
        if server.failure is not None:
            raise server.failure

    def _serve_many(self, options: dict[str, Any]) -> None:
        from sessions.serving.listening import TlsContext, bind_tcp

        command = [sys.executable, str(Path(sys.argv[0]).resolve()), "serve", "--child-of", str(os.getpid())]
        if options["tls_key"]:
            TlsContext(options["tls_certificate"], options["tls_key"])  # once is enough to be told what is wrong
            command += ["--tls-certificate", str(options["tls_certificate"]), "--tls-key", str(options["tls_key"])]
        descriptors: list[int] = []
        if options["socket"]:
            listener = _unix_listener(options["socket"])
            descriptors.append(listener.fileno())
            command += ["--socket", options["socket"], "--descriptor", str(listener.fileno())]
        elif options["port"] == 0:
            raise CommandError("Several processes need a port they agree on; give one with --port.")
        else:
            bind_tcp(options["host"], options["port"], shared=False).close()  # fails if somebody else listens there
            command += ["--host", options["host"], "--port", str(options["port"]), "--share-port"]
        Processes(command, options["processes"], self.stderr.write, descriptors).run()


def _application() -> Any:
    """Return the project's ASGI application, with static files in front of it."""
    from channels.routing import get_default_application

    from sessions.serving.static import StaticFiles

    return StaticFiles(get_default_application())


def _check_unix_path(path: str) -> None:
    """Raise `CommandError` if ``path`` cannot be listened on. Removes a socket that nobody listens on any more."""
    if len(os.fsencode(path)) > SOCKET_PATH_LIMIT:
        raise CommandError(f"{path} is longer than the {SOCKET_PATH_LIMIT} bytes a Unix socket's path may have.")
    file = Path(path)
    if file.exists():
        if not stat.S_ISSOCK(file.stat().st_mode):
            raise CommandError(f"{path} exists and is not a socket. Choose another path.")
        with socket.socket(socket.AF_UNIX) as probe:
            try:
                probe.connect(path)
            except ConnectionRefusedError:
                file.unlink()
            else:
                raise CommandError(f"Another server listens on {path}. Stop it, or choose another path.")
    elif not file.parent.is_dir():
        raise CommandError(f"There is no directory {file.parent} to make the socket in.")


def _unix_endpoint(path: str) -> str:
    """Return Twisted's description of a Unix socket; raise `CommandError` if it cannot be used."""
    _check_unix_path(path)
    escaped = path.replace("\\", "\\\\").replace(":", "\\:").replace("=", "\\=")
    return f"unix:{escaped}:mode=660"


def _unix_listener(path: str) -> socket.socket:
    """Return a listening Unix socket; raise `CommandError` if it cannot be used."""
    _check_unix_path(path)
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(path)
    Path(path).chmod(0o660)
    listener.listen(BACKLOG)
    listener.setblocking(False)
    return listener
