"""The values that all other packages share: the Observation of a source and the Report of the verdict.

All values are frozen and contain no secret. Sources make Observations, the verdict turns each into an
AgentReport, and metrics, pages, tables and alerts are views of Reports. Times are Unix seconds. ``None``
means "not seen" or "there is none"; 0 never does.

A target is one OpenClaw installation to check, and a source is a way to ask it. An agent is one of the
target's agents, which can have credentials of their own. A profile is a named credential in OpenClaw's
auth store; its provider is the service that it signs in to. A verdict is what an Observation means, and
a condition is one named fact of it, such as ``expired``, with a severity.
"""

from __future__ import annotations

import enum
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from exporter.model.conditions import RUNBOOK as RUNBOOK
from exporter.model.conditions import ConditionName as ConditionName
from exporter.model.conditions import Family as Family
from exporter.model.conditions import LineWord as LineWord
from exporter.model.conditions import Wording as Wording
from exporter.model.steps import Need as Need
from exporter.model.steps import Place as Place
from exporter.model.steps import Step as Step
from exporter.model.steps import StepAction as StepAction
from exporter.model.steps import StepKind as StepKind
from exporter.model.steps import command as command
from exporter.model.steps import note as note
from exporter.model.steps import task as task
from exporter.model.uses import Purpose as Purpose
from exporter.model.uses import Use as Use
from exporter.model.uses import in_list as in_list
from exporter.model.uses import most_important_first as most_important_first

#: The agent whose store the others inherit.
SHARED_AGENT = "main"


class FailureReason(enum.StrEnum):
    """Why a check failed: ``error.reason`` in the JSON and the ``reason`` label of failures."""

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
    STALE = "stale"
    OTHER = "other"

    @property
    def is_our_fault(self) -> bool:
        """Whether the exporter itself fails. That fails the heartbeat; a target that cannot be reached does not."""
        return self in (FailureReason.STALE, FailureReason.OTHER)


class CheckError(Exception):
    """A failed check. ``message`` is one sentence for people and contains no secret."""

    def __init__(
        self, reason: FailureReason, message: str, retry_after: float | None = None, *, needs_doctor: bool = False
    ) -> None:
        super().__init__(f"{reason}: {message}")
        self.reason = reason
        self.message = message
        self.retry_after = retry_after  # seconds, if the other side asked for a pause
        self.needs_doctor = needs_doctor  # OpenClaw asks for `openclaw doctor --fix`


@dataclass(frozen=True, slots=True)
class Failure:
    """A failed check as a value, kept beside the last successful Observation."""

    reason: FailureReason
    message: str
    at: float
    needs_doctor: bool = False  # OpenClaw asks for `openclaw doctor --fix`: an old store or configuration


class Dialect(enum.StrEnum):
    """The form of OpenClaw's output that an Observation was read from.

    Sources recognise it by the fields of the output, and by the release if the fields are the same. Only
    the verdict knows what the words of each dialect mean.
    """

    DATES = "dates"  # before 2026.1.30, after 2026.4.15, or unknown: nothing takes a refresh token into account
    STATUS = "status"  # 2026.1.30 to 2026.4.15: the status of an OAuth profile takes its refresh token into account
    LISTING = "listing"  # 2026.5 to 2026.7: nothing takes it into account
    ROUTES = "routes"  # from 2026.8: missing providers take cooldowns into account, issues refresh tokens
    GATEWAY = "gateway"  # models.authStatus: a login that refreshes is "ok" up to its date; no cooldowns
    STORE = "store"  # the auth store itself: no status
    LOGIN = "login"  # Claude Code's own login


@dataclass(frozen=True, slots=True)
class Unusable:
    """A cooldown or a disable, as OpenClaw reports it."""

    kind: str  # "cooldown" or "disabled"
    reason: str | None
    until: float | None
    model: str | None = None  # the only model that the cooldown is for (cooldownModel in the store)


@dataclass(frozen=True, slots=True)
class ObservedProfile:
    """One auth profile as a source reported it, without a verdict."""

    id: str
    provider: str
    kind: str  # "token", "oauth", "api_key", or an unknown kind
    status: str | None = None  # OpenClaw's status
    reason_code: str | None = None  # OpenClaw's reasonCode
    expires_at: float | None = None
    login_ends_at: float | None = None  # the end of the login itself (Claude Code), not of its access token
    has_refresh_token: bool | None = None  # None: unknown to this source
    secret_hash: str | None = None  # keyed hash of a token or a key; None for OAuth, which rotates
    unusable: Unusable | None = None
    last_used_at: float | None = None
    error_count: int | None = None
    last_error_at: float | None = None
    owner: str | None = None  # the agent whose store has it: this agent, or one that it inherits from
    is_masked: bool = False  # OpenClaw printed a runtime's credential in its place: the kind may not be its own
    reference: str | None = None  # where its secret is kept, if not in the store: SOURCE:PROVIDER:ID, never a value


@dataclass(frozen=True, slots=True)
class UsageWindow:
    """One quota window of a provider."""

    provider: str
    window: str
    used_ratio: float
    resets_at: float | None = None


@dataclass(frozen=True, slots=True)
class CacheSetting:
    """A setting of prompt caching: its ``name`` and ``value``, where it is, and its model (empty: every model)."""

    name: str
    value: str
    place: str
    model: str = ""

    def is_for(self, models: Iterable[str]) -> bool:
        """Whether it is for one of ``models`` (``provider/model`` in lower case)."""
        provider, _, name = self.model.lower().partition("/")
        return not self.model or any(
            model == self.model.lower() or (name == "*" and model.startswith(f"{provider}/")) for model in models
        )


@dataclass(frozen=True, slots=True)
class Observation:
    """The facts about one agent from one check.

    ``order`` holds the effective order of the profiles of each provider; a provider without an entry has
    an unknown order. ``uses`` holds what each model is used for; a provider in use without an entry serves
    chat. ``blind_to`` names facts that neither the source nor the store reports: ``unusable`` (cooldowns and
    disables), ``uses`` (purposes that OpenClaw's own check does not examine, such as the heartbeat).
    """

    target: str
    agent: str
    source: str
    dialect: Dialect
    observed_at: float
    profiles: tuple[ObservedProfile, ...] = ()
    providers_in_use: tuple[str, ...] | None = None  # None: not seen
    uses: tuple[Use, ...] = ()  # the most important first; empty: not seen
    order: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    missing_providers: frozenset[str] = frozenset()  # missingProvidersInUse
    indeterminate_providers: frozenset[str] = frozenset()  # OpenClaw does not know whether a route is ready
    refreshing_providers: frozenset[str] = frozenset()  # those of them whose evidence is a profile
    unserved_providers: frozenset[str] = frozenset()  # those of them that only another program's login could serve
    faulty_providers: frozenset[str] = frozenset()  # a route has another fault, for example it is incompatible
    unavailable_runtimes: tuple[str, ...] = ()  # PROVIDER: why OpenClaw cannot run its models
    served_by: Mapping[str, tuple[str, ...]] = field(default_factory=dict)  # provider -> whose logins serve its models
    borrowed_logins: frozenset[str] = frozenset()  # providers whose login is another program's, such as Claude Code's
    keyless_providers: frozenset[str] = frozenset()  # need no credential of OpenClaw's, by the configuration
    agent_dir: str | None = None  # the agent's folder, where OpenClaw runs
    needs_doctor: bool = False  # `openclaw doctor --fix` imports profiles that this OpenClaw no longer reads
    openclaw_exit_code: int | None = None
    openclaw_version: str | None = None
    usage: tuple[UsageWindow, ...] = ()
    usage_error: str | None = None
    blind_to: frozenset[str] = frozenset()
    cache_settings: tuple[CacheSetting, ...] = ()
    only_here: tuple[str, ...] = ()  # variables with a credential that no file of OpenClaw's service sets
    notes: tuple[str, ...] = ()  # how it was checked, for explain

    @property
    def models_in_use(self) -> tuple[str, ...]:
        """Every model in use, as ``provider/model``; empty: not seen."""
        return tuple(dict.fromkeys(use.model for use in self.uses if "/" in use.model))


class Severity(enum.StrEnum):
    """How urgently a condition needs a person. Ordered: info < warning < critical."""

    INFO = "info"
    WARNING = "warning"
    CRITICAL = "critical"

    rank: int

    def __init__(self, word: str) -> None:
        self.rank = ("info", "warning", "critical").index(word)


class Status(enum.StrEnum):
    """The status of a profile according to the verdict. Its metric is 1 for the current status."""

    OK = "ok"
    EXPIRING = "expiring"
    EXPIRED = "expired"
    MISSING = "missing"
    STATIC = "static"
    UNKNOWN = "unknown"


class Basis(enum.StrEnum):
    """Where a deadline comes from."""

    REPORTED = "reported"  # the source reported it
    LOGIN = "login"  # the end of a login
    CONFIGURED = "configured"  # a person supplied it
    LEDGER = "ledger"  # reported earlier, or counted from when the credential was first seen


class Condition(NamedTuple):
    """A named fact with a severity. ``summary`` and ``steps`` are for the person who is notified."""

    name: ConditionName
    severity: Severity
    provider: str | None = None
    profile: str | None = None
    summary: str = ""
    steps: tuple[Step, ...] = ()  # what fixes it, in order
    reason: str | None = None  # OpenClaw's reason, or the FailureReason of a failed check
    since: float | None = None
    deadline: float | None = None
    seen_at: float | None = None  # when it was last seen, if a check has failed since
    rule: str = ""  # which rule decided, for explain; empty: the condition's ``when`` in the catalogue

    @property
    def family(self) -> Family:
        return self.name.family

    @property
    def remedy(self) -> tuple[str, ...]:
        """The steps as lines."""
        return tuple(step.text for step in self.steps)


class ProfileReport(NamedTuple):
    """The verdict about one profile."""

    id: str
    provider: str
    kind: str
    status: Status
    expires_at: float | None  # when a person must have renewed it
    basis: Basis | None
    refreshable: bool | None
    selected: bool | None  # None: unknown
    unusable: Unusable | None
    unusable_seen: bool  # False: cooldowns are not reported, so their absence means nothing
    in_use: bool | None
    usable: bool
    label: str  # the id or its alias, for labels
    ignored: bool = False  # by the policy: it has no conditions
    last_used_at: float | None = None
    error_count: int | None = None
    first_seen_at: float | None = None
    secret_hash: str | None = None
    owner: str | None = None  # as observed, and so are the next two
    reference: str | None = None
    reason_code: str | None = None
    evidence: tuple[str, ...] = ()  # sentences for explain
    assumed: bool = False  # ``expires_at`` is counted from when the credential was first seen


class AgentReport(NamedTuple):
    """The verdict about one agent of one target."""

    target: str
    agent: str
    source: str
    evaluated_at: float
    checked_at: float | None  # the last successful check
    exit_code: int
    profiles: tuple[ProfileReport, ...] = ()
    conditions: tuple[Condition, ...] = ()
    providers_usable: Mapping[str, bool] = {}  # only of providers in use
    unusable_counts: Mapping[str, int] | None = None  # per provider; None: not reported
    serving: Mapping[str, str] = {}  # provider in use -> kind of credential that serves it
    usage: tuple[UsageWindow, ...] = ()
    openclaw_exit_code: int | None = None
    openclaw_version: str | None = None
    failure: Failure | None = None
    duration: float | None = None  # of the last check, seconds
    changes_at: float | None = None  # when time alone changes this report
    check_at: float | None = None  # when a deadline or cooldown that was ahead ends: check again then
    notes: tuple[str, ...] = ()
    advice: tuple[str, ...] = ()  # about what works, for explain
    dialect: Dialect = Dialect.ROUTES  # the observation's
    agent_dir: str | None = None


def failed_report(
    target: str,
    agent: str,
    source: str,
    failure: Failure,
    known: AgentReport | None = None,
    steps: tuple[Step, ...] = (),
) -> AgentReport:
    """The report about an agent whose check or verdict failed: what is ``known`` of it, marked as failed.

    It needs nothing of the verdict, which may be what failed.
    """
    summary, rule = f"The check of {target}/{agent} failed: {failure.message}", f"the check failed ({failure.reason})"
    if agent == "*":
        summary = f"The agents of {target} could not be listed: {failure.message}"
        rule = "the agents could not be listed"
    name, reason = ConditionName.CHECK_FAILED, failure.reason.value
    condition = Condition(name, Severity.CRITICAL, summary=summary, steps=steps, reason=reason, rule=rule)
    if known is None:
        return AgentReport(target, agent, source, failure.at, None, 1, conditions=(condition,), failure=failure)
    others = (other for other in known.conditions if other.name is not ConditionName.CHECK_FAILED)
    return known._replace(evaluated_at=failure.at, exit_code=1, conditions=(condition, *others), failure=failure)


class AgentCounters(NamedTuple):
    """The counters of one agent since the daemon started.

    ``failures`` are failed checks by reason, ``unusable_seconds`` the seconds that each provider in use
    has had no usable credential. An absent key counts as 0.
    """

    checks: int = 0
    failures: Mapping[FailureReason, int] = {}
    unusable_seconds: Mapping[str, float] = {}


class TargetReport(NamedTuple):
    """All agents of one target. ``failure`` is set when the agents could not be listed."""

    target: str
    source: str
    agents: tuple[AgentReport, ...] = ()
    failure: Failure | None = None
    steps: tuple[Step, ...] = ()  # what fixes the failure
    chosen: str | None = None  # the source that ``auto`` chose, and why

    @property
    def entries(self) -> tuple[AgentReport, ...]:
        """The agents. If they could not be listed, also one entry ``*`` with the error."""
        if self.failure is None or any(agent.agent == "*" for agent in self.agents):
            return self.agents
        unlisted = failed_report(self.target, "*", self.source, self.failure, steps=self.steps)
        return (*self.agents, unlisted)

    @property
    def exit_code(self) -> int:
        return worst_exit_code(agent.exit_code for agent in self.entries) if self.entries else 1


class Report(NamedTuple):
    """All results: one TargetReport per configured target, in the configured order."""

    checked_at: float
    targets: tuple[TargetReport, ...] = ()

    @property
    def exit_code(self) -> int:
        return worst_exit_code(target.exit_code for target in self.targets)

    @property
    def profiles(self) -> Iterator[tuple[AgentReport, ProfileReport]]:
        """Every profile with its agent: one that agents share comes once for each."""
        return ((agent, profile) for target in self.targets for agent in target.agents for profile in agent.profiles)


def worst_exit_code(codes: Iterable[int]) -> int:
    """OpenClaw's contract: 1 is worse than 2 is worse than 0."""
    seen = set(codes)
    return 1 if 1 in seen else 2 if 2 in seen else 0


def exit_code_of(severities: Iterable[Severity]) -> int:
    """1 if any severity is critical, else 2 if any is a warning, else 0."""
    seen = set(severities)
    return 1 if Severity.CRITICAL in seen else 2 if Severity.WARNING in seen else 0
