"""Buttons in notifications and on the page, down to the outbox: the real AlertActions over a real notifier."""

from __future__ import annotations

import asyncio
import contextlib
import re
import sqlite3
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest
from alerts.test_worker import Fake
from alerts.worlds import HOUR, P, World, world
from fake_daemon import TOKEN, FakeDaemon, client, web
from waiting import until

from exporter.alerts.channels import Links
from exporter.alerts.delivery import notifier as module
from exporter.alerts.delivery.delivery import Senders
from exporter.alerts.delivery.notifier import Notifier, ReportSource
from exporter.alerts.delivery.outbox import open_outbox
from exporter.alerts.lifecycle import test_message as make_test_message
from exporter.alerts.lifecycle.compose import alert_of
from exporter.alerts.values import NotificationReason, fingerprint_of_test
from exporter.config import Config
from exporter.model import Report
from exporter.state.credentials_db import CredentialDatabase
from exporter.web import page
from exporter.web.actions import AlertActions
from exporter.web.app import create_app

HOOK = {"name": "hook", "type": "webhook", "url": "http://hook.test"}
URL = "http://127.0.0.1:10785"


class Alarm:
    """A notifier over one expired credential, with the actions on its alerts."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.world: World = world(P(ends=time.time() - HOUR))
        channels = [HOOK, {**HOOK, "name": "phone"}]
        config = Config.model_validate(
            {"targets": [{"name": "home"}], "channels": channels, "alerts": {"group_wait": "0s"}}
        )
        self.notifier = Notifier(
            config,
            open_outbox(None),
            ReportSource(self.report, lambda target, at: Report(at, (self.world.report(at),))),
        )
        self.actions = self.actions_after_a_restart()

    def actions_after_a_restart(self, now: Callable[[], float] = time.time) -> AlertActions:
        """Actions over what the disk holds, as after a crash."""
        self.ledger = CredentialDatabase(self.directory, now)
        return AlertActions(self.ledger, lambda: self.notifier, lambda: URL, now)

    def report(self) -> Report:
        now = time.time()
        return Report(now, (self.world.report(now),))

    def link(self, action: str, channel: str, condition: str) -> str:
        """The path of the link in a message."""
        state = next(state for state in self.notifier.states().values() if state.condition == condition)
        made = self.actions.link(action, alert_of(state, NotificationReason.FIRST, time.time()), channel)
        assert made is not None
        return made.removeprefix(URL)


def build_senders(config: Config, links: Links) -> Senders:
    return Senders({channel.name: Fake(name=channel.name) for channel in config.channels}, {})


@pytest.fixture
async def alarm(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> AsyncIterator[Alarm]:
    monkeypatch.setattr(module, "build_senders", build_senders)
    monkeypatch.setattr(module, "TURN_GAP", 0.0)
    made = Alarm(tmp_path)
    made.notifier.start()
    await until(made.notifier.states)
    yield made
    await made.notifier.stop()


class WithActions(FakeDaemon):
    def __init__(self, actions: AlertActions) -> None:
        super().__init__()
        self._actions = actions

    @property
    def alert_actions(self) -> AlertActions:
        return self._actions


async def test_a_button_acknowledges_through_the_channel_of_its_message(alarm: Alarm) -> None:
    path = alarm.link("acknowledge", "phone", "no_usable_profile")
    async with client(create_app(WithActions(alarm.actions), web())) as http:
        assert "Acknowledge this alert, so that it is not repeated?" in (await http.get(path)).text
        assert (await http.post(path)).status_code == 200
        assert (await http.post(path)).status_code == 410  # once
    await until(lambda: alarm.notifier.statistics()["phone"].last_acknowledged is not None)
    assert alarm.notifier.statistics()["hook"].last_acknowledged is None
    assert len(alarm.notifier.outbox.acknowledged()) == 1


async def test_a_used_link_stays_used_after_a_crash(alarm: Alarm) -> None:
    path = alarm.link("acknowledge", "phone", "no_usable_profile")
    async with client(create_app(WithActions(alarm.actions), web())) as http:
        assert (await http.post(path)).status_code == 200
    async with client(create_app(WithActions(alarm.actions_after_a_restart()), web())) as http:
        assert (await http.post(path)).status_code == 410


async def test_a_link_acts_once_however_often_it_is_sent_at_once(alarm: Alarm) -> None:
    path = alarm.link("silence", "phone", "no_usable_profile")
    async with client(create_app(WithActions(alarm.actions), web())) as http:
        answers = await asyncio.gather(*(http.post(path) for _ in range(10)))
    assert sorted(answer.status_code for answer in answers) == [200] + [410] * 9
    assert len(alarm.notifier.outbox.silences(time.time())) == 1


def no_room(ledger: sqlite3.Connection) -> None:
    (pages,) = ledger.execute("PRAGMA page_count").fetchone()
    ledger.execute(f"PRAGMA max_page_count = {pages}")
    with contextlib.suppress(sqlite3.OperationalError):
        for place in range(1000):
            ledger.execute("INSERT INTO used_link VALUES (hex(randomblob(8)), ?)", (place,))


def read_only(ledger: sqlite3.Connection) -> None:
    ledger.execute("PRAGMA query_only = 1")


@pytest.mark.parametrize(
    ("spoil", "why"), [(no_room, "database or disk is full"), (read_only, "attempt to write a readonly database")]
)
async def test_while_the_disk_takes_nothing_a_button_changes_nothing_and_says_so(
    alarm: Alarm, spoil: Callable[[sqlite3.Connection], None], why: str
) -> None:
    path, ledger = alarm.link("silence", "phone", "no_usable_profile"), alarm.ledger.connection
    spoil(ledger)
    async with client(create_app(WithActions(alarm.actions), web())) as http:
        answer = await http.post(path)
        assert answer.status_code == 503
        assert answer.text == f"Nothing was changed: the ledger cannot be written: {why}.\n"
        assert alarm.notifier.outbox.silences(time.time()) == ()
        ledger.execute("PRAGMA max_page_count = 1000000")
        ledger.execute("PRAGMA query_only = 0")
        assert (await http.post(path)).status_code == 200  # it was not used up
    async with client(create_app(WithActions(alarm.actions_after_a_restart()), web())) as http:
        assert (await http.post(path)).status_code == 410


async def test_a_ledger_in_memory_lets_no_button_act(alarm: Alarm) -> None:
    path = alarm.link("silence", "phone", "no_usable_profile")
    alarm.ledger.fall_back_to_memory("the disk is read-only")
    async with client(create_app(WithActions(alarm.actions), web())) as http:
        answer = await http.post(path)
    assert (answer.status_code, answer.text[:42]) == (503, "Nothing was changed: the disk is read-only")


async def test_a_used_link_stays_used_when_the_clock_is_set_back(alarm: Alarm) -> None:
    path = alarm.link("silence", "phone", "no_usable_profile")
    async with client(create_app(WithActions(alarm.actions), web())) as http:
        assert (await http.post(path)).status_code == 200
    for hours in (1, 300 * 24):
        before = time.time() - hours * HOUR
        actions = alarm.actions_after_a_restart(lambda before=before: before)  # type: ignore[misc]  # bound at once
        async with client(create_app(WithActions(actions), web())) as http:
            assert (await http.get(path)).status_code == 410
            assert (await http.post(path)).status_code == 410


async def test_the_button_of_a_test_notification_confirms_its_channel(alarm: Alarm) -> None:
    made = alarm.actions.link("acknowledge", make_test_message("hook", 0.0, "").alerts[0], "hook")
    assert made is not None
    async with client(create_app(WithActions(alarm.actions), web())) as http:
        asked = await http.get(made.removeprefix(URL))
        assert "Confirm that notifications of the channel hook reach you?" in asked.text
        assert "reach you" in (await http.post(made.removeprefix(URL))).text
    await until(lambda: alarm.notifier.statistics()["hook"].last_acknowledged is not None)
    assert alarm.notifier.statistics()["phone"].last_acknowledged is None


async def test_a_test_notification_is_acknowledged_by_its_fingerprint(alarm: Alarm) -> None:
    async with client(create_app(WithActions(alarm.actions), web(token=TOKEN))) as http:
        headers = {"Authorization": f"Bearer {TOKEN}"}
        for name, code in (("phone", 200), ("nobody", 404)):
            form = {"fingerprint": fingerprint_of_test(name)}
            assert (await http.post("/api/v1/acknowledge", data=form, headers=headers)).status_code == code
    await until(lambda: alarm.notifier.statistics()["phone"].last_acknowledged is not None)


async def test_the_silence_button_mutes_only_its_alert(alarm: Alarm) -> None:
    path = alarm.link("silence", "hook", "no_usable_profile")
    async with client(create_app(WithActions(alarm.actions), web())) as http:
        assert "Silenced for 8 h" in (await http.post(path)).text
    (silence,) = alarm.notifier.outbox.silences(time.time())
    assert dict(silence.matchers) == {"target": "home", "provider": "anthropic"}


async def test_a_resolved_alert_cannot_be_acknowledged(alarm: Alarm) -> None:
    path = alarm.link("acknowledge", "hook", "no_usable_profile")
    alarm.world = world(P(ends=time.time() + 300 * 24 * HOUR, secret="new"))
    alarm.notifier.wake()
    await until(lambda: not any(state.firing for state in alarm.notifier.states().values()))
    async with client(create_app(WithActions(alarm.actions), web())) as http:
        assert (await http.post(path)).status_code == 410


def forms(html: str) -> list[dict[str, str]]:
    """The forms of the page, each with its action and its fields."""
    found = []
    for action, inside in re.findall(r'<form method="post" action="([^"]+)">(.*?)</form>', html, re.DOTALL):
        found.append({"action": action, **dict(re.findall(r'name="([^"]+)" value="([^"]*)"', inside))})
    return found


async def test_the_pages_buttons_acknowledge_and_silence(alarm: Alarm) -> None:
    async with client(create_app(WithActions(alarm.actions), web(token=TOKEN))) as http:
        stranger = (await http.get("/")).text
        assert "No anthropic credential works on home" in stranger
        assert "Notified on hook (first, " in stranger
        assert forms(stranger) == []
        await http.post("/login", data={"token": TOKEN})
        offered = {form.pop("action"): form for form in reversed(forms((await http.get("/")).text))}

        acknowledge = offered["api/v1/acknowledge"]
        refused = await http.post("/api/v1/acknowledge", data={**acknowledge, "csrf": "wrong"})
        assert (refused.status_code, alarm.notifier.outbox.acknowledged()) == (403, {})
        done = await http.post("/api/v1/acknowledge", data=acknowledge)
        assert (done.status_code, done.headers["location"]) == (303, "../../")
        assert list(alarm.notifier.outbox.acknowledged()) == [acknowledge["fingerprint"]]

        done = await http.post("/api/v1/silences", data=offered["api/v1/silences"])
        assert (done.status_code, done.headers["location"]) == (303, "../../")
        (silence,) = alarm.notifier.outbox.silences(time.time())
        assert (dict(silence.matchers), silence.reason) == (
            {"target": "home", "provider": "anthropic"},
            "status page",
        )
        await until(lambda: alarm.notifier.silences == 1)
        after = (await http.get("/")).text
        assert "Acknowledged <time" in after
        assert "Silenced until <time" in after
        status = (await http.get("/api/v1/status")).json()
    assert [one["name"] for one in status["notifications"]["channels"]] == ["hook", "phone"]
    assert status["notifications"]["firing"] == len(status["notifications"]["alerts"]) == 2
    assert status["notifications"]["inhibited"] == 1
    assert status["notifications"]["alerts"][0]["notified"][0]["channel"] == "hook"


async def test_explanation_shows_what_was_sent_and_what_will_be(alarm: Alarm) -> None:
    daemon = WithActions(alarm.actions)
    daemon.shown = alarm.report()
    async with client(create_app(daemon, web())) as http:
        await until(lambda: len(alarm.notifier.outbox.read("SELECT 1 FROM message")) == 2)
        (link,) = re.findall(r'<a href="(explain[^"]+)"', (await http.get("/")).text)
        text = re.sub(r"<[^>]+>|\\s+", " ", (await http.get(f"/{link}")).text)
    assert re.search(r"UTC +phone +first( waiting)? *: No anthropic credential works on home", text)
    assert re.search(r"hook +repeat +Unresolved: No anthropic credential works on home; then every 6 h", text)
    assert "alert no_usable_profile (critical): notified on hook" in text


async def test_the_page_shows_the_worst_and_counts_the_rest(alarm: Alarm, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(page, "MAX_OTHER_ALERTS", 1)
    async with client(create_app(WithActions(alarm.actions), web())) as http:
        shown = (await http.get("/")).text
    assert "Notifications: 2 firing, 1 of them as part of another" in shown
    assert "1 more alerts are in " in shown
    assert shown.count('<b class="badge">no_usable_profile</b>') == 1
    assert "anthropic:default has expired on home" not in shown


async def test_without_channels_the_status_has_no_notifications() -> None:
    async with client(create_app(FakeDaemon(), web())) as http:
        assert "notifications" not in (await http.get("/api/v1/status")).json()
        assert "Alerts" not in (await http.get("/")).text


async def test_an_unwritable_alert_state_is_503_with_a_sentence(alarm: Alarm) -> None:
    alarm.notifier.outbox.connection.execute("PRAGMA query_only = 1")
    async with client(create_app(WithActions(alarm.actions), web(token=TOKEN))) as http:
        headers = {"Authorization": f"Bearer {TOKEN}"}
        answer = await http.post("/api/v1/silences", data={"target": "home", "for": "1h"}, headers=headers)
        assert answer.status_code == 503
        assert answer.text.startswith("Nothing was changed: the alert state cannot be written")
        assert (await http.get("/")).status_code == 200
