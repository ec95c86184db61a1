"""The web server of `up`, seen from outside: whether its port is free, and whether it is ready."""

from __future__ import annotations

import http.client
import socket

HOST = "127.0.0.1"


def is_ready(port: int) -> bool:
    """Whether the web server answers that it reaches what it needs. Blocks ≤ 2 s."""
    connection = http.client.HTTPConnection(HOST, port, timeout=2)
    try:
        connection.request("GET", "/readyz")
        return connection.getresponse().status == http.client.OK
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


def port_problem(port: int) -> str:
    """Return "" if the port of the loopback interface is free, else a sentence that says what to do."""
    if not 1 <= port <= 65535:
        return f"{port} is no port: choose one from 1024 to 65535, as in `make up PORT=8080`."
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except PermissionError:
            return f"Port {port} needs root. Choose one from 1024 on, as in `make up PORT=8080`."
        except OSError as error:
            return (
                f"Port {port} is taken by another program ({error.strerror}). Choose another, as in "
                f"`make up PORT={port + 1 if port < 65535 else 8080}`, or stop that program."
            )
    return ""
