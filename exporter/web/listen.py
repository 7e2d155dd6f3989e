"""The sockets that the web server listens on: every address of a host and port, or none and a sentence why."""

from __future__ import annotations

import errno
import socket

from exporter.lib.errors import ExpectedError

#: Where to reach a server on this host that listens on every address.
LOOPBACK = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 - compared, not bound
#: Connections that the system keeps until they are accepted; its own limit may be lower.
_BACKLOG = 1024
#: With port 0, the port that the system chooses for the first address may be taken on the next one.
_ATTEMPTS = 5


class ListenError(ExpectedError):
    """The server cannot listen on its address. ``is_busy``: another program does."""

    def __init__(self, message: str, *, is_busy: bool = False) -> None:
        super().__init__(f"web.listen: {message}")
        self.message = message
        self.is_busy = is_busy


def bind(host: str, port: int) -> list[socket.socket]:
    """Listening sockets on every address of ``host``, or of this machine if ``host`` is empty. Port 0 is any free one.

    All have the same port. Raises ListenError. Looking up a name blocks.
    """
    for attempt in range(_ATTEMPTS):
        try:
            sockets = _bound(host, port)
            try:
                for sock in sockets:
                    sock.listen(_BACKLOG)
                return sockets
            except OSError as error:
                _close(sockets)
                raise _refusal(host, port, error) from None
        except ListenError as error:
            if port or not error.is_busy or attempt == _ATTEMPTS - 1:
                raise
    raise AssertionError("the last attempt returns or raises")


def check(host: str, port: int) -> None:
    """Raises ListenError if this machine cannot listen there at all. Another program there is no error: it may end."""
    try:
        sockets = _bound(host, port)
    except ListenError as error:
        if not error.is_busy:
            raise
        return
    _close(sockets)


def written(host: str, port: int) -> str:
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _bound(host: str, port: int) -> list[socket.socket]:
    try:
        found = socket.getaddrinfo(
            host or None, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE if not host else 0
        )
    except OSError as error:
        raise ListenError(f"{host!r} is not an address of this machine: {error.strerror}") from None
    sockets: list[socket.socket] = []
    last: OSError | None = None
    for family, kind, protocol, _, address in dict.fromkeys(found):
        sock = None
        try:
            sock = socket.socket(family, kind, protocol)
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            if family == socket.AF_INET6:
                sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            chosen = sockets[0].getsockname()[1] if sockets and not port else port
            sock.bind((address[0], chosen, *address[2:]))
            sock.setblocking(False)
            sockets.append(sock)
        except OSError as error:
            last = error
            if sock is not None:
                sock.close()
            # A name or wildcard can resolve to a family that this machine does not have.
            if error.errno not in (errno.EAFNOSUPPORT, errno.EADDRNOTAVAIL):
                break
            continue
    else:
        if sockets:
            return sockets
    _close(sockets)
    raise _refusal(host, port, last)


def _close(sockets: list[socket.socket]) -> None:
    for sock in sockets:
        sock.close()


def _refusal(host: str, port: int, error: OSError | None) -> ListenError:
    is_busy = error is not None and error.errno == errno.EADDRINUSE
    return ListenError(f"cannot listen on {written(host, port)}: {_why(error)}", is_busy=is_busy)


def _why(error: OSError | None) -> str:
    match error.errno if error else None:
        case errno.EADDRINUSE:
            return "another program listens there; stop it, or set another web.listen"
        case errno.EACCES:
            return "ports below 1024 need privileges; set a higher port in web.listen"
        case errno.EADDRNOTAVAIL:
            return "this machine does not have this address"
    return (error.strerror if error else None) or "no address was found"
