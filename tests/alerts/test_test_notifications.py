"""Test notifications: sent regularly on each channel, once, truthfully, and never in quiet hours."""

from __future__ import annotations

from dataclasses import replace
from zoneinfo import ZoneInfo

from alerts.worlds import DAY, HOUR, NOW, P, World, policy, world
from exporter.alerts.lifecycle import advance
from exporter.alerts.lifecycle.forecast import forecast
from exporter.alerts.lifecycle.policy import ChannelPolicy, QuietPeriod, Silence
from exporter.alerts.lifecycle.test_notifications import due_tests, next_test_at, status_alert
from exporter.alerts.message import text
from exporter.alerts.values import Alert, NotificationReason, fingerprint_of_test
from exporter.model import Report, Severity

WEEK = 7 * DAY
FINE = world(P(ends=NOW + 30 * DAY), P("openai:key", ends=None))
RULES = policy(prove_every=WEEK)


def report(now: float, *worlds: World) -> Report:
    """As the verdict's exit code would have it."""
    targets = []
    for one in worlds or (FINE,):
        target = one.report(now)
        agents = tuple(
            a._replace(exit_code=1 if any(c.severity is Severity.CRITICAL for c in a.conditions) else 0)
            for a in target.agents
        )
        targets.append(target._replace(agents=agents))
    return Report(now, tuple(targets))


def test_each_channel_is_tested_once_per_period() -> None:
    rules = replace(RULES, channels=(ChannelPolicy("phone"), ChannelPolicy("pager", Severity.CRITICAL)))
    last_tests, messages = due_tests({}, {}, report(NOW), rules, NOW)
    assert last_tests == {"phone": NOW, "pager": NOW}
    assert [(m.channel, [a.reason for a in m.alerts]) for m in messages] == [
        ("phone", [NotificationReason.TEST]),
        ("pager", [NotificationReason.TEST]),  # it is about the channel: no severity is too low
    ]
    assert next_test_at(last_tests, report(NOW), rules, NOW) == NOW + WEEK
    assert due_tests(last_tests, {}, report(NOW), rules, NOW + WEEK - 1) == (last_tests, ())
    again, messages = due_tests(last_tests, {}, report(NOW), rules, NOW + WEEK)
    assert again == {"phone": NOW + WEEK, "pager": NOW + WEEK}
    assert len(messages) == 2


def test_no_test_is_sent_by_default() -> None:
    assert due_tests({"hook": 1.0}, {}, report(NOW), policy(), NOW) == ({"hook": 1.0}, ())
    assert next_test_at({}, report(NOW), policy(), NOW) is None


def test_one_test_makes_up_for_weeks_of_downtime() -> None:
    last_tests, messages = due_tests({"hook": NOW - 5 * WEEK}, {}, report(NOW), RULES, NOW)
    assert len(messages) == 1
    assert due_tests(last_tests, {}, report(NOW), RULES, NOW + 1)[1] == ()


def test_a_clock_set_back_delays_nothing() -> None:
    last_tests, messages = due_tests({"hook": NOW + 100 * DAY}, {}, report(NOW), RULES, NOW)
    assert (last_tests, messages) == ({"hook": NOW}, ())
    assert len(due_tests(last_tests, {}, report(NOW), RULES, NOW + WEEK)[1]) == 1


def test_a_test_due_in_quiet_hours_is_sent_at_their_end() -> None:
    night = QuietPeriod(22 * 60, 7 * 60, ZoneInfo("Europe/Stockholm"), Severity.CRITICAL)
    rules = replace(RULES, channels=(ChannelPolicy("phone", quiet=night),))
    evening = NOW + 11 * HOUR  # 22:00 in Stockholm
    assert due_tests({}, {}, report(evening), rules, evening) == ({}, ())
    morning = next_test_at({}, report(evening), rules, evening)
    assert morning == NOW + 20 * HOUR  # 07:00
    assert len(due_tests({}, {}, report(morning), rules, morning)[1]) == 1
    # One that will fall due in the night is known to wait, too.
    assert next_test_at({"phone": evening - WEEK + HOUR}, report(NOW), rules, NOW) == morning


def test_the_first_test_waits_until_every_target_was_checked() -> None:
    rules = replace(RULES, targets=frozenset({"home", "vps"}))
    assert due_tests({}, {}, report(NOW), rules, NOW) == ({}, ())
    assert next_test_at({}, report(NOW), rules, NOW) is None
    both = report(NOW, FINE, replace(FINE, target="vps"))
    assert len(due_tests({}, {}, both, rules, NOW)[1]) == 1


def status(*worlds: World, silences: tuple[Silence, ...] = ()) -> Alert:
    rules = replace(RULES, silences=silences)
    checked = report(NOW, *worlds)
    states, _ = advance({}, checked, rules, NOW)
    return status_alert("hook", states, checked, rules, NOW)


def test_its_content_is_true() -> None:
    fine = status(FINE)
    assert fine.fingerprint == fingerprint_of_test("hook")
    assert fine.summary == (
        "All is well: 2 profiles on 1 target; the next deadline is that of anthropic:default on home"
    )
    assert fine.deadline == NOW + 30 * DAY
    assert status(world(P("openai:key"))).summary == "All is well: 1 profile on 1 target"

    down = world(P(ends=NOW - HOUR), P("openai:a", down="billing"), P("openai:b"))
    assert status(down).summary.startswith(
        "Something is wrong: 2 alerts firing, 1 critical; 3 profiles on 1 target monitored"
    )
    silenced = status(down, silences=(Silence("1", {"provider": "openai"}, NOW + HOUR),))
    assert "2 alerts firing, 1 critical, 1 silenced;" in silenced.summary
    # A single failed check is not confirmed yet, but all is not well either.
    assert status(world(P(), failing={"main": NOW})).summary.startswith(
        "Something is wrong: 1 alert firing, 1 critical;"
    )
    # Nor is what only the exit code knows.
    odd = report(NOW).targets[0].agents[0]._replace(exit_code=1)
    strange = Report(NOW, (report(NOW).targets[0]._replace(agents=(odd,)),))
    assert status_alert("hook", {}, strange, RULES, NOW).summary.startswith(
        "Something is wrong: a check reports it; 2 profiles"
    )


def test_its_title_is_the_status_and_its_body_asks_for_an_acknowledgement() -> None:
    ((message,),) = (due_tests({}, {}, report(NOW), RULES, NOW)[1],)
    shown = text.render(message, NOW, ZoneInfo("Europe/Stockholm"))
    assert shown.title == "All is well: 2 profiles on 1 target"
    assert shown.body.splitlines() == [
        "The next deadline is that of anthropic:default on home: Tue 2026-12-22 11:00 CET (in 30 days).",
        f"Acknowledge this to confirm that messages reach you here ({fingerprint_of_test('hook')}).",
    ]


def test_the_forecast_includes_it() -> None:
    rules = replace(RULES, remind_before=())
    expected = forecast({}, report(NOW), rules, NOW, NOW + 25 * DAY, report, {"hook": NOW - DAY})
    assert [(at, message.alerts[0].reason, every) for at, message, every in expected] == [
        (NOW + 6 * DAY, NotificationReason.TEST, {fingerprint_of_test("hook"): WEEK}),
    ]


def test_it_names_the_exporter() -> None:
    rules = replace(RULES, exporter="rack7")
    assert status_alert("hook", {}, report(NOW), rules, NOW).exporter == "rack7"
