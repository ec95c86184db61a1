"""Addresses the server listens on beyond what Twisted's strings describe: shared by several processes, and with TLS.

Sockets are bound here, before the server runs. Of Twisted this module loads nothing that needs its reactor.
"""

from __future__ import annotations

import socket
from pathlib import Path
from typing import Any

from OpenSSL import SSL
from twisted.internet.endpoints import AdoptedStreamServerEndpoint
from twisted.internet.error import CannotListenError
from twisted.internet.interfaces import IOpenSSLContextFactory, IStreamServerEndpoint
from twisted.protocols.tls import TLSMemoryBIOFactory
from zope.interface import implementer

BACKLOG = 1024


class ListenFailed(Exception):
    """An address cannot be listened on. The text names cause and remedy."""


def bind_tcp(host: str, port: int, *, shared: bool) -> socket.socket:
    """Return a bound and listening socket; with ``shared``, other processes may do the same. Raises `ListenFailed`.

    Of processes that share an address the kernel gives each its part of the connections, and none to a dead one.
    """
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
    except OSError as error:
        raise ListenFailed(explain(host, port, error)) from None
    listener = socket.socket(family, kind, protocol)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if shared:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        listener.bind(address)
        listener.listen(BACKLOG)
    except OSError as error:
        listener.close()
        raise ListenFailed(explain(host, port, error)) from None
    listener.setblocking(False)
    return listener


def explain(host: str, port: int | str, error: OSError | str) -> str:
    """Return the sentence for an address that cannot be listened on."""
    reason = error if isinstance(error, str) else error.strerror or str(error)
    remedy = (
        "Stop what listens there, or choose another with --port."
        if "in use" in reason
        else "Choose another with --host and --port, or --socket."
    )
    return f"Cannot listen on {host}:{port}: {reason}. {remedy}"


def explain_twisted(error: Exception) -> str:
    """Return the sentence for a failure that Twisted reports."""
    if isinstance(error, CannotListenError):
        reason = getattr(error.socketError, "strerror", None) or str(error.socketError)
        return explain(str(error.interface), error.port, reason)
    return f"Cannot listen: {error}"


@implementer(IOpenSSLContextFactory)
class TlsContext:
    """Certificate (with its chain) and key, both PEM files. Raises `ListenFailed` if they cannot be used."""

    def __init__(self, certificate: Path, key: Path) -> None:
        for file, option in ((certificate, "--tls-certificate"), (key, "--tls-key")):
            if not file.is_file():
                raise ListenFailed(f"{option}: there is no file {file}.")
        self._context = SSL.Context(SSL.TLS_SERVER_METHOD)
        self._context.set_min_proto_version(SSL.TLS1_2_VERSION)
        try:
            self._context.use_certificate_chain_file(str(certificate))
            self._context.use_privatekey_file(str(key))
            self._context.check_privatekey()
        except SSL.Error as error:
            reasons = "; ".join(str(part[-1]) for part in error.args[0]) if error.args else str(error)
            raise ListenFailed(
                f"--tls-certificate {certificate} and --tls-key {key} cannot be used: {reasons}. Both must be PEM "
                "files, and the key that of the certificate."
            ) from None

    def getContext(self) -> Any:  # noqa: N802 - Twisted's interface
        """Return OpenSSL's context."""
        return self._context


@implementer(IStreamServerEndpoint)
class Adopted:
    """A listening socket as an endpoint, with TLS if ``tls`` is given. Twisted keeps a descriptor of its own."""

    def __init__(self, listener: socket.socket, tls: TlsContext | None = None) -> None:
        self._listener, self._tls = listener, tls

    def listen(self, protocolFactory: Any) -> Any:  # noqa: N803 - Twisted's interface
        """Start listening; return a Deferred of the port."""
        from twisted.internet import reactor

        factory = protocolFactory
        if self._tls is not None:
            context: Any = self._tls
            factory = TLSMemoryBIOFactory(context, isClient=False, wrappedFactory=factory)
        make: Any = AdoptedStreamServerEndpoint  # Twisted has types for some things only
        return make(reactor, self._listener.fileno(), self._listener.family).listen(factory)
