"""Flapping: an alert that begins again and again is notified once, and once when it has become stable. Pure."""

from __future__ import annotations

from exporter.alerts.lifecycle.policy import AlertPolicy
from exporter.alerts.values import AlertState
from exporter.model import ConditionName, Severity

DAY = 86400.0
#: From this many beginnings within a day on, an alert flaps.
FLAPS_FROM = 3
#: It is stable again after so many seconds.
STABLE_AFTER = 3600.0
#: While it goes on beginning every day, it is notified again after so many seconds.
NOTIFY_AGAIN_AFTER = 7 * DAY


def times_today(state: AlertState, now: float) -> int:
    """How often the alert began within a day, if it is flapping; else 0."""
    if len(state.begun_at) < FLAPS_FROM:
        return 0
    times = sum(at > now - DAY for at in state.begun_at)
    return times if times >= FLAPS_FROM else 0


def stable_at(state: AlertState) -> float:
    """When a flapping alert will have been as it is for long enough (Unix seconds)."""
    since = state.started_at if state.firing or state.resolution is None else state.resolution.at
    return since + STABLE_AFTER


def first_at(state: AlertState, channel: str, policy: AlertPolicy, now: float) -> float | None:
    """When a beginning is sent although the channel knows that the alert flaps (Unix seconds); None: at once.

    Trouble that needs a person at once, and trouble that lasts, is sent all the same.
    """
    notified_at = state.flapped.get(channel)
    goes_on = len(state.begun_at) > 1  # it began before within a day
    if notified_at is None or not goes_on or notified_at <= now - NOTIFY_AGAIN_AFTER:
        return None
    needs_person = state.severity is Severity.CRITICAL and not state.self_healing
    if needs_person and state.condition is not ConditionName.CHECK_FAILED:
        return None
    return min(state.started_at + policy.repeat_every, notified_at + NOTIFY_AGAIN_AFTER)
