"""The stages of the notification pipeline, each on its own. None alters what it is given."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from alerts.worlds import DAY, HOUR, NOW, policy
from exporter.alerts.lifecycle.compose import compose
from exporter.alerts.lifecycle.decisions import Candidate, reason_to_notify
from exporter.alerts.lifecycle.grouping import Group, drop_stale_pending, group_is_due, group_wait, mark_pending
from exporter.alerts.lifecycle.pipeline import drop_finished, find_candidates, mark_notified, notify_channel
from exporter.alerts.lifecycle.policy import ChannelPolicy, QuietPeriod, Silence
from exporter.alerts.lifecycle.suppression import (
    Suppression,
    allowed,
    drop_lines,
    note_held,
    note_suppressed,
    silenced_keys,
    summary_lines,
)
from exporter.alerts.values import (
    AlertState,
    AlertSubject,
    LastNotification,
    NotificationReason,
    Resolution,
    States,
    fingerprint,
)
from exporter.model import ConditionName, Family, Severity

PHONE = ChannelPolicy("phone")
NIGHT = QuietPeriod(22 * 60, 7 * 60, ZoneInfo("UTC"), Severity.CRITICAL)
MIDNIGHT = NOW + 14 * HOUR
AWAKE = Suppression(frozenset(), None)
ASLEEP = Suppression(frozenset(), NIGHT)
RULES = policy(PHONE, group_wait=10.0)
FIRST, RESOLVED = NotificationReason.FIRST, NotificationReason.RESOLVED
OVER = Resolution(NOW, RESOLVED)
HELD = {"phone": NOW - HOUR}


def alert(name: str = "a", severity: Severity = Severity.WARNING, **changes: Any) -> AlertState:
    """A confirmed alert that no channel has been notified of."""
    values: dict[str, Any] = {
        "key": name,
        "fingerprint": fingerprint(name),
        "subject": AlertSubject("home", "anthropic", f"anthropic:{name}", Family.DEADLINE),
        "condition": ConditionName.EXPIRED,
        "severity": severity,
        "agents": ("main",),
        "started_at": NOW - HOUR,
        "since": NOW - HOUR,
        "worsened_at": NOW - HOUR,
        "confirmed": True,
        "summary": f"{name} expired",
    }
    return AlertState(**values | changes)


def notified(severity: Severity = Severity.WARNING, **changes: Any) -> dict[str, LastNotification]:
    """The phone was notified of an expired credential half an hour ago."""
    return {"phone": replace(LastNotification(severity, ConditionName.EXPIRED, FIRST, NOW - HOUR / 2), **changes)}


def by_key(*states: AlertState) -> States:
    return {state.key: state for state in states}


def keys(candidates: Iterable[Candidate]) -> list[str]:
    return [state.key for state, _ in candidates]


# --- candidates --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("state", "reason"),
    [
        (alert(), FIRST),
        (alert(confirmed=False), None),
        (alert(inhibited=True), None),
        (alert(firing=False), None),
        (alert(notified=notified()), None),
        (alert(severity=Severity.CRITICAL, notified=notified()), NotificationReason.ESCALATED),
        (alert(notified=notified(Severity.CRITICAL)), NotificationReason.EASED),
        (alert(condition=ConditionName.EXPIRING, notified=notified()), NotificationReason.EASED),
        (alert(notified=notified(condition=ConditionName.EXPIRING)), NotificationReason.ESCALATED),
        (
            alert(severity=Severity.CRITICAL, notified=notified(Severity.CRITICAL, at=NOW - DAY)),
            NotificationReason.REPEAT,
        ),
        (alert(firing=False, resolution=OVER, notified=notified()), RESOLVED),
        (alert(firing=False, resolution=OVER), None),
    ],
)
def test_the_reason_is_the_difference_to_the_last_notification(
    state: AlertState, reason: NotificationReason | None
) -> None:
    assert reason_to_notify(state, PHONE, RULES, NOW) is reason


def test_a_channel_is_not_notified_below_its_severity() -> None:
    pager = ChannelPolicy("pager", Severity.CRITICAL)
    states = by_key(alert("a"), alert("b", Severity.CRITICAL))
    assert keys(find_candidates(states, pager, RULES, NOW)) == ["b"]


# --- suppression -------------------------------------------------------------------------------


def test_silenced_alerts_are_held_back() -> None:
    states = by_key(alert("a"), alert("b"))
    rules = replace(RULES, silences=(Silence("1", {"profile": "anthropic:a"}, NOW + HOUR),))
    silenced = silenced_keys(states, rules, NOW)
    assert silenced == {"a"}
    assert silenced_keys(states, rules, NOW + HOUR) == frozenset()
    candidates = find_candidates(states, PHONE, rules, NOW)
    assert keys(allowed(candidates, PHONE, Suppression.on(PHONE, silenced, NOW))) == ["b"]


def test_quiet_hours_let_critical_alerts_through() -> None:
    states = by_key(alert("a"), alert("b", Severity.CRITICAL))
    candidates = find_candidates(states, PHONE, RULES, NOW)
    assert keys(allowed(candidates, PHONE, ASLEEP)) == ["b"]
    quiet = replace(PHONE, quiet=NIGHT)
    assert Suppression.on(quiet, frozenset(), MIDNIGHT) == ASLEEP
    assert Suppression.on(quiet, frozenset(), NOW) == AWAKE


@pytest.mark.parametrize(
    ("state", "reason", "is_sent"),
    [
        (alert(notified=notified(Severity.CRITICAL)), NotificationReason.EASED, True),  # the worse of both sides
        (alert(notified=notified(Severity.CRITICAL)), RESOLVED, True),
        (alert(severity=Severity.CRITICAL, notified=notified()), RESOLVED, False),  # only a warning was sent
    ],
)
def test_in_quiet_hours_a_change_counts_with_what_was_notified(
    state: AlertState, reason: NotificationReason, is_sent: bool
) -> None:
    assert bool(allowed([(state, reason)], PHONE, ASLEEP)) is is_sent


def test_a_first_notification_that_is_held_back_is_noted() -> None:
    states = by_key(alert("a"), alert("b", notified=notified(Severity.INFO)))
    held = note_held(states, find_candidates(states, PHONE, RULES, NOW), PHONE, ASLEEP, NOW)
    assert {key: dict(state.held) for key, state in held.items()} == {"a": {"phone": NOW}, "b": {}}


def test_an_alert_that_ends_while_held_back_becomes_one_line() -> None:
    ended = alert(firing=False, resolution=OVER, held=HELD)
    (once,) = note_suppressed(by_key(ended), PHONE, NOW).values()
    assert (once.suppressed["phone"].began_at, once.suppressed["phone"].times) == (NOW - HOUR, 1)
    assert note_suppressed(by_key(once), PHONE, NOW) == by_key(once), "noted once"
    again = replace(once, resolution=Resolution(NOW + HOUR, RESOLVED), since=NOW + HOUR / 2, held=HELD)
    (twice,) = note_suppressed(by_key(again), PHONE, NOW + HOUR).values()
    line = twice.suppressed["phone"]
    assert (line.began_at, line.ended_at, line.times) == (NOW - HOUR, NOW + HOUR, 2)


@pytest.mark.parametrize(
    "state",
    [
        alert(firing=False, resolution=OVER, notified=notified()),  # its resolution will be sent
        alert(firing=False, resolution=OVER),  # it was told, or nobody had to be
        alert(firing=False, resolution=OVER, held={"other": NOW - HOUR}),
        alert(held=HELD),
    ],
)
def test_no_line_is_noted_for_what_was_or_will_be_notified(state: AlertState) -> None:
    assert note_suppressed(by_key(state), PHONE, NOW) == by_key(state)


def test_the_summary_waits_for_the_end_of_the_quiet_hours() -> None:
    states = note_suppressed(by_key(alert(firing=False, resolution=OVER, held=HELD)), PHONE, NOW)
    assert summary_lines(states, PHONE, ASLEEP) == {}
    lines = summary_lines(states, PHONE, AWAKE)
    assert [line.profile for line in lines.values()] == ["anthropic:a"]
    assert summary_lines(drop_lines(states, lines, PHONE), PHONE, AWAKE) == {}


def test_a_silence_holds_back_no_end() -> None:
    over = alert(firing=False, resolution=OVER, notified=notified())
    silenced = Suppression(frozenset({"a"}), None)
    assert allowed([(over, RESOLVED)], PHONE, silenced) == [(over, RESOLVED)]
    assert allowed([(alert(), FIRST)], PHONE, silenced) == []


# --- grouping ----------------------------------------------------------------------------------


def test_a_group_is_due_when_its_first_alert_has_waited() -> None:
    early, late = alert("a", pending={"phone": NOW - 10}), alert("b")
    assert not group_is_due([(late, FIRST)], PHONE, RULES, NOW)
    assert group_is_due([(late, FIRST), (early, FIRST)], PHONE, RULES, NOW)


def test_a_resolution_waits_two_seconds_at_most() -> None:
    assert group_wait(RESOLVED, RULES) == 2.0
    assert group_wait(RESOLVED, replace(RULES, group_wait=0.0)) == 0.0
    assert group_wait(FIRST, RULES) == 10.0


def test_waiting_is_counted_from_the_first_time() -> None:
    states = by_key(alert("a", pending={"phone": NOW - 5}), alert("b"))
    after = mark_pending(states, find_candidates(states, PHONE, RULES, NOW), PHONE, NOW)
    assert {key: dict(state.pending) for key, state in after.items()} == {"a": {"phone": NOW - 5}, "b": {"phone": NOW}}


def test_an_alert_that_is_no_candidate_stops_waiting() -> None:
    waiting = {"phone": NOW - 5, "other": NOW - 5}
    states = by_key(alert("a", pending=waiting), alert("b", pending=waiting))
    after = drop_stale_pending(states, [(states["a"], FIRST)], PHONE)
    assert {key: set(state.pending) for key, state in after.items()} == {"a": {"phone", "other"}, "b": {"other"}}


# --- compose and mark --------------------------------------------------------------------------


def test_a_message_has_the_worst_first_and_what_is_over_last() -> None:
    over = alert("o", firing=False, resolution=OVER, notified=notified())
    states = by_key(over, alert("w"), alert("c", Severity.CRITICAL))
    candidates = find_candidates(states, PHONE, RULES, NOW)
    (message,) = compose([Group("phone", candidates, ())], NOW)
    assert [one.profile for one in message.alerts] == ["anthropic:c", "anthropic:w", "anthropic:o"]


def test_channels_share_an_alert_but_not_its_resolution() -> None:
    firing = alert("f")
    over = alert(
        "o", firing=False, resolution=OVER, notified={**notified(), "pager": notified(Severity.CRITICAL)["phone"]}
    )
    groups = [Group(name, [(firing, FIRST), (over, RESOLVED)], ()) for name in ("phone", "pager")]
    phone, pager = compose(groups, NOW)
    assert phone.alerts[0] is next(one for one in pager.alerts if one.reason is FIRST)
    assert {one.severity for one in phone.alerts if one.reason is RESOLVED} == {Severity.WARNING}
    assert {one.severity for one in pager.alerts if one.reason is RESOLVED} == {Severity.CRITICAL}


def test_what_was_notified_is_recorded() -> None:
    states = by_key(alert(pending={"phone": NOW - 10}, deadline=NOW + HOUR / 2))
    (after,) = mark_notified(states, find_candidates(states, PHONE, RULES, NOW), PHONE, RULES, NOW).values()
    assert dict(after.notified) == {
        "phone": LastNotification(Severity.WARNING, ConditionName.EXPIRED, FIRST, NOW, step=HOUR, since=NOW - HOUR)
    }
    assert after.pending == {}


def test_an_alert_that_fires_again_forgets_its_resolution_once_every_channel_has_it() -> None:
    both = {**notified(), "pager": notified()["phone"]}
    states = by_key(alert(acknowledged_step=DAY, resolution=OVER, notified=both))
    for channel, remaining in (("phone", OVER), ("pager", None)):
        candidates = [(states["a"], RESOLVED)]
        states = mark_notified(states, candidates, ChannelPolicy(channel), RULES, NOW)
        assert states["a"].resolution == remaining


def test_an_ended_alert_is_dropped_when_no_channel_is_left() -> None:
    ended = alert("a", firing=False, resolution=OVER)
    states = by_key(ended, replace(ended, key="b", notified=notified()), alert("c"))
    assert set(drop_finished(states, RULES, NOW)) == {"a", "b", "c"}, "an Alertmanager is still told how it ended"
    later = NOW + HOUR
    assert set(drop_finished(states, RULES, later)) == {"b", "c"}
    assert set(drop_finished(states, replace(RULES, channels=()), later)) == {"c"}, "the channel was removed"


def test_an_ended_alert_that_may_flap_is_kept_for_a_day() -> None:
    states = by_key(alert(firing=False, resolution=OVER, begun_at=(NOW,)))
    assert drop_finished(states, RULES, NOW + DAY - 1) == states
    assert drop_finished(states, RULES, NOW + DAY) == {}


# --- the whole ---------------------------------------------------------------------------------


def test_a_channel_waits_for_its_group_and_then_is_notified() -> None:
    states = by_key(alert("a"), alert("b"))
    waiting, group = notify_channel(states, PHONE, RULES, NOW)
    assert group is None
    after, group = notify_channel(waiting, PHONE, RULES, NOW + 10)
    assert group is not None
    assert keys(group.alerts) == ["a", "b"]
    assert notify_channel(after, PHONE, RULES, NOW + 11) == (after, None)


def test_a_summary_alone_waits_for_nothing() -> None:
    states = note_suppressed(by_key(alert(firing=False, resolution=OVER, held=HELD)), PHONE, NOW)
    after, group = notify_channel(states, PHONE, RULES, NOW + 1)
    assert group is not None
    assert (len(group.alerts), len(group.summary)) == (0, 1)
    assert drop_finished(after, RULES, NOW + HOUR) == {}


def test_no_stage_alters_its_input() -> None:
    over = alert("o", firing=False, resolution=OVER)
    stale = alert("s", inhibited=True, pending={"phone": NOW - 5})
    states = by_key(alert("a"), alert("c", Severity.CRITICAL), over, stale)
    before = {key: replace(state) for key, state in states.items()}
    quiet = replace(PHONE, quiet=NIGHT)
    for now in (NOW, MIDNIGHT, MIDNIGHT + DAY / 2):
        after, _ = notify_channel(states, quiet, RULES, now)
        notify_channel(after, quiet, RULES, now + 10)
    assert states == before
