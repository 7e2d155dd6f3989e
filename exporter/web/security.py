"""Who may do what over HTTP: Host check, token, sessions, CSRF, limits. ``app`` puts it together.

The threats: a page on the internet that talks to us through a visitor's browser (DNS rebinding,
cross-site forms, framing), guessing, and clients that send too much or too slowly.
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import ipaddress
import logging
import re
import secrets
import socket
import time
from collections import OrderedDict, deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from exporter.config import ConfigError

log = logging.getLogger(__name__)

MAX_HEADERS = 16 * 1024  # bytes
MAX_BODY = 64 * 1024  # bytes
BODY_TIMEOUT = 10.0  # seconds for a whole body
SESSION_LIFE = 12 * 3600.0  # seconds
MAX_SESSIONS = 64


def sentence(status: int, text: str, headers: Mapping[str, str] | None = None) -> Response:
    """An answer that is one line of plain text."""
    return PlainTextResponse(text + "\n", status, dict(headers or {}))


# --- hosts -----------------------------------------------------------------------------------

_HOST = re.compile(r"(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]{1,253})(?::\d{1,5})?")

#: Names that public DNS does not serve, so that no page on the internet can point one at us.
_PRIVATE_SUFFIXES = (".local", ".localhost", ".localdomain", ".internal", ".home.arpa", ".lan", ".home", ".corp")

#: What Prometheus and orchestrators ask for, by whatever name they know this host.
SCRAPE_PATHS = frozenset({"/metrics", "/probe", "/sd", "/-/healthy", "/-/ready"})


def host_of(header: str) -> str | None:
    """The host in a Host header, in lower case without brackets and port; None when malformed."""
    found = _HOST.fullmatch(header)
    if not found:
        return None
    host = found[1].lower()
    return (host[1:-1] if host.startswith("[") else host.rstrip(".")) or None


def _address(host: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return None
    return getattr(address, "ipv4_mapped", None) or address


@dataclass(frozen=True)
class HostRule:
    """Which Host headers are ours. DNS rebinding is the threat: a page on the internet whose name
    is made to resolve to us, and which then reads us as its own origin. It arrives with that name.

    - Listening on loopback: ``localhost``, a loopback address, the host of ``web.listen`` and the
      host of ``web.external_url``; nothing else, on any path.
    - Listening elsewhere: besides these, any address, this machine's own name, and names public
      DNS does not serve (``rack7``, ``rack7.lan``, ``rack7.local`` …). What Prometheus and
      orchestrators ask for (``SCRAPE_PATHS``) is answered under any name, since a scrape by full
      name must work and whoever reaches the port can read it anyway.
    - A request without a Host header comes from no browser and is let through.
    """

    listen_host: str
    external_host: str | None = None
    own_names: frozenset[str] = frozenset()

    @classmethod
    def of(cls, listen_host: str, external_url: str) -> HostRule:
        return cls(
            listen_host.lower(), urlsplit(external_url).hostname or None, frozenset({socket.gethostname().lower()})
        )

    @property
    def on_loopback(self) -> bool:
        address = _address(self.listen_host)
        return self.listen_host == "localhost" or (address is not None and address.is_loopback)

    def allows(self, host: str, path: str) -> bool:
        address = _address(host)
        if host in ("localhost", self.listen_host, self.external_host) or (address and address.is_loopback):
            return True
        if self.on_loopback:
            return False
        private = "." not in host or host.endswith(_PRIVATE_SUFFIXES) or host in self.own_names
        return path in SCRAPE_PATHS or address is not None or private


class HostCheck:
    """ASGI middleware: 400 for a malformed Host header, 421 for one that is not ours."""

    def __init__(self, app: ASGIApp, rule: HostRule) -> None:
        self._app = app
        self._rule = rule

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        headers = Headers(scope=scope).getlist("host")
        host = host_of(headers[0]) if len(headers) == 1 else None
        if headers and host is None:
            await sentence(400, "The Host header is malformed.")(scope, receive, send)
        elif host is not None and not self._rule.allows(host, scope["path"]):
            text = f"This server is not known as {host}: set web.external_url to the address it is reached at."
            await sentence(421, text)(scope, receive, send)
        else:
            await self._app(scope, receive, send)


# --- headers and bodies ----------------------------------------------------------------------

_HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Content-Security-Policy": "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "Cross-Origin-Resource-Policy": "same-origin",
    # Not no-referrer: with it browsers send "Origin: null" with our own forms, and then the origin
    # says nothing. Neither lets a referrer leave this site.
    "Referrer-Policy": "same-origin",
    "Cache-Control": "no-store",
}


class SecurityHeaders:
    """ASGI middleware: the headers every answer carries, unless the answer has its own."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in _HEADERS.items():
                    headers.setdefault(name, value)
            await send(message)

        await self._app(scope, receive, send_with_headers)


class HeaderLimit:
    """ASGI middleware: 431 where target and headers are larger than ``MAX_HEADERS`` bytes. h11 only
    bounds what is incomplete; what arrives in one piece may be some hundred kilobytes."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        size = len(scope["raw_path"]) + len(scope["query_string"])
        size += sum(len(name) + len(value) for name, value in scope["headers"])
        if size <= MAX_HEADERS:
            return await self._app(scope, receive, send)
        text = f"The request's headers are larger than {MAX_HEADERS} bytes."
        return await sentence(431, text, {"Connection": "close"})(scope, receive, send)


class BodyLimit:
    """ASGI middleware: the whole body is here before the application runs; 413 where it is larger
    than ``limit`` bytes, 408 where it takes longer than ``timeout`` seconds."""

    def __init__(self, app: ASGIApp, limit: int = MAX_BODY, timeout: float = BODY_TIMEOUT) -> None:
        self._app = app
        self._limit = limit
        self._timeout = timeout

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        headers = Headers(scope=scope)
        length = headers.get("content-length", "0")
        close = {"Connection": "close"}  # what is still to come is not worth reading
        too_large = sentence(413, f"The body is larger than {self._limit} bytes.", close)
        if length.isdecimal() and int(length[:19]) > self._limit:
            return await too_large(scope, receive, send)
        body = bytearray()
        more = length != "0" or "transfer-encoding" in headers
        try:
            async with asyncio.timeout(self._timeout):
                while more:
                    message = await receive()
                    if message["type"] == "http.disconnect":
                        return None
                    body += message.get("body", b"")
                    more = message.get("more_body", False)
                    if len(body) > self._limit:
                        return await too_large(scope, receive, send)
        except TimeoutError:
            return await sentence(408, "The body did not arrive in time.", close)(scope, receive, send)
        messages: deque[Message] = deque([{"type": "http.request", "body": bytes(body), "more_body": False}])

        async def replay() -> Message:
            return messages.popleft() if messages else await receive()

        return await self._app(scope, replay, send)


# --- guessing --------------------------------------------------------------------------------


class Limiter:
    """At most ``tries`` failed tries in ``window`` seconds from one address (IPv6: one /64).

    A try is counted before it is made, so that many at once count too, and forgiven when it was
    right. Knows at most ``addresses`` addresses; the one not seen for longest is forgotten.
    """

    def __init__(
        self,
        now: Callable[[], float] = time.monotonic,
        tries: int = 10,
        window: float = 60.0,
        addresses: int = 1024,
    ) -> None:
        self._now = now
        self._tries = tries
        self._window = window
        self._addresses = addresses
        self._failed: OrderedDict[str, deque[float]] = OrderedDict()

    def admit(self, scope: Scope) -> Response | None:
        """Counts a try; 429 with a sentence where there were too many."""
        address = _client(scope)
        failed = self._failed.setdefault(address, deque())
        self._failed.move_to_end(address)
        while len(self._failed) > self._addresses:
            self._failed.popitem(last=False)
        now = self._now()
        while failed and failed[0] <= now - self._window:
            failed.popleft()
        if len(failed) >= self._tries:
            wait = int(failed[0] + self._window - now) + 1
            return sentence(429, f"Too many failed tries: wait {wait} s.", {"Retry-After": str(wait)})
        failed.append(now)
        return None

    def forgive(self, scope: Scope) -> None:
        """The last try was right."""
        failed = self._failed.get(_client(scope))
        if failed:
            failed.pop()

    def __len__(self) -> int:
        return len(self._failed)


def _client(scope: Scope) -> str:
    host = (scope.get("client") or ("",))[0].partition("%")[0]
    address = _address(host)
    if isinstance(address, ipaddress.IPv6Address):
        return str(ipaddress.ip_network((address, 64), strict=False))
    return str(address or host)


# --- the token and its sessions --------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Session:
    """A browser that has shown the token. Holds no secret but its own CSRF token."""

    csrf: str
    expires: float
    token_hash: bytes  # keyed, so that a changed token ends it


class Sessions:
    """Sessions in memory, by a hash of their id; at most ``MAX_SESSIONS``, the oldest goes first."""

    def __init__(self, now: Callable[[], float] = time.monotonic) -> None:
        self._now = now
        self._key = secrets.token_bytes(32)
        self._sessions: OrderedDict[bytes, Session] = OrderedDict()

    def create(self, token: str) -> str:
        """A new session for one who has shown ``token``; its id, which is told once."""
        identity = secrets.token_urlsafe(32)
        self._sessions[self._hash(identity)] = Session(
            secrets.token_urlsafe(32), self._now() + SESSION_LIFE, self._hash(token)
        )
        while len(self._sessions) > MAX_SESSIONS:
            self._sessions.popitem(last=False)
        return identity

    def find(self, identity: str, token: str) -> Session | None:
        """The session, where it has not expired and ``token`` is still the one it was made with."""
        session = self._sessions.get(self._hash(identity))
        if session is None:
            return None
        if self._now() >= session.expires or not hmac.compare_digest(session.token_hash, self._hash(token)):
            self.end(identity)
            return None
        return session

    def end(self, identity: str) -> None:
        self._sessions.pop(self._hash(identity), None)

    def _hash(self, text: str) -> bytes:
        return hashlib.blake2b(text.encode(errors="surrogatepass"), key=self._key, digest_size=32).digest()

    def __len__(self) -> int:
        return len(self._sessions)


class Guard:
    """Decides who may change something: the bearer of the token, or a session that showed it.

    ``read_token`` is called at each request, so that a rotated file is seen; it may raise
    ConfigError. No token, or an empty one, means that nobody may.
    """

    def __init__(
        self,
        read_token: Callable[[], str | None],
        external_url: str = "",
        sessions: Sessions | None = None,
        limiter: Limiter | None = None,
    ) -> None:
        self._read_token = read_token
        self._external = urlsplit(external_url)
        self._sessions = Sessions() if sessions is None else sessions
        self.limiter = Limiter() if limiter is None else limiter

    def token(self) -> str | None:
        """The token in effect; None where there is none or it cannot be read (which is logged)."""
        try:
            return self._read_token() or None
        except ConfigError as error:
            log.warning("web: the token cannot be read: %s", error)
            return None

    def is_bearer(self, scope: Scope) -> bool:
        """Whether the request carries the token itself."""
        scheme, _, given = Headers(scope=scope).get("authorization", "").partition(" ")
        token = self.token()
        return scheme.lower() == "bearer" and token is not None and _same(given.strip(), token)

    def refuse(self, request: Request, csrf: str | None) -> Response | None:
        """Why this request may not change anything; None where it may.

        ``csrf`` is what the form gave; it counts for sessions only: no other site can make a
        browser send a bearer token.
        """
        token = self.token()
        if token is None:
            return sentence(403, "Nothing can be changed over HTTP: configure web.token_file to allow it.")
        if request.headers.get("authorization", "").lower().startswith("bearer "):
            if refused := self.limiter.admit(request.scope):
                return refused
            if not self.is_bearer(request.scope):
                return _unauthorized("This is not the token.", 'Bearer error="invalid_token"')
            self.limiter.forgive(request.scope)
            return None
        session = self.session(request)
        if session is None:
            return _unauthorized("This needs the token: send Authorization: Bearer …, or sign in at /login.", "Bearer")
        if refused := self.refuse_site(request):
            return refused
        if csrf is None or not _same(csrf, session.csrf):
            return sentence(403, "The form's CSRF token is missing or wrong: load the page again.")
        return None

    def refuse_site(self, request: Request) -> Response | None:
        """403 where the browser says that another site sent this; None where it does not."""
        origin, site = request.headers.get("origin"), request.headers.get("sec-fetch-site", "none")
        if site in ("none", "same-origin") and (origin is None or origin in self._origins(request)):
            return None
        return sentence(403, "This was sent by another site: use the form on this server's own page.")

    def _origins(self, request: Request) -> set[str]:
        external = f"{self._external.scheme}://{self._external.netloc}".lower()
        return {f"{request.scope['scheme']}://{request.headers.get('host', '')}".lower(), external}

    def session(self, request: Request) -> Session | None:
        """The session of the request's cookie, where it is a live one."""
        token, identity = self.token(), request.cookies.get(self._cookie(request))
        return self._sessions.find(identity, token) if token and identity else None

    def log_in(self, request: Request, given: str, response: Response) -> Response | None:
        """Starts a session on ``response`` for one who has given the token; else why not.

        The id is always a new one, and a session that the browser had before ends.
        """
        if refused := self.refuse_site(request) or self.limiter.admit(request.scope):
            return refused
        token = self.token()
        if token is None or not _same(given, token):
            return _unauthorized("This is not the token.", "Bearer")
        self.limiter.forgive(request.scope)
        self._end(request)
        response.set_cookie(
            self._cookie(request),
            self._sessions.create(token),
            max_age=int(SESSION_LIFE),
            path="/",
            secure=self._is_secure(request),
            httponly=True,
            samesite="strict",
        )
        return None

    def log_out(self, request: Request, response: Response) -> None:
        """Ends the session, here and in the browser."""
        self._end(request)
        response.delete_cookie(
            self._cookie(request), path="/", secure=self._is_secure(request), httponly=True, samesite="strict"
        )

    def _end(self, request: Request) -> None:
        if identity := request.cookies.get(self._cookie(request)):
            self._sessions.end(identity)

    def _is_secure(self, request: Request) -> bool:
        """Our own TLS, or a proxy's: the page was asked for by the name in an https external_url."""
        by_name = host_of(request.headers.get("host", "")) == self._external.hostname
        return request.scope["scheme"] == "https" or (self._external.scheme == "https" and by_name)

    def _cookie(self, request: Request) -> str:
        # Browsers let only this host, over TLS, set a cookie with the __Host- prefix.
        return "__Host-openclaw-auth" if self._is_secure(request) else "openclaw-auth"


def _same(given: str, token: str) -> bool:
    return hmac.compare_digest(given.encode(errors="surrogatepass"), token.encode(errors="surrogatepass"))


def _unauthorized(text: str, challenge: str) -> Response:
    return sentence(401, text, {"WWW-Authenticate": challenge})
