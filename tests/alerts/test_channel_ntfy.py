"""ntfy: exactly the calls that a server with ntfy's rules expects."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Awaitable
from dataclasses import replace
from typing import Any

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import SecretStr

from exporter.alerts.channels import ChannelContext, PermanentError, ReplacesNotifications, TemporaryError, build
from exporter.alerts.channels.ntfy import MAX_JSON, MAX_MESSAGE, NtfySender, encoded
from exporter.alerts.message.text import Text, whole_lines
from exporter.alerts.values import Alert, NotificationReason, SuppressedAlert
from exporter.config import ConfigError
from exporter.config.channels.ntfy import NtfyChannel
from exporter.model import ConditionName, Severity

from .fake_ntfy import FakeNtfy
from .messages import FINGERPRINT, ID, NOW, SECRET, alert, ended, lines_of_a_crowd, other, outgoing

TOPIC = "PLANTED-SECRET-topic"


def channel(server: FakeNtfy, *, config: dict[str, Any] | None = None, **context: Any) -> NtfySender:
    values = {"name": "phone", "type": "ntfy", "url": "http://ntfy.test", "topic": TOPIC, **(config or {})}
    made = build(NtfyChannel(**values), ChannelContext(transport=server.transport, clock=lambda: NOW, **context))
    assert isinstance(made, NtfySender)
    made.min_gap = 0.0
    return made


@pytest.fixture
def server() -> FakeNtfy:
    return FakeNtfy(now=NOW)


async def test_one_alert_is_one_request_to_the_root(server: FakeNtfy) -> None:
    await channel(server).send(outgoing())

    assert server.calls == [("POST", "/")]
    (sent,) = server.published
    body = sent.pop("message")
    assert sent == {
        "id": "m00000000000",
        "topic": TOPIC,
        "title": "anthropic:default has expired on home",
        "priority": 5,
        "tags": ["rotating_light", "critical", "first", "expired"],
        "sequence_id": FINGERPRINT,
    }
    assert "claude setup-token" in body
    assert "openclaw models auth paste-token --provider anthropic" in body


async def test_button_is_published_to_a_topic_of_its_own(server: FakeNtfy) -> None:
    await channel(server).ask(outgoing(), "I see it")
    (sent,) = server.published
    assert sent["actions"] == [
        {
            "action": "http",
            "label": "I see it",
            "url": f"http://ntfy.test/{TOPIC}-pressed",
            "method": "POST",
            "body": ID,
            "clear": True,
        }
    ]


@pytest.mark.parametrize(
    ("body", "was_pressed"), [(f'{{"message":"{ID}"}}', True), ('{"message":"other"}', False), ("", False)]
)
async def test_press_is_a_message_with_the_id(body: str, was_pressed: bool) -> None:
    asked = []

    def answer(request: httpx.Request) -> httpx.Response:
        asked.append((request.method, request.url.raw_path.decode()))
        return httpx.Response(200, text=body)

    config = NtfyChannel.model_validate({"name": "phone", "type": "ntfy", "url": "http://ntfy.test", "topic": TOPIC})
    phone = build(config, ChannelContext(transport=httpx.MockTransport(answer)))
    assert isinstance(phone, NtfySender)
    assert await phone.was_pressed(outgoing()) is was_pressed
    assert asked == [("GET", f"/{TOPIC}-pressed/json?poll=1&since=10m")]


async def test_alert_keeps_one_notification(server: FakeNtfy) -> None:
    phone = channel(server)
    for alerts in (alert(reason=NotificationReason.FIRST), alert(reason=NotificationReason.REPEAT), ended()):
        await phone.send(outgoing(alerts))
    assert [(name, shown["tags"][0]) for name, shown in server.phone.items()] == [(FINGERPRINT, "white_check_mark")]


async def test_notification_is_shown_again_without_a_sound_and_withdrawn(server: FakeNtfy) -> None:
    phone = channel(server)
    await phone.show(FINGERPRINT, outgoing(other(1), other(2)).message, quietly=True)
    assert [(name, shown["priority"]) for name, shown in server.phone.items()] == [(FINGERPRINT, 2)]
    await phone.withdraw(FINGERPRINT)
    assert server.phone == {}


async def test_server_that_cannot_replace_is_sent_nothing_quietly(server: FakeNtfy) -> None:
    server.replaces = False
    phone = channel(server)
    await phone.show(FINGERPRINT, outgoing().message, quietly=True)
    await phone.withdraw(FINGERPRINT)
    assert (server.published, server.calls) == ([], [("DELETE", f"/{TOPIC}/{FINGERPRINT}")])


async def test_two_changes_of_a_notification_have_different_seconds(server: FakeNtfy) -> None:
    """Of two in the same second, a phone that was offline shows the first."""
    phone = channel(server)
    phone.min_gap = 0.05
    at: list[float] = []

    async def change(work: Awaitable[None]) -> None:
        await work
        at.append(time.monotonic())

    await change(phone.send(outgoing()))
    await change(phone.send(outgoing(other(1))))  # another notification waits for nothing
    await change(phone.withdraw(FINGERPRINT))
    assert at[2] - at[0] >= 0.05


async def test_group_is_replaced_only_by_another_try_of_itself(server: FakeNtfy) -> None:
    phone = channel(server)
    await phone.send(outgoing(other(1), other(2)))
    await phone.send(outgoing(other(1), other(2)))
    await phone.send(outgoing(ended(), other(2), id="01JD0000000000000000000001"))
    assert list(server.phone) == [ID, "01JD0000000000000000000001"]


@pytest.mark.parametrize(
    ("alerts", "priority", "tags"),
    [
        ([alert()], 5, ["rotating_light", "critical", "first", "expired"]),
        ([alert(reason=NotificationReason.ESCALATED)], 5, ["rotating_light", "critical", "escalated", "expired"]),
        ([alert(reason=NotificationReason.REPEAT)], 4, ["rotating_light", "critical", "repeat", "expired"]),
        (
            [alert(condition=ConditionName.EXPIRING, severity=Severity.WARNING, reason=NotificationReason.REMINDER)],
            3,
            ["warning", "warning", "reminder", "expiring"],
        ),
        (
            [alert(condition=ConditionName.UNDATED, severity=Severity.INFO)],
            2,
            ["information_source", "info", "first", "undated"],
        ),
        ([ended()], 2, ["white_check_mark", "resolved"]),
        ([ended(NotificationReason.RENEWED)], 2, ["white_check_mark", "renewed"]),
        ([alert(reason=NotificationReason.TEST, severity=Severity.INFO)], 3, ["test_tube", "test"]),
        (
            [ended(), other(2, severity=Severity.WARNING, condition=ConditionName.UNUSABLE)],
            3,
            ["warning", "warning", "first", "unusable"],
        ),
    ],
)
async def test_priority_and_tags(server: FakeNtfy, alerts: list[Alert], priority: int, tags: list[str]) -> None:
    await channel(server).send(outgoing(*alerts))
    assert (server.published[0]["priority"], server.published[0]["tags"]) == (priority, tags)


async def test_summary_has_a_low_priority(server: FakeNtfy) -> None:
    gone = SuppressedAlert(
        FINGERPRINT,
        ConditionName.EXPIRED,
        Severity.CRITICAL,
        "home",
        ("main",),
        "anthropic",
        "anthropic:default",
        NOW,
        NOW,
    )
    message = replace(outgoing().message, alerts=(), suppressed=(gone,))
    await channel(server).send(replace(outgoing(), message=message))
    assert (server.published[0]["priority"], server.published[0]["tags"]) == (2, ["moon", "summary"])


async def test_message_opens_the_status_page_and_has_buttons(server: FakeNtfy) -> None:
    def links(action: str, about: Alert, channel: str) -> str:
        return f"https://status.test/a/{action}-{channel}-{about.fingerprint[:4]}"

    phone = channel(server, external_url="https://status.test/", links=links)
    await phone.send(outgoing())
    await phone.send(outgoing(ended()))
    await phone.send(outgoing(other(1), other(2)))
    await phone.send(outgoing(alert(reason=NotificationReason.TEST, severity=Severity.INFO)))

    first, over, group, test = server.published
    assert first["actions"] == [
        {"action": "view", "label": "Renew", "url": "https://status.test/a/renew-phone-0123"},
        {"action": "view", "label": "Acknowledge", "url": "https://status.test/a/acknowledge-phone-0123"},
        {"action": "view", "label": "Silence", "url": "https://status.test/a/silence-phone-0123"},
    ]
    # A test can be acknowledged; there is nothing to silence.
    assert [action["label"] for action in test["actions"]] == ["Acknowledge"]
    assert first["click"] == "https://status.test/"
    assert "https://status.test/" in first["message"]
    # A link is for one action on one firing alert.
    assert "actions" not in over
    # In a group, each critical alert can be acknowledged.
    assert [(action["label"], action["url"][-4:]) for action in group["actions"]] == [
        ("Acknowledge anthropic:1 on home", "0000"),
        ("Acknowledge anthropic:2 on home", "0000"),
    ]


async def test_message_without_links_has_no_buttons(server: FakeNtfy) -> None:
    await channel(server).send(outgoing())
    assert not server.published[0].keys() & {"actions", "click"}


async def test_large_message_is_cut_and_does_not_become_an_attachment(server: FakeNtfy) -> None:
    remedy = tuple(f"openclaw models auth {'x' * 1500} # {number}" for number in range(9))
    await channel(server).send(outgoing(alert(remedy=remedy)))
    (sent,) = server.published
    assert "attachment" not in sent
    assert sent["message"].splitlines()[-1].startswith("… (shortened")
    assert 2000 < len(sent["message"].encode()) <= MAX_MESSAGE


async def test_nothing_is_cut_inside_a_name(server: FakeNtfy) -> None:
    crowd, lines = lines_of_a_crowd()
    await channel(server).send(crowd)
    *shown, last = server.published[0]["message"].splitlines()
    assert MAX_MESSAGE - 400 < len(server.published[0]["message"].encode()) <= MAX_MESSAGE
    assert set(shown) <= lines
    assert last.startswith("… and ")


@given(
    st.one_of(
        st.text(max_size=5000),
        st.text(st.sampled_from('\n"\\\x01\ud800💥a'), min_size=3000, max_size=9000),
        st.integers(0, 9000).map(lambda size: "\x01" * size),
    )
)
def test_json_is_within_its_limit(body: str) -> None:
    fields = {"topic": "t", "click": "u" * 300}
    whole = encoded(fields, lambda limit: Text("T" * 60, whole_lines(body, limit)))
    assert len(whole) <= MAX_JSON
    sent = json.loads(whole)["message"]
    assert len(sent.encode()) <= MAX_MESSAGE
    assert not body or sent


async def test_token_is_only_in_the_header(server: FakeNtfy) -> None:
    server.token = SECRET
    await channel(server, config={"token": SECRET}).send(outgoing())
    assert SECRET not in json.dumps(server.published)

    with pytest.raises(PermanentError) as wrong:
        await channel(server, config={"token": "PLANTED-SECRET-wrong"}).send(outgoing())
    assert (wrong.value.reason, str(wrong.value)) == (
        "unauthorized",
        "unauthorized: answered 401: the credentials are not accepted; check the token",
    )
    with pytest.raises(PermanentError, match="answered 403"):
        await channel(server).send(outgoing())


async def test_rotated_token_and_topic_are_used(server: FakeNtfy, tmp_path: Any) -> None:
    token, topic = tmp_path / "token", tmp_path / "topic"
    token.write_text("one\n")
    topic.write_text("first\n")
    server.token = "one"
    phone = channel(server, config={"token_file": str(token), "topic": None, "topic_file": str(topic)})
    await phone.send(outgoing())
    server.token = "two"
    token.write_text("two\n")
    topic.write_text("second\n")
    await phone.send(outgoing())
    assert [sent["topic"] for sent in server.published] == ["first", "second"]

    topic.unlink()
    with pytest.raises(TemporaryError, match="the channel's topic cannot be read"):
        await phone.send(outgoing())
    topic.write_text("PLANTED SECRET")
    with pytest.raises(PermanentError, match="topic can only contain letters") as wrong:
        await phone.send(outgoing())
    assert "PLANTED" not in str(wrong.value)


async def test_too_many_requests_are_followed_by_a_pause(server: FakeNtfy) -> None:
    server.burst = 0
    with pytest.raises(TemporaryError) as limited:
        await channel(server).send(outgoing())
    assert limited.value.retry_after is not None
    assert limited.value.retry_after >= 5


async def test_web_page_is_not_a_delivery() -> None:
    def portal(request: httpx.Request) -> httpx.Response:
        return httpx.Response(200, html="<h1>Welcome to the hotel</h1>")

    config = NtfyChannel(name="phone", type="ntfy", topic=TOPIC)
    with pytest.raises(TemporaryError, match="a web page answered, not ntfy"):
        await NtfySender(config, ChannelContext(transport=httpx.MockTransport(portal))).send(outgoing())


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"url": f"https://ntfy.test/{TOPIC}"}, "url must be the server alone"),
        ({"url": f"https://ntfy.test/ntfy/{TOPIC}/"}, "url must be the server alone"),
        ({"url": "https://ntfy.sh/PLANTED-SECRET"}, "url must be the server alone"),
        ({"url": "https://ntfy.test/?auth=PLANTED-SECRET"}, "url must be the server's address"),
        ({"url": "https://ntfy.test/ntfy#PLANTED-SECRET"}, "url must be the server's address"),
        ({"url": "PLANTED-SECRET"}, "url must be the server's address"),
        ({"url": "https://[PLANTED-SECRET"}, "url must be the server's address"),
        ({"topic": None, "topic_file": "/dev/null"}, "topic must be set"),
        ({"topic": "PLANTED SECRET"}, "topic can only contain letters"),
        ({"topic": "PLANTED-SECRET" * 10}, "topic can only contain letters"),
    ],
)
def test_invalid_configuration_is_reported_without_its_value(changes: dict[str, Any], problem: str) -> None:
    with pytest.raises(ConfigError, match=problem) as error:
        channel(FakeNtfy(), config=changes)
    assert "PLANTED" not in str(error.value)


@pytest.mark.parametrize("url", ["https://host.test/ntfy", "https://host.test/ntfy/"])
async def test_server_behind_a_proxy_may_have_a_path(url: str) -> None:
    seen: list[tuple[str, str]] = []

    def answer(request: httpx.Request) -> httpx.Response:
        seen.append((request.method, str(request.url)))
        return httpx.Response(200, json={})

    config = NtfyChannel(name="phone", type="ntfy", url=SecretStr(url), topic=SecretStr("topic"))
    phone = build(config, ChannelContext(transport=httpx.MockTransport(answer)))
    assert isinstance(phone, ReplacesNotifications)
    await phone.send(outgoing())
    await phone.withdraw("other")
    assert seen == [("POST", "https://host.test/ntfy/"), ("DELETE", "https://host.test/ntfy/topic/other")]


def test_public_server_is_the_default() -> None:
    seen: list[str] = []

    def answer(request: httpx.Request) -> httpx.Response:
        seen.append(str(request.url))
        return httpx.Response(200, json={})

    config = NtfyChannel(name="phone", type="ntfy", topic=TOPIC)
    asyncio.run(NtfySender(config, ChannelContext(transport=httpx.MockTransport(answer))).send(outgoing()))
    assert seen == ["https://ntfy.sh/"]
