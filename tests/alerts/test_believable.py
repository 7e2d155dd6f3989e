"""Messages that can be believed: one test for each way in which they once could not."""

from __future__ import annotations

from dataclasses import replace

import pytest

from alerts.worlds import DAY, HOUR, MINUTE, NOW, SPARE, Life, P, World, inherited, last, last_reasons, policy, world
from exporter.alerts.lifecycle.policy import ChannelPolicy, QuietPeriod
from exporter.alerts.values import AlertState, NotificationReason, ResolutionCause
from exporter.config import QuietHours
from exporter.model import Condition, ConditionName, Severity

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
FAR = NOW + 300 * DAY
PHONE = ChannelPolicy("phone", can_withdraw=True)
ALL_NIGHT = QuietPeriod.of(QuietHours.model_validate({"from": "22:00", "to": "07:00", "timezone": "UTC"}))
NIGHT = NOW + 13 * HOUR  # 23:00
MORNING = NOW + 21 * HOUR  # 07:00


def acknowledged(life: Life, at: float) -> dict[str, float]:
    return {state.fingerprint: at for state in life.states.values()}


# --- a second agent ------------------------------------------------------------------------------


def failing(at: float, *agents: str) -> World:
    return World({"main": (SPARE,), "work": inherited(SPARE)}, failing=dict.fromkeys(agents, at))


def test_a_check_that_fails_at_a_second_agent_too_is_news_although_somebody_acknowledged_the_first() -> None:
    life = Life(policy())
    assert life.at(NOW, failing(NOW, "main")) == []
    assert len(life.at(NOW + 15 * MINUTE, failing(NOW + 15 * MINUTE, "main"))) == 1
    life.policy = replace(life.policy, acknowledged=acknowledged(life, NOW + 16 * MINUTE))
    later = NOW + 2 * HOUR
    assert life.at(later, failing(later, "main", "work")) == []
    assert len(life.at(later + 15 * MINUTE, failing(later + 15 * MINUTE, "main", "work"))) == 1
    assert (last(life).reason, last(life).agents, last(life).new_agents) == (ESCALATED, ("main", "work"), ("work",))
    alone = later + HOUR
    life.at(alone, failing(alone, "work"))
    assert "main" not in {a for m in life.messages[2:] for alert in m.alerts for a in alert.agents}
    repeats = life.at(later + 7 * HOUR, failing(later + 7 * HOUR, "work"))
    assert [reason for _, reason, _, _ in repeats] == [REPEAT], "the acknowledgement was of main alone"
    assert last(life).agents == ("work",)
    over = life.at(later + 8 * HOUR, failing(later))
    assert [reason for _, reason, _, _ in over] == [RESOLVED]


@pytest.mark.parametrize(
    "broken",
    [P("openai:login", secret=None, missing=True), P("openai:login", secret=None, down="auth")],
    ids=["missing", "unusable"],
)
def test_logins_of_their_own_under_one_name_are_news_at_each_agent(broken: P) -> None:
    life = Life(policy())
    good, spare = P("openai:login", secret=None), P("openai:key", secret="key")
    life.at(NOW, World({"main": (broken, spare), "work": (good, spare)}))
    assert last_reasons(life) == [(FIRST, ("main",))]
    life.policy = replace(life.policy, acknowledged=acknowledged(life, NOW + MINUTE))
    life.at(NOW + HOUR, World({"main": (broken, spare), "work": (broken, spare)}))
    assert (last(life).reason, last(life).agents, last(life).new_agents) == (ESCALATED, ("main", "work"), ("work",))
    life.at(NOW + 2 * HOUR, World({"main": (good, spare), "work": (broken, spare)}))
    life.at(NOW + 3 * HOUR, World({"main": (good, spare), "work": (good, spare)}))
    assert last(life).reason.ends
    assert "work" in last(life).agents


def test_a_problem_that_openclaw_reports_of_a_second_agent_is_news() -> None:
    life, problem = Life(policy()), Condition(ConditionName.REPORTED, WARNING, summary="exit code 2")

    def reported(at: float, *agents: str) -> World:
        both = {"main": (SPARE,), "work": inherited(SPARE)}
        return World(both, check_started_at=at, extra=dict.fromkeys(agents, (problem,)))

    for at in (NOW, NOW + 5 * MINUTE):
        life.at(at, reported(at, "main"))
    assert last_reasons(life) == [(FIRST, ("main",))]
    for at in (NOW + HOUR, NOW + 65 * MINUTE):
        life.at(at, reported(at, "main", "work"))
    assert (last(life).reason, last(life).new_agents) == (ESCALATED, ("work",))


def test_one_disable_of_one_secret_that_fifty_heirs_see_one_after_another_is_one_message() -> None:
    life, broken = Life(policy()), P(down="auth", until=NOW + DAY)
    heirs = [f"a{number:02}" for number in range(50)]
    for count in range(1, 51):
        agents = {"main": (broken, SPARE)} | {
            heir: inherited(broken if place < count else P(), SPARE) for place, heir in enumerate(heirs)
        }
        life.at(NOW + count, World(agents))
    assert [(a.reason, a.agents) for m in life.messages for a in m.alerts] == [(FIRST, ("main", "a00"))]


def test_a_short_rate_limit_of_an_agent_with_its_own_secret_never_escalates() -> None:
    life, broken = Life(policy()), P(down="auth")
    own = P(secret="own")
    life.at(NOW, World({"main": (broken,), "work": (own,)}))
    assert last_reasons(life) == [(FIRST, ("main",))]
    life.policy = replace(life.policy, acknowledged=acknowledged(life, NOW + MINUTE))
    for hour in range(1, 21):
        at = NOW + hour * HOUR
        limited = replace(own, down="rate_limit", down_since=at, until=at + 30)
        assert life.at(at, World({"main": (broken,), "work": (limited,)})) == []
        assert life.at(at + 30, World({"main": (broken,), "work": (own,)})) == []
    at = NOW + 22 * HOUR
    limited = replace(own, down="rate_limit", down_since=at)
    life.at(at, World({"main": (broken,), "work": (limited,)}))
    life.at(at + 15 * MINUTE, World({"main": (broken,), "work": (limited,)}))
    assert (last(life).reason, last(life).new_agents) == (ESCALATED, ("work",))


# --- renewed -------------------------------------------------------------------------------------


def test_a_credential_pasted_anew_that_is_still_disabled_is_not_renewed() -> None:
    life = Life(policy())
    life.at(NOW, world(P(down="auth")))
    assert life.at(NOW + 60, world(P(secret="new", down="auth"))) == []
    (sent,) = life.at(NOW + 120, world(P(secret="new")))
    assert sent[1].ends


def test_an_expired_token_replaced_by_one_that_does_not_work_is_replaced_and_not_renewed() -> None:
    life = Life(policy())
    life.at(NOW, world(P(ends=NOW - HOUR), SPARE))
    life.at(NOW + 60, world(P(ends=FAR, secret="new", down="billing"), SPARE))
    ended = [alert for alert in life.messages[-1].alerts if alert.reason.ends]
    assert [(alert.reason, alert.resolution_cause) for alert in ended] == [(RESOLVED, ResolutionCause.REPLACED)]
    assert FIRST in {alert.reason for alert in life.messages[-1].alerts}, "the new trouble"


def test_a_resolution_that_waited_for_the_morning_says_what_holds_in_the_morning() -> None:
    life = Life(policy(ChannelPolicy("phone", quiet=ALL_NIGHT)))
    life.at(NOW, world(P(ends=NOW - HOUR), SPARE))
    assert life.at(NIGHT, world(P(ends=FAR, secret="new"), SPARE)) == []
    assert life.at(NIGHT + HOUR, world(SPARE)) == []
    life.at(MORNING, world(SPARE))
    assert (last(life).reason, last(life).resolution_cause) == (RESOLVED, ResolutionCause.PROFILE_REMOVED)


def test_a_removal_at_one_agent_is_not_renewed_there() -> None:
    life, old = Life(policy()), P(ends=NOW - HOUR)
    life.at(NOW, World({"main": (old, SPARE), "work": inherited(old, SPARE)}))
    assert last_reasons(life) == [(FIRST, ("main", "work"))]
    new = P(ends=FAR, secret="new")
    life.at(NOW + 60, World({"main": (new, SPARE), "work": inherited(SPARE)}))
    renewed = [alert for m in life.messages for alert in m.alerts if alert.reason is RENEWED]
    assert [alert.agents for alert in renewed] == [("main",)]


def test_the_removal_of_a_broken_profile_beside_one_that_recovered_is_not_renewed() -> None:
    life = Life(policy())
    spare = P("anthropic:spare", secret="spare", ends=FAR)
    life.at(NOW, world(P(ends=NOW - HOUR), replace(spare, down="auth")))
    assert last_reasons(life) == [(FIRST, ("main",))]
    life.at(NOW + 60, world(spare))
    assert RENEWED not in {alert.reason for m in life.messages for alert in m.alerts}
    assert life.messages[-1].alerts[0].reason.ends


def test_an_agent_that_takes_its_own_secret_while_it_is_still_disabled_is_no_second_first() -> None:
    life, old = Life(policy()), P(down="auth")
    life.at(NOW, World({"main": (old, SPARE), "work": inherited(old, SPARE)}))
    assert last_reasons(life) == [(FIRST, ("main", "work"))]
    pasted = P(secret="own", down="auth")
    forked = World({"main": (old, SPARE), "work": (pasted, *inherited(SPARE))})
    assert life.at(NOW + 60, forked) == []
    assert life.at(NOW + 30 * MINUTE, forked) == []
    works = World({"main": (old, SPARE), "work": (replace(pasted, down=None), *inherited(SPARE))})
    life.at(NOW + HOUR, works)
    reasons = [(a.reason, a.agents) for m in life.messages[1:] for a in m.alerts]
    assert ("work",) in [agents for reason, agents in reasons if reason.ends]
    assert FIRST not in [reason for reason, _ in reasons]


def test_an_agent_that_loses_its_own_secret_again_is_no_news() -> None:
    life, old = Life(policy()), P(down="auth")
    both = World({"main": (old, SPARE), "work": inherited(old, SPARE)})
    life.at(NOW, both)
    life.at(NOW + 60, World({"main": (old, SPARE), "work": (P(secret="own", down="auth"), *inherited(SPARE))}))
    life.at(NOW + 120, both)
    assert [alert.reason for m in life.messages for alert in m.alerts] == [FIRST]
    life.at(NOW + 180, World({"main": (P(secret="new"), SPARE), "work": inherited(P(secret="new"), SPARE)}))
    assert last_reasons(life) == [(RENEWED, ("main", "work"))]
    assert life.states == {} or all(not state.notified for state in life.states.values())


# --- dates ---------------------------------------------------------------------------------------


def test_one_secret_with_two_dates_names_only_the_agent_where_it_has_expired() -> None:
    life = Life(policy())
    late = P(ends=NOW + 7 * DAY + HOUR)
    life.at(NOW, World({"a0": (P(ends=NOW - HOUR), SPARE), "a1": (late, SPARE)}))
    alert = last(life)
    assert (alert.condition, alert.agents, alert.deadline) == (ConditionName.EXPIRED, ("a0",), NOW - HOUR)
    assert [(note.agent, note.deadline) for note in alert.notes] == [("a1", late.ends)]
    life.at(NOW + 60, World({"a0": (P(ends=FAR), SPARE), "a1": (late, SPARE)}))
    for alert in (alert for message in life.messages[1:] for alert in message.alerts):
        assert not (alert.reason is RENEWED and "a1" in alert.agents), "a0 was renewed"


def test_an_undated_token_holds_until_no_date() -> None:
    life = Life(policy())
    life.at(NOW, world(P(ends=NOW - HOUR)))
    life.at(NOW + 60, world(P(ends=NOW + 365 * DAY, secret="new", undated=True)))
    renewed = next(alert for alert in life.messages[-1].alerts if alert.reason is RENEWED)
    assert renewed.deadline is None or renewed.is_assumed
    assert "at the latest" in renewed.summary or "until" not in renewed.summary


# --- one cause -----------------------------------------------------------------------------------


def test_expiring_expired_down_and_renewed_are_one_alerts_life() -> None:
    life, ends = Life(policy()), NOW + 5 * HOUR
    life.at(NOW, world(P(ends=ends)))
    life.at(ends, world(P(ends=ends)))
    life.at(ends + HOUR, world(P(ends=FAR, secret="new")))
    assert [(a.reason, a.condition) for m in life.messages for a in m.alerts] == [
        (FIRST, ConditionName.EXPIRING),
        (ESCALATED, ConditionName.NO_USABLE_PROFILE),
        (RENEWED, ConditionName.NO_USABLE_PROFILE),
    ]
    assert len({a.fingerprint for m in life.messages for a in m.alerts}) == 1
    assert last(life).deadline == FAR


def test_an_outage_takes_over_what_it_inhibits_and_ends_it_in_one_message() -> None:
    life, ends = Life(policy(PHONE)), NOW + 5 * HOUR
    down = world(P("anthropic:a", ends=ends, secret="a"), P("anthropic:b", ends=ends, secret="b"))
    life.at(NOW, down)
    before = life.messages[-1].fingerprints
    assert len(before) == 2
    life.at(ends, down)
    (outage,) = life.messages[-1].alerts
    assert (outage.reason, outage.condition) == (ESCALATED, ConditionName.NO_USABLE_PROFILE)
    assert {outage.fingerprint, *life.messages[-1].withdrawn} == before
    fixed = world(P("anthropic:a", ends=FAR, secret="a2"), P("anthropic:b", ends=FAR, secret="b2"))
    life.at(ends + HOUR, fixed)
    assert all(alert.reason.ends for alert in life.messages[-1].alerts)
    assert life.messages[-1].fingerprints == before
    assert life.at(ends + 2 * HOUR, fixed) == []


def test_an_inhibited_alert_stays_silent_while_another_agents_check_fails() -> None:
    life, broken = Life(policy()), P(ends=NOW - HOUR)
    life.at(NOW, World({"main": (broken,), "work": inherited(broken)}))
    assert last_reasons(life) == [(FIRST, ("main", "work"))]
    for minutes in (5, 10):
        blind = World({"main": (broken,), "work": ()}, failing={"work": NOW + minutes * MINUTE})
        assert life.at(NOW + minutes * MINUTE, blind) == []


def test_what_was_reported_with_the_outage_did_not_come_and_go_unsent() -> None:
    life = Life(policy(ChannelPolicy("phone", quiet=ALL_NIGHT)))
    life.at(NOW, world(P(ends=NOW - HOUR)))
    assert last_reasons(life) == [(FIRST, ("main",))]
    fixed = world(P(ends=FAR, secret="new"))
    assert life.at(NIGHT, fixed) == []
    life.at(MORNING, fixed)
    assert [(m.reason, m.condition) for m in life.messages[-1].alerts] == [(RENEWED, ConditionName.NO_USABLE_PROFILE)]
    assert [message.suppressed for message in life.messages] == [(), ()]


def test_what_was_sent_by_day_is_no_line_of_the_nights_summary() -> None:
    life = Life(policy(ChannelPolicy("phone", quiet=ALL_NIGHT), ChannelPolicy("hook", for_machines=True)))
    broken, works = world(P(down="auth"), SPARE), world(P(), SPARE)
    life.at(NOW, broken)
    for minutes in (0, 20):  # its end waits, and it comes and goes once more
        life.at(NIGHT + minutes * MINUTE, works)
        life.at(NIGHT + (minutes + 10) * MINUTE, broken)
    life.at(NIGHT + HOUR, works)
    life.at(MORNING, works)
    phone = [message for message in life.messages if message.channel == "phone"]
    assert [message.suppressed for message in phone] == [(), ()]
    assert phone[-1].alerts[0].reason is RESOLVED


# --- two exporters -------------------------------------------------------------------------------


def test_two_exporters_do_not_share_an_alert_unless_they_share_a_name() -> None:
    seen = {}
    for host, name in (("one", "alpha"), ("two", "beta"), ("backup", "alpha")):
        life = Life(policy(exporter=name))
        life.at(NOW, world(P(ends=NOW - HOUR)))
        assert last(life).exporter == name
        seen[host] = last(life).fingerprint, last(life).key
    assert seen["one"] == seen["backup"]
    assert not set(seen["one"]) & set(seen["two"])


# --- reminders -----------------------------------------------------------------------------------


def test_reminders_stop_when_the_verdict_no_longer_warns() -> None:
    life, ends = Life(policy()), NOW + 5 * DAY
    life.at(NOW, world(P(ends=ends), SPARE))
    life.policy = replace(life.policy, remind_before=(2 * DAY, HOUR))
    assert life.at(NOW + DAY, world(P(ends=ends), SPARE)) == []
    life.at(ends - 2 * DAY + 1, world(P(ends=ends), SPARE))
    assert last(life).reason is REMINDER


# --- ends that wait ------------------------------------------------------------------------------


@pytest.fixture
def limited() -> World:
    return world(P(down="rate_limit", down_since=NOW), SPARE)


def test_the_end_of_trouble_that_heals_itself_waits_for_the_next_message(limited: World) -> None:
    life = Life(policy(PHONE, ChannelPolicy("hook", for_machines=True)))
    life.at(NOW, limited)
    assert len(life.at(NOW + 15 * MINUTE, limited)) == 2
    fingerprint = last(life).fingerprint
    works = world(P(), SPARE)
    assert [(c, r) for c, r, _, _ in life.at(NOW + HOUR, works)] == [("hook", RESOLVED)]
    phone = [message for message in life.messages if message.channel == "phone"]
    assert phone[-1].withdrawn == (fingerprint,)
    assert (phone[-1].alerts, phone[-1].suppressed) == ((), ())
    assert life.at(NOW + 2 * HOUR, works) == []
    broken = world(P("anthropic:other", secret="other", down="auth"), P(), SPARE)
    sent = [(r, c) for channel, r, c, _ in life.at(NOW + 3 * HOUR, broken) if channel == "phone"]
    assert sorted(sent) == [(FIRST, ConditionName.UNUSABLE), (RESOLVED, ConditionName.UNUSABLE)]


def test_the_end_of_trouble_that_heals_itself_is_sent_after_a_day(limited: World) -> None:
    life, works = Life(policy(ChannelPolicy("mail"))), world(P(), SPARE)
    life.at(NOW, limited)
    life.at(NOW + 15 * MINUTE, limited)
    for hour in range(1, 24):
        assert life.at(NOW + hour * HOUR, works) == []
    assert [reason for _, reason, _, _ in life.at(NOW + 25 * HOUR, works)] == [RESOLVED]


def test_the_end_of_a_critical_alert_is_sent_at_once() -> None:
    life, down = Life(policy()), world(P(down="rate_limit", down_since=NOW))
    life.at(NOW, down)
    assert [s for _, _, _, s in life.at(NOW + 15 * MINUTE, down)] == [CRITICAL]
    assert [reason for _, reason, _, _ in life.at(NOW + HOUR, world(P()))] == [RESOLVED]


def test_states_have_no_trouble_left(limited: World) -> None:
    """Nothing is kept for ever of an alert that every channel knows to be over."""
    life = Life(policy())
    life.at(NOW, limited)
    life.at(NOW + 15 * MINUTE, limited)
    for day in range(1, 4):
        life.at(NOW + day * DAY, world(P(), SPARE))
    kept: list[AlertState] = list(life.states.values())
    assert kept == []


def test_an_end_that_waits_is_about_the_whole_trouble_although_it_was_back_for_a_moment(limited: World) -> None:
    life = Life(policy())
    everywhere = World({"main": limited.agents["main"], "work": limited.agents["main"]})
    fine = (P(), SPARE)
    life.at(NOW, everywhere)
    life.at(NOW + 15 * MINUTE, everywhere)
    life.at(NOW + HOUR, replace(everywhere, agents={**everywhere.agents, "work": fine}))
    works = World({"main": fine, "work": fine})
    life.at(NOW + 2 * HOUR, works)
    back = (P(down="rate_limit", down_since=NOW + 3 * HOUR), SPARE)
    life.at(NOW + 3 * HOUR, World({"main": back, "work": fine}))
    life.at(NOW + 3 * HOUR + MINUTE, works)
    assert [reason for _, reason, _, _ in life.at(NOW + 2 * DAY, works)] == [RESOLVED]
    end = last(life)
    assert (sorted(end.agents), end.since, end.ended_at) == (["main", "work"], NOW, NOW + 2 * HOUR)
