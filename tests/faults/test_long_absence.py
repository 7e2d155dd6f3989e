"""The host sleeps for a week, and the clocks change: what holds is told once, and quiet hours keep their times."""

from __future__ import annotations

import datetime as dt
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from alerts.worlds import DAY, HOUR, MINUTE, NOW, P, world

from exporter.alerts.lifecycle.policy import QuietPeriod

from .servers import BadServer
from .worlds import Setting, config, webhook

SOON = P("anthropic:soon", ends=NOW + 3 * DAY, secret="1")
LATER = P("anthropic:later", ends=NOW + 9 * DAY, secret="2")
OTHER = P("anthropic:other", ends=NOW + 300 * DAY, secret="3")
TEN_MINUTES = 600


async def test_after_a_week_of_sleep_what_holds_is_told_once_and_no_reminder_that_is_behind_us(tmp_path: Path) -> None:
    with BadServer() as server:
        setting = Setting(tmp_path, config(webhook(server.url + "/hook")), world(SOON, LATER, OTHER))
        await setting.timer()
        before = len(server.received("hook"))
        setting.clock.now += 7 * DAY
        for _ in range(3):
            await setting.timer()
            setting.clock.now += MINUTE
        told = [
            (alert["profile"], alert["reason"], alert["condition"])
            for body in server.received("hook")[before:]
            for alert in body["alerts"]
        ]
        assert [entry for entry in told if entry[0] == SOON.id] == [(SOON.id, told[0][1], "expired")]
        assert len(told) == len(set(told)), "nothing is told twice"
        assert all(condition != "expiring" or profile != SOON.id for profile, _, condition in told)


@pytest.mark.parametrize("zone", ["Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "UTC"])
@pytest.mark.parametrize(("starts", "ends"), [("22:00", "07:00"), ("01:30", "02:30"), ("02:15", "02:45")])
def test_quiet_hours_keep_their_wall_clock_when_the_clocks_change(zone: str, starts: str, ends: str) -> None:
    first, last = (int(clock[:2]) * 60 + int(clock[3:]) for clock in (starts, ends))
    quiet = QuietPeriod(first, last, ZoneInfo(zone))
    year = int(dt.datetime(2027, 1, 1, tzinfo=dt.UTC).timestamp())
    offsets = [dt.datetime.fromtimestamp(year + d * DAY, ZoneInfo(zone)).utcoffset() for d in range(366)]
    changes = [day for day in range(365) if offsets[day] != offsets[day + 1]]
    assert len(changes) == (0 if zone == "UTC" else 2)
    for day in changes or [0]:
        for now in range(year + int((day - 1) * DAY), year + int((day + 3) * DAY), TEN_MINUTES):
            wall = dt.datetime.fromtimestamp(now, ZoneInfo(zone))
            minute = wall.hour * 60 + wall.minute
            inside = first <= minute < last if first < last else minute >= first or minute < last
            assert quiet.is_active(now) == inside
            if inside:
                end = quiet.end(now)
                assert now < end <= now + 11 * HOUR
                assert not quiet.is_active(end)
                assert all(quiet.is_active(moment) for moment in range(now, int(end), TEN_MINUTES))
