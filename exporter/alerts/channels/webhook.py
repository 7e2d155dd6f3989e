"""A webhook: the message as JSON, signed, to an address of the user's own."""

from __future__ import annotations

import hashlib
import hmac
import json
from typing import Any

from exporter.alerts.channels import ChannelContext, FailureReason, PermanentError, http, secret
from exporter.alerts.values import Alert, QueuedMessage, SuppressedAlert
from exporter.config import ConfigError
from exporter.config.channels import WebhookChannel
from exporter.lib.durations import iso

SCHEMA_VERSION = 1


def build(config: WebhookChannel, context: ChannelContext) -> WebhookSender:
    """The channel; raises ConfigError where there is no address, or the secret cannot be read."""
    if not config.secret("url"):
        raise ConfigError(f"channel {config.name}", ["url is missing: a webhook needs an address"])
    config.secret("secret")
    return WebhookSender(config, context)


class WebhookSender:
    """One address. Its secrets are read anew for each message."""

    def __init__(self, config: WebhookChannel, context: ChannelContext, timeout: float = http.TIMEOUT) -> None:
        self.name = config.name
        self._config = config
        self._context = context
        self._timeout = timeout

    async def send(self, outgoing: QueuedMessage) -> None:
        """POST a message. Raises TemporaryError or PermanentError."""
        url, key = secret(self._config, "url"), secret(self._config, "secret")
        if not url:
            raise PermanentError(FailureReason.OTHER, "the webhook has no url")
        content = json.dumps(body_of(outgoing, self._context.clock()), ensure_ascii=False).encode("utf-8", "replace")
        headers = {"Content-Type": "application/json", "Idempotency-Key": outgoing.id}
        if key:
            headers["X-Signature-256"] = signature(content, key)
        await http.send(
            "POST",
            url,
            content=content,
            headers=headers,
            transport=self._context.transport,
            timeout=self._timeout,
            clock=self._context.clock,
        )


def signature(content: bytes, key: str) -> str:
    """What ``X-Signature-256`` says of a body."""
    return "sha256=" + hmac.new(key.encode(), content, hashlib.sha256).hexdigest()


def body_of(outgoing: QueuedMessage, now: float) -> dict[str, Any]:
    """The machine-readable form of a message; ``held_back`` is there where something came and went unsaid."""
    message = outgoing.message
    body: dict[str, Any] = {
        "schema_version": SCHEMA_VERSION,
        "id": outgoing.id,
        "sent_at": iso(now),
        "channel": message.channel,
        "alerts": [_alert(alert) for alert in message.alerts],
    }
    if message.suppressed:
        body["held_back"] = [_missed(missed) for missed in message.suppressed]
    return body


def _alert(alert: Alert) -> dict[str, Any]:
    found: dict[str, Any] = {
        "fingerprint": alert.fingerprint,
        "reason": alert.reason,
        "family": alert.family,
        "condition": alert.condition,
        "severity": alert.severity,
        "target": alert.target,
        "agents": list(alert.agents),
        "provider": alert.provider,
        "profile": alert.profile,
        "since": iso(alert.since),
        "deadline": iso(alert.deadline),
        "summary": alert.summary,
        "remedy": list(alert.remedy),
    }
    if alert.cause is not None:
        found["cause"] = alert.cause
    if alert.ended_at is not None:
        found["ended_at"] = iso(alert.ended_at)
    if alert.resolution_cause:
        found["why"] = alert.resolution_cause
    return found


def _missed(missed: SuppressedAlert) -> dict[str, Any]:
    return {
        "fingerprint": missed.fingerprint,
        "condition": missed.condition,
        "severity": missed.severity,
        "target": missed.target,
        "agents": list(missed.agents),
        "provider": missed.provider,
        "profile": missed.profile,
        "began_at": iso(missed.began_at),
        "ended_at": iso(missed.ended_at),
        "times": missed.times,
    }
