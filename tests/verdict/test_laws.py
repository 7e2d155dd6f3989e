"""The laws of the verdict hold for any observation."""

from __future__ import annotations

from dataclasses import replace
from random import Random

from captured import verdict
from hypothesis import assume, example, given
from hypothesis import strategies as st
from worlds import DAY, NOW, PROVIDERS, observations, unusables

from exporter.model import AgentReport, Dialect, Observation, ObservedProfile, Severity, Status, Unusable
from exporter.state.history import CredentialHistory, record_observation, record_report

BADNESS = {0: 0, 2: 1, 1: 2}


def badness(report: AgentReport) -> int:
    return BADNESS[report.exit_code]


@given(observations(), st.randoms(use_true_random=False))
def test_order_of_profiles_never_matters(seen: Observation, random: Random) -> None:
    shuffled = list(seen.profiles)
    random.shuffle(shuffled)
    assert verdict(replace(seen, profiles=tuple(shuffled))) == verdict(seen)


def _with(seen: Observation, changed: ObservedProfile) -> Observation:
    others = tuple(p for p in seen.profiles if p.id != changed.id)
    return replace(seen, profiles=(*others, changed))


@given(observations(min_profiles=1), unusables, st.sampled_from(["unusable", "expired", "missing", "date", "listed"]))
def test_more_evidence_of_trouble_never_lowers_a_severity(
    seen: Observation, unusable: Unusable | None, kind: str
) -> None:
    first = seen.profiles[0]
    match kind:
        case "unusable":
            assume(first.unusable is None and unusable is not None)
            worse = _with(seen, replace(first, unusable=unusable))
        case "expired":
            assume(first.status in ("ok", "expiring", "static"))
            worse = _with(seen, replace(first, status="expired"))
        case "missing":
            worse = _with(seen, replace(first, status="missing"))
        case "date":
            # Not further back than a week: a spare's old expiry is info by contract.
            assume(first.expires_at is not None and first.expires_at > NOW - 6 * DAY)
            worse = _with(seen, replace(first, expires_at=NOW - 6 * DAY))
        case _:
            worse = replace(seen, missing_providers=frozenset(PROVIDERS))
    assert badness(verdict(worse)) >= badness(verdict(seen))


#: A profile that expired long ago, beside a spare. It explains exit code 1, so it must explain 2 as well.
SPARE = Observation(
    "home",
    "main",
    "openclaw",
    Dialect.STATUS,
    NOW,
    (
        ObservedProfile("anthropic:used", "anthropic", "token"),
        ObservedProfile("anthropic:old", "anthropic", "token", expires_at=NOW - 400 * DAY),
    ),
)


@example(SPARE, (2, 1))
@given(observations(), st.sampled_from([(None, 2), (0, 2), (2, 1), (None, 1)]))
def test_worse_exit_code_of_openclaw_never_gives_a_milder_verdict(
    seen: Observation, codes: tuple[int | None, int]
) -> None:
    better, worse = (verdict(replace(seen, openclaw_exit_code=code)) for code in codes)
    assert badness(worse) >= badness(better)


@given(observations(min_profiles=1), st.floats(0, 800 * DAY))
def test_time_never_renews_an_expired_profile(seen: Observation, later: float) -> None:
    before, after = verdict(seen), verdict(seen, now=NOW + later)
    expired = {p.id for p in before.profiles if p.status is Status.EXPIRED}
    assert expired <= {p.id for p in after.profiles if p.status is Status.EXPIRED}


@given(observations(min_profiles=1), st.floats(0, 800 * DAY))
def test_time_never_makes_a_credential_usable(seen: Observation, later: float) -> None:
    usable = {p.id for p in verdict(seen).profiles if p.usable}
    assert {p.id for p in verdict(seen, now=NOW + later).profiles if p.usable} <= usable


@given(observations())
def test_unseen_fact_is_never_zero_or_fine(seen: Observation) -> None:
    report = verdict(seen)
    blind = "unusable" in seen.blind_to
    assert (report.unusable_counts is None) == blind
    assert all(profile.unusable_seen is not blind for profile in report.profiles)
    assert any(c.name == "partial_view" for c in report.conditions) == blind
    if seen.providers_in_use is None:
        assert report.providers_usable == {}
        assert all(profile.in_use is None for profile in report.profiles)
    for profile in report.profiles:
        if profile.refreshable is not False and profile.kind == "oauth" and profile.basis != "login":
            assert profile.expires_at is None


@given(observations())
def test_worst_condition_decides_the_exit_code(seen: Observation) -> None:
    report = verdict(seen)
    severities = [condition.severity for condition in report.conditions]
    worst = max(severities, key=lambda s: s.rank, default=Severity.INFO)
    assert report.exit_code == {"critical": 1, "warning": 2, "info": 0}[worst]
    assert severities == sorted(severities, key=lambda s: -s.rank)


@given(observations())
def test_nothing_changes_before_changes_at(seen: Observation) -> None:
    report = verdict(seen)
    until = report.changes_at if report.changes_at is not None else NOW + 4000 * DAY
    just_before = verdict(seen, now=max(NOW, until - 0.01))
    before = [(c.name, c.severity, c.profile, c.provider) for c in report.conditions]
    assert [(c.name, c.severity, c.profile, c.provider) for c in just_before.conditions] == before


@given(observations(), observations())
def test_recording_the_same_twice_changes_nothing(first: Observation, second: Observation) -> None:
    memory = record_observation(CredentialHistory(), first, NOW)
    memory = record_report(memory, verdict(first))
    once = record_observation(memory, second, NOW + 60)
    report = verdict(second, memory, now=NOW + 60)
    settled = record_report(once, report)
    again = record_report(record_observation(settled, second, NOW + 60), verdict(second, settled, now=NOW + 60))
    assert again == settled
