"""The rules: one function per condition, which decides whether the condition holds and how severe it is.

To add a condition, add its row to the catalogue (``exporter/model/conditions.py``) and its rule to one
of the tuples PROFILE_RULES, PROVIDER_RULES and AGENT_RULES.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from exporter.lib.durations import in_words, iso
from exporter.model import Condition, ConditionName, Dialect, Family, Severity, Status, Step, Use, in_list
from exporter.state.history import REMEMBER_GONE, condition_key
from exporter.verdict import fixes, remedies
from exporter.verdict.inputs import EARLIEST, VerdictInputs
from exporter.verdict.profile import NOT_ELIGIBLE, WARN_AFTER, ProfileVerdict
from exporter.verdict.provider import ProviderProfiles

#: A usage window above this ratio is a ``quota`` condition.
QUOTA_RATIO = 0.9
#: How many profiles the summary of ``no_usable_profile`` names.
MAX_NAMED = 10

ProfileRule = Callable[[VerdictInputs, ProviderProfiles, ProfileVerdict], Condition | None]
ProviderRule = Callable[[VerdictInputs, ProviderProfiles, str], Condition | None]
AgentRule = Callable[[VerdictInputs], Iterator[Condition]]

#: Their summaries say how long ago something was, or how long it still takes.
COUNTS_TIME = frozenset({ConditionName.EXPIRING, ConditionName.EXPIRED, ConditionName.IDLE, ConditionName.UNDATED})


def evaluate_conditions(inputs: VerdictInputs, providers: ProviderProfiles) -> list[Condition]:
    """Every condition that holds, in no particular order."""
    found = [condition for rule in AGENT_RULES for condition in rule(inputs)]
    for profile in providers:
        if not inputs.profile_policy(profile.id).ignore:
            found += filter(None, (rule(inputs, providers, profile) for rule in PROFILE_RULES))
    for provider in inputs.providers_in_use:
        found += filter(None, (rule(inputs, providers, provider) for rule in PROVIDER_RULES))
    found = [condition for condition in found if inputs.needs_credential(condition.provider)]
    unexplained = reported(inputs, providers, found)
    return found if unexplained is None else [*found, unexplained]


# --- one profile -----------------------------------------------------------------------------------


def undated(inputs: VerdictInputs, providers: ProviderProfiles, profile: ProfileVerdict) -> Condition | None:
    if not profile.is_undated:
        return None
    by = f"; it ends by {iso(profile.deadline)} at the latest" if profile.deadline else ""
    summary = f"{profile.id} on {inputs.subject} has no expiry date, so nothing warns before it ends{by}"
    record = remedies.set_date_step(profile.id, inputs.subject.agent, inputs.subject.target)
    return _about(
        profile, ConditionName.UNDATED, Severity.INFO, summary, (*fixes.renew(inputs, providers, profile), record)
    )


def expiring(inputs: VerdictInputs, providers: ProviderProfiles, profile: ProfileVerdict) -> Condition | None:
    if profile.status is not Status.EXPIRING:
        return None
    severity = Severity.INFO if inputs.is_unused(profile.provider) else Severity.WARNING
    left = f" in {in_words(profile.deadline - inputs.now)} ({iso(profile.deadline)})" if profile.deadline else " soon"
    summary = f"{profile.id} expires on {inputs.subject}{left}{_at_the_latest(profile)}{_users(inputs, profile)}"
    return _about(
        profile, ConditionName.EXPIRING, severity, summary, fixes.renew(inputs, providers, profile), rule=profile.rule
    )


def expired(inputs: VerdictInputs, providers: ProviderProfiles, profile: ProfileVerdict) -> Condition | None:
    if profile.status is not Status.EXPIRED:
        return None
    since = _ended_at(inputs, profile)
    severity, relief = _relief(inputs, providers, profile, ConditionName.EXPIRED, since)
    ago = "" if since is None else f" {in_words(inputs.now - since)} ago ({iso(since)})"
    summary = f"{profile.id} expired on {inputs.subject}{ago}{_at_the_latest(profile)}{_users(inputs, profile)}"
    rule = f"{profile.rule}; {relief}"
    return _about(
        profile,
        ConditionName.EXPIRED,
        severity,
        summary,
        fixes.renew(inputs, providers, profile),
        rule=rule,
        since=since,
    )


def unusable(inputs: VerdictInputs, providers: ProviderProfiles, profile: ProfileVerdict) -> Condition | None:
    state = profile.unusable
    if state is None:
        return None
    severity, relief = Severity.INFO, "it recovers on its own"
    if state.reason in remedies.NEEDS_PERSON:
        severity, relief = _relief(inputs, providers, profile, ConditionName.UNUSABLE)
    verb = "is cooling down" if state.kind == "cooldown" else f"is {state.kind}"
    model = f" for {state.model}" if state.model else ""
    reason = f" ({state.reason})" if state.reason else ""
    until = f" until {iso(state.until)}" if state.until is not None else ""
    summary = f"{profile.id} {verb}{model} on {inputs.subject}{reason}{until}{_users(inputs, profile)}"
    remedy, rule = fixes.recover(inputs, providers, profile), f"OpenClaw lists it as unusable; {relief}"
    return _about(profile, ConditionName.UNUSABLE, severity, summary, remedy, rule=rule, reason=state.reason)


def not_eligible(inputs: VerdictInputs, providers: ProviderProfiles, profile: ProfileVerdict) -> Condition | None:
    if profile.status is not Status.MISSING:
        return None
    severity, relief = _relief(inputs, providers, profile, ConditionName.MISSING)
    code = profile.observed.reason_code
    why = NOT_ELIGIBLE.get(code or "", "OpenClaw does not use it; compare its kind with auth.profiles in openclaw.json")
    kept = f" ({profile.observed.reference})" if profile.observed.reference and code == "unresolved_ref" else ""
    summary = f"{profile.id} on {inputs.subject} is not eligible: {why}{kept}{_users(inputs, profile)}"
    rule = f"{profile.rule}; {relief}"
    return _about(
        profile,
        ConditionName.MISSING,
        severity,
        summary,
        fixes.renew(inputs, providers, profile),
        rule=rule,
        reason=code,
    )


def status_disagrees(inputs: VerdictInputs, providers: ProviderProfiles, profile: ProfileVerdict) -> Condition | None:
    if not profile.disagreement:
        return None
    summary = f"{profile.id} on {inputs.subject}: {profile.disagreement}"
    return _about(profile, ConditionName.STATUS_DISAGREES, Severity.INFO, summary)


def idle(inputs: VerdictInputs, providers: ProviderProfiles, profile: ProfileVerdict) -> Condition | None:
    if profile.idle_since is None or inputs.clock_is_wrong:
        return None
    age = inputs.now - profile.idle_since
    if age <= inputs.policy.oauth_idle_after:
        return None
    token = f"The access token of {profile.id} on {inputs.subject} expired {in_words(age)} ago"
    if not profile.was_tried or not inputs.serves_chat(profile.provider):
        summary = f"{token} and was not refreshed; it may refresh at the next use"
        steps = fixes.use_or_renew(inputs, providers, profile)
        return _about(profile, ConditionName.IDLE, Severity.INFO, summary, steps)
    summary = f"{token} and was not refreshed, although the profile was used since: refreshing seems to fail"
    rule = "a chat route uses it, and the store shows that it was used since, or failed"
    return _about(
        profile, ConditionName.IDLE, Severity.WARNING, summary, fixes.renew(inputs, providers, profile), rule=rule
    )


PROFILE_RULES: tuple[ProfileRule, ...] = (undated, expiring, expired, unusable, not_eligible, status_disagrees, idle)


# --- one provider in use ---------------------------------------------------------------------------


def no_credential(inputs: VerdictInputs, providers: ProviderProfiles, provider: str) -> Condition | None:
    """``missing`` of a whole provider."""
    if not providers.is_missing(provider) or providers.is_reported_elsewhere(provider):
        return None
    severity, users = _importance(inputs, provider)
    summary = f"{provider} has no credential on {inputs.subject}{users or ', and a model in use needs one'}"
    remedy = fixes.supply(inputs, provider)
    return Condition(ConditionName.MISSING, severity, provider, summary=summary, steps=remedy)


def no_usable_profile(inputs: VerdictInputs, providers: ProviderProfiles, provider: str) -> Condition | None:
    profiles = providers.of(provider)
    if not profiles or providers.is_reported_elsewhere(provider):
        return None
    unserved = providers.unserved(provider) if providers.works(provider) else None
    if unserved == ():
        return None
    named = ", ".join(f"{profile.id} {_why_it_cannot_serve(profile)}" for profile in profiles[:MAX_NAMED])
    more = f" and {len(profiles) - MAX_NAMED} more" if len(profiles) > MAX_NAMED else ""
    severity, users = (Severity.WARNING, _needed_by(unserved)) if unserved else _importance(inputs, provider)
    summary = f"No credential of {provider} works on {inputs.subject}: {named}{more}{users}"
    remedy = fixes.serve_again(inputs, providers, profiles)
    return Condition(ConditionName.NO_USABLE_PROFILE, severity, provider, summary=summary, steps=remedy)


def _importance(inputs: VerdictInputs, provider: str) -> tuple[Severity, str]:
    """How severe it is if nothing serves the provider, and who needs it if no chat route does."""
    if inputs.serves_chat(provider):
        return Severity.CRITICAL, ""
    return Severity.WARNING, _needed_by(inputs.uses(provider))


def _why_it_cannot_serve(profile: ProfileVerdict) -> str:
    if profile.is_gone:
        return str(profile.status)
    if profile.unusable is None:
        return "is not in the order"
    return f"{profile.unusable.kind} ({profile.unusable.reason or 'no reason given'})"


PROVIDER_RULES: tuple[ProviderRule, ...] = (no_credential, no_usable_profile)


# --- the agent as a whole --------------------------------------------------------------------------


def check_failed(inputs: VerdictInputs) -> Iterator[Condition]:
    failure, subject = inputs.failure, inputs.subject
    if failure is None:
        return
    last = f"; the last good check was at {iso(inputs.observed_at)}" if inputs.was_observed else ""
    summary, rule = f"The check of {subject} failed: {failure.message}{last}", f"the check failed ({failure.reason})"
    name, reason = ConditionName.CHECK_FAILED, failure.reason
    yield Condition(
        name, Severity.CRITICAL, summary=summary, steps=fixes.check_again(inputs, failure), reason=reason, rule=rule
    )


def clock(inputs: VerdictInputs) -> Iterator[Condition]:
    if inputs.clock_is_wrong:
        known = max(EARLIEST, inputs.history.latest)
        shown = f"The exporter's clock shows {iso(inputs.now)}, but the time is at least {iso(known)}"
        summary = f"{shown}: deadlines on {inputs.subject} are ignored"
        yield Condition(ConditionName.CLOCK, Severity.WARNING, summary=summary, steps=fixes.set_clock())


def vanished(inputs: VerdictInputs) -> Iterator[Condition]:
    """Profiles that were there less than a week ago, unless renamed, replaced or acknowledged."""
    records = inputs.history.profiles.values()
    present = [record for record in records if record.gone_at is None]
    for old in sorted(records, key=lambda record: record.profile):
        if old.gone_at is None or old.gone_is_known or inputs.now - old.gone_at >= REMEMBER_GONE:
            continue
        renamed = any(new.secret_hash and new.secret_hash == old.secret_hash for new in present)
        replaced = any(new.provider == old.provider and new.first_seen_at >= old.gone_at for new in present)
        if renamed or replaced or inputs.profile_policy(old.profile).ignore:
            continue
        summary = f"{old.profile} is gone from {inputs.subject}; it was last seen at {iso(old.last_seen_at)}"
        remedy = fixes.replace_vanished(inputs, old)
        about = (ConditionName.VANISHED, Severity.INFO, old.provider, old.profile)
        yield Condition(*about, summary, remedy, since=old.gone_at)


def credential_changed(inputs: VerdictInputs) -> Iterator[Condition]:
    for provider, change in sorted(inputs.history.changed.items()):
        if inputs.is_in_use(provider) and inputs.now - change.at < REMEMBER_GONE:
            summary = f"{provider} on {inputs.subject} is now served by {change.now}, before by {change.before}"
            name, remedy = ConditionName.CREDENTIAL_CHANGED, (inputs.commands.status(),)
            yield Condition(name, Severity.INFO, provider, summary=summary, steps=remedy, since=change.at)


def partial_view(inputs: VerdictInputs) -> Iterator[Condition]:
    if inputs.was_observed and not inputs.sees_unusable:
        summary = f"{inputs.subject}: a {inputs.observation.source} does not report cooldowns and disables"
        yield Condition(ConditionName.PARTIAL_VIEW, Severity.INFO, summary=summary)


def quota(inputs: VerdictInputs) -> Iterator[Condition]:
    for usage in inputs.observation.usage:
        if usage.used_ratio > QUOTA_RATIO:
            used = f"has used {usage.used_ratio:.0%} of its {usage.window} window"
            resets = f"; it resets at {iso(usage.resets_at)}" if usage.resets_at else ""
            summary = f"{usage.provider} on {inputs.subject} {used}{resets}"
            yield Condition(ConditionName.QUOTA, Severity.INFO, usage.provider, summary=summary, reason=usage.window)


AGENT_RULES: tuple[AgentRule, ...] = (check_failed, clock, vanished, credential_changed, partial_view, quota)


# --- OpenClaw's own exit code ----------------------------------------------------------------------


def reported(inputs: VerdictInputs, providers: ProviderProfiles, found: list[Condition]) -> Condition | None:
    """OpenClaw's own exit code if none of the conditions ``found`` explains it, with OpenClaw's reason, if any."""
    code = inputs.observation.openclaw_exit_code
    if code not in (1, 2) or _is_explained(inputs, providers, found, code):
        return None
    severity = Severity.CRITICAL if code == 1 else Severity.WARNING
    summary = f"OpenClaw's own check of {inputs.subject} exits {code}"
    if broken := "; ".join(inputs.observation.unavailable_runtimes):
        summary += f": it cannot run the models of {broken}"
        remedy = remedies.plugin_steps(inputs.commands)
    else:
        summary += ", and nothing in its output explains why"
        remedy = (inputs.commands.status("--check"),)
    return Condition(ConditionName.REPORTED, severity, summary=summary, steps=remedy)


def _is_explained(inputs: VerdictInputs, providers: ProviderProfiles, found: list[Condition], code: int) -> bool:
    """Whether a condition reports the cause of OpenClaw's exit code, or the cause needs nobody.

    Up to 2026.4 the code covers every token and login, from 2026.5 on the routes in use. Cooldowns alone
    never change it: if no profile is left to serve, a condition reports that.
    """
    severities = {c.severity for c in found if c.family in (Family.DEADLINE, Family.AVAILABILITY)}
    if Severity.CRITICAL in severities or (code == 2 and Severity.WARNING in severities):
        return True
    seen = inputs.observation
    unready = inputs.unready_providers | {*filter(inputs.needs_credential, seen.faulty_providers)}
    outages = {c.provider for c in found if c.family is Family.AVAILABILITY and c.profile is None}
    if code == 1 and unready - outages:
        return False
    if code == 1 and (_is_mistaken(inputs) or outages & (unready | seen.missing_providers)):
        return True  # an outage is a warning where no chat route uses the provider
    return any(_explains(inputs, profile, code) for profile in providers)


def _is_mistaken(inputs: VerdictInputs) -> bool:
    """Whether a provider that needs no credential of OpenClaw's, or has another program's login, is why it exits 1."""
    seen = inputs.observation
    accused = seen.missing_providers | seen.indeterminate_providers | seen.faulty_providers
    if not all(map(inputs.needs_credential, accused)):
        return True
    keyless = any(inputs.is_keyless(provider) for provider in seen.missing_providers)
    return keyless or any(inputs.is_borrowed(provider) for provider in seen.indeterminate_providers)


def _explains(inputs: VerdictInputs, profile: ProfileVerdict, code: int) -> bool:
    """Whether ``profile`` is why OpenClaw's check exits ``code``."""
    observed, observation = profile.observed, inputs.observation
    is_login = observed.kind == "oauth"
    # A login may serve a route under another provider's name. From 2026.8 OpenClaw names such routes.
    may_serve_elsewhere = is_login and (
        code == 2 or inputs.dialect is not Dialect.ROUTES or bool(observation.refreshing_providers)
    )
    covers_all = inputs.dialect in (Dialect.DATES, Dialect.STATUS)
    if not covers_all and not inputs.is_examined(observed.provider) and not may_serve_elsewhere:
        return False
    until = observation.observed_at + (WARN_AFTER if code == 2 else 0.0)
    if profile.status is Status.STATIC and observed.provider in observation.refreshing_providers:
        return True  # a reference, which this command of OpenClaw's does not resolve
    if is_login and observed.expires_at is not None and observed.expires_at <= until:
        return True
    # What explains a 1 also explains a 2, so that a worse code never gives a milder verdict.
    statuses = ("expiring", "expired", "missing") if code == 2 else ("expired", "missing")
    return observed.status in statuses or profile.status in statuses


# --- shared ----------------------------------------------------------------------------------------


def _users(inputs: VerdictInputs, profile: ProfileVerdict) -> str:
    """The uses of a profile that serves no chat route, as the end of a sentence."""
    return "" if inputs.serves_chat(profile.provider) else _needed_by(inputs.uses(profile.provider))


def _needed_by(uses: Sequence[Use]) -> str:
    return f"; needed by {in_list(uses)}" if uses else ""


def _relief(
    inputs: VerdictInputs,
    providers: ProviderProfiles,
    profile: ProfileVerdict,
    name: ConditionName,
    since: float | None = None,
) -> tuple[Severity, str]:
    """The severity of a profile that cannot serve, and the reason for it.

    It is critical unless another profile serves the provider, or no chat route uses the provider.
    ``since`` is when it began; by default the history's record of the condition ``name``.
    """
    if inputs.is_unused(profile.provider):
        return Severity.INFO, f"{inputs.nothing_in_use} uses the provider"
    if not providers.has_spare(profile):
        alone = "nothing else serves the provider"
        if inputs.serves_chat(profile.provider):
            return Severity.CRITICAL, alone
        return Severity.WARNING, f"{alone}, and no chat route uses it"
    if since is None:
        since = inputs.history.since.get(condition_key(name, profile.provider, profile.id), inputs.now)
    if inputs.now - since > REMEMBER_GONE:
        return Severity.INFO, "another profile has served the provider for a week"
    return Severity.WARNING, "another usable profile serves the provider"


def _ended_at(inputs: VerdictInputs, profile: ProfileVerdict) -> float | None:
    """When an expired profile ended; None without a date, or if the date contradicts that it did."""
    return profile.deadline if profile.deadline is not None and profile.deadline <= inputs.now else None


def _at_the_latest(profile: ProfileVerdict) -> str:
    return " at the latest" if profile.assumed else ""


def _about(
    profile: ProfileVerdict,
    name: ConditionName,
    severity: Severity,
    summary: str,
    remedy: tuple[Step, ...] = (),
    *,
    rule: str = "",
    reason: str | None = None,
    since: float | None = None,
) -> Condition:
    """A condition of one profile."""
    return Condition(
        name, severity, profile.provider, profile.id, summary, remedy, reason, since, profile.deadline, rule=rule
    )
