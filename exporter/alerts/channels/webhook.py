"""Webhook: the message as signed JSON, posted to an address of the user's choice."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import re
from typing import Any

from exporter.alerts.channels import ChannelContext, PermanentError, Sender, _http, as_json
from exporter.alerts.message import text
from exporter.alerts.values import AgentNote, Alert, NotificationReason, QueuedMessage, SuppressedAlert
from exporter.config import ChannelBase, ConfigError
from exporter.config.channels.webhook import WebhookChannel
from exporter.lib import http
from exporter.lib.durations import iso
from exporter.model import FailureReason

SCHEMA_VERSION = 1

#: Chats whose incoming webhooks accept only messages of their own form.
_CHATS = {
    "Slack": re.compile(r"https?://hooks\.slack(-gov)?\.com/|/T[A-Z0-9]+/B[A-Z0-9]+/[A-Za-z0-9]+/?$"),
    "Discord": re.compile(r"//(\w+\.)?discord(app)?\.com/api/|/(api/webhooks|discord)/\d+/[\w-]+"),
    "Microsoft Teams": re.compile(r"//[\w.-]+\.(webhook\.office|logic\.azure|powerplatform)\.com[:/]"),
    "Google Chat": re.compile(r"//chat\.googleapis\.com/"),
    "Telegram": re.compile(r"//api\.telegram\.org/"),
}


def build(config: WebhookChannel, context: ChannelContext) -> WebhookSender:
    """The channel. Raises ConfigError where there is no address, or the secret cannot be read."""
    if not (url := config.read_secret("url")):
        raise ConfigError(f"channel {config.name}", ["url is missing: a webhook needs an address"])
    if not http.is_url(url):
        raise ConfigError(f"channel {config.name}", ['url is not valid: write it like "https://example.org/hook"'])
    config.read_secret("secret")
    return WebhookSender(config, context)


def advice(url: str) -> str | None:
    """Why a chat will not accept our JSON at this address, and what to do; None if it may."""
    for chat, address in _CHATS.items():
        if address.search(url):
            return f'{chat} does not accept this channel\'s JSON: use a channel of type "apprise" with a URL for {chat}'
    return None


class WebhookSender(Sender[WebhookChannel]):
    """One address. Its secrets are read again for each message."""

    async def send(self, outgoing: QueuedMessage) -> None:
        """POST a message. Raises TemporaryError or PermanentError."""
        url, key = await self.secret("url"), await self.secret("secret")
        if not url:
            raise PermanentError(FailureReason.OTHER, "the webhook has no url")
        content = await asyncio.to_thread(lambda: as_json(body_of(outgoing, self.context, self.config)))
        headers = {"Idempotency-Key": outgoing.id}
        if key:
            headers["X-Signature-256"] = signature(content, key)
        try:
            await _http.send(self, "POST", url, content=content, headers=headers)
        except PermanentError as error:
            if (hint := advice(url)) is None:
                raise
            raise PermanentError(error.reason, f"{error.message}; {hint}") from None


def signature(content: bytes, key: str) -> str:
    """The value of ``X-Signature-256`` for a body."""
    return "sha256=" + hmac.new(key.encode(), content, hashlib.sha256).hexdigest()


def body_of(outgoing: QueuedMessage, context: ChannelContext, config: ChannelBase) -> dict[str, Any]:
    """The machine-readable form of a message, with its words ready to show.

    It has ``held_back`` only if alerts came and went while suppressed. Only ``sent_at`` differs between two tries.
    """
    message = outgoing.message
    alerts = text.in_order(message.alerts)
    shown = context.render(config, message, now=message.at)
    body: dict[str, Any] = {
        "schema_version": SCHEMA_VERSION,
        "id": outgoing.id,
        "sent_at": iso(context.clock()),
        "channel": message.channel,
        "title": shown.title,
        "text": shown.body,
        "severity": message.severity,
        "runbook": _runbook(alerts[0]) if alerts else None,
        "alerts": [_alert(alert, message.at) for alert in alerts],
    }
    if message.suppressed:
        body["held_back"] = [_suppressed(alert) for alert in message.suppressed]
    return body


def _alert(alert: Alert, now: float) -> dict[str, Any]:
    optional = {
        "cause": alert.cause,
        "until": iso(alert.until),
        "times": alert.times or None,
        "new_agents": list(alert.new_agents) or None,
        "ended_at": iso(alert.ended_at),
        "why": alert.resolution_cause or None,
    }
    return {
        "reason": alert.reason,
        "family": alert.family,
        **_subject(alert),
        "since": iso(alert.since),
        "deadline": iso(alert.deadline),
        "title": text.heading(alert, now),
        "summary": alert.summary,
        "remedy": list(alert.remedy),
        "runbook": _runbook(alert),
        "labels": dict(alert.labels),
        **{name: value for name, value in optional.items() if value is not None},
        **({"deadline_is_latest": True} if alert.is_assumed and alert.deadline is not None else {}),
        **({"other_agents": [_note(note) for note in alert.notes]} if alert.notes else {}),
    }


def _note(note: AgentNote) -> dict[str, Any]:
    return {"agent": note.agent, "condition": note.condition, "deadline": iso(note.deadline)}


def _runbook(alert: Alert) -> str | None:
    """The section of the runbook about an alert; a test has none."""
    return None if alert.reason is NotificationReason.TEST else alert.condition.definition.runbook_url


def _suppressed(alert: SuppressedAlert) -> dict[str, Any]:
    times = {"began_at": iso(alert.began_at), "ended_at": iso(alert.ended_at), "times": alert.times}
    return _subject(alert) | times


def _subject(alert: Alert | SuppressedAlert) -> dict[str, Any]:
    return {
        "fingerprint": alert.fingerprint,
        "condition": alert.condition,
        "severity": alert.severity,
        "exporter": alert.exporter,
        "target": alert.target,
        "agents": list(alert.agents),
        "provider": alert.provider,
        "profile": alert.profile,
    }
