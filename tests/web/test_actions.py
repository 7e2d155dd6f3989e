"""Alert actions over HTTP: silences, acknowledgements, buttons of notifications; and the calendar."""

from __future__ import annotations

import datetime as dt
from zoneinfo import ZoneInfo

import pytest
from fake_daemon import SILENCE, TOKEN, FakeDaemon, client, log_in, web

from exporter.web.app import create_app
from exporter.web.forms import silence_length

BEARER = {"Authorization": f"Bearer {TOKEN}"}


async def test_silences_are_listed_added_and_removed() -> None:
    daemon = FakeDaemon()
    async with client(create_app(daemon, web(token=TOKEN))) as http:
        assert (await http.get("/api/v1/silences")).json() == [SILENCE]
        form = {"target": "home", "for": "8h", "reason": "moving"}
        assert (await http.post("/api/v1/silences", data=form)).status_code == 401
        assert (await http.post("/api/v1/silences", data=form, headers=BEARER)).json()["id"] == "01J"
        assert (await http.post("/api/v1/silences", json=form, headers=BEARER)).status_code == 200
        assert daemon.calls == [("add_silence", {"target": "home"}, 28800.0, "moving")] * 2
        unknown = {"condition": "expird", "for": "8h"}
        wrongs = ({"for": "8h"}, {"target": "home", "for": "soon"}, {"target": "home", "for": "0s"}, {"target": "home"})
        for wrong in (*wrongs, unknown):
            assert (await http.post("/api/v1/silences", data=wrong, headers=BEARER)).status_code == 400
        assert (await http.delete("/api/v1/silences?id=01J")).status_code == 401
        assert (await http.delete("/api/v1/silences?id=01J", headers=BEARER)).status_code == 200
        assert (await http.delete("/api/v1/silences?id=nope", headers=BEARER)).status_code == 404


@pytest.mark.parametrize(
    ("now", "zone", "ends"),
    [
        ("2026-11-22T23:30", "Europe/Stockholm", "2026-11-23T07:00"),
        ("2026-11-22T06:59", "Europe/Stockholm", "2026-11-22T07:00"),
        ("2026-11-22T07:00", "Europe/Stockholm", "2026-11-23T07:00"),
        ("2026-03-28T22:00", "Europe/Stockholm", "2026-03-29T07:00"),  # the clocks change in this night
        ("2026-11-22T23:30", "Asia/Tokyo", "2026-11-23T07:00"),
    ],
)
def test_silence_until_morning_ends_at_seven_in_the_zone_of_the_page(now: str, zone: str, ends: str) -> None:
    begins, until = (dt.datetime.fromisoformat(at).replace(tzinfo=ZoneInfo(zone)).timestamp() for at in (now, ends))
    assert begins + silence_length("morning", begins, ZoneInfo(zone)) == until


async def test_page_lists_silences_and_undoes_them() -> None:
    daemon = FakeDaemon()
    async with client(create_app(daemon, web(token=TOKEN))) as http:
        stranger = (await http.get("/")).text
        assert "until <time" in stranger
        assert "Undo" not in stranger
        csrf = await log_in(http)
        assert "<button>Undo</button>" in (await http.get("/")).text
        path = "/api/v1/silences/remove"
        assert (await http.post(path, data={"id": "01J"})).status_code == 403
        assert (await http.post(path, data={"id": "nope", "csrf": csrf})).status_code == 404
        done = await http.post(path, data={"id": "01J", "csrf": csrf})
        assert (done.status_code, done.headers["location"]) == (303, "../../../")
    assert daemon.calls == [("remove_silence", "nope"), ("remove_silence", "01J")]


async def test_without_a_token_configured_nothing_can_be_changed() -> None:
    daemon = FakeDaemon()
    async with client(create_app(daemon, web())) as http:
        for path in ("/api/v1/silences", "/api/v1/acknowledge"):
            assert (await http.post(path, data={"target": "home", "for": "1h"}, headers=BEARER)).status_code == 403
    assert daemon.calls == []


async def test_an_alert_is_acknowledged() -> None:
    async with client(create_app(FakeDaemon(), web(token=TOKEN))) as http:
        path = "/api/v1/acknowledge"
        assert (await http.post(path, data={"fingerprint": "known"}, headers=BEARER)).status_code == 200
        assert (await http.post(path, data={"fingerprint": "other"}, headers=BEARER)).status_code == 404
        assert (await http.post(path, json={"fingerprint": 5}, headers=BEARER)).status_code == 400
        for body in ('{"fingerprint": "\\ud800"}', '{"\\udfff": "known"}'):  # half of a character cannot be written
            asked = await http.post(path, content=body, headers={**BEARER, "Content-Type": "application/json"})
            assert asked.status_code == 400


async def test_without_a_channel_a_silence_is_409() -> None:
    async with client(create_app(FakeDaemon(notifies=False), web(token=TOKEN))) as http:
        assert (await http.get("/api/v1/silences")).json() == []
        form = {"target": "home", "for": "8h"}
        assert (await http.post("/api/v1/silences", data=form, headers=BEARER)).status_code == 409


@pytest.mark.parametrize("token", ["good", "used"])
async def test_a_button_asks_before_it_acts(token: str) -> None:
    daemon = FakeDaemon()
    async with client(create_app(daemon, web())) as http:
        asked = await http.get(f"/act/{token}")
        assert daemon.calls == []
        done = await http.post(f"/act/{token}")
    if token == "good":
        assert (asked.status_code, done.status_code) == (200, 200)
        assert "Acknowledge &lt;the&gt; alert?" in asked.text
        assert '<form method="post">' in asked.text
        assert daemon.calls == [("act", "good")]
    else:
        assert (asked.status_code, done.status_code) == (410, 410)
        assert "This link has been used." in done.text
        assert "<form" not in asked.text


async def test_the_calendar() -> None:
    async with client(create_app(FakeDaemon(), web())) as http:
        answer = await http.get("/calendar.ics")
    assert answer.headers["content-type"] == "text/calendar; charset=utf-8"
    assert answer.text.startswith("BEGIN:VCALENDAR\r\n")
