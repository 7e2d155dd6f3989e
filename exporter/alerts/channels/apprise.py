"""apprise: a hundred services by URL (mail, Telegram, Slack, Discord, Signal, Pushover, Gotify, …).

The extra ``apprise``. It blocks, so it runs in a thread of its own, one at a time; a thread that
hangs keeps nobody from ending. Its URLs are the secrets and its log tells them, so it has no log here.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import threading
from typing import Any

from exporter.alerts.channels import ChannelContext, FailureReason, PermanentError, TemporaryError, secret
from exporter.alerts.values import Message, QueuedMessage
from exporter.config import ConfigError
from exporter.config.channels import AppriseChannel
from exporter.model import Severity

TIMEOUT = 60.0  # seconds; one URL may stand for several addresses
MAX_BODY = 8000  # characters

_LOGGER = "apprise"
_MISSING = 'apprise is not installed: pip install "openclaw-auth-exporter[apprise]"'
_UNKNOWN = "url is none that apprise knows: try it with `apprise -vv -b test URL`, and see its list of services"


def build(config: AppriseChannel, context: ChannelContext) -> AppriseSender:
    """The channel; raises ConfigError where apprise is not there or does not know the URL."""
    url = config.secret("url")
    try:
        if not url:
            raise PermanentError(FailureReason.OTHER, "url must be set")
        _load(url)
    except PermanentError as error:
        raise ConfigError(f"channel {config.name}", [error.message]) from None
    return AppriseSender(config, context)


class AppriseSender:
    """What one apprise URL stands for."""

    def __init__(self, config: AppriseChannel, context: ChannelContext, timeout: float = TIMEOUT) -> None:
        self.name = config.name
        self._config = config
        self._context = context
        self._timeout = timeout
        self._thread: threading.Thread | None = None  # the one that has not told how it went

    async def send(self, outgoing: QueuedMessage) -> None:
        """Hand a message to apprise. Raises TemporaryError or PermanentError."""
        if self._thread is not None and self._thread.is_alive():
            raise TemporaryError(FailureReason.TIMEOUT, None, "apprise is still busy with the message before")
        url = secret(self._config, "url") or ""
        text = self._context.words(self._config, outgoing.message, with_links=True)
        loop = asyncio.get_running_loop()
        done: asyncio.Future[bool] = loop.create_future()

        def tell(result: bool | Exception) -> None:
            if done.done():  # nobody waits any more
                return
            if isinstance(result, Exception):
                done.set_exception(result)
            else:
                done.set_result(result)

        def work() -> None:
            result: bool | Exception
            try:
                result = bool(
                    _load(url).notify(
                        body=text.body[:MAX_BODY] or text.title,
                        title=text.title,
                        notify_type=kind(outgoing.message),
                        body_format="text",
                    )
                )
            except PermanentError as error:
                result = error
            except Exception as error:  # a hundred plugins, and no promise what they raise
                result = TemporaryError(FailureReason.OTHER, None, f"apprise failed with {type(error).__name__}")
            with contextlib.suppress(RuntimeError):  # the loop is gone
                loop.call_soon_threadsafe(tell, result)

        self._thread = threading.Thread(target=work, name=f"apprise-{self.name}", daemon=True)
        self._thread.start()
        try:
            async with asyncio.timeout(self._timeout):
                delivered = await done
        except TimeoutError:
            why = f"apprise did not hand it over within {self._timeout:g} s"
            raise TemporaryError(FailureReason.TIMEOUT, None, why) from None
        finally:
            if done.done() and not done.cancelled():
                self._thread = None  # it has told, so it is free, though it may need a moment yet to end
        if not delivered:
            why = "the service did not take it: `apprise -vv -b test URL` says why"
            raise TemporaryError(FailureReason.OTHER, None, why)


def kind(message: Message) -> str:
    """apprise's notify type: it chooses a colour and a picture."""
    if message.alerts and all(alert.reason.ends for alert in message.alerts):
        return "success"
    return {Severity.CRITICAL: "failure", Severity.WARNING: "warning", Severity.INFO: "info"}[message.severity]


def _load(url: str) -> Any:
    """An ``Apprise`` with the URL's services. Raises PermanentError without the URL."""
    _hush()
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
            # As it is, a service refuses what is too long for it, and refuses it again each time.
            service.overflow_mode = apprise.OverflowMode.TRUNCATE
    return services


def _hush() -> None:
    """apprise logs URLs, some of them whole; its own masking is for some services only."""
    for name in (_LOGGER, "urllib3", "requests"):
        logging.getLogger(name).setLevel(logging.CRITICAL + 1)
