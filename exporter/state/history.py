"""The credential history of an agent: what is known of its credentials from earlier checks. Pure values, no I/O.

``record_observation`` makes the next history from an Observation before it is evaluated, ``record_report`` from the
Report afterwards; the ledger stores it. A date outlives the check that reported it: recent OpenClaw releases drop
``expiresAt`` from an expired token.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from exporter.model import AgentReport, ConditionName, Observation, ObservedProfile

DAY = 86400.0
#: How long a removed or changed credential is reported, in seconds.
REMEMBER_GONE = 7 * DAY
#: An earlier clock is wrong: no supported release of OpenClaw existed then. 2026-01-01 UTC, Unix seconds.
EARLIEST = 1767225600.0


@dataclass(frozen=True, slots=True)
class CredentialRecord:
    """One credential: a profile with the secret it had. Times are Unix seconds."""

    profile: str
    provider: str
    kind: str
    first_seen_at: float
    last_seen_at: float
    secret_hash: str | None = None
    deadline: float | None = None  # the last date that OpenClaw reported for it
    gone_at: float | None = None
    refreshable: bool | None = None  # what was last known about the access token that ends at ``deadline``
    #: A date supplied earlier belongs to the previous credential of this name. None: ``first_seen_at``.
    supplied_dates_from: float | None = None
    secret_seen_at: float | None = None  # when its secret was first seen in any agent or target
    gone_is_known: bool = False  # a person has acknowledged that it is gone

    @property
    def known_since(self) -> float:
        """When this credential was first seen in any agent or target: it is at least that old."""
        return earliest(self.first_seen_at, self.secret_seen_at)


@dataclass(frozen=True, slots=True)
class SuppliedDate:
    """A date that a user supplied for a profile (``deadline set``): when it was created, or when it expires."""

    issued_at: float | None = None
    expires_at: float | None = None
    supplied_at: float = 0.0


@dataclass(frozen=True, slots=True)
class CredentialChange:
    """A credential of another kind now serves a provider."""

    before: str
    now: str
    at: float


@dataclass(frozen=True, slots=True)
class CredentialHistory:
    """The history of one agent of one target."""

    profiles: Mapping[str, CredentialRecord] = field(default_factory=dict)
    since: Mapping[str, float] = field(default_factory=dict)  # condition key -> when it began
    serving: Mapping[str, str] = field(default_factory=dict)  # provider -> kind of the credential that serves it
    changed: Mapping[str, CredentialChange] = field(default_factory=dict)  # provider -> its last change
    supplied: Mapping[str, SuppliedDate] = field(default_factory=dict)  # by profile; stored in a table of their own
    latest: float = 0.0  # the latest time that was recorded


def earliest(time: float, *others: float | None) -> float:
    """The earliest of these times that no wrong clock made; ``time`` if all are of a wrong clock."""
    return min((at for at in (time, *others) if at is not None and at >= EARLIEST), default=time)


def condition_key(name: ConditionName, provider: str | None, profile: str | None) -> str:
    """The key in ``CredentialHistory.since``: one condition about one subject."""
    return f"{name}|{provider or ''}|{profile or ''}"


def same_credential(old: CredentialRecord, seen: ObservedProfile) -> bool:
    """Whether a profile still holds the recorded credential.

    If both hashes are known, they decide. Otherwise a token's date does: it never moves, and OpenClaw drops it only
    once the token has expired.
    """
    if old.provider != seen.provider:
        return False
    if seen.is_masked:
        return True  # nothing shows that it changed
    if len({old.kind, seen.kind} - {"unknown"}) > 1:
        return False
    if old.secret_hash and seen.secret_hash:
        return old.secret_hash == seen.secret_hash
    if seen.kind == "oauth" or old.deadline is None:
        return True
    if seen.expires_at is not None:
        return abs(seen.expires_at - old.deadline) < 1
    return seen.status not in ("static", "ok")


def record_observation(
    history: CredentialHistory, seen: Observation, now: float, sightings: Mapping[str, float] = {}
) -> CredentialHistory:
    """The history after a successful check, before it is evaluated.

    ``sightings`` has when secrets were first seen in any agent or target, by their hashes.
    """
    profiles: dict[str, CredentialRecord] = {}
    for profile in seen.profiles:
        old, kind = history.profiles.get(profile.id), "unknown" if profile.is_masked else profile.kind
        if old is None:
            # No credential had this name: a date that was supplied before the first check is about this one.
            old = CredentialRecord(profile.id, profile.provider, kind, now, now, supplied_dates_from=0.0)
        elif not same_credential(old, profile):
            old = CredentialRecord(profile.id, profile.provider, kind, now, now)
        elif old.gone_at is not None:
            old = replace(old, secret_hash=None, deadline=None, refreshable=None, secret_seen_at=None)
        if profile.expires_at is not None and profile.expires_at != old.deadline:
            old = replace(old, refreshable=None)
        profiles[profile.id] = replace(
            old,
            kind=old.kind if kind == "unknown" else kind,
            first_seen_at=now if old.first_seen_at < EARLIEST <= now else old.first_seen_at,
            last_seen_at=now,
            gone_at=None,
            gone_is_known=False,
            secret_seen_at=sightings.get(profile.secret_hash or "", old.secret_seen_at),
            secret_hash=profile.secret_hash or old.secret_hash,
            deadline=profile.expires_at if profile.expires_at is not None else old.deadline,
        )
    for key, old in history.profiles.items():
        # One with a supplied date is kept, so that the date is not taken for a later credential of this name.
        is_kept = old.gone_at is None or now - old.gone_at < REMEMBER_GONE or key in history.supplied
        if key not in profiles and is_kept:
            profiles[key] = old if old.gone_at is not None else replace(old, gone_at=now)
    supplied = about_present(history.supplied, profiles)
    return replace(history, profiles=profiles, supplied=supplied, latest=max(history.latest, now))


def acknowledge_gone(history: CredentialHistory, profile: str) -> CredentialHistory:
    """The history after a person has acknowledged that ``profile`` is gone: it is not reported any more."""
    record = history.profiles.get(profile)
    if record is None or record.gone_at is None or record.gone_is_known:
        return history
    return replace(history, profiles={**history.profiles, profile: replace(record, gone_is_known=True)})


def dates_for(dates: Mapping[str, SuppliedDate], target: str, agent: str) -> dict[str, SuppliedDate]:
    """Supplied dates by profile for one agent. ``dates`` has them by ``[target/[agent/]]profile``.

    The narrower key wins, as in the configuration's policy.
    """
    result: dict[str, SuppliedDate] = {}
    for prefix in ("", f"{target}/", f"{target}/{agent}/"):
        result |= {key.removeprefix(prefix): date for key, date in dates.items() if key.startswith(prefix)}
    return result


def about_present(
    supplied: Mapping[str, SuppliedDate], profiles: Mapping[str, CredentialRecord]
) -> dict[str, SuppliedDate]:
    """The supplied dates that are about the present credentials, not about earlier ones of the same name."""

    def is_about_present(profile: str, date: SuppliedDate) -> bool:
        record = profiles.get(profile)
        if record is None:
            return True
        start = record.first_seen_at if record.supplied_dates_from is None else record.supplied_dates_from
        return start <= date.supplied_at

    return {profile: date for profile, date in supplied.items() if is_about_present(profile, date)}


def record_report(history: CredentialHistory, report: AgentReport) -> CredentialHistory:
    """The history after the verdict: since when conditions hold, which kinds serve providers, and what refreshes."""
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
    known = {p.id: p.refreshable for p in report.profiles if p.kind == "oauth" and p.refreshable is not None}
    profiles = {
        key: replace(record, refreshable=known[key]) if key in known and record.gone_at is None else record
        for key, record in history.profiles.items()
    }
    changed = {key: change for key, change in changed.items() if now - change.at < REMEMBER_GONE}
    return replace(history, profiles=profiles, since=since, serving=serving, changed=changed)
