"""What silences and quiet hours hold back, and what passes them."""

from __future__ import annotations

from dataclasses import replace

import pytest

from alerts.worlds import (
    DAY,
    HOUR,
    MINUTE,
    NOW,
    SPARE,
    Life,
    P,
    World,
    expiring,
    last,
    last_reasons,
    notice,
    policy,
    world,
)
from exporter.alerts.lifecycle import next_event
from exporter.alerts.lifecycle.policy import ChannelPolicy, QuietPeriod, Silence
from exporter.alerts.values import NotificationReason
from exporter.config import QuietHours as Configured
from exporter.model import ConditionName, Report, Severity

INFO, WARNING, CRITICAL = Severity.INFO, Severity.WARNING, Severity.CRITICAL
FIRST, ESCALATED, EASED, RESOLVED, RENEWED = (
    NotificationReason.FIRST,
    NotificationReason.ESCALATED,
    NotificationReason.EASED,
    NotificationReason.RESOLVED,
    NotificationReason.RENEWED,
)


def test_an_alert_that_still_fires_is_notified_when_its_silence_ends() -> None:
    silence = Silence("1", {"profile": "anthropic:default"}, until=NOW + HOUR)
    life, it = Life(policy(silences=(silence,))), expiring(NOW + 5 * HOUR)
    assert life.at(NOW, it) == []
    assert next_event(life.states, Report(NOW), life.policy, NOW) == NOW + HOUR
    assert life.at(NOW + HOUR, it) == [("hook", FIRST, ConditionName.EXPIRING, WARNING)]


def test_a_silence_for_an_agent_does_not_cover_another() -> None:
    silence = Silence("1", {"agent": "main"}, until=NOW + HOUR)
    life, shared = Life(policy(silences=(silence,))), P(ends=NOW + 5 * HOUR)
    assert life.at(NOW, World({"main": (shared, SPARE)})) == []
    assert life.at(NOW + 1, World({"main": (shared, SPARE), "work": (shared, SPARE)})) == [
        ("hook", FIRST, ConditionName.EXPIRING, WARNING)
    ]


def quiet(passes: str | None = None, zone: str = "UTC") -> ChannelPolicy:
    hours = Configured.model_validate({"from": "22:00", "to": "07:00", "timezone": zone, "except": passes})
    return ChannelPolicy("phone", quiet=QuietPeriod.of(hours))


NIGHT = NOW + 13 * HOUR  # 23:00
MORNING = NOW + 21 * HOUR  # 07:00


def test_quiet_hours_hold_an_alert_back_until_the_morning() -> None:
    life, it = Life(policy(quiet("critical"))), expiring(NIGHT + 12 * HOUR)
    assert life.at(NIGHT, it) == []
    assert next_event(life.states, Report(NIGHT), life.policy, NIGHT) == MORNING, "not at 05:00, when a step passes"
    assert life.at(MORNING - 1, it) == []
    assert next_event(life.states, Report(NIGHT), life.policy, MORNING - 1) == MORNING
    assert life.at(MORNING, it) == [("phone", FIRST, ConditionName.EXPIRING, WARNING)]


def test_an_alert_that_ended_in_the_night_is_one_line() -> None:
    life = Life(policy(quiet("critical")))
    for minutes in (0, 60):
        assert life.at(NIGHT + minutes * MINUTE, notice(WARNING)) == []
        assert life.at(NIGHT + (minutes + 5) * MINUTE, world(SPARE)) == []
    assert life.at(MORNING, world(SPARE)) == []
    (message,) = life.messages
    assert message.alerts == ()
    assert [(m.condition, m.times, m.began_at, m.ended_at) for m in message.suppressed] == [
        (ConditionName.CLOCK, 2, NIGHT, NIGHT + 65 * MINUTE)
    ]
    assert not any(state.firing or state.notified or state.suppressed for state in life.states.values())


@pytest.mark.parametrize(("reason", "lines"), [("rate_limit", [ConditionName.UNUSABLE]), ("auth", [])])
def test_what_was_held_back_is_no_line_once_an_outage_that_was_sent_has_it(
    reason: str, lines: list[ConditionName]
) -> None:
    """An outage that may heal by itself, and does, is not sent: what was held back is the only one who says it."""
    life = Life(policy(quiet("critical")))
    down = P(ends=NOW + 300 * DAY, down="auth", down_since=NIGHT)
    life.at(NIGHT, world(down, SPARE))
    assert not life.messages
    life.at(NIGHT + MINUTE, world(down, replace(SPARE, down=reason, down_since=NIGHT + MINUTE)))
    life.at(NIGHT + 5 * MINUTE, world(replace(down, down=None), SPARE))
    life.at(MORNING, world(replace(down, down=None), SPARE))
    assert [line.condition for message in life.messages for line in message.suppressed] == lines


def test_a_critical_alert_and_its_resolution_pass_quiet_hours() -> None:
    life = Life(policy(quiet("critical")))
    assert life.at(NIGHT, notice(CRITICAL)) == [("phone", FIRST, ConditionName.CLOCK, CRITICAL)]
    assert life.at(NIGHT + 60, world(SPARE)) == [("phone", RESOLVED, ConditionName.CLOCK, CRITICAL)]


def test_a_resolution_follows_the_severity_that_was_notified() -> None:
    life = Life(policy(quiet("critical")))
    assert life.at(NOW, notice(WARNING)) == [("phone", FIRST, ConditionName.CLOCK, WARNING)]
    assert life.at(NIGHT, world(SPARE)) == []
    assert life.at(NIGHT + HOUR, notice(WARNING)) == [], "firing again before its resolution was sent"
    assert life.at(NIGHT + 2 * HOUR, world(SPARE)) == []
    assert life.at(MORNING, world(SPARE)) == [("phone", RESOLVED, ConditionName.CLOCK, WARNING)]
    assert life.messages[-1].suppressed == ()


@pytest.mark.parametrize(
    ("near", "severity", "steps"),
    [
        (27 * HOUR, WARNING, (14 * DAY,)),  # the verdict warns from 24 h on
        (3 * DAY + 3 * HOUR, INFO, (14 * DAY, 3 * DAY)),  # the step at 3 days passes
    ],
)
def test_a_renewal_that_comes_near_again_before_it_was_sent_is_not_sent(
    near: float, severity: Severity, steps: tuple[float, ...]
) -> None:
    """A renewal acknowledges the reminder steps that have passed, and only these."""
    life = Life(policy(quiet("critical"), remind_before=steps))
    assert life.at(NOW, expiring(NOW)) == [("phone", FIRST, ConditionName.EXPIRED, WARNING)]
    renewed = world(P(ends=NIGHT + near, secret="new"), SPARE)
    assert life.at(NIGHT, renewed) == []
    assert life.at(NIGHT + 4 * HOUR, renewed) == []
    assert life.at(MORNING, renewed) == [("phone", EASED, ConditionName.EXPIRING, severity)]


def test_a_renewal_is_sent_in_the_morning_if_its_date_is_still_far() -> None:
    life = Life(policy(quiet("critical")))
    life.at(NOW, expiring(NOW))
    renewed = world(P(ends=NIGHT + 6 * DAY, secret="new"), SPARE)
    assert life.at(NIGHT, renewed) == []
    assert life.at(MORNING, renewed) == [("phone", RENEWED, ConditionName.EXPIRED, WARNING)]


@pytest.mark.parametrize(
    ("now", "holds", "ends"),
    [
        # Europe/Stockholm springs from 02:00 to 03:00 on 2026-03-29 and falls from 03:00 to 02:00 on 2026-10-25.
        ("2026-03-28T20:59:59Z", False, None),
        ("2026-03-28T21:00:00Z", True, "2026-03-29T05:00:00Z"),
        ("2026-03-29T04:59:59Z", True, "2026-03-29T05:00:00Z"),
        ("2026-03-29T05:00:00Z", False, None),
        ("2026-10-24T20:00:00Z", True, "2026-10-25T06:00:00Z"),
        ("2026-10-25T05:59:59Z", True, "2026-10-25T06:00:00Z"),
    ],
)
def test_quiet_hours_follow_local_time_across_daylight_saving(now: str, holds: bool, ends: str | None) -> None:
    from exporter.lib.durations import iso, parse_date

    hours = quiet(zone="Europe/Stockholm").quiet
    assert hours is not None
    assert hours.is_active(parse_date(now)) is holds
    if ends:
        assert iso(hours.end(parse_date(now))) == ends


def test_quiet_hours_end_at_the_spring_forward_if_their_end_is_skipped() -> None:
    from exporter.lib.durations import iso, parse_date

    hours = Configured.model_validate({"from": "22:00", "to": "02:30", "timezone": "Europe/Stockholm"})
    assert iso(QuietPeriod.of(hours).end(parse_date("2026-03-28T23:00:00Z"))) == "2026-03-29T01:00:00Z"


def silence(until: float = NOW + DAY, **matchers: str) -> Silence:
    return Silence("1", matchers, until)


def test_a_silence_never_holds_back_the_end_of_what_was_sent() -> None:
    life = Life(policy())
    life.at(NOW, world(P(down="auth"), SPARE))
    life.policy = replace(life.policy, silences=(silence(profile="anthropic:default"),))
    assert life.at(NOW + HOUR, world(P(ends=NOW - 1, down="auth"), SPARE)) == []
    life.at(NOW + 2 * HOUR, world(P(), SPARE))
    assert [alert.reason for alert in life.messages[-1].alerts] == [RESOLVED]


def test_a_silence_holds_back_reminders_and_what_gets_worse_until_it_ends() -> None:
    life, ends = Life(policy()), NOW + 30 * HOUR
    life.at(NOW, world(P(ends=ends), SPARE))
    assert last(life).severity is INFO
    life.policy = replace(life.policy, silences=(silence(ends + HOUR, target="home"),))
    for at in (NOW + 7 * HOUR, ends - 6 * HOUR + 1, ends - HOUR + 1, ends):
        assert life.at(at, world(P(ends=ends), SPARE)) == []
    life.at(ends + HOUR, world(P(ends=ends), SPARE))
    assert (last(life).reason, last(life).condition) == (ESCALATED, ConditionName.EXPIRED)


@pytest.mark.parametrize(
    "silences",
    [
        (silence(provider="anthropic"),),
        (silence(profile="anthropic:default"), silence(profile="anthropic:spare")),
        (silence(target="home"),),
    ],
    ids=["provider", "each profile", "target"],
)
def test_silences_of_every_profile_mute_the_outage(silences: tuple[Silence, ...]) -> None:
    life = Life(policy(silences=silences))
    assert life.at(NOW, world(P(down="auth"), replace(SPARE, down="auth"))) == []


def test_a_silence_of_one_of_two_profiles_does_not_mute_the_outage() -> None:
    life = Life(policy(silences=(silence(profile="anthropic:default"),)))
    assert len(life.at(NOW, world(P(down="auth"), replace(SPARE, down="auth")))) == 1


def test_a_silence_by_agent_matches_when_all_agents_do() -> None:
    life, broken = Life(policy(silences=(silence(agent="main"),))), P(down="auth")
    assert life.at(NOW, World({"main": (broken, SPARE), "work": (P(secret="own"), SPARE)})) == []
    life.at(NOW + 60, World({"main": (broken, SPARE), "work": (replace(broken, owner="main"), SPARE)}))
    assert last_reasons(life) == [(FIRST, ("main", "work"))]
