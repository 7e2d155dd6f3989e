"""What is remembered of an agent's credentials between looks, as values: pure, no I/O.

The ledger stores a Memory; ``remember`` makes the next one from an Observation before it is
judged, ``settle`` from the Report afterwards. A date outlives the report that printed it: recent
OpenClaw releases drop ``expiresAt`` from an expired token.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from exporter.model import AgentReport, ConditionName, Observation, ObservedProfile

DAY = 86400.0
#: How long something gone or changed is told of, in seconds.
REMEMBER_GONE = 7 * DAY


@dataclass(frozen=True, slots=True)
class CredentialRecord:
    """One credential: a profile with the secret it had. Times are Unix seconds."""

    profile: str
    provider: str
    kind: str
    first_seen_at: float
    last_seen_at: float
    secret_hash: str | None = None
    deadline: float | None = None  # the last date OpenClaw printed for it
    gone_at: float | None = None
    #: What was told earlier was about another credential of this name; None: since it was first seen.
    supplied_dates_from: float | None = None


@dataclass(frozen=True, slots=True)
class SuppliedDate:
    """What a person told about a profile (``deadline set``): when it was made, or when it ends."""

    issued_at: float | None = None
    expires_at: float | None = None
    supplied_at: float = 0.0


@dataclass(frozen=True, slots=True)
class CredentialChange:
    """Another kind of credential took over a provider."""

    before: str
    now: str
    at: float


@dataclass(frozen=True, slots=True)
class CredentialHistory:
    """All that is remembered of one agent of one target."""

    profiles: Mapping[str, CredentialRecord] = field(default_factory=dict)
    since: Mapping[str, float] = field(default_factory=dict)  # condition key -> when it began
    serving: Mapping[str, str] = field(default_factory=dict)  # provider -> kind
    changed: Mapping[str, CredentialChange] = field(default_factory=dict)  # provider -> the last take-over
    supplied: Mapping[str, SuppliedDate] = field(default_factory=dict)  # profile -> what a person said
    latest: float = 0.0  # the latest moment anything was stored


def condition_key(name: ConditionName, provider: str | None, profile: str | None) -> str:
    """The key of ``CredentialHistory.since``: one condition about one thing."""
    return f"{name}|{provider or ''}|{profile or ''}"


def same_credential(old: CredentialRecord, seen: ObservedProfile) -> bool:
    """Whether a profile still holds the credential that is remembered.

    Where both hashes are known they decide. Else a token's own date does: it never moves by
    itself, and it is only dropped when the token has expired.
    """
    if (old.provider, old.kind) != (seen.provider, seen.kind):
        return False
    if old.secret_hash and seen.secret_hash:
        return old.secret_hash == seen.secret_hash
    if seen.kind == "oauth" or old.deadline is None:
        return True
    if seen.expires_at is not None:
        return abs(seen.expires_at - old.deadline) < 1
    return seen.status not in ("static", "ok")


def record_observation(history: CredentialHistory, seen: Observation, now: float) -> CredentialHistory:
    """The history after a look, before it is judged."""
    profiles: dict[str, CredentialRecord] = {}
    for profile in seen.profiles:
        old = history.profiles.get(profile.id)
        if old is None:
            # Nothing was known by this name: what a person told before we looked is about this one.
            old = CredentialRecord(profile.id, profile.provider, profile.kind, now, now, supplied_dates_from=0.0)
        elif not same_credential(old, profile):
            old = CredentialRecord(profile.id, profile.provider, profile.kind, now, now)
        elif old.gone_at is not None:
            old = replace(old, secret_hash=None, deadline=None)
        profiles[profile.id] = replace(
            old,
            last_seen_at=now,
            gone_at=None,
            secret_hash=profile.secret_hash or old.secret_hash,
            deadline=profile.expires_at if profile.expires_at is not None else old.deadline,
        )
    for key, old in history.profiles.items():
        # For as long as something is told of it, so that it is not taken for the next one's.
        is_kept = old.gone_at is None or now - old.gone_at < REMEMBER_GONE or key in history.supplied
        if key not in profiles and is_kept:
            profiles[key] = old if old.gone_at is not None else replace(old, gone_at=now)
    told = about_present(history.supplied, profiles)
    return replace(history, profiles=profiles, supplied=told, latest=max(history.latest, now))


def about_present(
    told: Mapping[str, SuppliedDate], profiles: Mapping[str, CredentialRecord]
) -> dict[str, SuppliedDate]:
    """What was told of the credentials that are there: a later one under the same name is another."""

    def begins(old: CredentialRecord) -> float:
        return old.first_seen_at if old.supplied_dates_from is None else old.supplied_dates_from

    return {key: said for key, said in told.items() if key not in profiles or begins(profiles[key]) <= said.supplied_at}


def record_report(history: CredentialHistory, report: AgentReport) -> CredentialHistory:
    """The history after the verdict: since when each condition holds, and what serves each provider."""
    now = report.evaluated_at
    since = {}
    for condition in report.conditions:
        key = condition_key(condition.name, condition.provider, condition.profile)
        since[key] = history.since.get(key, now)
    serving, changed = dict(history.serving), dict(history.changed)
    for provider, kind in report.serving.items():
        before = serving.get(provider)
        if before is not None and before != kind:
            changed[provider] = CredentialChange(before, kind, now)
        serving[provider] = kind
    changed = {key: change for key, change in changed.items() if now - change.at < REMEMBER_GONE}
    return replace(history, since=since, serving=serving, changed=changed)
