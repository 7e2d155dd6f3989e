"""The sockets that the web server listens on: every address of a host and port, or none and a sentence why.

systemd can bind them instead (socket activation): a ``.socket`` unit beside the daemon's unit.
"""

from __future__ import annotations

import errno
import os
import socket
from collections.abc import Iterable, MutableMapping

from exporter.lib.errors import ExpectedError

#: Where to reach a server on this host that listens on every address.
LOOPBACK = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 - compared, not bound
#: Connections that the system keeps until they are accepted; its own limit may be lower.
_BACKLOG = 1024
#: With port 0, the port that the system chooses for the first address may be taken on the next one.
_ATTEMPTS = 5
#: The descriptor of the first socket that systemd passes: SD_LISTEN_FDS_START.
_FIRST_PASSED = 3


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


def bind_all(addresses: Iterable[tuple[str, int]]) -> list[socket.socket]:
    """``bind`` for several hosts and ports: all of them, or none."""
    sockets: list[socket.socket] = []
    try:
        for host, port in addresses:
            sockets += bind(host, port)
    except ListenError:
        _close(sockets)
        raise
    return sockets


def inherited(environ: MutableMapping[str, str] = os.environ) -> list[socket.socket]:
    """The listening sockets that systemd passed to this process (sd_listen_fds(3)), usually none.

    The variables that announce them are removed, so that children do not take the sockets for theirs. Raises
    ListenError if one of them is no TCP socket that listens.
    """
    count, process = environ.pop("LISTEN_FDS", ""), environ.pop("LISTEN_PID", "")
    environ.pop("LISTEN_FDNAMES", None)
    if process != str(os.getpid()) or not count.isdigit():
        return []
    sockets: list[socket.socket] = []
    for descriptor in range(_FIRST_PASSED, _FIRST_PASSED + int(count)):
        sock = None
        try:
            os.set_inheritable(descriptor, False)
            sock = socket.socket(fileno=descriptor)
            is_usable = sock.family in (socket.AF_INET, socket.AF_INET6) and sock.getsockopt(
                socket.SOL_SOCKET, socket.SO_ACCEPTCONN
            )
        except OSError:
            is_usable = False
        if sock is None or not is_usable:
            _close([*sockets, *([] if sock is None else [sock])])
            raise ListenError(
                "systemd passed a socket that cannot be used: write ListenStream= with an address and a port"
            )
        sock.setblocking(False)
        sockets.append(sock)
    return sockets


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
