"""The values that flow through the house: what was seen (Observation) and what it means (Report).

Everything here is frozen and holds no secret: sources make Observations, the verdict turns one
into an AgentReport, and metrics, pages, tables and alerts are views of Reports. All times are Unix
seconds as floats; ``None`` means "not seen" or "there is none", never 0.
"""

from __future__ import annotations

import enum
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from exporter.model.conditions import ConditionName as ConditionName
from exporter.model.conditions import Family as Family
from exporter.model.conditions import LineWord as LineWord


class FailureReason(enum.StrEnum):
    """Why a look failed: the ``error.reason`` of the JSON and the ``reason`` label of failures."""

    COMMAND_NOT_FOUND = "command_not_found"
    TIMEOUT = "timeout"
    KILLED = "killed"
    COMMAND_ERROR = "command_error"
    UNKNOWN_AGENT = "unknown_agent"
    INVALID_OUTPUT = "invalid_output"
    CONNECTION = "connection"
    UNAUTHORIZED = "unauthorized"
    NOT_READY = "not_ready"
    NOT_ENABLED = "not_enabled"
    HTTP_ERROR = "http_error"
    PERMISSION = "permission"
    STORE_UNREADABLE = "store_unreadable"
    OTHER = "other"


class CheckError(Exception):
    """A look that gave no answer. ``message`` is one sentence for a person and holds no secret."""

    def __init__(self, reason: FailureReason, message: str, retry_after: float | None = None) -> None:
        super().__init__(f"{reason}: {message}")
        self.reason = reason
        self.message = message
        self.retry_after = retry_after  # seconds, where the other side asked for a pause


@dataclass(frozen=True, slots=True)
class Failure:
    """A look that failed, as a value: it travels beside the last good Observation."""

    reason: FailureReason
    message: str
    at: float


class Dialect(enum.StrEnum):
    """Which of OpenClaw's ways of telling an Observation speaks. Recognised by the fields that are
    there, never by the release's number; what each one's words mean is the verdict's business."""

    STATUS = "status"  # to 2026.4: the status word of an OAuth profile knows its refresh token
    LISTING = "listing"  # 2026.6 and 7: neither the status nor the missing providers know it
    ROUTES = "routes"  # from 2026.8: missing providers know cooldowns, issues know refreshability
    GATEWAY = "gateway"  # models.authStatus: a refreshing login is "ok"; no cooldowns
    STORE = "store"  # the auth store itself: no word of OpenClaw's at all
    LOGIN = "login"  # Claude Code's own login


@dataclass(frozen=True, slots=True)
class Unusable:
    """A cooldown or a disable, in OpenClaw's words."""

    kind: str  # cooldown, disabled
    reason: str | None
    until: float | None
    model: str | None = None  # a cooldown may be for one model only (store: cooldownModel)


@dataclass(frozen=True, slots=True)
class ObservedProfile:
    """One auth profile as a source saw it, nothing judged."""

    id: str
    provider: str
    kind: str  # token, oauth, api_key, or a word we do not know
    status: str | None = None  # OpenClaw's word
    reason_code: str | None = None  # OpenClaw's reasonCode
    expires_at: float | None = None
    login_ends_at: float | None = None  # a login's own deadline (Claude Code), not the access token's
    has_refresh_token: bool | None = None  # None: this source cannot tell
    secret_hash: str | None = None  # keyed hash of a token or key; None for OAuth, which rotates
    unusable: Unusable | None = None
    last_used_at: float | None = None
    error_count: int | None = None


@dataclass(frozen=True, slots=True)
class UsageWindow:
    """A quota window a provider reported."""

    provider: str
    window: str
    used_ratio: float
    resets_at: float | None = None


@dataclass(frozen=True, slots=True)
class Observation:
    """What one look at one agent saw.

    ``order`` holds, per provider, the effective order of its profiles where the source tells it; a
    provider that is not there has an unknown order. ``blind_to`` names what the source cannot see
    and nothing filled in: ``unusable`` (cooldowns and disables).
    """

    target: str
    agent: str
    source: str
    dialect: Dialect
    observed_at: float
    profiles: tuple[ObservedProfile, ...] = ()
    providers_in_use: tuple[str, ...] | None = None  # None: not seen
    models_in_use: tuple[str, ...] = ()  # provider/model; empty: not seen
    order: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    missing_providers: frozenset[str] = frozenset()  # missingProvidersInUse
    indeterminate_providers: frozenset[str] = frozenset()  # a route's readiness is unknown
    refreshing_providers: frozenset[str] = frozenset()  # … and its evidence is a profile
    faulty_providers: frozenset[str] = frozenset()  # a route has another fault: incompatible, say
    openclaw_exit_code: int | None = None
    openclaw_version: str | None = None
    usage: tuple[UsageWindow, ...] = ()
    usage_error: str | None = None
    blind_to: frozenset[str] = frozenset()
    notes: tuple[str, ...] = ()  # what explain should say about how this was seen


class Severity(enum.StrEnum):
    """How much a condition wants a person. Ordered: info < warning < critical."""

    INFO = "info"
    WARNING = "warning"
    CRITICAL = "critical"

    rank: int

    def __init__(self, word: str) -> None:
        self.rank = ("info", "warning", "critical").index(word)


class Status(enum.StrEnum):
    """A profile's status, computed by us. The metric shows 1 for the current one."""

    OK = "ok"
    EXPIRING = "expiring"
    EXPIRED = "expired"
    MISSING = "missing"
    STATIC = "static"
    UNKNOWN = "unknown"


class Basis(enum.StrEnum):
    """What a deadline rests on."""

    REPORTED = "reported"  # the source printed it
    LOGIN = "login"  # a login's own end
    CONFIGURED = "configured"  # a person told it
    LEDGER = "ledger"  # remembered, or counted from when the credential was first seen


@dataclass(frozen=True, slots=True)
class Condition:
    """A named fact with a severity. ``summary`` and ``remedy`` are for the person who is told."""

    name: ConditionName
    severity: Severity
    provider: str | None = None
    profile: str | None = None
    summary: str = ""
    remedy: tuple[str, ...] = ()
    reason: str | None = None  # OpenClaw's reason, or the Reason of a failed look
    since: float | None = None
    deadline: float | None = None
    seen_at: float | None = None  # when it was last seen, where a look has failed since
    rule: str = ""  # which rule decided, for explain; empty: the condition's ``when`` in the catalogue

    @property
    def family(self) -> Family:
        return self.name.family


@dataclass(frozen=True, slots=True)
class ProfileReport:
    """What is known of one profile, judged."""

    id: str
    provider: str
    kind: str
    status: Status
    expires_at: float | None  # the deadline that needs a person
    basis: Basis | None
    refreshable: bool | None
    selected: bool | None  # None: the source does not tell
    unusable: Unusable | None
    unusable_seen: bool  # False: cooldowns cannot be seen, so the absence of one says nothing
    in_use: bool | None
    usable: bool
    label: str  # the id, or its alias: what metrics call it
    ignored: bool = False  # the policy says so: nothing is to be told of it
    last_used_at: float | None = None
    error_count: int | None = None
    first_seen_at: float | None = None
    secret_hash: str | None = None
    evidence: tuple[str, ...] = ()  # sentences for explain


@dataclass(frozen=True, slots=True)
class AgentReport:
    """The verdict about one agent of one target."""

    target: str
    agent: str
    source: str
    evaluated_at: float
    checked_at: float | None  # the last look that could be read
    exit_code: int
    profiles: tuple[ProfileReport, ...] = ()
    conditions: tuple[Condition, ...] = ()
    providers_usable: Mapping[str, bool] = field(default_factory=dict)  # providers in use only
    unusable_counts: Mapping[str, int] | None = None  # per provider; None: cannot be seen
    serving: Mapping[str, str] = field(default_factory=dict)  # provider in use -> kind that serves it
    usage: tuple[UsageWindow, ...] = ()
    openclaw_exit_code: int | None = None
    openclaw_version: str | None = None
    failure: Failure | None = None
    duration: float | None = None  # seconds the last look took
    changes_at: float | None = None  # when time alone would change this report
    check_at: float | None = None  # when a deadline or cooldown ends that had not when we looked: look again then
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class AgentCounters:
    """What has been counted of one agent since the daemon started.

    ``failures`` are failed looks by reason, ``unusable_seconds`` the seconds each provider in use
    has had no usable credential. What is not in a mapping counts as 0.
    """

    checks: int = 0
    failures: Mapping[FailureReason, int] = field(default_factory=dict)
    unusable_seconds: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class TargetReport:
    """All agents of one target. ``failure`` is set when the agents could not be listed."""

    target: str
    source: str
    agents: tuple[AgentReport, ...] = ()
    failure: Failure | None = None
    chosen: str | None = None  # what ``auto`` chose, and why

    @property
    def entries(self) -> tuple[AgentReport, ...]:
        """The agents; where they could not be listed also one entry ``*`` that carries the error."""
        if self.failure is None or any(agent.agent == "*" for agent in self.agents):
            return self.agents
        condition = Condition(
            ConditionName.CHECK_FAILED,
            Severity.CRITICAL,
            summary=self.failure.message,
            reason=self.failure.reason.value,
            rule="the agents could not be listed",
        )
        nobody = AgentReport(
            self.target, "*", self.source, self.failure.at, None, 1, conditions=(condition,), failure=self.failure
        )
        return (*self.agents, nobody)

    @property
    def exit_code(self) -> int:
        return worst_exit_code(agent.exit_code for agent in self.entries) if self.entries else 1


@dataclass(frozen=True, slots=True)
class Report:
    """Everything we know: one TargetReport per configured target, in the order configured."""

    checked_at: float
    targets: tuple[TargetReport, ...] = ()

    @property
    def exit_code(self) -> int:
        return worst_exit_code(target.exit_code for target in self.targets)


def worst_exit_code(codes: Iterable[int]) -> int:
    """OpenClaw's contract: 1 is worse than 2 is worse than 0."""
    seen = set(codes)
    return 1 if 1 in seen else 2 if 2 in seen else 0


def exit_code_of(severities: Iterable[Severity]) -> int:
    """Any critical is 1, else any warning is 2, else 0; info never changes it."""
    seen = set(severities)
    return 1 if Severity.CRITICAL in seen else 2 if Severity.WARNING in seen else 0
