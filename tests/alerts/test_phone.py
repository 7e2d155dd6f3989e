"""A phone shows exactly the alerts that hold, each once, whatever their groups, and whatever failed or was killed."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import httpx
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from pydantic import SecretStr

from exporter.alerts.channels import ChannelContext, build
from exporter.alerts.channels.ntfy import NtfySender
from exporter.alerts.delivery.outbox import Outbox
from exporter.alerts.delivery.phone import END_STAYS, SUMMARY_STAYS, left_of, shown_by
from exporter.alerts.delivery.worker import ChannelWorker
from exporter.alerts.lifecycle.policy import ChannelPolicy
from exporter.alerts.message.text import Text
from exporter.alerts.values import Alert, AlertState, AlertSubject, Message, NotificationReason, SuppressedAlert
from exporter.config import ChannelBase
from exporter.config.channels.ntfy import NtfyChannel
from exporter.model import ConditionName, Severity

from . import worlds
from .fake_ntfy import Event, FakeNtfy, after_polling
from .messages import NOW, alert, ended, other

FIRST, REPEAT, RESOLVED = NotificationReason.FIRST, NotificationReason.REPEAT, NotificationReason.RESOLVED
HOUR = 3600.0


class Killed(BaseException):
    """The process is killed here."""


@dataclass(frozen=True)
class Plain(ChannelContext):
    """Renders a message as JSON: of each alert its number, its version and its reason."""

    def render(self, channel: ChannelBase, message: Message, **options: Any) -> Text:
        about = [(int(one.fingerprint, 16), one.since, one.reason) for one in message.alerts]
        return Text("title", json.dumps(about))


@dataclass
class Home:
    """An exporter with one ntfy channel, a clock, and alerts with numbers. ``holds``: number to its latest version."""

    server: FakeNtfy = field(default_factory=lambda: FakeNtfy(now=NOW, burst=100_000))
    faults: list[str] = field(default_factory=list)  # of the next requests
    holds: dict[int, int] = field(default_factory=dict)
    states: set[int] = field(default_factory=set)  # alerts that have a state, which some that no longer hold have too
    version: int = 0

    def __post_init__(self) -> None:
        self.now = NOW
        self.outbox = Outbox(None, lambda: self.now)
        self.worker = self._worker()

    def _worker(self) -> ChannelWorker:
        config = NtfyChannel(name="phone", type="ntfy", url=SecretStr("http://ntfy.test"), topic=SecretStr("t"))
        context = Plain(transport=httpx.MockTransport(self._answer), clock=lambda: self.now)
        channel = build(config, context)
        assert isinstance(channel, NtfySender)
        channel.min_gap = 0.0  # the server's clock goes on with each request
        return ChannelWorker(self.outbox, channel, lambda: self.now, lambda: 1.0)

    def _answer(self, request: httpx.Request) -> httpx.Response:
        self.server.now += 1
        fault = self.faults.pop(0) if self.faults else ""
        if fault == "refused":
            return httpx.Response(503)
        answer = self.server(request)
        if fault == "no answer":
            raise httpx.ReadTimeout("")
        if fault == "killed":
            raise Killed
        return answer

    def send(self, *alerts: Alert, withdrawn: Iterable[int] = (), suppressed: tuple[SuppressedAlert, ...] = ()) -> None:
        """Commit a message together with the states."""
        names = tuple(f"{number:032x}" for number in withdrawn)
        content = Message("phone", self.now, alerts, suppressed, names)
        has_content = alerts or suppressed or names
        self.outbox.commit(self._states(), [content] if has_content else [], self.now)

    def _states(self) -> dict[str, AlertState]:
        return {
            str(number): AlertState(
                key=str(number),
                fingerprint=f"{number:032x}",
                subject=AlertSubject("home", "anthropic", f"anthropic:{number}", "deadline"),
                condition=ConditionName.EXPIRED,
                severity=Severity.CRITICAL,
                agents=("main",),
                started_at=NOW,
                since=NOW,
                worsened_at=NOW,
            )
            for number in self.states
        }

    def tell(self, number: int, reason: NotificationReason) -> Alert:
        """The next version of an alert, as a message has it."""
        self.version += 1
        self.states.add(number)
        if reason.ends:
            del self.holds[number]
        else:
            self.holds[number] = self.version
        return other(number, reason=reason, since=float(self.version))

    def deliver(self) -> None:
        try:
            asyncio.run(self.worker.flush())
        except Killed:
            self.worker = self._worker()

    def recover(self) -> None:
        """Let every failed attempt be repeated, and every end be seen."""
        self.faults.clear()
        for _ in range(8):
            self.deliver()
            self.now += 700.0
        self.now += END_STAYS
        self.deliver()

    def shown(self, phone: dict[str, Event]) -> list[tuple[int, int]]:
        """Number and version of each alert that a phone shows as firing. No notification has ends alone."""
        found = []
        for event in phone.values():
            alerts = json.loads(event["message"])
            assert any(reason != "resolved" for _, _, reason in alerts)
            assert not {number for number, _, reason in alerts if reason == "resolved"} & self.holds.keys()
            found += [(number, int(version)) for number, version, reason in alerts if reason != "resolved"]
        return sorted(found)

    def assert_true(self) -> None:
        """A phone shows each alert that holds once, as it was last reported, whether or not it was offline."""
        expected = sorted(self.holds.items())
        assert self.shown(self.server.phone) == expected
        assert self.shown(after_polling(self.server.events)) == expected


Step = tuple[str, Any]
NUMBERS = st.integers(1, 5)
GROUP: Step = ("message", {1: True, 2: True})
STEPS = st.one_of(
    st.tuples(st.just("message"), st.dictionaries(NUMBERS, st.booleans(), min_size=1)),
    st.tuples(st.just("message"), st.dictionaries(NUMBERS, st.just(True), min_size=1, max_size=1)),
    st.tuples(st.just("withdraw"), st.sets(NUMBERS, min_size=1)),
    st.tuples(st.just("vanish"), NUMBERS),
    st.tuples(st.just("faults"), st.lists(st.sampled_from(["refused", "no answer", "killed"]), min_size=1, max_size=3)),
    st.tuples(st.just("wait"), st.sampled_from([1.0, 30.0, HOUR])),
)


def run(home: Home, step: Step) -> None:
    kind, value = step
    if kind == "message":
        told = []
        for number, goes_on in value.items():
            if number not in home.holds:
                told.append(home.tell(number, FIRST))
            else:
                told.append(home.tell(number, REPEAT if goes_on else RESOLVED))
        home.send(*told)
    elif kind == "withdraw":
        gone = value & home.holds.keys()
        for number in gone:
            del home.holds[number]
        home.send(withdrawn=gone)
    elif kind == "vanish":
        home.holds.pop(value, None)
        home.states.discard(value)
        home.send()
    elif kind == "faults":
        home.faults += value
    else:
        home.now += value
    home.deliver()


@given(st.lists(STEPS, max_size=14))
@example([("message", {1: True, 2: True}), ("message", {1: True}), ("message", {2: False})])
@example([("message", {1: True}), ("message", {1: True, 2: True}), ("withdraw", {1})])
@example([("message", {1: True, 2: True, 3: True}), ("faults", ["killed"]), ("message", {1: True}), ("vanish", 2)])
@example([("faults", ["refused"]), ("message", {1: True}), ("withdraw", {1})])
# A group that was published without an answer, and superseded before its next try.
@example([GROUP, ("faults", ["no answer"]), GROUP, ("message", {1: True}), ("message", {2: True})])
def test_phone_shows_exactly_the_alerts_that_hold(steps: list[Step]) -> None:
    home = Home()
    for step in steps:
        run(home, step)
    home.recover()
    home.assert_true()


def test_single_credential_has_one_notification_from_expiring_to_renewed() -> None:
    home, life = Home(), worlds.Life(worlds.policy(ChannelPolicy("phone", can_withdraw=True)))
    token, renewed = (
        worlds.P(ends=worlds.NOW + 2 * HOUR),
        worlds.P(ends=worlds.NOW + 90 * worlds.DAY, secret="secret-2"),
    )
    counts = []
    for after, profile in (
        (0, token),
        (HOUR + 1, token),
        (2 * HOUR + 1, token),
        (4 * HOUR, renewed),
        (6 * HOUR, renewed),
    ):
        home.now = worlds.NOW + after
        sent = len(life.messages)
        life.at(home.now, worlds.world(profile))
        home.outbox.commit(life.states, life.messages[sent:], home.now)
        home.deliver()
        counts.append(len(home.server.phone))
    assert counts == [1, 1, 1, 1, 0]
    assert len(life.messages) == 4


def test_group_that_lost_an_alert_is_shown_again_without_a_sound() -> None:
    home = Home()
    run(home, ("message", {1: True, 2: True}))
    run(home, ("message", {1: True}))
    home.assert_true()
    priorities = [(event["sequence_id"], event["priority"]) for event in home.server.phone.values()]
    assert [priority for _, priority in priorities] == [4, 2]


def test_message_that_withdraws_what_is_not_shown_sends_nothing() -> None:
    home = Home()
    home.send(withdrawn=[1])
    home.deliver()
    assert home.server.calls == []
    assert home.outbox.statistics()["phone"].pending == 0


def test_withdrawal_that_fails_is_tried_again_and_repeats_no_message() -> None:
    home = Home()
    run(home, ("message", {1: True, 2: True}))
    home.faults = ["", "refused", "refused"]
    run(home, ("message", {1: True, 2: True}))  # the new group was sent; the old one could not be withdrawn
    assert len(home.server.phone) == 2
    run(home, ("wait", 1.0))
    assert len(home.server.calls) == 2, "not tried again at once"
    run(home, ("wait", 30.0))
    run(home, ("wait", 30.0))
    home.assert_true()
    assert [method for method, _ in home.server.calls] == ["POST", "POST", "DELETE"]
    assert home.outbox.statistics()["phone"].failures == {"http_error": 2}


def test_end_stays_for_an_hour_and_a_summary_for_half_a_day() -> None:
    home = Home()
    run(home, ("message", {1: True}))
    run(home, ("message", {1: False}))
    line = SuppressedAlert("f", ConditionName.EXPIRED, Severity.INFO, "home", (), None, None, NOW, NOW)
    home.send(suppressed=(line,))
    home.deliver()
    assert len(home.server.phone) == 2
    for after, left in ((END_STAYS, 1), (SUMMARY_STAYS, 0)):
        home.now = NOW + after - 1
        home.deliver()
        assert len(home.server.phone) == left + 1
        home.now = NOW + after
        home.deliver()
        assert len(home.server.phone) == left


def test_server_that_cannot_withdraw_gets_messages_alone() -> None:
    home = Home()
    home.server.replaces = False
    for step in ({1: True, 2: True}, {1: True}, {1: False, 2: False}):
        run(home, ("message", step))
    home.recover()
    assert len(home.server.published) == 3
    assert len(home.server.calls) == 4  # and one that found out


def test_delivered_scheduled_message_goes_when_its_alert_is_notified() -> None:
    home = Home()
    name = f"d-{1:032x}"
    home.outbox.schedule("phone", name, NOW + HOUR)
    run(home, ("message", {1: True}))
    assert home.outbox.scheduled("phone") == {name: NOW + HOUR}  # it is still to come
    home.now += HOUR
    run(home, ("message", {1: True}))
    assert home.outbox.scheduled("phone") == {}
    assert home.server.calls[-1] == ("DELETE", f"/t/{name}")


def test_damaged_record_is_withdrawn() -> None:
    home = Home()
    run(home, ("message", {1: True, 2: True}))
    with home.outbox.transaction() as db:
        db.execute("UPDATE phone_notification SET body = '{'")
    run(home, ("message", {1: True}))
    assert home.shown(home.server.phone) == [(1, home.holds[1])]


@pytest.mark.parametrize(
    ("message", "stays"),
    [
        (Message("phone", NOW, (alert(),)), None),
        (Message("phone", NOW, (ended(), other(1))), None),
        (Message("phone", NOW, (ended(),)), END_STAYS),
        (Message("phone", NOW, (alert(reason=NotificationReason.TEST),)), SUMMARY_STAYS),
    ],
)
def test_notification_without_an_alert_that_fires_goes_away(message: Message, stays: float | None) -> None:
    shown = shown_by(message, NOW)
    assert shown is not None
    assert shown.withdraw_at == (None if stays is None else NOW + stays)


def test_message_that_only_withdraws_shows_nothing() -> None:
    assert shown_by(Message("phone", NOW, withdrawn=("a",)), NOW) is None


def test_notification_about_others_is_left_alone() -> None:
    shown = shown_by(Message("phone", NOW, (other(1), other(2))), NOW)
    assert shown is not None
    assert left_of(shown, frozenset({f"{3:032x}"})) is shown
    left = left_of(shown, frozenset({f"{1:032x}"}))
    assert (left.is_stale, [one.fingerprint for one in left.message.alerts]) == (True, [f"{2:032x}"])
