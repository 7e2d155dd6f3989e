"""apprise: a hundred services by URL (mail, Telegram, Slack, Discord, Signal, Pushover, Gotify, …).

Needs the extra ``apprise``. The library blocks, so it runs in a daemon thread, one message at a time; a thread
that hangs does not keep the process from ending. Its URLs are secrets and its log contains them, so its log is
switched off.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import threading
from concurrent.futures import Future, InvalidStateError
from typing import Any

from exporter.alerts.channels import ChannelContext, PermanentError, Sender, TemporaryError
from exporter.alerts.values import Message, QueuedMessage
from exporter.config import ConfigError
from exporter.config.channels.apprise import AppriseChannel
from exporter.model import FailureReason, Severity

MAX_BODY = 8000  # bytes

_LOGGERS = ("apprise", "urllib3", "requests")
_MISSING = 'apprise is not installed: pip install "openclaw-auth-exporter[apprise]"'
_UNKNOWN = "apprise does not know this url: try `apprise -vv -b test URL`, and see its list of services"
_TYPES = {Severity.CRITICAL: "failure", Severity.WARNING: "warning", Severity.INFO: "info"}


def build(config: AppriseChannel, context: ChannelContext) -> AppriseSender:
    """The channel. Raises ConfigError where apprise is not installed or does not know the URL."""
    url = config.read_secret("url")
    try:
        if not url:
            raise PermanentError(FailureReason.OTHER, "url must be set")
        _load(url)
    except PermanentError as error:
        raise ConfigError(f"channel {config.name}", [error.message]) from None
    return AppriseSender(config, context)


class AppriseSender(Sender[AppriseChannel]):
    """The services of one apprise URL."""

    timeout = 60.0  # seconds; one URL may name several recipients

    _thread: threading.Thread | None = None  # still at work on an earlier message

    async def send(self, outgoing: QueuedMessage) -> None:
        """Hand a message to apprise. Raises TemporaryError or PermanentError."""
        if self._thread is not None and self._thread.is_alive():
            raise TemporaryError(FailureReason.TIMEOUT, "apprise is still busy with the previous message")
        url = await self.secret("url") or ""
        text = await asyncio.to_thread(
            self.context.render, self.config, outgoing.message, with_links=True, limit=MAX_BODY
        )
        done: Future[bool] = Future()

        def work() -> None:
            with contextlib.suppress(InvalidStateError):  # nobody waits any more
                try:
                    notified = _load(url).notify(
                        body=text.body or text.title,
                        title=text.title,
                        notify_type=notify_type(outgoing.message),
                        body_format="text",
                    )
                    done.set_result(bool(notified))
                except PermanentError as error:
                    done.set_exception(error)
                except Exception as error:  # a hundred plugins may raise anything
                    why = f"apprise failed with {type(error).__name__}"
                    done.set_exception(TemporaryError(FailureReason.OTHER, why))

        self._thread = threading.Thread(target=work, name=f"apprise-{self.name}", daemon=True)
        self._thread.start()
        try:
            async with asyncio.timeout(self.timeout):
                delivered = await asyncio.wrap_future(done)
        except TimeoutError:
            raise TemporaryError(FailureReason.TIMEOUT, f"apprise did not finish within {self.timeout:g} s") from None
        finally:
            if done.done() and not done.cancelled():
                self._thread = None  # it has reported, although it may need a moment more to end
        if not delivered:
            why = "the service did not accept the message: `apprise -vv -b test URL` shows why"
            raise TemporaryError(FailureReason.OTHER, why)


def notify_type(message: Message) -> str:
    """apprise's type of a message, which chooses its colour and icon."""
    if message.alerts and all(alert.reason.ends for alert in message.alerts):
        return "success"
    return _TYPES[message.severity]


def _load(url: str) -> Any:
    """An ``Apprise`` with the URL's services. Raises PermanentError, without the URL."""
    for name in _LOGGERS:  # they log URLs, some of them whole
        logging.getLogger(name).setLevel(logging.CRITICAL + 1)
    try:
        import apprise
    except ImportError:
        raise PermanentError(FailureReason.COMMAND_NOT_FOUND, _MISSING) from None
    asset = apprise.AppriseAsset(
        app_id="openclaw-auth-exporter", app_desc="OpenClaw credentials", async_mode=False, image_url_mask=None
    )
    services = apprise.Apprise(asset=asset)
    try:
        known = services.add(url)
    except Exception:
        known = False
    if not known:
        raise PermanentError(FailureReason.OTHER, _UNKNOWN)
    for service in services:
        if "overflow=" not in url:
            # By default a service refuses a message that is too long for it, at every try.
            service.overflow_mode = apprise.OverflowMode.TRUNCATE
    return services
