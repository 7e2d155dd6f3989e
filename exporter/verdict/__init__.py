"""Observation → Report: what the facts mean. A pure function of observation, history, policy and time.

This package alone knows the meaning of OpenClaw's statuses, dates and exit codes. ``profile``
evaluates one profile, ``provider`` the profiles of one provider, ``conditions`` holds the rules, and
``remedies`` the commands that fix them. There is no I/O and no clock. Tests check four laws: more
evidence of trouble never lowers a severity, time alone never makes an expired profile work, the order
of profiles never matters, and a fact that was not seen is never reported as 0 or as fine.
"""

from __future__ import annotations

from collections import Counter

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
    StepKind,
    exit_code_of,
    note,
)
from exporter.state.history import REMEMBER_GONE, CredentialHistory, condition_key
from exporter.verdict.advice import advice
from exporter.verdict.conditions import COUNTS_TIME, evaluate_conditions
from exporter.verdict.evidence import evidence, login_notes, policy_notes, use_notes
from exporter.verdict.inputs import Subject, VerdictInputs
from exporter.verdict.profile import TIMES_LEFT, ProfileVerdict, as_not_eligible, evaluate_profile, unmasked
from exporter.verdict.provider import ProviderProfiles

__all__ = ["Subject", "evaluate", "still_holds"]


def evaluate(
    subject: Subject,
    observation: Observation | None,
    failure: Failure | None,
    history: CredentialHistory,
    policy: Policy,
    now: float,
    duration: float | None = None,
) -> AgentReport:
    """The verdict about one agent at ``now`` (Unix seconds).

    ``observation`` is the last one that could be read, and ``failure`` the failed check after it, if any:
    known facts stay known after a failed check. ``history`` must already include the observation.
    ``duration`` (seconds) of the check is passed on to the report.
    """
    seen = observation or Observation(
        subject.target, subject.agent, subject.source, Dialect.ROUTES, now, blind_to=frozenset({"unusable"})
    )
    inputs = VerdictInputs(subject, seen, observation is not None, failure, history, policy, now)
    providers = ProviderProfiles(inputs, _evaluate_profiles(inputs))
    found = evaluate_conditions(inputs, providers)
    conditions = [_with_place(inputs, _with_age(inputs, condition)) for condition in found]
    conditions.sort(key=_worst_first)
    serving = _serving(inputs, providers)
    return AgentReport(
        target=subject.target,
        agent=subject.agent,
        source=seen.source,
        evaluated_at=now,
        checked_at=observation.observed_at if observation else None,
        exit_code=exit_code_of(condition.severity for condition in conditions),
        profiles=tuple(_profile_report(inputs, profile, providers) for profile in providers),
        conditions=tuple(conditions),
        providers_usable=_providers_usable(inputs, providers),
        unusable_counts=_unusable_counts(inputs, providers),
        serving=serving,
        usage=seen.usage,
        openclaw_exit_code=seen.openclaw_exit_code,
        openclaw_version=seen.openclaw_version,
        failure=failure,
        duration=duration,
        changes_at=_changes_at(inputs, providers, conditions),
        check_at=_check_at(inputs, providers),
        notes=(*seen.notes, *use_notes(inputs), *login_notes(inputs), *policy_notes(inputs)),
        advice=advice(inputs, providers, serving),
        dialect=seen.dialect,
        agent_dir=seen.agent_dir,
    )


def still_holds(report: AgentReport, seen: Observation, now: float) -> bool:
    """Whether an evaluation at ``now`` of ``seen`` would find what ``report`` says, apart from its own times.

    ``report`` was evaluated from an earlier observation that says the same as ``seen``.
    """
    before = report.checked_at
    if before is None or report.failure is not None or not report.evaluated_at <= now:
        return False
    if any(at is not None and now >= at for at in (report.changes_at, report.check_at)):
        return False
    if any(condition.name in COUNTS_TIME for condition in report.conditions):
        return False
    dates = [profile.expires_at for profile in seen.profiles if profile.expires_at is not None]
    return not any(at - seen.observed_at <= left <= at - before for at in dates for left in TIMES_LEFT)


def _evaluate_profiles(inputs: VerdictInputs) -> list[ProfileVerdict]:
    """The verdict on every profile, sorted by provider and id."""
    observed = sorted(inputs.observation.profiles, key=lambda p: (p.provider, p.id))
    profiles = [evaluate_profile(inputs, unmasked(inputs, profile)) for profile in observed]
    return [as_not_eligible(profile) if _is_not_eligible(inputs, profile) else profile for profile in profiles]


def _is_not_eligible(inputs: VerdictInputs, profile: ProfileVerdict) -> bool:
    """Whether OpenClaw finds no credential for the provider, and no other fact about the profile explains it.

    Up to 2026.7 a listed OAuth login that expired may refresh, so there that is no evidence. 2026.9 lists a
    provider whose only key is a reference that cannot be resolved once; later it is merely not sure.
    """
    is_unserved = profile.provider in inputs.observation.unserved_providers and profile.observed.kind != "oauth"
    if not (is_unserved or inputs.is_listed_missing(profile.provider)) or profile.is_from_environment:
        return False
    if not profile.is_usable or not inputs.is_in_order(profile.observed):
        return False
    date, at = profile.observed.expires_at, inputs.observed_at
    is_expired = profile.observed.status == "expired" or (date or at + 1) <= at
    is_expired_login = profile.observed.kind == "oauth" and is_expired
    return not (is_expired_login and inputs.dialect is not Dialect.ROUTES)


def _with_age(inputs: VerdictInputs, condition: Condition) -> Condition:
    """The condition with the time it began; after a failed check also with the time it was last seen."""
    if condition.since is None:
        key = condition_key(condition.name, condition.provider, condition.profile)
        condition = condition._replace(since=min(inputs.history.since.get(key, inputs.now), inputs.now))
    is_current = inputs.failure is None or not inputs.was_observed
    if is_current or condition.family not in (Family.DEADLINE, Family.AVAILABILITY):
        return condition
    # Somebody may have fixed it since.
    summary = f"{condition.summary}, as last seen at {iso(inputs.observed_at)}"
    return condition._replace(summary=summary, seen_at=inputs.observed_at)


def _with_place(inputs: VerdictInputs, condition: Condition) -> Condition:
    """The condition whose remedy says on which other host its commands are typed."""
    host = inputs.subject.openclaw.host
    if host is None or not any(step.kind is StepKind.COMMAND for step in condition.steps):
        return condition
    return condition._replace(steps=(note(f"On {host}, as the user that runs the gateway:"), *condition.steps))


def _worst_first(condition: Condition) -> tuple[int, bool, str, str, str]:
    """Of equal severity, an outage comes before the profiles that caused it."""
    is_outage = condition.name in (ConditionName.NO_USABLE_PROFILE, ConditionName.CHECK_FAILED)
    return (-condition.severity.rank, not is_outage, condition.name, condition.provider or "", condition.profile or "")


# --- the rest of the report ------------------------------------------------------------------------


def _profile_report(inputs: VerdictInputs, profile: ProfileVerdict, providers: ProviderProfiles) -> ProfileReport:
    seen, record, policy = profile.observed, inputs.record(profile.id), inputs.profile_policy(profile.id)
    return ProfileReport(
        id=seen.id,
        provider=seen.provider,
        kind=seen.kind,
        status=profile.status,
        expires_at=profile.deadline,
        basis=profile.basis,
        refreshable=profile.refreshable,
        selected=_selected(profile, providers),
        unusable=profile.unusable,
        unusable_seen=inputs.sees_unusable,
        in_use=inputs.is_in_use(seen.provider),
        usable=profile.is_usable,
        label=policy.alias or seen.id,
        ignored=policy.ignore or not inputs.needs_credential(seen.provider),
        last_used_at=seen.last_used_at,
        error_count=seen.error_count,
        first_seen_at=record.known_since if record else None,
        secret_hash=seen.secret_hash,
        owner=inputs.owner_of(seen),
        reference=seen.reference,
        reason_code=seen.reason_code,
        evidence=evidence(inputs, profile),
        assumed=profile.assumed,
    )


def _selected(profile: ProfileVerdict, providers: ProviderProfiles) -> bool | None:
    """Whether the profile serves its provider now; None if it is one of several that may."""
    selected = providers.selected(profile.provider)
    if selected is not None:
        return selected is profile
    return None if providers.may_serve(profile) else False


def _serving(inputs: VerdictInputs, providers: ProviderProfiles) -> dict[str, str]:
    """The kind of credential that serves each provider in use, if it is certain."""
    result = {}
    for provider in filter(inputs.needs_credential, inputs.providers_in_use):
        selected = providers.selected(provider)
        candidates = (selected,) if selected else providers.serving(provider)
        kinds = {"environment" if p.is_from_environment else p.observed.kind for p in candidates}
        if len(kinds) == 1 and not any(p.observed.is_masked for p in candidates):
            result[provider] = kinds.pop()
    return result


def _providers_usable(inputs: VerdictInputs, providers: ProviderProfiles) -> dict[str, bool]:
    """Whether each provider in use works, without those that need no credential."""
    return {
        provider: providers.works(provider)
        for provider in filter(inputs.needs_credential, inputs.providers_in_use)
        if providers.of(provider) or providers.is_missing(provider)
    }


def _unusable_counts(inputs: VerdictInputs, providers: ProviderProfiles) -> dict[str, int] | None:
    """How many profiles of each provider are unusable; None if the source does not report it."""
    if not inputs.sees_unusable:
        return None
    counts = Counter({profile.provider: 0 for profile in providers})
    counts.update(profile.provider for profile in providers if profile.unusable is not None)
    return dict(counts)


def _changes_at(inputs: VerdictInputs, providers: ProviderProfiles, conditions: list[Condition]) -> float | None:
    """When time alone next changes this verdict: at a deadline, a threshold, or the end of a week's notice."""
    times: list[float] = []
    for profile in providers:
        if profile.deadline is not None:
            within, _ = inputs.expiring_within(profile.provider, profile.id)
            times += [profile.deadline + offset for offset in (-within, 0.0, REMEMBER_GONE)]
        date = profile.observed.expires_at
        if profile.observed.kind == "oauth" and profile.refreshable is not False and date is not None:
            times += [date, date + inputs.policy.oauth_idle_after]
    times += [condition.since + REMEMBER_GONE for condition in conditions if condition.since is not None]
    # Slightly past the threshold, so that rounding cannot put us just before it.
    return min((at + 0.001 for at in times if at + 0.001 > inputs.now), default=None)


def _check_at(inputs: VerdictInputs, providers: ProviderProfiles) -> float | None:
    """When the first deadline or cooldown after the observation ends: only a check shows what happened then."""
    ends = [profile.unusable.until for profile in providers if profile.unusable]
    ends += [profile.deadline for profile in providers if not profile.assumed]
    return min((at for at in ends if at is not None and at > inputs.observed_at), default=None)
