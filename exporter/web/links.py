"""Signed single-use links: what a button in a notification carries instead of the token.

A link is good for one action on one alert, for a day, once. It opens a page that asks; only the
page's form acts, so that whatever previews links in a chat does nothing.
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

#: What the ledger makes the key of links from.
KEY = "links in notifications"
#: How long a link is good, seconds.
LIFE = 86400.0
#: How long an alert is muted by its button, seconds.
SILENCE = 8 * 3600.0
ACTIONS = ("acknowledge", "silence")


@dataclass(frozen=True, slots=True)
class LinkAction:
    """What a link does: ``name`` on the alert ``fingerprint``, which was told on ``channel``."""

    name: str
    fingerprint: str
    channel: str
    expires_at: float
    nonce: str


def maker(key: bytes, external_url: Callable[[], str], now: Callable[[], float]) -> Links:
    """What makes the links of buttons, where ``web.external_url`` says how to reach us; asked anew each time."""

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
    """What a token does. Raises ValueError with a sentence where it does nothing (any more)."""
    try:
        body, mac = (_decode(part) for part in token.split("."))
        if not hmac.compare_digest(mac, _mac(key, body)):
            raise ValueError
        name, fingerprint, channel, expires_at, nonce = json.loads(body)
    except ValueError:
        raise ValueError("This link is not one of ours.") from None
    action = LinkAction(str(name), str(fingerprint), str(channel), float(expires_at), str(nonce))
    if now > action.expires_at:
        raise ValueError("This link has expired.")
    if is_used(action.nonce):
        raise ValueError("This link has been used.")
    return action


def _mac(key: bytes, body: bytes) -> bytes:
    return hmac.new(key, body, hashlib.sha256).digest()


def _encode(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def _decode(text: str) -> bytes:
    if len(text) > 2048 or not text.isascii():
        raise ValueError
    return base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
