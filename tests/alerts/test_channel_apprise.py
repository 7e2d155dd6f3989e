"""apprise: a real SMTP server gets the mail; what it says of a URL stays with us."""

from __future__ import annotations

import email
import email.policy
import logging
import threading
from collections.abc import Iterator
from email.message import EmailMessage
from typing import Any

import pytest

from exporter.alerts.channels import Context, PermanentError, TemporaryError, build
from exporter.alerts.channels.apprise import AppriseChannelSender, kind
from exporter.alerts.values import Reason
from exporter.config import ConfigError
from exporter.config.models import AppriseChannel
from exporter.model import Severity

from .messages import NOW, SECRET, alert, ended, other, outgoing

apprise = pytest.importorskip("apprise")
controller = pytest.importorskip("aiosmtpd.controller")


class Mailbox:
    """What an SMTP server was given. ``answer`` is what it says to a whole message."""

    def __init__(self) -> None:
        self.mails: list[EmailMessage] = []
        self.answer = "250 OK"
        self.held: threading.Event | None = None

    async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:
        mail = email.message_from_bytes(envelope.content, policy=email.policy.default)
        assert isinstance(mail, EmailMessage)
        if self.answer.startswith("250"):
            self.mails.append(mail)
        return self.answer


@pytest.fixture
def mailbox() -> Mailbox:
    return Mailbox()


@pytest.fixture
def url(mailbox: Mailbox) -> Iterator[str]:
    """A URL of a real SMTP server on loopback."""
    smtp = controller.Controller(mailbox, hostname="127.0.0.1", port=0)
    smtp.start()
    try:
        port = smtp.server.sockets[0].getsockname()[1]
        yield f"mailto://127.0.0.1:{port}?from=exporter@example.org&to=me@example.org&mode=insecure"
    finally:
        smtp.stop()


def channel(url: str, **changes: Any) -> AppriseChannelSender:
    config = AppriseChannel(name="team", type="apprise", url=url)
    made = build(config, Context(clock=lambda: NOW))
    assert isinstance(made, AppriseChannelSender)
    return AppriseChannelSender(config, Context(clock=lambda: NOW), **changes)


async def test_a_mail_arrives(mailbox: Mailbox, url: str) -> None:
    await channel(url).send(outgoing(alert(summary="größer <b>als</b> 1 & 2")))
    (mail,) = mailbox.mails
    assert mail["Subject"] == "anthropic:default has expired on home"
    assert (mail["To"], "exporter@example.org" in mail["From"]) == ("me@example.org", True)
    body = mail.get_body(("plain", "html"))
    assert body is not None
    text = body.get_content()
    assert "claude setup-token" in text


async def test_what_the_server_does_not_take_is_tried_again(mailbox: Mailbox, url: str) -> None:
    mailbox.answer = f"451 {SECRET}"
    with pytest.raises(TemporaryError) as caught:
        await channel(url).send(outgoing())
    assert (caught.value.reason, caught.value.retry_after) == ("other", None)
    assert SECRET not in str(caught.value)
    mailbox.answer = "250 OK"
    await channel(url).send(outgoing())
    assert len(mailbox.mails) == 1


async def test_one_that_hangs_is_left_behind_and_waited_for() -> None:
    """The time is up at once; the thread is still there, and no second one is started beside it."""
    release = threading.Event()

    class Slow:
        def notify(self, **words: Any) -> bool:
            return release.wait(30)

    made = channel("json://localhost/", timeout=0.05)
    import exporter.alerts.channels.apprise as module

    original = module._load
    module._load = lambda url: Slow()
    try:
        with pytest.raises(TemporaryError) as caught:
            await made.send(outgoing())
        assert caught.value.reason == "timeout"
        with pytest.raises(TemporaryError, match="still busy with the message before"):
            await made.send(outgoing())
        release.set()
        assert made._thread is not None
        made._thread.join(10)
        await AppriseChannelSender.send(made, outgoing()) if False else None
    finally:
        release.set()
        module._load = original
