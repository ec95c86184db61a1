"""``manage.py serve``: the web tier's server, on an address or a Unix socket."""

from __future__ import annotations

import logging
import os
import socket
import stat
from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from sessions.conf import SOCKET_PATH_LIMIT


class Command(BaseCommand):
    """Serves pages, static files and WebSockets until SIGTERM or Ctrl-C."""

    help = "Serve the portal and the viewers' WebSockets, with flow control."

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Add the address."""
        parser.add_argument("--host", default="127.0.0.1", help="address to listen on (default: 127.0.0.1)")
        parser.add_argument("--port", type=int, default=8000, help="TCP port (default: 8000)")
        parser.add_argument("--socket", metavar="PATH", help="listen on this Unix socket instead")

    def handle(self, *args: Any, **options: Any) -> None:
        """Run the server; raise `CommandError` when it cannot listen."""
        from daphne.endpoints import build_endpoint_description_strings

        from sessions.serving.server import FlowServer  # before anything else imports a Twisted reactor

        path = options["socket"]
        if path:
            endpoints = [_unix_endpoint(path)]
            where = f"unix:{path}"
        else:
            if not 0 <= options["port"] <= 65535:
                raise CommandError(f"A port is a number from 0 to 65535, not {options['port']}.")
            endpoints = build_endpoint_description_strings(host=options["host"], port=options["port"])
            where = f"http://{options['host']}:{options['port']}/"
        logging.getLogger("daphne").setLevel(logging.WARNING)  # its endpoints and missing HTTP/2 concern nobody
        server = FlowServer(_application(), endpoints, ready=lambda: self.stdout.write(f"Listening on {where}"))
        server.run()
        if server.failure is not None:
            raise CommandError(str(server.failure))


def _application() -> Any:
    """Return the project's ASGI application, with static files in front of it."""
    from channels.routing import get_default_application

    from sessions.serving.static import StaticFiles

    return StaticFiles(get_default_application())


def _unix_endpoint(path: str) -> str:
    """Return Twisted's description of a Unix socket; raise `CommandError` if it cannot be used. Removes a stale one."""
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
    escaped = path.replace("\\", "\\\\").replace(":", "\\:").replace("=", "\\=")
    return f"unix:{escaped}:mode=660"
