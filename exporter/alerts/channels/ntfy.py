"""ntfy: push notifications to a phone, published as JSON at the root of a server, or at the path a proxy gives it.

The server's behaviour is from its documentation and source (2.13, and 2.16 for ``sequence_id``): a message over
4,096 bytes becomes an attachment, a JSON body over twice that is refused with 413, a 429 carries no
``Retry-After`` (60 messages at once, then one every 5 s; its code 42908 is the day's quota, which is new at midnight
UTC), and 200 is the answer once the message is stored.
Since 2.16 a message replaces an earlier one with the same ``sequence_id``, on the phone and, while it is
delayed, on the server; a DELETE withdraws it in both places. Older servers show one more notification, and answer
the DELETE with 404.

A phone that was offline is sent all that the server has kept (12 hours by default). The app (1.22) keeps the latest of
each sequence by its time in whole seconds, and of two in the same second the first.
"""

from __future__ import annotations

import asyncio
import json
import re
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any
from urllib.parse import urlsplit

from exporter.alerts.channels import (
    ChannelContext,
    PermanentError,
    ScheduledMessage,
    Sender,
    TemporaryError,
    _http,
    notification_of,
)
from exporter.alerts.message.text import Text
from exporter.alerts.values import Message, NotificationReason, QueuedMessage
from exporter.config import ConfigError
from exporter.config.channels.ntfy import NtfyChannel
from exporter.lib.http import Response
from exporter.model import FailureReason, Severity

DEFAULT_URL = "https://ntfy.sh"
DAY = 86400.0
MAX_MESSAGE = 4096  # bytes
MAX_JSON = 2 * MAX_MESSAGE  # bytes
LEAST = 512  # bytes; a message is never shortened to less
LOW = 2  # the priority of what makes no sound; 1 would also hide it below everything else
PAUSE = 10.0  # seconds after a 429: the server allows two more messages by then
#: The code of a 429 for the day's quota; the first pause after it and the longest, in seconds, each four times longer.
DAILY_QUOTA, QUOTA_PAUSE, MAX_QUOTA_PAUSE = 42908, 60.0, 3600.0
#: The end of the name of the topic to which a phone's app publishes that a button was pressed. Nobody subscribes to it.
PRESSED = "-pressed"
MAX_ANSWERS = 65536  # bytes of that topic
MAX_DELAY = 3 * 86400.0 - 60.0  # seconds; slightly less than the server allows

_ID = re.compile(r"[-_A-Za-z0-9]{1,64}")
_ICONS = {Severity.CRITICAL: "rotating_light", Severity.WARNING: "warning", Severity.INFO: "information_source"}
_SCHEDULED = "Scheduled in advance. The exporter has not cancelled it, so it may be down."

#: Renders a message with a body of at most so many bytes.
Rendered = Callable[[int], Text]


def build(config: NtfyChannel, context: ChannelContext) -> NtfySender:
    """The channel. Raises ConfigError where its address or topic is not valid."""
    url, topic = config.read_secret("url") or DEFAULT_URL, config.read_secret("topic") or ""
    problems = [problem for problem in (_url_problem(url, topic), _topic_problem(topic)) if problem]
    if problems:
        raise ConfigError(f"channel {config.name}", problems)
    config.read_secret("token")
    return NtfySender(config, context)


class NtfySender(Sender[NtfyChannel]):
    """One topic of one ntfy server. Its secrets are read again for each message."""

    max_delay = MAX_DELAY
    min_gap = 1.0  # seconds between two changes of a notification, which then have different times at the server

    def __init__(self, config: NtfyChannel, context: ChannelContext, timeout: float | None = None) -> None:
        super().__init__(config, context, timeout)
        self._can_cancel: bool | None = None  # None until the server was asked
        self._over_quota = 0  # how often in a row the day's quota was used up
        self._changed_at: dict[str, float] = {}  # recent changes by notification, by the monotonic clock

    async def send(self, outgoing: QueuedMessage) -> None:
        """Publish a message. Raises TemporaryError or PermanentError."""
        await self.show(notification_of(outgoing), outgoing.message)

    async def show(self, notification: str, message: Message, *, quietly: bool = False) -> None:
        """Publish a message instead of what the notification shows. Raises TemporaryError or PermanentError.

        ``quietly``: with a low priority, and not to a server that would show one more notification.
        """
        if quietly and not await self.can_cancel(notification):
            return
        buttons = (await asyncio.to_thread(self.context.buttons, message))[:3]
        fields = {
            "priority": LOW if quietly else priority(message),
            "tags": tags(message),
            "sequence_id": notification,
            "actions": [{"action": "view", "label": label, "url": link} for label, link in buttons],
        }
        await self._publish(fields, lambda limit: self.context.render(self.config, message, limit=limit))

    async def ask(self, outgoing: QueuedMessage, label: str) -> None:
        """Publish a message with a button, for ``was_pressed``. Raises TemporaryError or PermanentError."""
        server = (await self.secret("url") or DEFAULT_URL).rstrip("/")
        button = {"action": "http", "label": label, "url": f"{server}/{await self._topic()}{PRESSED}"}
        fields = {
            "priority": priority(outgoing.message),
            "tags": tags(outgoing.message),
            "sequence_id": notification_of(outgoing),
            "actions": [{**button, "method": "POST", "body": outgoing.id, "clear": True}],
        }
        await self._publish(fields, lambda limit: self.context.render(self.config, outgoing.message, limit=limit))

    async def was_pressed(self, outgoing: QueuedMessage) -> bool:
        """Whether the button of ``ask`` was pressed. Raises TemporaryError or PermanentError."""
        path = f"{await self._topic()}{PRESSED}/json?poll=1&since=10m"
        return outgoing.id.encode() in (await self._request("GET", path, "", max_body=MAX_ANSWERS)).body

    async def withdraw(self, notification: str) -> None:
        """Take a notification off the phones. Raises TemporaryError or PermanentError."""
        await self.cancel(notification)

    async def schedule(self, name: str, message: ScheduledMessage) -> None:
        """Publish a delayed message. Raises TemporaryError or PermanentError."""
        content = Message(self.name, message.deliver_at, (message.alert,))
        then = replace(self.context, clock=lambda: message.deliver_at)
        fields = {
            "delay": str(int(message.deliver_at)),
            "sequence_id": name,
            "priority": priority(content),
            "tags": [_ICONS[message.alert.severity], "scheduled"],
        }

        def rendered(limit: int) -> Text:
            text = then.render(self.config, content, limit=limit - len(_SCHEDULED) - 1)
            return replace(text, body=f"{text.body}\n{_SCHEDULED}")

        await self._publish(fields, rendered)

    async def can_cancel(self, name: str) -> bool:
        """Whether the server can cancel delayed messages (since 2.16)."""
        if self._can_cancel is None:
            await self.cancel(name)
        return bool(self._can_cancel)

    async def cancel(self, name: str) -> None:
        """Cancel a delayed message, or withdraw a delivered one. Raises TemporaryError or PermanentError."""
        if self._can_cancel is False:
            return
        try:
            await self._request("DELETE", f"{await self._topic()}/{name}", name)
        except PermanentError as error:
            if error.reason != FailureReason.HTTP_ERROR:
                raise
            self._can_cancel = False  # before 2.16: 404
        else:
            self._can_cancel = True

    async def _publish(self, fields: Mapping[str, Any], rendered: Rendered) -> None:
        every: dict[str, Any] = {"topic": await self._topic(), "click": self.context.external_url, **fields}
        every = {key: value for key, value in every.items() if value}
        content = await asyncio.to_thread(encoded, every, rendered)
        await self._request("POST", "", fields["sequence_id"], content)

    async def _request(
        self, method: str, path: str, notification: str, content: bytes = b"", *, max_body: int = 0
    ) -> Response:
        """One request that changes ``notification``; ``path`` is below the server's address."""
        url = await self.secret("url") or DEFAULT_URL
        if problem := _url_problem(url, await self._topic()):
            raise PermanentError(FailureReason.OTHER, problem)
        # With the slash at its end a wrong path is not found. Without it, the server would take it for a topic.
        token, address = await self.secret("token"), f"{url.rstrip('/')}/{path}"
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        await self._wait_for_next_second(notification)
        try:
            answer = await _http.send(
                self, method, address, content=content, headers=headers, pause=self._pause, max_body=max_body
            )
        finally:
            self._changed_at[notification] = time.monotonic()
        self._over_quota = 0
        if answer.is_web_page:
            why = "a web page answered, not ntfy: check the url, and whether a captive portal is in the way"
            raise TemporaryError(FailureReason.HTTP_ERROR, why)
        return answer

    async def _wait_for_next_second(self, notification: str) -> None:
        """Wait until the last change of a notification is ``min_gap`` seconds ago."""
        now = time.monotonic()
        self._changed_at = {name: at for name, at in self._changed_at.items() if now - at < self.min_gap}
        if notification in self._changed_at:
            await asyncio.sleep(self._changed_at[notification] + self.min_gap - now)

    def _pause(self, refusal: Mapping[str, Any]) -> float:
        """Seconds until the next try after a 429. The quota may be raised meanwhile, so midnight is not waited for."""
        if refusal.get("code") != DAILY_QUOTA:
            return PAUSE
        pause = min(QUOTA_PAUSE * 4.0 ** min(self._over_quota, 5), MAX_QUOTA_PAUSE)
        self._over_quota += 1
        return min(pause, DAY - self.context.clock() % DAY + PAUSE)

    async def _topic(self) -> str:
        topic = await self.secret("topic") or ""
        if problem := _topic_problem(topic):
            raise PermanentError(FailureReason.OTHER, problem)
        return topic


def _url_problem(url: str, topic: str) -> str | None:
    """The problem with a server's address. JSON that is sent to a topic's own address would be shown as text."""
    try:
        parts = urlsplit(url)
        path, is_server = parts.path.strip("/"), parts.scheme in ("http", "https") and bool(parts.hostname)
    except ValueError:
        path, is_server = "", False
    if not is_server or parts.query or parts.fragment:
        return "url must be the server's address, like https://ntfy.sh or https://example.org/ntfy"
    if path and (path.rpartition("/")[2] == topic or f"//{parts.hostname}" == DEFAULT_URL.removeprefix("https:")):
        return "url must be the server alone, like https://ntfy.sh; the topic has its own key"
    return None


def _topic_problem(topic: str) -> str | None:
    if _ID.fullmatch(topic):
        return None
    if not topic:
        return "topic must be set: at most 64 letters, digits, - and _"
    return "topic can only contain letters, digits, - and _, at most 64 of them"


def priority(message: Message) -> int:
    """1 to 5: a new critical alert gets through everything, a resolution disturbs nobody."""
    highest = LOW
    for alert in message.alerts:
        if alert.reason.ends:
            continue
        is_new = alert.reason in (NotificationReason.FIRST, NotificationReason.ESCALATED)
        if alert.reason is NotificationReason.TEST or alert.severity is Severity.WARNING:
            highest = max(highest, 3)
        elif alert.severity is Severity.CRITICAL:
            highest = max(highest, 5 if is_new else 4)
    return highest


def tags(message: Message) -> list[str]:
    """The first is shown as an icon. The others are words that subscribers can filter by."""
    firing = [alert for alert in message.alerts if not alert.reason.ends]
    if not firing:
        reasons = sorted({str(alert.reason) for alert in message.alerts}) or ["summary"]
        return ["white_check_mark" if message.alerts else "moon", *reasons]
    worst = max(firing, key=lambda alert: alert.severity.rank)
    if worst.reason is NotificationReason.TEST:
        return ["test_tube", "test"]
    return [_ICONS[worst.severity], str(worst.severity), str(worst.reason), str(worst.condition)]


def encoded(fields: Mapping[str, Any], rendered: Rendered) -> bytes:
    """The JSON to publish, with less detail where the text or the whole would be too large for a message."""
    limit = MAX_MESSAGE
    while True:
        text = rendered(limit)
        message = {**fields, "title": text.title, "message": text.body}
        data = json.dumps(message, ensure_ascii=False).encode("utf-8", "replace")
        # JSON may escape one byte as six.
        excess = len(data) - MAX_JSON
        if excess <= 0 or limit <= LEAST:
            return data
        limit = max(limit - max(1, excess // 6), LEAST)
