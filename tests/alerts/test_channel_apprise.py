"""apprise: a real SMTP server gets the mail; what it says of a URL stays with us."""

from __future__ import annotations

import email
import email.policy
import socket
import sys
import threading
import traceback
from collections.abc import Iterator
from contextlib import closing
from email.message import EmailMessage
from pathlib import Path
from typing import Any

import pytest

from exporter.alerts.channels import ChannelContext, PermanentError, TemporaryError, build
from exporter.alerts.channels import apprise as module
from exporter.alerts.channels.apprise import AppriseSender, notify_type
from exporter.config import ConfigError
from exporter.config.channels.apprise import AppriseChannel
from exporter.model import Severity

from .messages import NOW, SECRET, alert, ended, other, outgoing

# Some of its plugins import what Python 3.13 no longer has; in the daemon that is no error.
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")

pytest.importorskip("apprise", reason="the extra apprise is not installed")
controller = pytest.importorskip("aiosmtpd.controller", reason="aiosmtpd, of the extra dev, is not installed")


class Mailbox:
    """What an SMTP server was given. ``answer`` is what it says to a whole message."""

    def __init__(self) -> None:
        self.mails: list[EmailMessage] = []
        self.answer = "250 OK"

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
    with closing(socket.socket()) as probe:
        probe.bind(("127.0.0.1", 0))
        port = int(probe.getsockname()[1])
    smtp = controller.Controller(mailbox, hostname="127.0.0.1", port=port)
    smtp.start()
    try:
        yield f"mailto://127.0.0.1:{port}?from=exporter@example.org&to=me@example.org&mode=insecure"
    finally:
        smtp.stop()


def channel(url: str, **changes: Any) -> AppriseSender:
    config = AppriseChannel(name="team", type="apprise", url=url)
    made = build(config, ChannelContext(clock=lambda: NOW))
    assert isinstance(made, AppriseSender)
    return AppriseSender(config, ChannelContext(clock=lambda: NOW), **changes)


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


class Stuck:
    """What loads of any URL: a service that says nothing before ``release``."""

    def __init__(self) -> None:
        self.release = threading.Event()
        self.calls = 0

    def __call__(self, url: str) -> Stuck:
        return self

    def notify(self, **words: Any) -> bool:
        self.calls += 1
        return self.release.wait(60)


async def test_one_that_hangs_is_left_behind_and_waited_for(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The time is up; its thread is still there, and no second one is started beside it."""
    made, stuck = channel(url, timeout=0.05), Stuck()
    monkeypatch.setattr(module, "_load", stuck)
    try:
        with pytest.raises(TemporaryError) as caught:
            await made.send(outgoing())
        assert caught.value.reason == "timeout"
        with pytest.raises(TemporaryError, match="still busy with the previous message"):
            await made.send(outgoing())
        assert stuck.calls == 1
    finally:
        stuck.release.set()
    (thread,) = [one for one in threading.enumerate() if one.name == "apprise-team"]
    assert thread.daemon
    thread.join(30)
    monkeypatch.setattr(made, "_timeout", 60.0)
    await made.send(outgoing())
    assert stuck.calls == 2


async def test_a_thread_that_told_how_it_went_is_free_though_it_has_not_ended(
    url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    end = threading.Event()

    class Lingering(threading.Thread):
        def run(self) -> None:
            super().run()
            end.wait(60)

    made, service = channel(url), Stuck()
    service.release.set()
    monkeypatch.setattr(module, "_load", service)
    monkeypatch.setattr(threading, "Thread", Lingering)
    try:
        await made.send(outgoing())
        await made.send(outgoing())
    finally:
        end.set()
    assert service.calls == 2


async def test_a_service_that_raises_is_tried_again(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(url: str) -> Any:
        raise ZeroDivisionError(url)

    made = channel(url)
    monkeypatch.setattr(module, "_load", broken)
    with pytest.raises(TemporaryError) as caught:
        await made.send(outgoing())
    assert caught.value.message == "apprise failed with ZeroDivisionError"
    assert str(url) not in "".join(traceback.format_exception(caught.value))


@pytest.mark.parametrize("wrong", [f"nonsense://{SECRET}", SECRET, f"tgram://{SECRET}", "mailto://", " "])
def test_a_url_that_nobody_knows(
    wrong: str, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    caplog.set_level(1)
    with pytest.raises(ConfigError, match="apprise does not know this url") as caught:
        channel(wrong)
    out, err = capfd.readouterr()
    told = "".join(traceback.format_exception(caught.value)) + caplog.text + out + err
    assert SECRET not in told


def test_no_url() -> None:
    with pytest.raises(ConfigError, match="url must be set"):
        build(AppriseChannel(name="team", type="apprise", url_file="/dev/null"), ChannelContext())


async def test_a_url_that_was_changed_to_an_unknown_one(url: str, tmp_path: Path) -> None:
    file = tmp_path / "url"
    file.write_text(url)
    made = build(AppriseChannel(name="team", type="apprise", url_file=str(file)), ChannelContext(clock=lambda: NOW))
    file.write_text(f"nonsense://{SECRET}")
    with pytest.raises(PermanentError, match="apprise does not know this url") as caught:
        await made.send(outgoing())
    assert SECRET not in "".join(traceback.format_exception(caught.value))
    file.unlink()
    with pytest.raises(TemporaryError, match="the channel's url cannot be read"):
        await made.send(outgoing())


async def test_its_log_tells_no_url(url: str, mailbox: Mailbox, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(1)
    mailbox.answer = "550 no"
    with pytest.raises(TemporaryError):
        await channel(f"{url}&name={SECRET}").send(outgoing())
    ours = [record for record in caplog.records if record.name != "mail.log"]  # the server's own
    assert not [record for record in ours if SECRET in record.getMessage()]
    assert not [record for record in ours if record.name.startswith("apprise")]


def test_without_the_extra_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "apprise", None)
    with pytest.raises(ConfigError, match=r'pip install "openclaw-auth-exporter\[apprise\]"'):
        channel("mailto://127.0.0.1")


def test_kinds() -> None:
    assert [
        notify_type(outgoing(alert()).message),
        notify_type(outgoing(alert(severity=Severity.WARNING)).message),
        notify_type(outgoing(alert(severity=Severity.INFO)).message),
        notify_type(outgoing(ended()).message),
        notify_type(outgoing(ended(), other(2)).message),
    ] == ["failure", "warning", "info", "success", "failure"]
