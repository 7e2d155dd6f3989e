"""The verdict on one profile: its deadline, whether it refreshes itself, its status, whether it can serve."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import NamedTuple

from exporter.model import Basis, Dialect, ObservedProfile, Status, Unusable, Use
from exporter.state.history import DAY
from exporter.verdict.inputs import VerdictInputs

#: OpenClaw's own warning window (auth.oauth.warnAfterMs), seconds.
WARN_AFTER = DAY
#: OpenClaw refreshes a login this long before its access token's date, seconds.
REFRESH_MARGIN = 300.0
#: A use this long after an access token's date counts as a use since then, seconds.
USE_SLACK = 300.0
#: How far a status and a date may be apart before they disagree, seconds.
STATUS_SLACK = 60.0
#: With these times left at the observation, its date begins or ceases to mean something, in seconds.
TIMES_LEFT = (WARN_AFTER, 2 * REFRESH_MARGIN, STATUS_SLACK, 0.0, -STATUS_SLACK)
#: The reason codes of a profile that no route can use, and their meaning.
NOT_ELIGIBLE = {
    "invalid_expires": "its expiry date is not valid",
    "missing_credential": "it holds no secret",
    "unresolved_ref": "the secret it refers to cannot be found",
    "rotation_only": "OpenClaw uses it only beside a profile or the provider's primary variable",
    "setup_inactive": "its setup is not active",
    "mode_mismatch": "its kind differs from auth.profiles in openclaw.json",
    "provider_mismatch": "its provider differs from auth.profiles in openclaw.json",
}
_STATUSES = {"ok": Status.OK, "expiring": Status.EXPIRING, "static": Status.STATIC}


class ProfileVerdict(NamedTuple):
    """The verdict on one profile by itself, without its neighbours. Times are Unix seconds."""

    observed: ObservedProfile
    status: Status
    rule: str  # which rule decided the status, for explain
    deadline: float | None = None
    basis: Basis | None = None
    assumed: bool = False  # the deadline is counted from when the token was first seen
    refreshable: bool | None = None
    unusable: Unusable | None = None
    is_blocked: bool = False  # the cooldown or disable keeps it from serving the models in use
    idle_since: float | None = None  # when an access token expired that was not refreshed, though it may or should be
    was_tried: bool = False  # since then: the store shows a use or an error
    disagreement: str | None = None  # how OpenClaw's status contradicts the date

    @property
    def id(self) -> str:
        return self.observed.id

    @property
    def provider(self) -> str:
        return self.observed.provider

    @property
    def is_gone(self) -> bool:
        """Whether nothing but a new credential makes it work."""
        return self.status in (Status.EXPIRED, Status.MISSING)

    @property
    def is_usable(self) -> bool:
        return not self.is_gone and not self.is_blocked

    @property
    def is_from_environment(self) -> bool:
        return self.id.startswith("env:")

    @property
    def is_undated(self) -> bool:
        """Whether it is an Anthropic token without a date: nothing will report when it ends."""
        date_unknown = self.deadline is None or self.assumed
        return (
            _is_setup_token(self.observed)
            and not self.observed.is_masked
            and date_unknown
            and self.status in (Status.OK, Status.STATIC, Status.UNKNOWN)
        )


def evaluate_profile(inputs: VerdictInputs, profile: ObservedProfile) -> ProfileVerdict:
    """The verdict on ``profile`` at ``inputs.now``."""
    refreshable = _refreshable(inputs, profile)
    deadline, basis, assumed = _deadline(inputs, profile, refreshable)
    status, rule = _status(inputs, profile, refreshable, deadline, assumed)
    unusable = _unusable(inputs, profile)
    idle_since = _idle_since(inputs, profile, refreshable, status)
    return ProfileVerdict(
        observed=profile,
        status=status,
        rule=rule,
        deadline=deadline,
        basis=basis,
        assumed=assumed,
        refreshable=refreshable,
        unusable=unusable,
        is_blocked=unusable is not None and _blocks(inputs, profile.provider, unusable),
        idle_since=idle_since,
        was_tried=idle_since is not None and _was_tried_since(profile, idle_since),
        disagreement=_disagreement(inputs, profile, refreshable),
    )


def unmasked(inputs: VerdictInputs, p: ObservedProfile) -> ObservedProfile:
    """The profile with the kind and the date that are known of it, if OpenClaw printed another credential's."""
    record = inputs.record(p.id)
    if not p.is_masked or record is None or record.kind == "unknown":
        return p
    if record.kind != "oauth":
        return replace(p, kind=record.kind, expires_at=record.deadline, is_masked=False)
    if record.refreshable is False and record.deadline is not None:
        return replace(p, kind="oauth", expires_at=record.deadline, has_refresh_token=False, is_masked=False)
    return replace(p, kind="oauth", is_masked=False)


def as_not_eligible(profile: ProfileVerdict) -> ProfileVerdict:
    """The verdict on a profile that seems usable, although OpenClaw finds no credential for its provider."""
    if profile.assumed:
        profile = profile._replace(deadline=None, basis=None, assumed=False)
    return profile._replace(
        status=Status.MISSING,
        rule="OpenClaw finds no credential for the provider, so the profile is not eligible",
    )


def _refreshable(inputs: VerdictInputs, p: ObservedProfile) -> bool | None:
    """Whether the credential refreshes itself, so that its access token's date needs nobody; None if unknown."""
    if p.login_ends_at is not None:
        return True
    if p.kind != "oauth":
        return False
    if inputs.dialect is Dialect.ROUTES and p.status == "expired" and p.has_refresh_token is None:
        # From 2026.8, a provider is listed as missing only if it cannot refresh, or is unusable.
        if inputs.is_listed_missing(p.provider) and p.unusable is None and inputs.is_in_order(p):
            return False
        if p.provider in inputs.observation.refreshing_providers:
            return True if inputs.expired_logins[p.provider] == 1 else None
    if p.has_refresh_token is not None:
        return p.has_refresh_token
    if inputs.dialect is Dialect.STATUS and p.status in ("expired", "expiring"):
        return False
    left = math.inf if p.expires_at is None else p.expires_at - inputs.observed_at
    if inputs.dialect in (Dialect.STATUS, Dialect.GATEWAY) and p.status == "ok" and left <= WARN_AFTER:
        return True  # "ok" near or past its date: OpenClaw counts on the refresh token
    if inputs.dialect is Dialect.GATEWAY and p.status == "expiring" and 2 * REFRESH_MARGIN < left < math.inf:
        return False  # a gateway reports a login that refreshes as "expiring" only in the last minutes
    return None if inputs.dialect is Dialect.ROUTES else _remembered_refreshable(inputs, p)


def _remembered_refreshable(inputs: VerdictInputs, p: ObservedProfile) -> bool | None:
    """What was known earlier about the same access token: a release may say it only before the date has passed."""
    record = inputs.record(p.id)
    return record.refreshable if record and p.expires_at is not None and record.deadline == p.expires_at else None


def _idle_since(inputs: VerdictInputs, p: ObservedProfile, refreshable: bool | None, status: Status) -> float | None:
    """The date of an access token that has passed without a refresh, where only use shows whether it refreshes.

    A login that can refresh, and that nothing uses, is not idle: it refreshes at its next use.
    """
    if p.kind != "oauth" or p.login_ends_at is not None or p.expires_at is None or p.expires_at > inputs.now:
        return None
    if refreshable is None:
        return p.expires_at if status is Status.UNKNOWN else None
    return p.expires_at if refreshable and status is Status.OK and not inputs.is_unused(p.provider) else None


def _was_tried_since(p: ObservedProfile, date: float) -> bool:
    """Whether the store shows a use or an error after ``date``. A success resets OpenClaw's count of errors."""
    was_used = p.last_used_at is not None and p.last_used_at > date + USE_SLACK
    failed = p.last_error_at > date if p.last_error_at is not None else bool(p.error_count)
    return was_used or failed


def _deadline(
    inputs: VerdictInputs, p: ObservedProfile, refreshable: bool | None
) -> tuple[float | None, Basis | None, bool]:
    """The date by which a person must renew the profile, its basis, and whether it is only assumed."""
    if p.login_ends_at is not None:
        return p.login_ends_at, Basis.LOGIN, False
    if p.kind == "oauth" and refreshable is not False:
        return None, None, False
    if p.expires_at is not None:
        return p.expires_at, Basis.REPORTED, False
    record = inputs.record(p.id)
    if p.status == "expired" and record and record.deadline and record.deadline <= inputs.now:
        return record.deadline, Basis.LEDGER, False
    supplied = _supplied_date(inputs, p)
    if supplied is not None:
        return supplied, Basis.CONFIGURED, False
    eligible = p.status not in ("expired", "missing") and p.reason_code not in NOT_ELIGIBLE
    if _is_setup_token(p) and record and not p.id.startswith("env:") and eligible:
        return record.known_since + inputs.policy.setup_token_lifetime, Basis.LEDGER, True
    return None, None, False


def _supplied_date(inputs: VerdictInputs, p: ObservedProfile) -> float | None:
    """The deadline from the configuration, else from ``deadline set``.

    A date in the future does not count for a profile that OpenClaw reports as expired.
    """
    policy, recorded = inputs.profile_policy(p.id), inputs.history.supplied.get(p.id)
    dates = [(policy.expires_at, policy.issued_at)]
    if recorded:
        dates.append((recorded.expires_at, recorded.issued_at))
    for ends, issued in dates:
        date = issued + inputs.policy.setup_token_lifetime if ends is None and issued is not None else ends
        if date is not None and (p.status != "expired" or date <= inputs.now):
            return date
    return None


def _is_setup_token(p: ObservedProfile) -> bool:
    return p.kind == "token" and p.provider == "anthropic"


def _status(
    inputs: VerdictInputs, p: ObservedProfile, refreshable: bool | None, deadline: float | None, assumed: bool
) -> tuple[Status, str]:
    """The status, and the rule that decided it."""
    if p.status == "missing" or p.reason_code in NOT_ELIGIBLE:
        return Status.MISSING, f"OpenClaw reports {p.reason_code or 'missing'}"
    if p.kind == "oauth" and p.login_ends_at is None and refreshable is not False:
        return _oauth_status(inputs, p, refreshable)
    left = None if deadline is None or inputs.clock_is_wrong else deadline - inputs.now
    if left is not None and left <= 0:
        return Status.EXPIRED, "the deadline has passed"
    if p.status == "expired" or p.reason_code == "expired":
        return Status.EXPIRED, "OpenClaw reports expired"
    within, key = inputs.expiring_within(p.provider, p.id)
    if left is not None and left <= within:
        return Status.EXPIRING, f"the deadline is within {key}"
    if p.status == "expiring" and deadline is None:
        return Status.EXPIRING, "OpenClaw reports expiring, without a date"
    if p.status is not None and p.status not in _STATUSES:
        return Status.UNKNOWN, "OpenClaw reports a status that this exporter does not know"
    if deadline is not None and not assumed:
        return Status.OK, "the deadline is not near"
    if p.status is None:
        static = p.kind in ("api_key", "token")
        return (Status.STATIC, "it has no date") if static else (Status.OK, "no problem is reported")
    return _STATUSES[p.status], f"OpenClaw reports {p.status}"


def _oauth_status(inputs: VerdictInputs, p: ObservedProfile, refreshable: bool | None) -> tuple[Status, str]:
    """The status of a login that refreshes itself, or may: its access token's date needs nobody."""
    is_past = p.expires_at is not None and p.expires_at <= inputs.now
    if refreshable:
        return Status.OK, "it refreshes itself"
    if p.status == "expired" or is_past:
        return Status.UNKNOWN, "its access token has expired, and nothing reports whether it can refresh"
    if p.status is None or p.status in _STATUSES:
        return Status.OK, "its access token is valid"
    return Status.UNKNOWN, "OpenClaw reports a status that this exporter does not know"


def _unusable(inputs: VerdictInputs, p: ObservedProfile) -> Unusable | None:
    """The cooldown or disable, unless it had ended when it was observed. Only another check ends it later."""
    if p.unusable is None or (p.unusable.until is not None and p.unusable.until <= inputs.observed_at):
        return None
    return p.unusable


def _blocks(inputs: VerdictInputs, provider: str, unusable: Unusable) -> bool:
    """Whether the profile cannot serve. A cooldown for one model blocks only what uses that model.

    If the provider serves chat, the chat's models decide, else all of them must be blocked.
    """
    if unusable.kind != "cooldown" or unusable.model is None or not inputs.observation.models_in_use:
        return True
    cooled = [use for use in inputs.observation.uses if is_for(unusable, use)]
    if inputs.serves_chat(provider):
        return any(use.purpose.is_chat for use in cooled)
    uses = inputs.uses(provider)
    return bool(cooled) and all(use in cooled for use in uses)


def is_for(unusable: Unusable | None, use: Use) -> bool:
    """Whether a cooldown for one model is for the model of ``use``; the store names it with or without its provider."""
    return (
        unusable is not None
        and unusable.model is not None
        and unusable.model in (use.model, use.model.partition("/")[2])
    )


def _disagreement(inputs: VerdictInputs, p: ObservedProfile, refreshable: bool | None) -> str | None:
    """How OpenClaw's status contradicts OpenClaw's date, at the moment it reported both."""
    if p.expires_at is None or p.status is None or inputs.clock_is_wrong:
        return None
    if p.kind == "oauth" and refreshable is not False:
        return None
    left = p.expires_at - inputs.observed_at
    if p.status in ("ok", "static") and left < -STATUS_SLACK:
        return f"OpenClaw reports {p.status}, but its date has passed"
    if p.status == "expired" and left > STATUS_SLACK:
        return "OpenClaw reports expired, but its date is in the future"
    return None
