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
from collections.abc import Callable
from dataclasses import dataclass

from exporter.alerts.channels import Links
from exporter.alerts.values import Alert

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


def maker(key: bytes, external_url: Callable[[], str], now: Callable[[], float]) -> Links:
    """Makes the links of buttons. No link if ``web.external_url``, which is read each time, is empty."""

    def link(action: str, alert: Alert, channel: str) -> str | None:
        base = external_url().rstrip("/")
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


def _mac(key: bytes, body: bytes) -> bytes:
    return hmac.new(key, body, hashlib.sha256).digest()


def _encode(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def _decode(text: str) -> bytes:
    if len(text) > 2048 or not text.isascii():
        raise ValueError
    return base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
