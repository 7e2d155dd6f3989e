"""The table of conditions: one function per rule, each a list of Conditions."""

from __future__ import annotations

from exporter.lib.durations import in_words, iso
from exporter.model import Condition, ConditionName, Dialect, Failure, Family, Severity, Status
from exporter.state.history import REMEMBER_GONE, condition_key
from exporter.verdict import remedies
from exporter.verdict.inputs import VerdictInputs
from exporter.verdict.profile import NOT_ELIGIBLE, WARN_AFTER, ProfileVerdict, is_undated
from exporter.verdict.provider import ProviderProfiles

#: Usage above this share of a quota window is told.
QUOTA_RATIO = 0.9


def watch(view: VerdictInputs, failure: Failure | None) -> list[Condition]:
    """Whether we can look at all, and whether our own clock can be believed."""
    found = []
    if failure is not None:
        seen = view.seen
        known = f"; known is what was seen at {iso(seen.observed_at)}" if seen else ""
        found.append(
            Condition(
                ConditionName.CHECK_FAILED,
                Severity.CRITICAL,
                summary=f"The check of {_where(view)} failed: {failure.message}{known}",
                remedy=_failure_remedy(view, failure),
                reason=failure.reason,
                rule=f"the look failed ({failure.reason})",
            )
        )
    if view.clock_is_wrong:
        found.append(
            Condition(
                ConditionName.CLOCK,
                Severity.WARNING,
                summary=f"The clock says {iso(view.now)}, earlier than what is stored: deadlines are not judged",
                remedy=("timedatectl status",),
                rule="the clock is earlier than what we have stored or than any release",
            )
        )
    return found


def _failure_remedy(view: VerdictInputs, failure: Failure) -> tuple[str, ...]:
    if view.subject.source == "gateway":
        return ("openclaw gateway status", "openclaw gateway restart")
    agent = f" --agent {view.subject.agent}" if failure.reason != "unknown_agent" else ""
    return (f"{view.subject.openclaw} models status --check{agent}",)


def profile(view: VerdictInputs, stand: ProfileVerdict, lineup: ProviderProfiles) -> list[Condition]:
    """What is to be said of one profile."""
    return [
        *_deadline(view, stand, lineup),
        *_unusable(view, stand, lineup),
        *_missing(view, stand, lineup),
        *_remarks(view, stand),
    ]


def _relieved(
    view: VerdictInputs, stand: ProfileVerdict, lineup: ProviderProfiles, name: ConditionName
) -> tuple[Severity, str]:
    """How critical trouble is: a spare that serves relieves it, and a route nobody uses does."""
    if view.is_in_use(stand.provider) is False:
        return Severity.INFO, "no route uses the provider"
    if lineup.has_spare(stand):
        key = condition_key(name, stand.provider, stand.seen.id)
        ended = _ended_at(view, stand) if name is ConditionName.EXPIRED else None
        began = view.history.since.get(key, view.now) if ended is None else ended
        if view.now - began > REMEMBER_GONE:
            return Severity.INFO, "another profile has served the provider for a week"
        return Severity.WARNING, "another usable profile serves the provider"
    return Severity.CRITICAL, "nothing else serves the provider"


def _deadline(view: VerdictInputs, stand: ProfileVerdict, lineup: ProviderProfiles) -> list[Condition]:
    if stand.status not in (Status.EXPIRED, Status.EXPIRING) and not is_undated(stand):
        return []
    seen, name, where = stand.seen, stand.seen.id, _where(view)
    renew = view.remedy(remedies.renew, seen.id, seen.provider, seen.kind)
    if stand.status is Status.EXPIRED:
        severity, relief = _relieved(view, stand, lineup, ConditionName.EXPIRED)
        since = _ended_at(view, stand)
        when = "" if since is None else f" {in_words(view.now - since)} ago ({iso(since)})"
        return [
            _about(
                stand,
                ConditionName.EXPIRED,
                severity,
                f"{name} expired on {where}{when}" + (" at the latest" if stand.assumed else ""),
                renew,
                rule=f"{stand.rule}; {relief}",
                since=since,
            )
        ]
    if stand.status is Status.EXPIRING:
        left = f" in {in_words(stand.deadline - view.now)} ({iso(stand.deadline)})" if stand.deadline else " soon"
        latest = " at the latest" if stand.assumed else ""
        summary = f"{name} expires on {where}{left}{latest}"
        # What expires where nobody goes is no more urgent than what has expired there.
        severity = Severity.INFO if view.is_in_use(stand.provider) is False else Severity.WARNING
        return [_about(stand, ConditionName.EXPIRING, severity, summary, renew, rule=stand.rule)]
    by = f"; it ends by {iso(stand.deadline)} at the latest" if stand.deadline else ""
    tell = remedies.date(seen.id, view.subject.agent, view.subject.target)
    return [
        _about(
            stand,
            ConditionName.UNDATED,
            Severity.INFO,
            f"{name} on {where} has no expiry date, so nothing warns before it ends{by}",
            (*renew, *tell),
            rule="an Anthropic token without a date",
        )
    ]


def _ended_at(view: VerdictInputs, stand: ProfileVerdict) -> float | None:
    """When what has expired ended; None where its date says otherwise, or there is none."""
    return stand.deadline if stand.deadline is not None and stand.deadline <= view.now else None


def _unusable(view: VerdictInputs, stand: ProfileVerdict, lineup: ProviderProfiles) -> list[Condition]:
    unusable = stand.unusable
    if unusable is None:
        return []
    if unusable.reason in remedies.PERSON:
        severity, relief = _relieved(view, stand, lineup, ConditionName.UNUSABLE)
    else:
        severity, relief = Severity.INFO, "it heals by itself"
    why = f" ({unusable.reason})" if unusable.reason else ""
    model = f" for {unusable.model}" if unusable.model else ""
    until = f" until {iso(unusable.until)}" if unusable.until is not None else ""
    state = "is cooling down" if unusable.kind == "cooldown" else f"is {unusable.kind}"
    seen = stand.seen
    return [
        _about(
            stand,
            ConditionName.UNUSABLE,
            severity,
            f"{seen.id} {state}{model} on {_where(view)}{why}{until}",
            view.remedy(remedies.unusable, unusable.reason, seen.id, seen.provider, seen.kind),
            rule=f"OpenClaw lists it as unusable; {relief}",
            reason=unusable.reason,
        )
    ]


def _missing(view: VerdictInputs, stand: ProfileVerdict, lineup: ProviderProfiles) -> list[Condition]:
    if stand.status is not Status.MISSING:
        return []
    seen = stand.seen
    severity, relief = _relieved(view, stand, lineup, ConditionName.MISSING)
    why = NOT_ELIGIBLE.get(seen.reason_code or "", "OpenClaw cannot use it (is its kind what auth.profiles says?)")
    return [
        _about(
            stand,
            ConditionName.MISSING,
            severity,
            f"{seen.id} on {_where(view)} is not eligible: {why}",
            view.remedy(remedies.renew, seen.id, seen.provider, seen.kind),
            rule=f"{stand.rule}; {relief}",
            reason=seen.reason_code,
        )
    ]


def _remarks(view: VerdictInputs, stand: ProfileVerdict) -> list[Condition]:
    found = []
    seen, where = stand.seen, _where(view)
    if stand.disagreement:
        found.append(
            _about(
                stand,
                ConditionName.STATUS_DISAGREES,
                Severity.INFO,
                f"{seen.id} on {where}: {stand.disagreement}",
                (),
                rule="the word and the date disagree",
            )
        )
    if stand.idle_since is not None and not view.clock_is_wrong:
        idle = view.now - stand.idle_since
        if idle > view.policy.oauth_idle_after:
            found.append(
                _about(
                    stand,
                    ConditionName.IDLE,
                    Severity.INFO,
                    f"The access token of {seen.id} on {where} expired {in_words(idle)} ago; it may refresh at the "
                    "next use",
                    (f"{view.subject.openclaw} models status",),
                    rule="an expired access token of unknown refreshability",
                )
            )
    return found


def providers(view: VerdictInputs, lineup: ProviderProfiles) -> list[Condition]:
    """What is to be said of providers in use: nothing there, or nothing that works."""
    found = []
    for provider in view.providers_in_use:
        if lineup.is_missing(provider):
            found.append(
                Condition(
                    ConditionName.MISSING,
                    Severity.CRITICAL,
                    provider=provider,
                    summary=f"{provider} has no credential on {_where(view)}, and a model in use needs one",
                    remedy=view.remedy(remedies.add, provider),
                    rule="a provider in use has no credential",
                )
            )
        elif lineup.of(provider) and not lineup.works(provider):
            theirs = lineup.of(provider)
            found.append(
                Condition(
                    ConditionName.NO_USABLE_PROFILE,
                    Severity.CRITICAL,
                    provider=provider,
                    summary=f"No credential of {provider} works on {_where(view)}: "
                    + ", ".join(f"{stand.seen.id} {_trouble(stand)}" for stand in theirs[:10])
                    + (f" and {len(theirs) - 10} more" if len(theirs) > 10 else ""),
                    remedy=_best_remedy(view, theirs),
                    rule="every credential of a provider in use is expired, missing or unusable",
                )
            )
    return found


def _trouble(stand: ProfileVerdict) -> str:
    if stand.status in (Status.EXPIRED, Status.MISSING):
        return str(stand.status)
    if stand.unusable is None:
        return "is not in the order"
    return f"{stand.unusable.kind} ({stand.unusable.reason or 'no reason given'})"


def _best_remedy(view: VerdictInputs, stands: list[ProfileVerdict]) -> tuple[str, ...]:
    """What to do first: renew what only a person can renew; else wait for what heals by itself."""

    def urgency(stand: ProfileVerdict) -> tuple[bool, str]:
        heals = stand.unusable is not None and stand.unusable.reason not in remedies.PERSON
        return (heals and stand.status not in (Status.EXPIRED, Status.MISSING), stand.seen.id)

    first = min(stands, key=urgency)
    seen = first.seen
    if first.unusable is not None and first.status not in (Status.EXPIRED, Status.MISSING):
        return view.remedy(remedies.unusable, first.unusable.reason, seen.id, seen.provider, seen.kind)
    return view.remedy(remedies.renew, seen.id, seen.provider, seen.kind)


def gone(view: VerdictInputs) -> list[Condition]:
    """Profiles seen before that vanished, and providers that another kind of credential took over."""
    found = []
    profiles = view.history.profiles.values()
    present = [one for one in profiles if one.gone_at is None]
    for old in sorted(profiles, key=lambda one: one.profile):
        if old.gone_at is None or view.now - old.gone_at >= REMEMBER_GONE or view.said(old.profile).ignore:
            continue
        renamed = any(new.secret_hash and new.secret_hash == old.secret_hash for new in present)
        replaced = any(new.provider == old.provider and new.first_seen_at >= old.gone_at for new in present)
        if renamed or replaced:
            continue
        found.append(
            Condition(
                ConditionName.VANISHED,
                Severity.INFO,
                provider=old.provider,
                profile=old.profile,
                summary=f"{old.profile} is gone from {_where(view)}; it was last seen at {iso(old.last_seen_at)}",
                remedy=view.remedy(remedies.renew, old.profile, old.provider, old.kind),
                since=old.gone_at,
                rule="a profile seen before is gone and nothing replaced it",
            )
        )
    for provider, change in sorted(view.history.changed.items()):
        if view.is_in_use(provider) and view.now - change.at < REMEMBER_GONE:
            found.append(
                Condition(
                    ConditionName.CREDENTIAL_CHANGED,
                    Severity.INFO,
                    provider=provider,
                    summary=f"{provider} on {_where(view)} is now served by {change.now}; before, by {change.before}",
                    remedy=(f"{view.subject.openclaw} models status",),
                    since=change.at,
                    rule="the kind of credential that serves a provider changed",
                )
            )
    return found


def notices(view: VerdictInputs) -> list[Condition]:
    """What the source cannot see, and quota that runs out."""
    if view.seen is None:
        return []
    found = []
    if "unusable" in view.seen.blind_to:
        found.append(
            Condition(
                ConditionName.PARTIAL_VIEW,
                Severity.INFO,
                summary=f"{_where(view)}: cooldowns and disables cannot be seen through a {view.seen.source}",
                remedy=(),
                rule="the source cannot see something and nothing fills it in",
            )
        )
    for window in view.seen.usage:
        if window.used_ratio > QUOTA_RATIO:
            resets = f"; it resets at {iso(window.resets_at)}" if window.resets_at else ""
            found.append(
                Condition(
                    ConditionName.QUOTA,
                    Severity.INFO,
                    provider=window.provider,
                    profile=None,
                    summary=f"{window.provider} on {_where(view)} has used {window.used_ratio:.0%} of {window.window}"
                    + resets,
                    remedy=(),
                    reason=window.window,
                    rule="a usage window above 90 %",
                )
            )
    return found


def reported(view: VerdictInputs, lineup: ProviderProfiles, found: list[Condition]) -> list[Condition]:
    """OpenClaw's own code where nothing here explains it: then it stands for itself."""
    code = view.seen.openclaw_exit_code if view.seen else None
    if code not in (1, 2) or _is_explained(view, lineup, found, code):
        return []
    severity = Severity.CRITICAL if code == 1 else Severity.WARNING
    return [
        Condition(
            ConditionName.REPORTED,
            severity,
            summary=f"OpenClaw's own check of {_where(view)} exits {code}, and nothing that it printed explains it",
            remedy=(f"{view.subject.openclaw} models status --check",),
            rule="OpenClaw's code, unexplained",
        )
    ]


def _is_explained(view: VerdictInputs, lineup: ProviderProfiles, found: list[Condition], code: int) -> bool:
    """Whether OpenClaw's code is told as something here, or rests on what needs nobody.

    To 2026.4 it is about every token and login, from 2026.6 on about the routes in use. Cooldowns alone never
    make a code: where nothing is left to serve, that is told.
    """
    seen = view.seen
    assert seen is not None
    told = {c.severity for c in found if c.family in (Family.DEADLINE, Family.AVAILABILITY)}
    if Severity.CRITICAL in told or (code == 2 and Severity.WARNING in told):
        return True
    unready = seen.indeterminate_providers - seen.refreshing_providers
    if code == 1 and seen.faulty_providers | unready:
        return False
    until = seen.observed_at + (WARN_AFTER if code == 2 else 0.0)
    # What explains a 1 explains a 2: a worse code never comes to a milder verdict.
    words = ("expiring", "expired", "missing") if code == 2 else ("expired", "missing")

    def explains(stand: ProfileVerdict) -> bool:
        one, is_login = stand.seen, stand.seen.kind == "oauth"
        # A login may serve a route under another provider's name; where OpenClaw names its routes, it says so.
        elsewhere = is_login and (code == 2 or view.dialect is not Dialect.ROUTES or bool(seen.refreshing_providers))
        if view.dialect is not Dialect.STATUS and view.is_in_use(one.provider) is False and not elsewhere:
            return False
        by_date = is_login and one.expires_at is not None and one.expires_at <= until
        return by_date or one.status in words or stand.status in words

    return any(map(explains, lineup))


def _about(
    stand: ProfileVerdict,
    name: ConditionName,
    severity: Severity,
    summary: str,
    commands: tuple[str, ...],
    *,
    rule: str,
    reason: str | None = None,
    since: float | None = None,
) -> Condition:
    return Condition(
        name,
        severity,
        provider=stand.provider,
        profile=stand.seen.id,
        summary=summary,
        remedy=commands,
        reason=reason,
        since=since,
        deadline=stand.deadline,
        rule=rule,
    )


def _where(view: VerdictInputs) -> str:
    return f"{view.subject.target}/{view.subject.agent}"
