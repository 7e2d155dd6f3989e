"""Buttons in notifications and on the page, down to the outbox: the real People over a real notifier."""

from __future__ import annotations

import re
import time
from collections.abc import AsyncIterator
from typing import Any

import pytest
from alerts.test_worker import Fake
from alerts.worlds import HOUR, P, World, world
from boards import TOKEN, FakeBoard, client, web
from waiting import until

from exporter.alerts.channels import Channel, Links
from exporter.alerts.channels.alertmanager import AlertmanagerSender
from exporter.alerts.delivery import notifier as module
from exporter.alerts.delivery.notifier import Notifier
from exporter.alerts.lifecycle import test_message as make_test_message
from exporter.alerts.lifecycle.decisions import alert_of
from exporter.alerts.values import NotificationReason, fingerprint_of_test
from exporter.config import Config
from exporter.model import Report
from exporter.state.credentials_db import CredentialDatabase
from exporter.web import page
from exporter.web.actions import AlertActions
from exporter.web.app import create_app

HOOK = {"name": "hook", "type": "webhook", "url": "http://hook.test"}
URL = "http://127.0.0.1:10785"


class House:
    """What a Board has, for the alarm alone."""

    def __init__(self) -> None:
        self.world: World = world(P(ends=time.time() - HOUR))
        channels = [HOOK, {**HOOK, "name": "phone"}]
        config = Config.model_validate(
            {"targets": [{"name": "home"}], "channels": channels, "alerts": {"group_wait": "0s"}}
        )
        self.notifier = Notifier(config, None, self.report)
        self.people = AlertActions(CredentialDatabase(None), lambda: self.notifier, lambda: URL, time.time)

    def report(self) -> Report:
        now = time.time()
        return Report(now, (self.world.report(now),))

    def link(self, action: str, channel: str, condition: str) -> str:
        """The path of the link in a message."""
        state = next(one for one in self.notifier.states().values() if one.condition == condition)
        made = self.people.link(action, alert_of(state, NotificationReason.FIRST, time.time()), channel)
        assert made is not None
        return made.removeprefix(URL)


def channels_of(config: Config, links: Links) -> tuple[dict[str, Channel], dict[str, AlertmanagerSender]]:
    return {channel.name: Fake(name=channel.name) for channel in config.channels}, {}


@pytest.fixture
async def house(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[House]:
    monkeypatch.setattr(module, "channels_of", channels_of)
    monkeypatch.setattr(module, "BREATHER", 0.0)
    made = House()
    made.notifier.start()
    await until(made.notifier.states)
    yield made
    await made.notifier.stop()


class Board(FakeBoard):
    def __init__(self, people: AlertActions) -> None:
        super().__init__()
        self._people = people

    @property
    def people(self) -> Any:
        return self._people


async def test_a_button_proves_the_channel_it_was_read_on(house: House) -> None:
    path = house.link("acknowledge", "phone", "no_usable_profile")
    async with client(create_app(Board(house.people), web())) as http:
        assert "Acknowledge this, so that it is not repeated?" in (await http.get(path)).text
        assert (await http.post(path)).status_code == 200
        assert (await http.post(path)).status_code == 410  # once
    await until(lambda: house.notifier.statistics()["phone"].last_acknowledged is not None)
    assert house.notifier.statistics()["hook"].last_acknowledged is None
    assert len(house.notifier.outbox.acknowledged()) == 1


async def test_the_button_of_a_test_proves_its_channel(house: House) -> None:
    made = house.people.link("acknowledge", make_test_message("hook", 0.0).alerts[0], "hook")
    assert made is not None
    async with client(create_app(Board(house.people), web())) as http:
        asked = await http.get(made.removeprefix(URL))
        assert "Confirm that messages on the channel hook reach you?" in asked.text
        assert "reach you" in (await http.post(made.removeprefix(URL))).text
    await until(lambda: house.notifier.statistics()["hook"].last_acknowledged is not None)
    assert house.notifier.statistics()["phone"].last_acknowledged is None


async def test_a_test_is_acknowledged_by_its_fingerprint(house: House) -> None:
    async with client(create_app(Board(house.people), web(token=TOKEN))) as http:
        headers = {"Authorization": f"Bearer {TOKEN}"}
        for name, code in (("phone", 200), ("nobody", 404)):
            form = {"fingerprint": fingerprint_of_test(name)}
            assert (await http.post("/api/v1/acknowledge", data=form, headers=headers)).status_code == code
    await until(lambda: house.notifier.statistics()["phone"].last_acknowledged is not None)


async def test_a_silence_by_button_is_about_that_alert_alone(house: House) -> None:
    path = house.link("silence", "hook", "no_usable_profile")
    async with client(create_app(Board(house.people), web())) as http:
        assert "Silenced for 8 h" in (await http.post(path)).text
    (silence,) = house.notifier.outbox.silences(time.time())
    assert dict(silence.matchers) == {"target": "home", "provider": "anthropic"}


async def test_what_is_over_cannot_be_acknowledged(house: House) -> None:
    path = house.link("acknowledge", "hook", "no_usable_profile")
    house.world = world(P(ends=time.time() + 300 * 24 * HOUR, secret="new"))
    house.notifier.wake()
    await until(lambda: not house.notifier.states())
    async with client(create_app(Board(house.people), web())) as http:
        assert (await http.post(path)).status_code == 410


def forms(html: str) -> list[dict[str, str]]:
    """The page's forms: where they go, and what they carry."""
    found = []
    for action, inside in re.findall(r'<form method="post" action="([^"]+)">(.*?)</form>', html, re.DOTALL):
        found.append({"action": action, **dict(re.findall(r'name="([^"]+)" value="([^"]*)"', inside))})
    return found


async def test_the_pages_buttons_acknowledge_and_silence(house: House) -> None:
    async with client(create_app(Board(house.people), web(token=TOKEN))) as http:
        stranger = (await http.get("/")).text
        assert "No anthropic credential works on home" in stranger
        assert "Told on hook (first, " in stranger
        assert forms(stranger) == []
        await http.post("/login", data={"token": TOKEN})
        offered = {form.pop("action"): form for form in reversed(forms((await http.get("/")).text))}

        acknowledge = offered["api/v1/acknowledge"]
        refused = await http.post("/api/v1/acknowledge", data={**acknowledge, "csrf": "wrong"})
        assert (refused.status_code, house.notifier.outbox.acknowledged()) == (403, {})
        done = await http.post("/api/v1/acknowledge", data=acknowledge)
        assert (done.status_code, done.headers["location"]) == (303, "../../")
        assert list(house.notifier.outbox.acknowledged()) == [acknowledge["fingerprint"]]

        done = await http.post("/api/v1/silences", data=offered["api/v1/silences"])
        assert (done.status_code, done.headers["location"]) == (303, "../../")
        (silence,) = house.notifier.outbox.silences(time.time())
        assert (dict(silence.matchers), silence.reason) == (
            {"target": "home", "provider": "anthropic"},
            "by the status page",
        )
        await until(lambda: house.notifier.silences == 1)
        after = (await http.get("/")).text
        assert "Acknowledged 20" in after
        assert "Silenced until 20" in after
        status = (await http.get("/api/v1/status")).json()
    assert [one["name"] for one in status["notifications"]["channels"]] == ["hook", "phone"]
    assert status["notifications"]["firing"] == len(status["notifications"]["alerts"]) == 2
    assert status["notifications"]["alerts"][0]["told"][0]["channel"] == "hook"


async def test_the_page_shows_the_worst_and_counts_the_rest(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(page, "MAX_ALERTS", 1)
    async with client(create_app(Board(house.people), web())) as http:
        shown = (await http.get("/")).text
    assert "2 firing" in shown
    assert "1 more are not shown here" in shown
    assert shown.count('<span class="badge">no_usable_profile</span>') == 1
    assert "anthropic:default has expired on home" not in shown


async def test_where_nothing_notifies_the_status_is_check_as_json() -> None:
    async with client(create_app(FakeBoard(), web())) as http:
        assert "notifications" not in (await http.get("/api/v1/status")).json()
        assert "Alerts" not in (await http.get("/")).text


async def test_an_alert_state_that_cannot_be_written_is_one_sentence(house: House) -> None:
    house.notifier.outbox.connection.execute("PRAGMA query_only = 1")
    async with client(create_app(Board(house.people), web(token=TOKEN))) as http:
        headers = {"Authorization": f"Bearer {TOKEN}"}
        answer = await http.post("/api/v1/silences", data={"target": "home", "for": "1h"}, headers=headers)
        assert answer.status_code == 503
        assert answer.text.startswith("This was not done: the alert state cannot be written")
        assert (await http.get("/")).status_code == 200
