"""The lifecycle on histories written by hand: which notifications are sent, and why."""

from __future__ import annotations

from dataclasses import replace

import pytest

from alerts.test_suppression import NIGHT, quiet
from alerts.worlds import DAY, HOUR, MINUTE, NOW, SPARE, Life, P, World, expiring, notice, policy, world
from exporter.alerts.lifecycle import advance, firing, next_event
from exporter.alerts.lifecycle.forecast import forecast
from exporter.alerts.lifecycle.policy import ChannelPolicy
from exporter.alerts.values import AlertState, NotificationReason, ResolutionCause
from exporter.config import Policy, ProfilePolicy
from exporter.lib.typed_json import dump, load
from exporter.model import Condition, ConditionName, Failure, FailureReason, Report, Severity, TargetReport, command

INFO, WARNING, CRITICAL = Severity.INFO, Severity.WARNING, Severity.CRITICAL
FIRST, ESCALATED, EASED, REMINDER, REPEAT, RESOLVED, RENEWED = (
    NotificationReason.FIRST,
    NotificationReason.ESCALATED,
    NotificationReason.EASED,
    NotificationReason.REMINDER,
    NotificationReason.REPEAT,
    NotificationReason.RESOLVED,
    NotificationReason.RENEWED,
)


def test_a_deadline_is_notified_step_by_step_and_renewed_with_its_new_date() -> None:
    life, ends = Life(policy()), NOW + 15 * DAY
    it = expiring(ends)
    assert life.at(NOW, it) == []
    assert life.at(ends - 14 * DAY, it) == []
    assert life.at(ends - 14 * DAY + 1, it) == [("hook", FIRST, ConditionName.EXPIRING, INFO)]
    assert life.at(ends - 8 * DAY, it) == []
    assert life.at(ends - 7 * DAY + 1, it) == [("hook", REMINDER, ConditionName.EXPIRING, INFO)]
    assert life.at(ends - 3 * DAY + 1, it) == [("hook", REMINDER, ConditionName.EXPIRING, INFO)]
    assert life.at(ends - DAY + 1, it) == [("hook", ESCALATED, ConditionName.EXPIRING, WARNING)]
    assert life.at(ends - 6 * HOUR + 1, it) == [("hook", REMINDER, ConditionName.EXPIRING, WARNING)]
    assert life.at(ends - HOUR + 1, it) == [("hook", REMINDER, ConditionName.EXPIRING, WARNING)]
    assert life.at(ends, it) == [("hook", ESCALATED, ConditionName.EXPIRED, WARNING)]
    assert life.at(ends + DAY, it) == []
    renewed = world(P(ends=NOW + 380 * DAY, secret="secret-2"), SPARE)
    assert life.at(ends + 2 * DAY, renewed) == [("hook", RENEWED, ConditionName.EXPIRED, WARNING)]
    assert life.messages[-1].alerts[0].deadline == NOW + 380 * DAY
    assert life.messages[-1].alerts[0].since == ends
    assert not any(state.firing or state.notified for state in life.states.values())
    assert len({alert.fingerprint for m in life.messages for alert in m.alerts}) == 1


def test_steps_passed_while_down_collapse_into_the_nearest() -> None:
    life, ends = Life(policy()), NOW + 13 * DAY
    assert life.at(NOW, expiring(ends)) == [("hook", FIRST, ConditionName.EXPIRING, INFO)]
    assert life.at(ends - 2 * DAY, expiring(ends)) == [("hook", REMINDER, ConditionName.EXPIRING, INFO)]
    assert life.at(ends - 2 * DAY + 1, expiring(ends)) == []


def test_undated_is_notified_once_and_its_assumed_end_reminds() -> None:
    life, ends = Life(policy()), NOW + 20 * DAY
    it = world(P(ends=ends, undated=True), SPARE)
    assert life.at(NOW, it) == [("hook", FIRST, ConditionName.UNDATED, INFO)]
    assert life.at(NOW + DAY, it) == []
    assert life.at(ends - 14 * DAY + 1, it) == [("hook", REMINDER, ConditionName.EXPIRING, INFO)]
    assert life.messages[-1].alerts[0].summary.endswith("(2026-12-12T10:00:00Z) at the latest")
    dated = world(P(ends=NOW + 300 * DAY), SPARE)
    assert life.at(ends - 13 * DAY, dated) == [("hook", RENEWED, ConditionName.EXPIRING, INFO)]


def test_an_undated_token_that_gets_a_date_is_renewed() -> None:
    life = Life(policy())
    life.at(NOW, world(P(undated=True), SPARE))
    assert life.at(NOW + 60, world(P(ends=NOW + 200 * DAY), SPARE)) == [("hook", RENEWED, ConditionName.UNDATED, INFO)]


def test_renewed_to_a_near_date_is_renewed_and_the_next_step_is_first() -> None:
    life = Life(policy())
    assert life.at(NOW, expiring(NOW + 5 * HOUR)) == [("hook", FIRST, ConditionName.EXPIRING, WARNING)]
    later = world(P(ends=NOW + 5 * DAY, secret="secret-2"), SPARE)
    assert life.at(NOW + 60, later) == [("hook", RENEWED, ConditionName.EXPIRING, WARNING)]
    assert life.at(NOW + 120, later) == []
    assert life.at(NOW + 2 * DAY + 1, later) == [("hook", FIRST, ConditionName.EXPIRING, INFO)]


def test_a_date_that_moves_with_the_clock_is_not_renewed_at_every_check() -> None:
    life = Life(policy())
    life.at(NOW, expiring(NOW + 12 * HOUR))
    for minutes in range(1, 60):
        assert life.at(NOW + minutes * MINUTE, expiring(NOW + minutes * MINUTE + 12 * HOUR)) == []


def test_a_removed_profile_resolves_as_removed() -> None:
    life = Life(policy())
    life.at(NOW, expiring(NOW + HOUR))
    assert life.at(NOW + 60, world(SPARE)) == [("hook", RESOLVED, ConditionName.EXPIRING, WARNING)]
    assert life.messages[-1].alerts[0].resolution_cause is ResolutionCause.PROFILE_REMOVED


def test_critical_repeats_until_it_is_over() -> None:
    life, it = Life(policy()), world(P(ends=NOW - HOUR))
    assert life.at(NOW, it) == [("hook", FIRST, ConditionName.NO_USABLE_PROFILE, CRITICAL)]
    assert life.at(NOW + 6 * HOUR - 1, it) == []
    assert life.at(NOW + 6 * HOUR, it) == [("hook", REPEAT, ConditionName.NO_USABLE_PROFILE, CRITICAL)]
    assert life.at(NOW + 11 * HOUR, it) == []
    assert life.at(NOW + 30 * HOUR, it) == [("hook", REPEAT, ConditionName.NO_USABLE_PROFILE, CRITICAL)]
    fixed = world(P(ends=NOW + 365 * DAY, secret="secret-2"))
    assert life.at(NOW + 31 * HOUR, fixed) == [("hook", RENEWED, ConditionName.NO_USABLE_PROFILE, CRITICAL)]
    assert life.messages[-1].alerts[0].deadline == NOW + 365 * DAY


def test_no_usable_profile_inhibits_the_alerts_that_cause_it() -> None:
    life = Life(policy())
    down = world(*(P(f"anthropic:{n}", ends=NOW - HOUR, secret=str(n)) for n in range(5)))
    assert life.at(NOW, down) == [("hook", FIRST, ConditionName.NO_USABLE_PROFILE, CRITICAL)]
    back = world(
        P("anthropic:0", ends=NOW + 300 * DAY, secret="new"),
        *(P(f"anthropic:{n}", ends=NOW - HOUR, secret=str(n)) for n in range(1, 5)),
    )
    # The alerts that still fire are notified once they are no longer inhibited.
    assert life.at(NOW + 60, back) == [
        ("hook", RENEWED, ConditionName.NO_USABLE_PROFILE, CRITICAL),
        *[("hook", FIRST, ConditionName.EXPIRED, WARNING)] * 4,
    ]


def test_an_outage_goes_on_with_the_life_of_the_alert_that_it_inhibits() -> None:
    life, ends = Life(policy()), NOW + 2 * HOUR
    assert life.at(NOW, world(P(ends=ends))) == [("hook", FIRST, ConditionName.EXPIRING, WARNING)]
    assert life.at(ends, world(P(ends=ends))) == [("hook", ESCALATED, ConditionName.NO_USABLE_PROFILE, CRITICAL)]
    fixed = world(P(ends=ends + 90 * DAY, secret="secret-2"))
    assert life.at(ends + HOUR, fixed) == [("hook", RENEWED, ConditionName.NO_USABLE_PROFILE, CRITICAL)]
    assert len({alert.fingerprint for message in life.messages for alert in message.alerts}) == 1, "one alert's life"


def test_a_reminder_while_checks_fail_names_the_time_of_the_last_good_check() -> None:
    life, ends = Life(policy()), NOW + 8 * DAY
    shared = P(ends=ends)
    life.at(NOW, world(shared, SPARE))
    assert life.messages[-1].alerts[0].seen_at is None
    later = ends - 7 * DAY + 1
    assert life.at(later, world(shared, SPARE, failing={"main": later})) == [
        ("hook", REMINDER, ConditionName.EXPIRING, INFO)
    ]
    (reminder,) = life.messages[-1].alerts
    assert reminder.seen_at == NOW
    assert reminder.summary.endswith(", as last seen at 2026-11-22T10:00:00Z")
    # Another agent, whose checks succeed, shows the present state.
    both = World({"main": (shared, SPARE), "work": (shared, SPARE)}, failing={"main": later})
    life.at(ends - 3 * DAY + 1, both)
    assert life.messages[-1].alerts[0].seen_at is None


def test_a_failed_check_resolves_nothing() -> None:
    life = Life(policy())
    life.at(NOW, expiring(NOW + 5 * HOUR))
    blind = World({"main": ()}, failing={"main": NOW + 1})
    assert life.at(NOW + 60, blind) == []
    assert life.at(NOW + 120) == [], "a target without a report"
    absent = TargetReport("home", "openclaw", (), Failure(FailureReason.TIMEOUT, "no answer", NOW))
    states, sent = advance(life.states, Report(NOW + 130, (absent,)), life.policy, NOW + 130)
    assert sent == ()
    assert [state.condition for state in states.values() if state.confirmed] == [ConditionName.EXPIRING]


def test_a_known_deadline_passes_while_checks_fail() -> None:
    life, ends = Life(policy()), NOW + 5 * HOUR
    life.at(NOW, expiring(ends))
    assert life.at(ends, expiring(ends, failing={"main": NOW + 1})) == [
        ("hook", ESCALATED, ConditionName.EXPIRED, WARNING)
    ]


def test_agents_that_share_a_credential_are_one_alert() -> None:
    life, shared = Life(policy()), P(ends=NOW + 40 * MINUTE)
    it = World({"main": (shared, SPARE), "work": (shared, SPARE)})
    assert life.at(NOW, it) == [("hook", FIRST, ConditionName.EXPIRING, WARNING)]
    assert life.messages[-1].alerts[0].agents == ("main", "work")
    more = World({"main": (shared, SPARE), "work": (shared, SPARE), "new": (shared, SPARE)})
    assert life.at(NOW + 60, more) == []


def test_alert_has_the_steps_of_every_agent_once() -> None:
    def step(line: str) -> Condition:
        steps = (command("claude setup-token"), command(line))
        return Condition(ConditionName.EXPIRED, CRITICAL, "anthropic", "anthropic:default", steps=steps)

    target = World({"main": (P(ends=NOW - HOUR),), "work": (P(ends=NOW - HOUR),)}).report(NOW)
    agents = tuple(a._replace(conditions=(step(f"paste for {a.agent}"),)) for a in target.agents)
    _, (message,) = advance({}, Report(NOW, (target._replace(agents=agents),)), policy(), NOW)
    assert [alert.remedy for alert in message.alerts] == [("claude setup-token", "paste for main", "paste for work")]


def test_agents_with_different_secrets_by_one_name_are_two_alerts() -> None:
    life = Life(policy())
    one, two = P(ends=NOW - HOUR, secret="one"), P(ends=NOW + 40 * MINUTE, secret="two")
    it = World({"main": (one, SPARE), "work": (two, SPARE)})
    assert sorted(life.at(NOW, it)) == [
        ("hook", FIRST, ConditionName.EXPIRED, WARNING),
        ("hook", FIRST, ConditionName.EXPIRING, WARNING),
    ]
    first = {alert.agents: alert.fingerprint for alert in life.messages[-1].alerts}
    assert set(first) == {("main",), ("work",)}
    assert life.at(NOW + HOUR, it) == [("hook", ESCALATED, ConditionName.EXPIRED, WARNING)]
    assert life.messages[-1].alerts[0].fingerprint == first["work",]


def test_a_provider_that_goes_down_at_another_agent_too_escalates() -> None:
    life = Life(policy())
    main, work = P("anthropic:a", ends=NOW, secret="a"), P("anthropic:b", ends=NOW + DAY, secret="b")
    it = World({"main": (main,), "work": (work,)})
    assert ("hook", FIRST, ConditionName.NO_USABLE_PROFILE, CRITICAL) in life.at(NOW, it)
    assert ("hook", ESCALATED, ConditionName.NO_USABLE_PROFILE, CRITICAL) in life.at(NOW + DAY, it)
    assert life.messages[-1].alerts[0].agents == ("main", "work")


def test_removed_on_purpose_resolves_with_that_reason() -> None:
    life = Life(policy())
    it = expiring(NOW + HOUR)
    life.at(NOW, it)
    sent = life.at(NOW + 60, targets=frozenset({"other"}))
    assert sent == [("hook", RESOLVED, ConditionName.EXPIRING, WARNING)]
    assert str(life.messages[-1].alerts[0].resolution_cause) == ResolutionCause.TARGET_REMOVED
    life.at(NOW + 120, it)
    ignored = Policy(profiles={"anthropic:default": ProfilePolicy(ignore=True)})
    quiet = World({"main": (P(ends=None, secret="secret-1"), SPARE)})
    assert life.at(NOW + 180, quiet, verdict=ignored) == [("hook", RESOLVED, ConditionName.EXPIRING, WARNING)]
    assert str(life.messages[-1].alerts[0].resolution_cause) == ResolutionCause.IGNORED


@pytest.mark.parametrize("before", [-60.0, 30 * MINUTE])  # the old one has expired, or is about to
def test_a_new_date_within_the_warning_has_its_own_reminders(before: float) -> None:
    life, soon = Life(policy()), NOW + 20 * HOUR
    life.at(NOW, world(P(ends=NOW + before), SPARE))
    it = world(P(ends=soon, secret="new"), SPARE)
    sent = life.at(NOW + 60, it)
    assert sent == ([("hook", EASED, ConditionName.EXPIRING, WARNING)] if before < 0 else [])
    steps = [life.at(soon - step + 1, it) for step in (6 * HOUR, HOUR)]
    assert steps == [[("hook", REMINDER, ConditionName.EXPIRING, WARNING)]] * 2
    life.at(soon - 30 * MINUTE - 7200, it)  # a clock set back takes nothing back
    assert life.at(soon - 30 * MINUTE, it) == []


def test_a_resolution_does_not_claim_that_a_broken_profile_works() -> None:
    life, ends = Life(policy()), NOW + HOUR
    disabled, expired = P(ends=ends, down="billing"), P(ends=ends)
    assert ("hook", FIRST, ConditionName.UNUSABLE, WARNING) in life.at(NOW, world(disabled, SPARE))
    assert ("hook", RESOLVED, ConditionName.UNUSABLE, WARNING) in life.at(ends + 60, world(expired, SPARE))
    over = next(alert for alert in life.messages[-1].alerts if alert.reason is RESOLVED)
    assert (str(over.resolution_cause), over.summary) == (
        ResolutionCause.OTHER_PROBLEM,
        "anthropic:default on home/main now has another problem; it was unusable for 1 h 1 min",
    )
    assert life.at(ends + 120, world(P(ends=ends + 300 * DAY, secret="new"), SPARE)) == [
        ("hook", RENEWED, ConditionName.EXPIRED, WARNING)
    ]

    assert life.at(ends + 180, world(expired)) == [("hook", FIRST, ConditionName.NO_USABLE_PROFILE, CRITICAL)]
    assert ("hook", RESOLVED, ConditionName.NO_USABLE_PROFILE, CRITICAL) in life.at(
        ends + 240, world(expired, unused=frozenset({"anthropic"}))
    )
    over = next(alert for alert in life.messages[-1].alerts if alert.reason is RESOLVED)
    assert (str(over.resolution_cause), over.summary) == (
        ResolutionCause.NOT_NEEDED,
        "anthropic on home/main no longer needs attention; it had no working credential for 1 min",
    )


def test_what_was_pasted_anew_and_does_not_work_yet_is_not_called_renewed() -> None:
    life = Life(policy())
    assert life.at(NOW, world(P(ends=NOW - HOUR), SPARE)) == [("hook", FIRST, ConditionName.EXPIRED, WARNING)]
    # The cooldown of the old token stays for a while when the new one is pasted.
    pasted = P(ends=NOW + 300 * DAY, secret="new", down="auth")
    assert sorted(life.at(NOW + 60, world(pasted, SPARE))) == [
        ("hook", FIRST, ConditionName.UNUSABLE, WARNING),
        ("hook", RESOLVED, ConditionName.EXPIRED, WARNING),
    ]
    over = next(alert for alert in life.messages[-1].alerts if alert.reason is RESOLVED)
    assert over.resolution_cause is ResolutionCause.REPLACED


def test_edited_thresholds_are_not_new_alerts() -> None:
    life, it = Life(policy()), expiring(NOW + 10 * DAY)
    assert life.at(NOW, it) == [("hook", FIRST, ConditionName.EXPIRING, INFO)]
    assert life.at(NOW + 1, it, remind_before=(2 * DAY,)) == []
    assert life.at(NOW + 2, it) == []
    assert life.at(NOW + 3, it, remind_before=(30 * DAY, 14 * DAY, 7 * DAY)) == []


def test_each_channel_is_notified_of_its_severities() -> None:
    pager = ChannelPolicy("pager", CRITICAL)
    life = Life(policy(ChannelPolicy("all"), pager))
    spared = world(P(down="auth"), SPARE)
    assert life.at(NOW, spared) == [("all", FIRST, ConditionName.UNUSABLE, WARNING)]
    # no_usable_profile takes over; it is the first notification of the pager.
    alone = world(P(down="auth"))
    assert life.at(NOW + 1, alone) == [
        ("all", ESCALATED, ConditionName.NO_USABLE_PROFILE, CRITICAL),
        ("pager", FIRST, ConditionName.NO_USABLE_PROFILE, CRITICAL),
    ]
    # The spare works again; the alert goes on with its life.
    assert life.at(NOW + 2, spared) == [
        ("all", EASED, ConditionName.UNUSABLE, WARNING),
        ("pager", EASED, ConditionName.UNUSABLE, WARNING),
    ]
    assert life.at(NOW + 3, world(P(), SPARE)) == [
        ("all", RESOLVED, ConditionName.UNUSABLE, WARNING),
        ("pager", RESOLVED, ConditionName.UNUSABLE, WARNING),
    ]
    assert len({alert.fingerprint for message in life.messages for alert in message.alerts}) == 1


def test_a_notified_channel_learns_that_the_alert_eased_below_its_severity() -> None:
    life = Life(policy(ChannelPolicy("team", WARNING)))
    assert life.at(NOW, notice(CRITICAL)) == [("team", FIRST, ConditionName.CLOCK, CRITICAL)]
    assert life.at(NOW + 1, notice(INFO)) == [("team", EASED, ConditionName.CLOCK, INFO)]
    assert life.at(NOW + 2, notice(INFO)) == []
    assert life.at(NOW + 3, notice(CRITICAL)) == [("team", ESCALATED, ConditionName.CLOCK, CRITICAL)]
    assert life.at(NOW + 4, notice(INFO)) == [("team", EASED, ConditionName.CLOCK, INFO)]
    assert life.at(NOW + 5, world(SPARE)) == [("team", RESOLVED, ConditionName.CLOCK, INFO)]


def test_an_alert_that_was_not_notified_is_not_resolved() -> None:
    life = Life(policy(ChannelPolicy("pager", CRITICAL)))
    assert life.at(NOW, notice(WARNING)) == []
    assert life.at(NOW + 1, world(SPARE)) == []
    assert not any(state.firing or state.notified or state.suppressed for state in life.states.values())


def test_alerts_that_begin_together_share_a_message() -> None:
    life = Life(policy(group_wait=10.0))
    one = P("anthropic:a", ends=NOW + 40 * MINUTE)
    two = P("anthropic:b", ends=NOW + 40 * MINUTE, secret="b")
    assert life.at(NOW, world(one, SPARE)) == []
    assert next_event(life.states, Report(NOW), life.policy, NOW) == NOW + 10
    assert life.at(NOW + 5, world(one, two, SPARE)) == []
    assert life.at(NOW + 10, world(one, two, SPARE)) == [("hook", FIRST, ConditionName.EXPIRING, WARNING)] * 2
    assert life.at(NOW + 20, world(replace(one, ends=NOW + 200 * DAY), two, SPARE)) == []
    assert len(life.at(NOW + 22, world(replace(one, ends=NOW + 200 * DAY), two, SPARE))) == 1


def test_an_alert_that_ends_within_group_wait_is_not_notified() -> None:
    life = Life(policy(group_wait=10.0))
    life.at(NOW, notice(WARNING))
    assert life.at(NOW + 5, world(SPARE)) == []
    assert life.at(NOW + 60, world(SPARE)) == []
    assert not any(state.firing or state.notified or state.suppressed for state in life.states.values())


def test_a_clock_set_back_delays_nothing() -> None:
    life = Life(policy())
    life.at(NOW, notice(CRITICAL))
    assert life.at(NOW - HOUR, notice(CRITICAL)) == []
    assert life.at(NOW + 5 * HOUR, notice(CRITICAL)) == [("hook", REPEAT, ConditionName.CLOCK, CRITICAL)]


def test_states_survive_json() -> None:
    life = Life(policy(quiet("critical"), ChannelPolicy("hook")))
    life.at(NOW, expiring(NOW + 10 * DAY))
    life.at(NIGHT, world(P(ends=NIGHT - HOUR), failing={"main": NIGHT}))
    life.at(NIGHT + 60, world(P(ends=NIGHT + 5 * DAY, secret="new", down="format")))
    assert life.states
    for key, state in life.states.items():
        assert load(AlertState, dump(state)) == state
        assert state.key == key


def test_firing_does_not_depend_on_notifications() -> None:
    life = Life(policy(ChannelPolicy("pager", CRITICAL)))
    assert life.at(NOW, world(P(ends=NOW + HOUR), failing={"main": NOW})) == []
    assert [(alert.condition, alert.severity) for alert in firing(life.states, NOW)] == [
        (ConditionName.EXPIRING, WARNING)
    ]


def test_forecast_is_the_lifecycle_run_forward() -> None:
    ends = NOW + 10 * DAY
    it = expiring(ends)

    def evaluate_at(at: float) -> Report:
        report = it.report(at)
        changes = [ends - DAY + 0.001, ends + 0.001]
        agents = tuple(
            agent._replace(changes_at=min((c for c in changes if c > at), default=None)) for agent in report.agents
        )
        return Report(at, (report._replace(agents=agents),))

    sent = forecast({}, evaluate_at(NOW), policy(), NOW, NOW + 200 * DAY, evaluate_at)
    assert [(round(at - ends), a.reason, a.condition) for at, m, _ in sent for a in m.alerts] == [
        (-10 * DAY, FIRST, ConditionName.EXPIRING),
        (-7 * DAY, REMINDER, ConditionName.EXPIRING),
        (-3 * DAY, REMINDER, ConditionName.EXPIRING),
        (-DAY, ESCALATED, ConditionName.EXPIRING),
        (-6 * HOUR, REMINDER, ConditionName.EXPIRING),
        (-HOUR, REMINDER, ConditionName.EXPIRING),
        (0, ESCALATED, ConditionName.EXPIRED),
    ]


def test_a_new_channel_is_notified_of_firing_alerts() -> None:
    life, it = Life(policy()), expiring(NOW + 40 * MINUTE)
    life.at(NOW, it)
    both = (ChannelPolicy("hook"), ChannelPolicy("new"))
    assert life.at(NOW + 1, it, channels=both) == [("new", FIRST, ConditionName.EXPIRING, WARNING)]


def test_no_secret_is_in_a_message() -> None:
    life = Life(policy())
    life.at(NOW, world(P(ends=NOW - 1, secret="PLANTED-SECRET-hash"), failing={"main": NOW}))
    assert life.messages
    assert "PLANTED-SECRET" not in "".join(dump(message) for message in life.messages)


def test_a_thousand_profiles_that_expire_at_once_are_one_message_per_channel() -> None:
    life, ends = Life(policy(ChannelPolicy("one"), ChannelPolicy("two"))), NOW + 40 * MINUTE
    many = world(*(P(f"anthropic:{number}", ends=ends, secret=str(number)) for number in range(1_000)), SPARE)
    life.at(NOW, many)
    life.at(ends, many)
    assert [(message.channel, len(message.alerts)) for message in life.messages] == [
        ("one", 1_000),
        ("two", 1_000),
    ] * 2
    assert {alert.reason for message in life.messages[2:] for alert in message.alerts} == {ESCALATED}
