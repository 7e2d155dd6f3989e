"""A report is kept only where an evaluation of the same facts at a later time would find the same."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import event, given
from hypothesis import strategies as st
from worlds import DAY, NOW, observations

from exporter.config import Policy
from exporter.model import Dialect, Observation, ObservedProfile
from exporter.state.history import CredentialHistory, record_observation, record_report
from exporter.verdict import Subject, evaluate, still_holds

SUBJECT = Subject("home", "main", "openclaw")
later = st.one_of(st.floats(0, 3 * DAY), st.floats(0, 120), st.sampled_from([60.0, 300.0, 600.0, DAY, 8 * DAY]))


@given(observations(), later, st.sampled_from([0.0, 5.0, 120.0]))
def test_kept_report_is_the_report_of_a_new_evaluation(seen: Observation, seconds: float, delay: float) -> None:
    policy, at = Policy(), seen.observed_at
    history = record_observation(CredentialHistory(), seen, at)
    report = evaluate(SUBJECT, seen, None, history, policy, at, 1.0)
    history = record_report(history, report)
    if history.changed:
        return
    same = replace(seen, observed_at=at + seconds)
    now = at + seconds + delay
    if not still_holds(report, same, now):
        return
    event("kept")
    fresh = evaluate(SUBJECT, same, None, record_observation(history, same, now), policy, now, 1.0)
    assert report._replace(evaluated_at=now, checked_at=same.observed_at) == fresh


def test_report_of_dates_far_away_is_kept_and_of_dates_that_pass_is_not() -> None:
    for left, expected in ((30 * DAY, True), (DAY + 60, False), (30.0, False), (None, True)):
        date = None if left is None else NOW + left
        profile = ObservedProfile("anthropic:p", "anthropic", "oauth", "ok", expires_at=date)
        seen = Observation("home", "main", "gateway", Dialect.GATEWAY, NOW, (profile,), ("anthropic",))
        report = evaluate(SUBJECT, seen, None, record_observation(CredentialHistory(), seen, NOW), Policy(), NOW)
        later = replace(seen, observed_at=NOW + 300)
        assert still_holds(report, later, NOW + 300) is expected
        assert not still_holds(report, later, NOW - 1), "the clock went back"
