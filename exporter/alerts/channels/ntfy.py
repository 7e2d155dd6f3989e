"""ntfy: a push to a phone, by JSON to the server's root.

What the server does is from its documentation and its source (2.13, and 2.16 for ``sequence_id``):
a message over 4,096 bytes becomes an attachment, a JSON body over twice that is refused with 413, a
429 carries no ``Retry-After`` (a burst of 60, then one per 5 s), and 200 is answered when the message is
stored. From 2.16 on a message replaces the one with the same ``sequence_id``, on the phone and, where
it is delayed, on the server; older servers show one more notification.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, MutableMapping
from dataclasses import replace
from typing import Any
from urllib.parse import urlsplit

from exporter.alerts.channels import (
    ChannelContext,
    FailureReason,
    PermanentError,
    ScheduledMessage,
    TemporaryError,
    http,
    secret,
)
from exporter.alerts.values import Message, QueuedMessage
from exporter.alerts.values import NotificationReason as Why
from exporter.config import ConfigError
from exporter.config.channels import NtfyChannel
from exporter.model import Severity

DEFAULT_URL = "https://ntfy.sh"
MAX_MESSAGE = 4096  # bytes
MAX_JSON = 2 * MAX_MESSAGE  # bytes
MAX_TITLE = 250  # characters
PAUSE = 10.0  # seconds after a 429: two messages' worth of the server's patience

MAX_DELAY = 3 * 86400.0 - 60.0  # seconds; a little inside what the server allows

_ID = re.compile(r"[-_A-Za-z0-9]{1,64}")
_ICONS = {
    Severity.CRITICAL: "rotating_light",
    Severity.WARNING: "warning",
    Severity.INFO: "information_source",
}
_CUT = "\n…"
_PLANTED = "Planted ahead, for the case that nothing else can tell it: the exporter has not taken this back."


def build(config: NtfyChannel, context: ChannelContext) -> NtfySender:
    """The channel; raises ConfigError where its address or topic cannot be one."""
    url, topic = config.secret("url") or DEFAULT_URL, config.secret("topic") or ""
    problems = [problem for problem in (_wrong_root(url), _wrong_topic(topic)) if problem]
    if problems:
        raise ConfigError(f"channel {config.name}", problems)
    config.secret("token")
    return NtfySender(config, context)


class NtfySender:
    """One topic of one ntfy server. Its secrets are read anew for each message."""

    def __init__(self, config: NtfyChannel, context: ChannelContext, timeout: float = http.TIMEOUT) -> None:
        self.name = config.name
        self._config = config
        self._context = context
        self._timeout = timeout
        self.max_delay = MAX_DELAY
        self._withdraws: bool | None = None  # whether the server can take back a delayed message

    async def send(self, outgoing: QueuedMessage) -> None:
        """Publish a message. Raises TemporaryError or PermanentError."""
        message, text = outgoing.message, self._context.words(self._config, outgoing.message)
        await self._publish(
            {
                "title": text.title[:MAX_TITLE],
                "priority": priority(message),
                "tags": tags(message),
                "sequence_id": sequence_id(outgoing),
                "actions": [
                    {"action": "view", "label": label, "url": link}
                    for label, link in self._context.buttons(message)[:3]
                ],
            },
            text.body,
        )

    async def schedule(
        self, planned: Iterable[ScheduledMessage], now: float, planted: MutableMapping[str, float]
    ) -> None:
        """Delayed messages on the server. One that moved is replaced; one that is no longer planned is taken back.

        A server that cannot take back (before 2.16) gets none. Raises TemporaryError or PermanentError.
        """
        wanted = {f"d-{one.alert.fingerprint}": one for one in planned}
        for name, at in list(planted.items()):
            if name not in wanted:
                if at == 0.0 or at > now:
                    await self._withdraw(name)
                del planted[name]
        for name, one in wanted.items():
            if planted.get(name) == one.deliver_at:
                continue
            if self._withdraws is None:
                await self._withdraw(name)
            if not self._withdraws:
                return
            planted[name] = 0.0
            await self._publish(*self._planted(name, one))
            planted[name] = one.deliver_at

    def _planted(self, name: str, one: ScheduledMessage) -> tuple[dict[str, Any], str]:
        message = Message(self.name, one.deliver_at, (one.alert,))
        text = replace(self._context, clock=lambda: one.deliver_at).words(self._config, message)
        fields = {
            "title": text.title[:MAX_TITLE],
            "delay": str(int(one.deliver_at)),
            "sequence_id": name,
            "priority": priority(message),
            "tags": [_ICONS[one.alert.severity], "planted"],
        }
        return fields, f"{text.body}\n{_PLANTED}"

    async def _publish(self, fields: Mapping[str, Any], body: str) -> None:
        whole: dict[str, Any] = {"topic": self._topic(), **fields}
        if self._context.external_url:
            whole["click"] = self._context.external_url
        await self._request("POST", "", fitted({key: value for key, value in whole.items() if value}, body))

    async def _withdraw(self, name: str) -> None:
        """Take back a delayed message, if it is there; learns whether the server can."""
        if self._withdraws is False:
            return
        try:
            await self._request("DELETE", f"/{self._topic()}/{name}")
        except PermanentError as error:
            if error.reason != FailureReason.HTTP_ERROR:
                raise
            self._withdraws = False  # before 2.16: 404
        else:
            self._withdraws = True

    async def _request(self, method: str, path: str, content: bytes = b"") -> None:
        url = secret(self._config, "url") or DEFAULT_URL
        if wrong := _wrong_root(url):
            raise PermanentError(FailureReason.OTHER, wrong)
        token = secret(self._config, "token")
        answer = await http.send(
            method,
            url.rstrip("/") + (path or "/"),
            content=content,
            headers={"Content-Type": "application/json", **({"Authorization": f"Bearer {token}"} if token else {})},
            transport=self._context.transport,
            timeout=self._timeout,
            pause=PAUSE,
            clock=self._context.clock,
        )
        if answer.is_page:
            raise TemporaryError(
                FailureReason.HTTP_ERROR, None, "a web page answered, not ntfy: check the url, or a portal"
            )

    def _topic(self) -> str:
        topic = secret(self._config, "topic") or ""
        if wrong := _wrong_topic(topic):
            raise PermanentError(FailureReason.OTHER, wrong)
        return topic


def _wrong_root(url: str) -> str | None:
    """What is wrong with a server's address: JSON sent to a topic's own address would be shown as text."""
    try:
        parts = urlsplit(url)
        is_root = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.path in ("", "/")
    except ValueError:
        is_root = False
    if is_root and not parts.query and not parts.fragment:
        return None
    return "url must be the server alone, like https://ntfy.sh, and the topic a key of its own"


def _wrong_topic(topic: str) -> str | None:
    if _ID.fullmatch(topic):
        return None
    return (
        "topic must be set: at most 64 letters, digits, - and _"
        if not topic
        else ("topic can only have letters, digits, - and _, at most 64 of them")
    )


def priority(message: Message) -> int:
    """1 to 5: what is newly critical gets through everything, what is over disturbs nobody."""
    loudest = 2
    for alert in message.alerts:
        if alert.reason.ends:
            continue
        if alert.reason is Why.TEST:
            loudest = max(loudest, 3)
        elif alert.severity is Severity.CRITICAL:
            loudest = max(loudest, 5 if alert.reason in (Why.FIRST, Why.ESCALATED) else 4)
        elif alert.severity is Severity.WARNING:
            loudest = max(loudest, 3)
    return loudest


def tags(message: Message) -> list[str]:
    """The first is shown as an icon; the others are words that subscribers can filter by."""
    firing = [alert for alert in message.alerts if not alert.reason.ends]
    if not firing:
        over = sorted({str(alert.reason) for alert in message.alerts}) or ["summary"]
        return ["white_check_mark" if message.alerts else "moon", *over]
    worst = max(firing, key=lambda alert: alert.severity.rank)
    if worst.reason is Why.TEST:
        return ["test_tube", "test"]
    return [_ICONS[worst.severity], str(worst.severity), str(worst.reason), str(worst.condition)]


def sequence_id(outgoing: QueuedMessage) -> str | None:
    """One alert's messages replace each other; a group is replaced only by another try of itself."""
    alerts = outgoing.message.alerts
    found = alerts[0].fingerprint if len(alerts) == 1 and alerts[0].reason is not Why.TEST else outgoing.id
    return found if _ID.fullmatch(found) else None


def fitted(fields: Mapping[str, Any], body: str) -> bytes:
    """The JSON to publish, ``body`` cut at a line where message or whole are too large to stay a message."""
    message = cut(body, MAX_MESSAGE)
    while True:
        whole = json.dumps({**fields, "message": message}, ensure_ascii=False).encode("utf-8", "replace")
        if len(whole) <= MAX_JSON or not message:
            return whole
        # What is escaped takes up to six bytes for one: a second round may be needed.
        message = cut(body, max(0, len(message.encode("utf-8", "replace")) - max(1, (len(whole) - MAX_JSON) // 6)))


def cut(text: str, limit: int) -> str:
    """At most ``limit`` bytes of UTF-8 of ``text``, preferably whole lines, with a mark where it was cut."""
    data = text.encode("utf-8", "replace")
    if len(data) <= limit:
        return data.decode()
    room = limit - len(_CUT.encode())
    if room <= 0:
        return ""
    head = data[:room].decode("utf-8", "ignore")
    line = head.rfind("\n")
    return (head[:line] if line > len(head) // 2 else head).rstrip() + _CUT
