"""Names and texts from outside forge no line of a message, and no control character reaches a channel's reader."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pytest

from alerts.worlds import HOUR, NOW
from exporter.alerts.channels import ChannelContext
from exporter.alerts.channels.alertmanager import annotations_of
from exporter.alerts.channels.command import _environment
from exporter.alerts.channels.openclaw import OpenClawSender
from exporter.alerts.channels.termux import TermuxSender
from exporter.alerts.channels.webhook import body_of
from exporter.alerts.message import text
from exporter.alerts.values import AgentNote, Alert, Message, NotificationReason, QueuedMessage, SuppressedAlert
from exporter.config.channels.openclaw import OpenClawChannel
from exporter.config.channels.termux import TermuxChannel
from exporter.model import ConditionName, Severity

HOSTILE = "evil\r\nFORGED: all is well\x1b]0;x\x07\x1b[2K\u202e\u2028\x85\x9b31m\x00;\r\nFORGED"


def hostile(condition: ConditionName, reason: NotificationReason) -> Alert:
    return Alert(
        fingerprint="f" * 32,
        reason=reason,
        family=condition.family,
        condition=condition,
        severity=Severity.CRITICAL,
        target=HOSTILE,
        agents=(HOSTILE, HOSTILE + "2"),
        provider=HOSTILE,
        profile=HOSTILE,
        since=NOW - HOUR,
        deadline=NOW + HOUR,
        seen_at=NOW - HOUR,
        ended_at=NOW if reason.ends else None,
        cause=HOSTILE,
        summary=HOSTILE,
        remedy=(HOSTILE, f"openclaw {HOSTILE}"),
        exporter=HOSTILE,
        times=3,
        notes=(AgentNote(HOSTILE, condition, NOW + HOUR),),
        new_agents=(HOSTILE,),
    )


def messages() -> Iterator[Message]:
    alerts = [hostile(condition, reason) for condition in ConditionName for reason in NotificationReason]
    suppressed = SuppressedAlert(
        "f",
        ConditionName.EXPIRED,
        Severity.CRITICAL,
        HOSTILE,
        (HOSTILE,),
        HOSTILE,
        HOSTILE,
        NOW - HOUR,
        NOW,
        2,
        HOSTILE,
    )
    yield from (Message("phone", NOW, (alert,), (suppressed,)) for alert in alerts)
    for reason in NotificationReason:
        group = [replace(one, fingerprint=str(at)) for at, one in enumerate(alerts) if one.reason is reason]
        yield Message("phone", NOW, tuple(group))
    yield Message("phone", NOW, (), (suppressed,))
    yield Message("phone", NOW, (), (suppressed,) * 20)


MESSAGES = list(messages())


def lines_are_clean(shown: str) -> bool:
    return all(line.isprintable() and not line.lstrip().startswith("FORGED") for line in shown.split("\n"))


@pytest.mark.parametrize("limit", [text.LIMIT, 300])
def test_titles_and_texts_are_clean(limit: int) -> None:
    for message in MESSAGES:
        shown = text.render(message, NOW, link="https://status.example", limit=limit)
        assert shown.title.isprintable(), message
        assert lines_are_clean(shown.body), message


def test_every_channel_shows_clean_lines() -> None:
    context = ChannelContext()
    openclaw = OpenClawSender(OpenClawChannel(type="openclaw", name="chat", channel="telegram", recipient="1"), context)
    termux = TermuxSender(TermuxChannel(type="termux", name="phone"), context)
    for message in MESSAGES:
        outgoing = QueuedMessage("id", message)
        body = body_of(outgoing, context, termux.config)
        words = [*openclaw.arguments(outgoing), *termux.arguments("id", message), body["title"], body["text"]]
        words += [value for alert in message.alerts for value in annotations_of(alert).values()]
        environment = _environment(body)
        words += [environment["OPENCLAW_AUTH_ALERT_TITLE"], environment["OPENCLAW_AUTH_ALERT_BODY"]]
        assert all(map(lines_are_clean, words)), message
        assert all("\x00" not in value for value in environment.values())
