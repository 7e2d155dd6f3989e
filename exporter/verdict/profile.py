"""How one profile stands: its deadline, whether it refreshes, its status, whether it can serve."""

from __future__ import annotations

from dataclasses import dataclass, replace

from exporter.model import Basis, Dialect, ObservedProfile, Status, Unusable
from exporter.state.history import DAY
from exporter.verdict.inputs import VerdictInputs

#: OpenClaw's own warning window (auth.oauth.warnAfterMs), seconds.
WARN_AFTER = DAY
#: Use this long after an access token's date without a new date is a refresh that failed, seconds.
USE_SLACK = 300.0
#: How far a word and a date may be apart before they disagree, seconds.
WORD_SLACK = 60.0
#: reasonCodes of a profile that no route can take.
NOT_ELIGIBLE = {
    "invalid_expires": "its expiry date is not valid",
    "missing_credential": "it holds no secret",
    "unresolved_ref": "the secret it refers to cannot be found",
    "setup_inactive": "its setup is not active",
    "mode_mismatch": "its kind is not what auth.profiles in openclaw.json says",
    "provider_mismatch": "its provider is not what auth.profiles in openclaw.json says",
}
_WORDS = {"ok": Status.OK, "expiring": Status.EXPIRING, "static": Status.STATIC}


@dataclass(frozen=True, slots=True)
class ProfileVerdict:
    """One profile, judged by itself. Times are Unix seconds."""

    seen: ObservedProfile
    status: Status
    rule: str  # which rule decided the status
    deadline: float | None = None
    basis: Basis | None = None
    assumed: bool = False  # the deadline is counted from when the token was first seen
    refreshable: bool | None = None
    unusable: Unusable | None = None
    is_blocked: bool = False  # the cooldown or disable keeps it from serving the models in use
    idle_since: float | None = None  # an expired access token, and nothing tells whether it refreshes
    disagreement: str | None = None

    @property
    def is_usable(self) -> bool:
        return self.status not in (Status.EXPIRED, Status.MISSING) and not self.is_blocked

    @property
    def is_from_environment(self) -> bool:
        return self.seen.id.startswith("env:")

    @property
    def provider(self) -> str:
        return self.seen.provider


def evaluate_profile(view: VerdictInputs, profile: ObservedProfile) -> ProfileVerdict:
    """How ``profile`` stands at ``view.now``."""
    refreshable = _refreshable(view, profile)
    deadline, basis, assumed = _deadline(view, profile, refreshable)
    status, rule = _status(view, profile, refreshable, deadline, assumed)
    unusable = _unusable(view, profile)
    idle = refreshable is None and profile.kind == "oauth" and status is Status.UNKNOWN
    return ProfileVerdict(
        seen=profile,
        status=status,
        rule=rule,
        deadline=deadline,
        basis=basis,
        assumed=assumed,
        refreshable=refreshable,
        unusable=unusable,
        is_blocked=unusable is not None and _blocks(view, profile, unusable),
        idle_since=profile.expires_at if idle else None,
        disagreement=_disagreement(view, profile, refreshable),
    )


def not_eligible(stand: ProfileVerdict) -> ProfileVerdict:
    """The same profile where OpenClaw counts its provider as missing although it looks usable."""
    rule = "OpenClaw counts the provider as missing: not eligible"
    if stand.assumed:
        stand = replace(stand, deadline=None, basis=None, assumed=False)
    return replace(stand, status=Status.MISSING, rule=rule)


def _refreshable(view: VerdictInputs, p: ObservedProfile) -> bool | None:
    """True: its access token's date needs nobody. None: nothing tells."""
    if p.login_ends_at is not None:
        return True
    if p.kind != "oauth":
        return False
    assert view.seen is not None
    is_past = p.expires_at is not None and p.expires_at <= view.seen.observed_at
    if view.dialect is Dialect.ROUTES and p.status == "expired":
        # Recent releases list as missing only what cannot refresh; unusable ones are there as well.
        if view.lists_as_missing(p.provider) and p.unusable is None:
            return False
        if p.has_refresh_token is None and p.provider in view.seen.refreshing_providers:
            return True if view.expired_logins[p.provider] == 1 else None
    if p.has_refresh_token is not None:
        return p.has_refresh_token
    if view.dialect in (Dialect.STATUS, Dialect.GATEWAY):
        if p.status in ("expired", "expiring"):
            return False
        is_near = p.expires_at is not None and p.expires_at <= view.seen.observed_at + WARN_AFTER
        if p.status == "ok" and (is_near or is_past):
            return True
    return None


def _deadline(
    view: VerdictInputs, p: ObservedProfile, refreshable: bool | None
) -> tuple[float | None, Basis | None, bool]:
    """The date that needs a person, what it rests on, and whether it is only assumed."""
    if p.login_ends_at is not None:
        return p.login_ends_at, Basis.LOGIN, False
    if p.kind == "oauth" and refreshable is not False:
        return None, None, False
    if p.expires_at is not None:
        return p.expires_at, Basis.REPORTED, False
    remembered = view.history.profiles.get(p.id)
    if p.status == "expired" and remembered and remembered.deadline and remembered.deadline <= view.now:
        return remembered.deadline, Basis.LEDGER, False
    lifetime, told = view.policy.setup_token_lifetime, view.history.supplied.get(p.id)
    said = view.said(p.id)
    for ends, made in ((said.expires_at, said.issued_at), (told.expires_at, told.issued_at) if told else (None, None)):
        date = made + lifetime if ends is None and made is not None else ends
        if date is not None and (p.status != "expired" or date <= view.now):  # else OpenClaw knows better
            return date, Basis.CONFIGURED, False
    eligible = p.status not in ("expired", "missing") and p.reason_code not in NOT_ELIGIBLE
    if _is_setup_token(p) and remembered and not p.id.startswith("env:") and eligible:
        return remembered.first_seen_at + lifetime, Basis.LEDGER, True
    return None, None, False


def _is_setup_token(p: ObservedProfile) -> bool:
    return p.kind == "token" and p.provider == "anthropic"


def is_undated(stand: ProfileVerdict) -> bool:
    """An Anthropic token without a date: nobody will say when it ends."""
    date_unknown = stand.deadline is None or stand.assumed
    return _is_setup_token(stand.seen) and date_unknown and stand.status in (Status.OK, Status.STATIC, Status.UNKNOWN)


def _status(
    view: VerdictInputs, p: ObservedProfile, refreshable: bool | None, deadline: float | None, assumed: bool
) -> tuple[Status, str]:
    now, word = view.now, p.status
    if word == "missing" or p.reason_code in NOT_ELIGIBLE:
        return Status.MISSING, f"OpenClaw says {p.reason_code or 'missing'}"
    dates = not view.clock_is_wrong
    if p.kind == "oauth" and p.login_ends_at is None and refreshable is not False:
        return _oauth_status(view, p, refreshable)
    if dates and deadline is not None and deadline <= now:
        return Status.EXPIRED, "the deadline has passed"
    if word == "expired" or p.reason_code == "expired":
        return Status.EXPIRED, "OpenClaw says expired"
    if dates and deadline is not None and deadline - now <= view.policy.expiring_within:
        return Status.EXPIRING, "the deadline is near"
    if word == "expiring" and deadline is None:
        return Status.EXPIRING, "OpenClaw says expiring, without a date"
    if word is not None and word not in ("ok", "expiring", "static"):
        return Status.UNKNOWN, "OpenClaw uses a word we do not know"
    if deadline is not None and not assumed:
        return Status.OK, "the deadline is far"
    if word is None:
        static = p.kind in ("api_key", "token")
        return (Status.STATIC, "it has no date") if static else (Status.OK, "nothing speaks against it")
    return _WORDS[word], f"OpenClaw says {word}"


def _oauth_status(view: VerdictInputs, p: ObservedProfile, refreshable: bool | None) -> tuple[Status, str]:
    """An access token that refreshes itself, or may: its own date needs nobody."""
    past = p.expires_at is not None and p.expires_at <= view.now
    if refreshable and past and p.expires_at is not None and (p.last_used_at or 0) > p.expires_at + USE_SLACK:
        return Status.EXPIRED, "used after its date without a new date: refreshing fails"
    if refreshable:
        return Status.OK, "it refreshes itself"
    if p.status == "expired" or past:
        return Status.UNKNOWN, "its access token expired and nothing tells whether it refreshes"
    if p.status in (None, "ok", "expiring", "static"):
        return Status.OK, "its access token is valid"
    return Status.UNKNOWN, "OpenClaw uses a word we do not know"


def _unusable(view: VerdictInputs, p: ObservedProfile) -> Unusable | None:
    assert view.seen is not None
    if p.unusable is None or (p.unusable.until is not None and p.unusable.until <= view.seen.observed_at):
        return None  # what had ended when we looked; time alone ends nothing that was seen
    return p.unusable


def _blocks(view: VerdictInputs, p: ObservedProfile, unusable: Unusable) -> bool:
    """A cooldown for one model blocks only where that model is in use."""
    if unusable.kind != "cooldown" or unusable.model is None or view.seen is None or not view.seen.models_in_use:
        return True
    models = {model.partition("/")[2] for model in view.seen.models_in_use} | set(view.seen.models_in_use)
    return unusable.model in models


def _disagreement(view: VerdictInputs, p: ObservedProfile, refreshable: bool | None) -> str | None:
    """OpenClaw's word against its own date, at the moment it spoke."""
    if p.expires_at is None or p.status is None or view.seen is None or view.clock_is_wrong:
        return None
    if p.kind == "oauth" and refreshable is not False:
        return None
    left = p.expires_at - view.seen.observed_at
    if p.status in ("ok", "static") and left < -WORD_SLACK:
        return f"OpenClaw says {p.status}, but its date has passed"
    if p.status == "expired" and left > WORD_SLACK:
        return "OpenClaw says expired, but its date is in the future"
    return None
