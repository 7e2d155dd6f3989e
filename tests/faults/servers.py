"""A server that behaves as badly as it is told, path by path, and remembers who said what to it."""

from __future__ import annotations

import contextlib
import json
import socket
import socketserver
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from subprocess import run
from typing import Any

#: What a way to answer gets: the connection, and an event that is set when the server ends.
Way = Callable[[socket.socket, threading.Event], None]


def saying(status: int, *headers: str) -> Way:
    """An answer of this status."""

    def say(connection: socket.socket, over: threading.Event) -> None:
        head = [f"HTTP/1.1 {status} Something", "Content-Length: 2", "Connection: close", *headers, "", ""]
        connection.sendall("\r\n".join(head).encode() + b"{}")

    return say


def garbage(connection: socket.socket, over: threading.Event) -> None:
    connection.sendall(b"\x00\xff\x00 garbage\r\n\r\n")


def hanging(connection: socket.socket, over: threading.Event) -> None:
    over.wait()


def byte_by_byte(connection: socket.socket, over: threading.Event) -> None:
    """A head that never ends, each byte well within the time a single read may take."""
    connection.sendall(b"HTTP/1.1 200 OK\r\nX-Long: ")
    while not over.wait(0.05):
        connection.sendall(b"x")


class BadServer:
    """Listens on loopback while it is entered. What is asked for at ``/PATH`` is answered by ``ways[PATH]``."""

    def __init__(self, ways: dict[str, Way] | None = None, tls: ssl.SSLContext | None = None, port: int = 0) -> None:
        self.ways = ways or {}
        #: (path, body, when) of each whole request, in the order of their arrival.
        self.came: list[tuple[str, Any, float]] = []
        self.connections = 0
        self._over = threading.Event()
        outer = self

        class Handler(socketserver.BaseRequestHandler):
            def handle(self) -> None:
                outer.connections += 1
                with contextlib.suppress(OSError, ValueError):
                    connection: socket.socket = self.request
                    connection.settimeout(30)
                    if tls is not None:
                        connection = tls.wrap_socket(connection, server_side=True)
                    outer._answer(connection)

        class Server(socketserver.ThreadingTCPServer):
            daemon_threads = True
            allow_reuse_address = True
            request_queue_size = 64

        self._server = Server(("127.0.0.1", port), Handler)
        self.port = int(self._server.server_address[1])
        self.url = f"{'https' if tls else 'http'}://127.0.0.1:{self.port}"

    def _answer(self, connection: socket.socket) -> None:
        content = b""
        while b"\r\n\r\n" not in content:
            if not (more := connection.recv(65536)):
                return
            content += more
        head, _, body = content.partition(b"\r\n\r\n")
        lines = head.decode().split("\r\n")
        length = next((int(line[15:]) for line in lines if line.lower().startswith("content-length:")), 0)
        while len(body) < length:
            if not (more := connection.recv(1 << 20)):
                return
            body += more
        path, at = lines[0].split(" ")[1].lstrip("/"), time.time()
        self.came.append((path, json.loads(body) if body.startswith(b"{") else body.decode(), at))
        self.ways.get(path, saying(200))(connection, self._over)

    def received(self, path: str) -> list[Any]:
        """The bodies that came to a path."""
        return [body for at, body, _ in list(self.came) if at == path]

    def reasons(self, path: str) -> list[str]:
        """The reasons of the alerts that came to a path, one word per message that tells of one thing."""
        return ["+".join(sorted({alert["reason"] for alert in body["alerts"]})) for body in self.received(path)]

    def recover(self) -> None:
        """From now on everything is taken."""
        self.ways.clear()

    def __enter__(self) -> BadServer:
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
        return self

    def __exit__(self, *error: object) -> None:
        self._over.set()
        self._server.shutdown()
        self._server.server_close()


@contextmanager
def nobody() -> Iterator[int]:
    """A port at which nobody listens while this is entered."""
    with socket.socket() as bound:  # bound and not listening: refused, and nobody else gets it
        bound.bind(("127.0.0.1", 0))
        yield int(bound.getsockname()[1])


def unsigned(directory: Path) -> ssl.SSLContext:
    """A server's side of TLS with a certificate that nobody signed. Needs the openssl command."""
    key, certificate = directory / "key.pem", directory / "cert.pem"
    kind = ["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2"]
    subject = ["-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1"]
    files = ["-keyout", str(key), "-out", str(certificate)]
    run(["openssl", *kind, *subject, *files], check=True, capture_output=True)
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(certificate, key)
    return tls
