"""Who may change something over HTTP: the bearer of the token, or a browser that exchanged it for a session.

Sessions defend against pages on the internet that talk to us through a visitor's browser (cross-site forms), and
``AttemptLimiter`` against guessing.
"""

from __future__ import annotations

import hashlib
import hmac
import logging
import secrets
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Scope

from exporter.config import ConfigError
from exporter.web.hosts import host_of, is_loopback
from exporter.web.limits import AttemptLimiter

log = logging.getLogger(__name__)

SESSION_LIFE = 12 * 3600.0  # seconds
MAX_SESSIONS = 64


@dataclass(frozen=True, slots=True)
class Session:
    """The session of a browser. Its only secret is its own CSRF token."""

    csrf: str
    expires: float
    token_hash: bytes  # keyed; a changed token ends the session


class Sessions:
    """Sessions in memory, by a hash of their id. At most ``MAX_SESSIONS``; the oldest is dropped first."""

    def __init__(self, now: Callable[[], float] = time.monotonic) -> None:
        self._now = now
        self._key = secrets.token_bytes(32)
        self._sessions: OrderedDict[bytes, Session] = OrderedDict()

    def create(self, token: str) -> str:
        """Start a session for a client that has sent ``token``. Returns its id, which is not kept."""
        identity = secrets.token_urlsafe(32)
        self._sessions[self._hash(identity)] = Session(
            secrets.token_urlsafe(32), self._now() + SESSION_LIFE, self._hash(token)
        )
        while len(self._sessions) > MAX_SESSIONS:
            self._sessions.popitem(last=False)
        return identity

    def find(self, identity: str, token: str) -> Session | None:
        """The session, unless it has expired or was started with another token."""
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
    """Decides whether a request may change something.

    ``read_token`` is called for each request, so that a rotated file takes effect; it may raise ConfigError. Without a
    token, or with an empty one, nothing may be changed.
    """

    def __init__(
        self,
        read_token: Callable[[], str | None],
        external_url: str = "",
        sessions: Sessions | None = None,
        limiter: AttemptLimiter | None = None,
    ) -> None:
        self._read_token = read_token
        self._external = urlsplit(external_url)
        self._sessions = Sessions() if sessions is None else sessions
        self.limiter = AttemptLimiter() if limiter is None else limiter

    def token(self) -> str | None:
        """The token in effect. None if there is none or it cannot be read, which is logged."""
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

    def require(self, request: Request, csrf: str | None) -> None:
        """Refuse a request that may not change anything. Raises HTTPException (401, 403 or 429).

        ``csrf`` is the CSRF token that the request carries. Only sessions need it: no other site can make a browser
        send a bearer token.
        """
        token = self.token()
        if token is None:
            raise HTTPException(403, "Nothing can be changed over HTTP: set web.token_file to allow it.")
        if request.headers.get("authorization", "").lower().startswith("bearer "):
            if not self.is_bearer(request.scope):
                self.limiter.failed(request.scope)
                raise _unauthorized("This is not the token.", 'Bearer error="invalid_token"')
            return
        session = self.session(request)
        if session is None:
            raise _unauthorized("This request needs the token: send Authorization: Bearer …, or sign in at /login.")
        self._refuse_other_site(request)
        if csrf is None or not _same(csrf, session.csrf):
            raise HTTPException(403, "The form's CSRF token is missing or wrong: reload the page.")

    def _refuse_other_site(self, request: Request) -> None:
        """Raises HTTPException (403) if the browser reports that another site sent the request."""
        origin, site = request.headers.get("origin"), request.headers.get("sec-fetch-site", "none")
        own = f"{request.scope['scheme']}://{request.headers.get('host', '')}".lower()
        external = f"{self._external.scheme}://{self._external.netloc}".lower()
        if site not in ("none", "same-origin") or origin not in (None, own, external):
            raise HTTPException(403, "Another site sent this request: use the form on this server's own page.")

    def session(self, request: Request) -> Session | None:
        """The valid session that the request's cookie names."""
        token, identity = self.token(), request.cookies.get(self._cookie(request))
        return self._sessions.find(identity, token) if token and identity else None

    def log_in(self, request: Request, given: str, response: Response) -> None:
        """Start a session on ``response`` if ``given`` is the token. Otherwise, raises HTTPException.

        The session always has a new id, and the browser's previous session ends.
        """
        self._refuse_other_site(request)
        token = self.token()
        if token is None or not _same(given, token):
            self.limiter.failed(request.scope)
            raise _unauthorized("This is not the token.")
        self._end(request)
        identity = self._sessions.create(token)
        response.set_cookie(max_age=int(SESSION_LIFE), value=identity, **self._cookie_attributes(request))

    def log_out(self, request: Request, response: Response) -> None:
        """End the session here and in the browser."""
        self._end(request)
        response.delete_cookie(**self._cookie_attributes(request))

    def _end(self, request: Request) -> None:
        if identity := request.cookies.get(self._cookie(request)):
            self._sessions.end(identity)

    def _is_secure(self, request: Request) -> bool:
        """Whether the browser uses TLS: ours, or that of a proxy whose name an https ``external_url`` has."""
        by_name = host_of(request.headers.get("host", "")) == self._external.hostname
        return request.scope["scheme"] == "https" or (self._external.scheme == "https" and by_name)

    def is_private(self, request: Request) -> bool:
        """Whether nobody between the browser and us can read along: over TLS, or on this host."""
        if request.scope["scheme"] == "https":
            return True
        if self._is_secure(request):  # the proxy's TLS; a browser that came without it says so
            return not request.headers.get("origin", "").lower().startswith("http:")
        peer = (request.scope.get("client") or ("",))[0]
        return all(is_loopback(host) for host in (host_of(request.headers.get("host", "")) or "", peer))

    def _cookie_attributes(self, request: Request) -> dict[str, Any]:
        secure = self._is_secure(request)
        return {"key": self._cookie(request), "path": "/", "secure": secure, "httponly": True, "samesite": "strict"}

    def _cookie(self, request: Request) -> str:
        # Browsers accept a cookie with the __Host- prefix only from this host and over TLS.
        return "__Host-openclaw-auth" if self._is_secure(request) else "openclaw-auth"


def _same(given: str, token: str) -> bool:
    """Whether both are equal, in a time that tells neither where they differ nor how long the token is."""
    digests = [hashlib.sha256(text.encode(errors="surrogatepass")).digest() for text in (given, token)]
    return hmac.compare_digest(*digests)


def _unauthorized(text: str, challenge: str = "Bearer") -> HTTPException:
    return HTTPException(401, text, {"WWW-Authenticate": challenge})
