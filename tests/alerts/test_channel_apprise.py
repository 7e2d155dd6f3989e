"""apprise: a real SMTP server receives the mail, and no URL is logged."""

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

# Some of its plugins import modules that Python 3.13 no longer has. That is not an error in the daemon.
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")

pytest.importorskip("apprise", reason="the extra apprise is not installed")
controller = pytest.importorskip("aiosmtpd.controller", reason="aiosmtpd, of the extra dev, is not installed")


class Mailbox:
    """The mails that an SMTP server received. ``answer`` is its answer to a complete message."""

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


async def test_mail_arrives(mailbox: Mailbox, url: str) -> None:
    await channel(url).send(outgoing(alert(summary="größer <b>als</b> 1 & 2")))
    (mail,) = mailbox.mails
    assert mail["Subject"] == "anthropic:default has expired on home"
    assert (mail["To"], "exporter@example.org" in mail["From"]) == ("me@example.org", True)
    body = mail.get_body(("plain", "html"))
    assert body is not None
    text = body.get_content()
    assert "claude setup-token" in text


async def test_mail_that_the_server_refuses_is_retried(mailbox: Mailbox, url: str) -> None:
    mailbox.answer = f"451 {SECRET}"
    with pytest.raises(TemporaryError) as caught:
        await channel(url).send(outgoing())
    assert (caught.value.reason, caught.value.retry_after) == ("other", None)
    assert SECRET not in str(caught.value)
    mailbox.answer = "250 OK"
    await channel(url).send(outgoing())
    assert len(mailbox.mails) == 1


class Stuck:
    """Stands in for the loading of a URL: a service that does not answer before ``release``."""

    def __init__(self) -> None:
        self.release = threading.Event()
        self.calls = 0

    def __call__(self, url: str) -> Stuck:
        return self

    def notify(self, **words: Any) -> bool:
        self.calls += 1
        return self.release.wait(60)


async def test_hanging_service_times_out_and_is_not_started_twice(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its thread still runs after the timeout, and no second one is started."""
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
    monkeypatch.setattr(made, "timeout", 60.0)
    await made.send(outgoing())
    assert stuck.calls == 2


async def test_thread_that_has_reported_does_not_block_the_next_message(
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


async def test_service_that_raises_is_retried(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(url: str) -> Any:
        raise ZeroDivisionError(url)

    made = channel(url)
    monkeypatch.setattr(module, "_load", broken)
    with pytest.raises(TemporaryError) as caught:
        await made.send(outgoing())
    assert caught.value.message == "apprise failed with ZeroDivisionError"
    assert str(url) not in "".join(traceback.format_exception(caught.value))


@pytest.mark.parametrize("wrong", [f"nonsense://{SECRET}", SECRET, f"tgram://{SECRET}", "mailto://", " "])
def test_unknown_url_is_a_configuration_error(
    wrong: str, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    caplog.set_level(1)
    with pytest.raises(ConfigError, match="apprise does not know this url") as caught:
        channel(wrong)
    out, err = capfd.readouterr()
    shown = "".join(traceback.format_exception(caught.value)) + caplog.text + out + err
    assert SECRET not in shown


def test_missing_url_is_a_configuration_error() -> None:
    with pytest.raises(ConfigError, match="url must be set"):
        build(AppriseChannel(name="team", type="apprise", url_file="/dev/null"), ChannelContext())


async def test_url_that_was_changed_to_an_unknown_one_is_permanent(url: str, tmp_path: Path) -> None:
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


async def test_log_contains_no_url(url: str, mailbox: Mailbox, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(1)
    mailbox.answer = "550 no"
    with pytest.raises(TemporaryError):
        await channel(f"{url}&name={SECRET}").send(outgoing())
    ours = [record for record in caplog.records if record.name != "mail.log"]  # the server's own
    assert not [record for record in ours if SECRET in record.getMessage()]
    assert not [record for record in ours if record.name.startswith("apprise")]


def test_missing_extra_names_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "apprise", None)
    with pytest.raises(ConfigError, match=r'pip install "openclaw-auth-exporter\[apprise\]"'):
        channel("mailto://127.0.0.1")


def test_notify_types() -> None:
    assert [
        notify_type(outgoing(alert()).message),
        notify_type(outgoing(alert(severity=Severity.WARNING)).message),
        notify_type(outgoing(alert(severity=Severity.INFO)).message),
        notify_type(outgoing(ended()).message),
        notify_type(outgoing(ended(), other(2)).message),
    ] == ["failure", "warning", "info", "success", "failure"]
