"""What it means: a pure function of (observation, history, policy, now).

All knowledge of what OpenClaw's words, dates and codes mean lives in this package and nowhere else:
``standing`` judges one profile, ``rules`` is the table of conditions. No I/O and no clock. Its laws,
which tests hold it to: more evidence of trouble never lowers a severity, the passing of time never
heals what expired, the order of profiles never matters, what was not seen is never 0 or fine.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

from exporter.config import Policy
from exporter.lib.durations import iso
from exporter.model import (
    AgentReport,
    Condition,
    ConditionName,
    Dialect,
    Failure,
    Family,
    Observation,
    ProfileReport,
    exit_code_of,
)
from exporter.state.history import REMEMBER_GONE, CredentialHistory, condition_key
from exporter.verdict import conditions
from exporter.verdict.inputs import Subject, VerdictInputs
from exporter.verdict.profile import ProfileVerdict, evaluate_profile, not_eligible
from exporter.verdict.provider import ProviderProfiles

__all__ = ["Subject", "judge"]


def evaluate(
    subject: Subject,
    seen: Observation | None,
    failure: Failure | None,
    history: CredentialHistory,
    policy: Policy,
    now: float,
    duration: float | None = None,
) -> AgentReport:
    """The verdict about one agent at ``now`` (Unix seconds).

    ``seen`` is the last look that could be read and ``failure`` the one after it that could not:
    what was known stays known beside a failure. ``memory`` already remembers ``seen``.
    ``duration`` (seconds) is how long the look took; it is only passed on.
    """
    view = VerdictInputs(subject, seen, history, policy, now)
    lineup = ProviderProfiles(view, _stands(view))
    found = [*conditions.watch(view, failure), *conditions.gone(view), *conditions.notices(view)]
    for stand in lineup:
        if not view.said(stand.seen.id).ignore:
            found += conditions.profile(view, stand, lineup)
    found += conditions.providers(view, lineup)
    found += conditions.reported(view, lineup, found)
    if failure is not None and seen is not None:
        found = [_aged(condition, seen.observed_at) for condition in found]
    found = sorted((_dated(view, condition) for condition in found), key=_worst_first)
    return AgentReport(
        target=subject.target,
        agent=subject.agent,
        source=seen.source if seen else subject.source,
        evaluated_at=now,
        checked_at=seen.observed_at if seen else None,
        exit_code=exit_code_of(condition.severity for condition in found),
        profiles=tuple(_report(view, stand, lineup) for stand in lineup),
        conditions=tuple(found),
        providers_usable=_providers_usable(view, lineup),
        unusable_counts=_unusable_counts(view, lineup),
        serving=_serving(view, lineup),
        usage=seen.usage if seen else (),
        openclaw_exit_code=seen.openclaw_exit_code if seen else None,
        openclaw_version=seen.openclaw_version if seen else None,
        failure=failure,
        duration=duration,
        changes_at=_changes_at(view, lineup, found),
        check_at=_check_agent(view, lineup),
        notes=seen.notes if seen else (),
    )


def _stands(view: VerdictInputs) -> list[ProfileVerdict]:
    """Every profile's standing, in an order of our own."""
    seen = sorted(view.seen.profiles, key=lambda p: (p.provider, p.id)) if view.seen else []
    stands = [evaluate_profile(view, profile) for profile in seen]
    return [not_eligible(stand) if _is_not_eligible(view, stand) else stand for stand in stands]


def _is_not_eligible(view: VerdictInputs, stand: ProfileVerdict) -> bool:
    """OpenClaw lists the provider as missing, and nothing we see of the profile says why.

    2026.6 and 7 list every expired OAuth login so, refreshable or not: that is no evidence.
    """
    if not view.lists_as_missing(stand.provider) or stand.is_from_environment:
        return False
    if not stand.is_usable or not view.is_in_order(stand.seen):
        return False
    date, at = stand.seen.expires_at, view.seen.observed_at if view.seen else view.now
    expired_login = stand.seen.kind == "oauth" and (stand.seen.status == "expired" or (date or at + 1) <= at)
    return not (expired_login and view.dialect in (Dialect.LISTING, Dialect.STATUS))


def _aged(condition: Condition, seen_at: float) -> Condition:
    """What is said while looks fail is as it was last seen: somebody may have mended it."""
    if condition.family not in (Family.DEADLINE, Family.AVAILABILITY):
        return condition
    summary = f"{condition.summary}, as last seen at {iso(seen_at)}"
    return replace(condition, summary=summary, seen_at=seen_at)


def _dated(view: VerdictInputs, condition: Condition) -> Condition:
    if condition.since is not None:
        return condition
    key = condition_key(condition.name, condition.provider, condition.profile)
    return replace(condition, since=min(view.history.since.get(key, view.now), view.now))


def _worst_first(condition: Condition) -> tuple[int, str, str, str, str]:
    provider, profile = condition.provider or "", condition.profile or ""
    # A provider without anything that works is told before the profiles that caused it.
    first = "" if condition.name in (ConditionName.NO_USABLE_PROFILE, ConditionName.CHECK_FAILED) else "x"
    return (-condition.severity.rank, first, condition.name, provider, profile)


def _report(view: VerdictInputs, stand: ProfileVerdict, lineup: ProviderProfiles) -> ProfileReport:
    seen, remembered = stand.seen, view.history.profiles.get(stand.seen.id)
    return ProfileReport(
        id=seen.id,
        provider=seen.provider,
        kind=seen.kind,
        status=stand.status,
        expires_at=stand.deadline,
        basis=stand.basis,
        refreshable=stand.refreshable,
        selected=_selected(stand, lineup),
        unusable=stand.unusable,
        unusable_seen=view.seen is not None and "unusable" not in view.seen.blind_to,
        in_use=view.is_in_use(seen.provider),
        usable=stand.is_usable,
        label=view.said(seen.id).alias or seen.id,
        ignored=view.said(seen.id).ignore,
        last_used_at=seen.last_used_at,
        error_count=seen.error_count,
        first_seen_at=remembered.first_seen_at if remembered else None,
        secret_hash=seen.secret_hash,
        evidence=_evidence(view, stand),
    )


def _selected(stand: ProfileVerdict, lineup: ProviderProfiles) -> bool | None:
    """Whether the profile serves its provider now; None where it is one of several and nothing tells which."""
    chosen = lineup.selected(stand.provider)
    if chosen is not None:
        return chosen is stand
    return None if lineup.may_serve(stand) else False


def _serving(view: VerdictInputs, lineup: ProviderProfiles) -> dict[str, str]:
    """The kind of credential that serves each provider in use, where that is certain."""
    result = {}
    for provider in view.providers_in_use:
        chosen = lineup.selected(provider)
        candidates = (chosen,) if chosen else lineup.serving(provider)
        kinds = {"environment" if s.is_from_environment else s.seen.kind for s in candidates}
        if len(kinds) == 1:
            result[provider] = kinds.pop()
    return result


def _providers_usable(view: VerdictInputs, lineup: ProviderProfiles) -> dict[str, bool]:
    """Providers in use of which something is known; some need no credential at all."""
    return {
        provider: lineup.works(provider)
        for provider in view.providers_in_use
        if lineup.of(provider) or lineup.is_missing(provider)
    }


def _unusable_counts(view: VerdictInputs, lineup: ProviderProfiles) -> dict[str, int] | None:
    if view.seen is None or "unusable" in view.seen.blind_to:
        return None
    counts = Counter({stand.provider: 0 for stand in lineup})
    counts.update(stand.provider for stand in lineup if stand.unusable is not None)
    return dict(counts)


def _changes_at(view: VerdictInputs, lineup: ProviderProfiles, conditions: list[Condition]) -> float | None:
    """When time alone would change this verdict: deadlines near and passed, and what is told for a week."""
    times: list[float] = []
    for stand in lineup:
        if stand.deadline is not None:
            times += [stand.deadline - view.policy.expiring_within, stand.deadline, stand.deadline + REMEMBER_GONE]
        if stand.seen.kind == "oauth" and stand.refreshable is None and stand.seen.expires_at is not None:
            times += [stand.seen.expires_at, stand.seen.expires_at + view.policy.oauth_idle_after]
    times += [condition.since + REMEMBER_GONE for condition in conditions if condition.since is not None]
    # A moment later than the threshold, so that the comparison has surely tipped over.
    return min((at + 0.001 for at in times if at + 0.001 > view.now), default=None)


def _check_agent(view: VerdictInputs, lineup: ProviderProfiles) -> float | None:
    """The first end of a deadline or cooldown after the last look: that it has passed is only known from the date."""
    looked_at = view.seen.observed_at if view.seen else view.now
    ends = [stand.unusable.until for stand in lineup if stand.unusable and stand.unusable.until is not None]
    ends += [stand.deadline for stand in lineup if stand.deadline is not None and not stand.assumed]
    return min((at for at in ends if at > looked_at), default=None)


def _evidence(view: VerdictInputs, stand: ProfileVerdict) -> tuple[str, ...]:
    """What the profile's verdict rests on, as sentences for ``explain``."""
    seen, said = stand.seen, []
    if seen.status is not None:
        code = f" ({seen.reason_code})" if seen.reason_code else ""
        said.append(f"OpenClaw says {seen.status}{code}")
    if seen.expires_at is not None:
        what = "access token's date" if seen.kind == "oauth" else "date"
        said.append(f"its {what} is {iso(seen.expires_at) or 'beyond the year 9999'}")
    if seen.login_ends_at is not None:
        said.append(f"its login ends at {iso(seen.login_ends_at)}")
    if seen.kind == "oauth":
        refreshes = {True: "it refreshes itself", False: "it cannot refresh", None: "nothing tells if it refreshes"}
        where = {True: " (the store holds a refresh token)", False: " (the store holds no refresh token)", None: ""}
        said.append(refreshes[stand.refreshable] + where[seen.has_refresh_token])
    if seen.unusable is not None:
        reason = seen.unusable.reason or "no reason given"
        until = f" until {iso(seen.unusable.until)}" if seen.unusable.until is not None else ""
        said.append(
            f"it is in {seen.unusable.kind} ({reason}){until}" + ("" if stand.unusable else ", which has ended")
        )
        if stand.unusable and not stand.is_blocked:
            said.append(f"only for the model {stand.unusable.model}, which is not in use")
    remembered = view.history.profiles.get(seen.id)
    if remembered:
        said.append(f"we first saw this credential at {iso(remembered.first_seen_at)}")
        if seen.expires_at is None and remembered.deadline is not None:
            said.append(f"we remember its deadline, {iso(remembered.deadline)}")
    if seen.last_used_at is not None:
        said.append(f"it was last used at {iso(seen.last_used_at)}")
    if stand.disagreement:
        said.append(stand.disagreement)
    said.append(f"{stand.status}: {stand.rule}")
    return tuple(said)
