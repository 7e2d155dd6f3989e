"""Messages that ntfy delivers later: scheduled, replaced, cancelled and withdrawn."""

from __future__ import annotations

from collections.abc import Collection

import httpx
import pytest
from pydantic import SecretStr

from exporter.alerts.channels import ChannelContext, ScheduledMessage, SchedulesMessages, TemporaryError, build
from exporter.alerts.channels.ntfy import MAX_DELAY, PAUSE, QUOTA_PAUSE, NtfySender
from exporter.alerts.delivery.scheduled_messages import synchronize
from exporter.config.channels.ntfy import NtfyChannel
from exporter.model import ConditionName, Severity

from .fake_ntfy import FakeNtfy
from .messages import DAY, NOW, other, outgoing
from .test_channel_ntfy import TOPIC, channel


@pytest.fixture
def server() -> FakeNtfy:
    return FakeNtfy(now=NOW)


GRACE = 900.0


def due(number: int, deadline: float, severity: Severity = Severity.CRITICAL) -> ScheduledMessage:
    one = other(number, condition=ConditionName.EXPIRED, severity=severity, since=deadline, deadline=deadline)
    return ScheduledMessage(one, deadline + GRACE)


async def update(
    phone: NtfySender,
    wanted: list[ScheduledMessage],
    scheduled: dict[str, float],
    now: float,
    needed: Collection[str] = (),
) -> None:
    """Bring the server in line with ``wanted``; ``scheduled`` is what is stored between two calls."""

    async def record(name: str, deliver_at: float | None) -> None:
        if deliver_at is None:
            del scheduled[name]
        else:
            scheduled[name] = deliver_at

    await synchronize(phone, wanted, needed, dict(scheduled), record, now)


async def test_scheduled_message_is_delivered_when_the_exporter_is_down(server: FakeNtfy) -> None:
    scheduled: dict[str, float] = {}
    deadline = NOW + DAY
    phone = channel(server)
    assert isinstance(phone, SchedulesMessages)
    assert phone.max_delay == MAX_DELAY
    await update(phone, [due(1, deadline), due(2, deadline, Severity.WARNING)], scheduled, NOW)

    assert scheduled == {f"d-{1:032x}": deadline + GRACE, f"d-{2:032x}": deadline + GRACE}
    assert server.phone == {}
    server.deliver_delayed(deadline + GRACE)
    delivered, other_one = server.phone.values()
    assert delivered["title"] == "anthropic:1 has expired on home"
    assert (delivered["priority"], other_one["priority"]) == (5, 3)
    assert "(15 min ago)" in delivered["message"]
    assert "Scheduled in advance" in delivered["message"]
    assert "claude setup-token" in delivered["message"]


async def test_scheduled_message_is_replaced_and_cancelled(server: FakeNtfy) -> None:
    scheduled: dict[str, float] = {}
    phone = channel(server)
    await update(phone, [due(1, NOW + DAY), due(2, NOW + DAY)], scheduled, NOW)
    calls = len(server.calls)
    await update(phone, [due(1, NOW + DAY), due(2, NOW + DAY)], scheduled, NOW + 60)
    assert len(server.calls) == calls  # nothing new

    # 1 got a later date, 2 is gone; the daemon was restarted in between.
    phone = channel(server)
    await update(phone, [due(1, NOW + 2 * DAY)], scheduled, NOW + 120)
    assert scheduled == {f"d-{1:032x}": NOW + 2 * DAY + GRACE}
    assert [(one["sequence_id"], float(one["delay"])) for one in server.delayed] == list(scheduled.items())


async def test_delivered_message_is_withdrawn_once_it_is_not_needed(server: FakeNtfy) -> None:
    scheduled: dict[str, float] = {}
    phone = channel(server)
    await update(phone, [due(1, NOW + 3600), due(2, NOW + DAY)], scheduled, NOW)
    server.deliver_delayed(NOW + 3600 + GRACE)
    # The exporter was down. It holds, and the channel has not been notified of it yet.
    after = NOW + 3600 + GRACE + 1
    await update(phone, [], scheduled, after, needed=[f"d-{1:032x}"])
    assert (list(scheduled), server.delayed, list(server.phone)) == ([f"d-{1:032x}"], [], [f"d-{1:032x}"])
    await update(phone, [], scheduled, after)
    assert (scheduled, server.delayed, server.phone) == ({}, [], {})


async def test_server_that_cannot_cancel_is_sent_no_scheduled_message(server: FakeNtfy) -> None:
    server.replaces = False
    scheduled: dict[str, float] = {}
    await update(channel(server), [due(1, NOW + DAY)], scheduled, NOW)
    assert (scheduled, server.published) == ({}, [])
    assert server.calls == [("DELETE", f"/{TOPIC}/d-{1:032x}")]


async def test_interrupted_scheduling_is_continued(server: FakeNtfy) -> None:
    scheduled: dict[str, float] = {}
    server.burst = 3
    with pytest.raises(TemporaryError):
        await update(channel(server), [due(1, NOW + DAY), due(2, NOW + DAY), due(3, NOW + DAY)], scheduled, NOW)
    assert scheduled == {f"d-{1:032x}": NOW + DAY + GRACE, f"d-{2:032x}": NOW + DAY + GRACE, f"d-{3:032x}": 0.0}

    server.burst = 99
    await update(channel(server), [due(3, NOW + DAY)], scheduled, NOW)
    assert scheduled == {f"d-{3:032x}": NOW + DAY + GRACE}
    assert [one["sequence_id"] for one in server.delayed] == [f"d-{3:032x}"]


async def test_quota_of_the_day_costs_few_tries_and_no_message() -> None:
    now, is_open, tried = NOW, False, []

    def answer(request: httpx.Request) -> httpx.Response:
        tried.append(now)
        refusal = {"code": 42908, "http": 429, "error": "limit reached: daily message quota reached"}
        return httpx.Response(200) if is_open else httpx.Response(429, json=refusal)

    config = NtfyChannel(name="phone", type="ntfy", topic=SecretStr("t"))
    sender = build(config, ChannelContext(transport=httpx.MockTransport(answer), clock=lambda: now))
    assert isinstance(sender, NtfySender)
    sender.min_gap = 0.0
    for _ in range(100):
        with pytest.raises(TemporaryError, match="429: too many requests \\(the server says: limit reached") as limited:
            await sender.send(outgoing())
        assert limited.value.retry_after is not None
        before, now = now, now + limited.value.retry_after
        if now // DAY > before // DAY:
            break
    assert now % DAY == PAUSE  # the next try is right after midnight UTC
    assert len(tried) <= 24 + 4
    is_open = True
    await sender.send(outgoing())
    is_open = False
    with pytest.raises(TemporaryError) as again:
        await sender.send(outgoing())
    assert again.value.retry_after == QUOTA_PAUSE
