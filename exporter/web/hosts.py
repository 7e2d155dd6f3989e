"""The check of the Host header, which stops DNS rebinding.

In DNS rebinding, a page on the internet makes its own name resolve to our address and then reads our answers as if they
were its own. Its requests carry its name in the Host header.
"""

from __future__ import annotations

import ipaddress
import re
import socket
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from urllib.parse import urlsplit

from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.types import Scope

_HOST = re.compile(r"(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]{1,253})(?::\d{1,5})?")

#: Suffixes of names that public DNS does not serve. No page on the internet can make such a name resolve to us.
_PRIVATE_SUFFIXES = (".local", ".localhost", ".localdomain", ".internal", ".home.arpa", ".lan", ".home", ".corp")

#: Paths that Prometheus and orchestrators request, by whatever name they know this host.
SCRAPE_PATHS = frozenset({"/metrics", "/probe", "/sd", "/-/healthy", "/-/ready"})


def host_of(header: str) -> str | None:
    """The host in a Host header, in lower case without brackets and port. None if the header is malformed."""
    found = _HOST.fullmatch(header)
    if not found:
        return None
    host = found[1].lower()
    return (host[1:-1] if host.startswith("[") else host.rstrip(".")) or None


def address_of(host: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    """The IP address that ``host`` is, IPv4 also if it is mapped into IPv6. None for a name."""
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return None
    return getattr(address, "ipv4_mapped", None) or address


def is_loopback(host: str) -> bool:
    """Whether ``host``, a name or an address, is this machine itself."""
    return host == "localhost" or _is_loopback(address_of(host))


def _is_loopback(address: ipaddress.IPv4Address | ipaddress.IPv6Address | None) -> bool:
    return address is not None and address.is_loopback


@dataclass(frozen=True)
class HostRule:
    """Which Host headers are accepted.

    - If the server listens on loopback: ``localhost``, any loopback address, the hosts of ``web.listen``, the host of
      ``web.external_url`` and ``web.hosts``, on every path.
    - If it listens elsewhere: also any address, this machine's name, and names that public DNS does not serve
      (``rack7``, ``rack7.lan``, ``rack7.local`` …). ``SCRAPE_PATHS`` accept any name while neither
      ``web.external_url`` nor ``web.hosts`` says by which names this server is known: Prometheus may scrape by one.
    - A request without a Host header is accepted, because no browser sends one.
    """

    listen_hosts: frozenset[str]
    configured: frozenset[str] = frozenset()
    own_names: frozenset[str] = frozenset()

    @classmethod
    def of(cls, listen_hosts: Iterable[str], external_url: str, hosts: Sequence[str] = ()) -> HostRule:
        configured = {*hosts, urlsplit(external_url).hostname or ""} - {""}
        listed = frozenset(host.lower() for host in listen_hosts)
        return cls(listed, frozenset(configured), frozenset({socket.gethostname().lower()}))

    @property
    def on_loopback(self) -> bool:
        """Whether the server listens on loopback only."""
        return all(map(is_loopback, self.listen_hosts))

    def allows(self, host: str, path: str) -> bool:
        """Whether a request to ``path`` with this host is accepted."""
        address = address_of(host)
        if host == "localhost" or host in self.listen_hosts | self.configured or _is_loopback(address):
            return True
        if self.on_loopback:
            return False
        private = "." not in host or host.endswith(_PRIVATE_SUFFIXES) or host in self.own_names
        return address is not None or private or (path in SCRAPE_PATHS and not self.configured)

    async def check(self, scope: Scope) -> None:
        """Refuse a request with a malformed Host header (400) or with one that is not accepted (421)."""
        headers = Headers(scope=scope).getlist("host")
        host = host_of(headers[0]) if len(headers) == 1 else None
        if headers and host is None:
            raise HTTPException(400, "The Host header is malformed.")
        if host is not None and not self.allows(host, scope["path"]):
            advice = "add the name to web.hosts, or set web.external_url to the address that people use"
            raise HTTPException(421, f"This server is not known as {host}: {advice}.")
