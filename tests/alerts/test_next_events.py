"""When time alone changes what is sent, and that ``overview`` and the lifecycle agree on it."""

from __future__ import annotations

from dataclasses import replace
from zoneinfo import ZoneInfo

from alerts.worlds import DAY, HOUR, MINUTE, NOW, Life, P, policy, world
from exporter.alerts.lifecycle.next_events import EventKind, next_events
from exporter.alerts.lifecycle.policy import EPSILON, AlertPolicy, ChannelPolicy, QuietPeriod, Silence

NIGHT = QuietPeriod(22 * 60, 7 * 60, ZoneInfo("UTC"))
HOOK = ChannelPolicy("hook")
SPARE = P("anthropic:spare", ends=NOW + 300 * DAY, secret="spare")


def events(life: Life, rules: AlertPolicy, now: float) -> dict[EventKind, float]:
    (state,) = (state for state in life.states.values() if not state.inhibited)
    return {kind: at for at, kind in next_events(state, rules, now)}


def test_the_next_reminder_is_the_step_after_the_last() -> None:
    life, ends = Life(policy(HOOK)), NOW + 10 * DAY
    life.at(NOW, world(P(ends=ends), SPARE))
    assert events(life, life.policy, NOW) == {
        EventKind.EXPIRED: ends + EPSILON,
        EventKind.REMINDER: ends - 7 * DAY + EPSILON,
    }


def test_a_reminder_in_quiet_hours_comes_at_their_end() -> None:
    rules = policy(replace(HOOK, quiet=NIGHT))
    life = Life(rules)
    life.at(NOW, world(P(ends=NOW + 20 * HOUR), SPARE))
    assert events(life, rules, NOW)[EventKind.REMINDER] == NOW + 21 * HOUR  # 07:00; the 6 h step is at 00:00


def test_a_repeat_waits_for_the_silence() -> None:
    life = Life(policy(HOOK))
    life.at(NOW, world(P(ends=NOW - HOUR)))
    assert events(life, life.policy, NOW)[EventKind.REPEAT] == NOW + 6 * HOUR
    silenced = replace(life.policy, silences=(Silence("1", {"target": "home"}, NOW + 8 * HOUR),))
    assert events(life, silenced, NOW) == {
        EventKind.SILENCE_ENDS: NOW + 8 * HOUR,
        EventKind.REPEAT: NOW + 8 * HOUR,
    }


def test_a_cooldown_is_confirmed_when_it_has_lasted() -> None:
    life = Life(policy(HOOK))
    life.at(NOW, world(P(down="rate_limit", down_since=NOW), SPARE))
    assert events(life, life.policy, NOW) == {EventKind.CONFIRMED: NOW + 15 * MINUTE}


def test_a_critical_escalates_until_it_is_acknowledged() -> None:
    rules = policy(HOOK, ChannelPolicy("boss", step=1), escalate_after=HOUR)
    life = Life(rules)
    life.at(NOW, world(P(ends=NOW - HOUR)))
    assert events(life, rules, NOW)[EventKind.ESCALATED] == NOW + HOUR
    fingerprints = {state.fingerprint: NOW for state in life.states.values()}
    assert events(life, replace(rules, acknowledged=fingerprints), NOW) == {}


def test_a_pending_alert_is_sent_with_its_group() -> None:
    life = Life(policy(HOOK, group_wait=10.0))
    life.at(NOW, world(P(ends=NOW - HOUR)))
    assert events(life, life.policy, NOW) == {EventKind.GROUP_DUE: NOW + 10}


def test_after_a_renewal_to_a_near_date_the_next_step_is_first() -> None:
    life, soon = Life(policy(HOOK)), NOW + 5 * DAY
    life.at(NOW, world(P(ends=NOW + 5 * HOUR), SPARE))
    life.at(NOW + 60, world(P(ends=soon, secret="new"), SPARE))
    assert events(life, life.policy, NOW + 60)[EventKind.FIRST_REMINDER] == soon - 3 * DAY + EPSILON
