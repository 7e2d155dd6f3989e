"""Signed single-use links, which the buttons in notifications carry instead of the token.

A link is valid for one action on one alert, once, for a day. It opens a page that asks; only the form of the page acts,
so a chat that previews links changes nothing.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import secrets
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from urllib.parse import quote, urlencode, urlsplit

from exporter.alerts.channels import Links
from exporter.alerts.values import Alert
from exporter.model import Condition
from exporter.model.renewals import FIXABLE, RenewalSubject
from exporter.web.hosts import is_loopback

#: The input from which the credential database derives the key that signs links.
KEY = "links in notifications"
#: How long a link is valid, seconds.
LIFE = 86400.0
#: How long the button silences an alert, seconds.
SILENCE = 8 * 3600.0
ACTIONS = ("acknowledge", "silence")
USED = "This link has been used."


@dataclass(frozen=True, slots=True)
class LinkAction:
    """The action of a link: ``name`` on the alert ``fingerprint``, which ``channel`` was notified of."""

    name: str
    fingerprint: str
    channel: str
    expires_at: float
    nonce: str


def maker(
    key: bytes, external_url: Callable[[], str], now: Callable[[], float], renews: Callable[[], bool] = lambda: False
) -> Links:
    """Makes the links of buttons. No link if ``web.external_url``, which is read each time, is empty.

    ``renews``: whether the page renews credentials (``web.reauth``). The link to that page is a plain one: it permits
    nothing.
    """

    def link(action: str, alert: Alert, channel: str) -> str | None:
        base = external_url().rstrip("/")
        if action == "renew":
            condition = Condition(alert.condition, alert.severity, alert.provider, alert.profile)
            path = renewal_of(alert.target, alert.agents, condition) if renews() and _is_private(base) else None
            return f"{base}/{path}" if path else None
        return f"{base}/act/{sign(key, action, alert.fingerprint, channel, now())}" if base else None

    return link


def sign(key: bytes, name: str, fingerprint: str, channel: str, now: float) -> str:
    """The token of a link, URL-safe."""
    fields = [name, fingerprint, channel, int(now + LIFE), secrets.token_hex(8)]
    body = json.dumps(fields, separators=(",", ":")).encode()
    return f"{_encode(body)}.{_encode(_mac(key, body))}"


def read(key: bytes, token: str, now: float, is_used: Callable[[str], bool]) -> LinkAction:
    """The action of a token. Raises ValueError with a sentence if the token is invalid, expired or used."""
    try:
        body, mac = (_decode(part) for part in token.split("."))
        if not hmac.compare_digest(mac, _mac(key, body)):
            raise ValueError
        name, fingerprint, channel, expires_at, nonce = json.loads(body)
    except ValueError:
        raise ValueError("This link is not valid.") from None
    action = LinkAction(str(name), str(fingerprint), str(channel), float(expires_at), str(nonce))
    if now > action.expires_at:
        raise ValueError("This link has expired.")
    if is_used(action.nonce):
        raise ValueError(USED)
    return action


def _is_private(url: str) -> bool:
    return url.startswith("https://") or is_loopback(urlsplit(url).hostname or "")


def renewal_of(target: str, agents: Sequence[str], condition: Condition) -> str | None:
    """The path of the page that renews the credential of ``condition``; None if a renewal does not end it."""
    if condition.name not in FIXABLE or not condition.provider or not agents:
        return None
    return renewal_path(RenewalSubject(target, agents[0], condition.profile or f"{condition.provider}:default"))


def renewal_path(subject: RenewalSubject) -> str:
    """Where the page renews a credential. A plain link: whoever follows it must be signed in, and is asked."""
    fields = {"target": subject.target, "agent": subject.agent, "profile": subject.profile}
    return f"renew?{urlencode(fields, errors='replace', quote_via=quote)}"


def _mac(key: bytes, body: bytes) -> bytes:
    return hmac.new(key, body, hashlib.sha256).digest()


def _encode(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def _decode(text: str) -> bytes:
    if len(text) > 2048 or not text.isascii():
        raise ValueError
    return base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
