"""The values of alerting: alert states, notifications and messages. All are frozen.

Every value can be written as JSON and read back (``lib.typed_json``). No value holds a secret. States hold keyed
hashes of secrets; messages do not hold even these.
"""

from __future__ import annotations

import enum
import hashlib
from collections.abc import Mapping
from dataclasses import MISSING, dataclass, field, fields
from functools import lru_cache
from typing import Any, TypeVar

from exporter.model import ConditionName, Family, Severity

T = TypeVar("T")


class NotificationReason(enum.StrEnum):
    """Why a channel is notified: the ``reason`` of an alert in a message."""

    FIRST = "first"
    ESCALATED = "escalated"
    EASED = "eased"
    REMINDER = "reminder"
    REPEAT = "repeat"
    RESOLVED = "resolved"
    RENEWED = "renewed"
    TEST = "test"

    #: Whether this is the last notification of an alert.
    ends: bool

    def __init__(self, word: str) -> None:
        self.ends = word in ("resolved", "renewed")


class ResolutionCause(enum.StrEnum):
    """Why an alert ended. Only ``OVER`` says that the problem itself is gone."""

    OVER = ""
    TARGET_REMOVED = "unwatched"  # the target is no longer configured, or no longer checked on a schedule
    PROFILE_REMOVED = "gone"  # the agent or the profile no longer exists
    REPLACED = "replaced"  # another credential took its place, which does not work yet
    IGNORED = "ignored"  # the policy now ignores the profile
    OTHER_PROBLEM = "other_trouble"  # another problem keeps the profile from working
    NOT_NEEDED = "unneeded"  # nothing shows that it works; it just does not matter now: nothing uses it, say


@dataclass(frozen=True, slots=True)
class AlertSubject:
    """The subject of an alert: target, provider, profile and topic.

    ``topic`` is the condition's family. Notices do not turn into one another, so their topic also
    names the condition (and for a quota its window).
    """

    target: str
    provider: str
    profile: str
    topic: str


@dataclass(frozen=True, slots=True)
class Credential:
    """Identifies the credential that a profile had when the alert fired."""

    profile: str
    secret: str | None = None  # keyed hash
    deadline: float | None = None


@dataclass(frozen=True, slots=True)
class AgentFact:
    """What one agent contributes to an alert. Times are Unix seconds."""

    condition: ConditionName
    severity: Severity
    began_at: float  # first seen by the lifecycle at this agent
    since: float | None = None  # since when it holds, if that is known
    deadline: float | None = None
    until: float | None = None  # when an unusable credential recovers
    cause: str | None = None  # OpenClaw's reason, or why the check failed
    owner: str | None = None  # the agent whose store has the credential, if that is known
    seen_at: float | None = None  # when it was last seen, if checks have failed since
    self_healing: bool = False  # may recover on its own, so it must last before it is confirmed
    inhibited: bool = False  # notified as part of no_usable_profile, not separately
    confirmed: bool = False
    checks: int = 0  # checks in a row that found it
    checked_at: float | None = None  # the last of these
    is_assumed: bool = False  # the deadline is counted from when the credential was first seen
    credentials: tuple[Credential, ...] = ()  # those that do not work, each with the latest date it had meanwhile


@dataclass(frozen=True, slots=True)
class LastNotification:
    """The last notification of an alert on one channel."""

    severity: Severity
    condition: ConditionName
    reason: NotificationReason
    at: float  # also identifies the message: a channel gets one at a time
    step: float | None = None  # the latest reminder step that had passed, in seconds before the deadline
    agents: tuple[str, ...] = ()  # those whose trouble it reported
    joined: tuple[str, ...] = ()  # those of ``agents`` that it did not name: they came to share the credential since
    since: float | None = None  # since when that condition held
    times: int = 0  # how often the alert had begun within a day, if it was flapping
    has_arrived: bool = False
    is_withdrawn: bool = False  # taken away from the phone, because it is over and its end waits
    is_inherited: bool = False  # of the alert from which this one forked, under that one's fingerprint
    before: LastNotification | None = None  # the one before, until this one has arrived


@dataclass(frozen=True, slots=True)
class SuppressedAlert:
    """An alert that fired and ended while it was suppressed on a channel: one line of a summary."""

    fingerprint: str
    condition: ConditionName
    severity: Severity
    target: str
    agents: tuple[str, ...]
    provider: str | None
    profile: str | None
    began_at: float
    ended_at: float
    times: int = 1
    exporter: str = ""  # the name of the exporter


@dataclass(frozen=True, slots=True)
class Resolution:
    """How an alert ended. Kept until every channel that was notified of the alert has it."""

    at: float
    reason: NotificationReason  # resolved or renewed
    cause: ResolutionCause = ResolutionCause.OVER
    until: float | None = None  # the new deadline, if renewed; None if there is none
    is_assumed: bool = False  # that deadline is counted from when the credential was first seen
    agents: tuple[str, ...] = ()  # those that it ended for so; others lost the trouble in another way


@dataclass(frozen=True, slots=True)
class Loss:
    """Notifications of an alert that never arrived on a channel: when the last was given up (Unix seconds)."""

    at: float
    times: int = 1


@dataclass(frozen=True)
class AlertState:
    """One alert from its beginning to its end. Times are Unix seconds. Without slots, for ``changed``.

    ``facts`` has what each agent contributes. ``condition``, ``severity`` and what follows from them are those of
    the worst confirmed fact, and ``agents`` the agents that have this condition.
    """

    key: str
    fingerprint: str  # 32 hex characters, the same for the life of the alert and for its resolution
    subject: AlertSubject
    condition: ConditionName
    severity: Severity
    agents: tuple[str, ...]
    started_at: float  # first seen by the lifecycle
    since: float  # since when the condition holds
    worsened_at: float  # when it last got worse; that cancels an earlier acknowledgement
    firing: bool = True
    exporter: str = ""  # the exporter's name when it began
    confirmed: bool = False
    inhibited: bool = False  # notified as part of no_usable_profile, not separately
    self_healing: bool = False  # may recover on its own
    summary: str = ""
    remedy: tuple[str, ...] = ()
    cause: str | None = None  # OpenClaw's reason, or why the check failed
    deadline: float | None = None
    seen_at: float | None = None  # when the condition was last seen, if checks have failed since
    secret: str | None = None  # keyed hash
    credentials: tuple[Credential, ...] = ()  # those that do not work: of an outage, all of the provider
    until: float | None = None  # when an unusable credential recovers
    is_assumed: bool = False  # the deadline is counted from when the credential was first seen
    facts: Mapping[str, AgentFact] = field(default_factory=dict)  # by agent
    ended: Mapping[str, AgentFact] = field(default_factory=dict)  # of agents that lost it while others have it
    begun_at: tuple[float, ...] = ()  # when it was confirmed anew within the last day, which shows flapping
    dormant: bool = False  # the verdict no longer has it, but nothing shows that it is over: no reminders
    merged: bool = False  # its agents share another credential again, whose alert goes on
    took_over: str | None = None  # the key of the alert whose life this one about a provider goes on with
    forked_from: str | None = None  # the fingerprint of the alert whose agent took its own credential
    acknowledged_step: float | None = None  # a renewal acknowledged this reminder step and all earlier ones
    resolution: Resolution | None = None
    notified: Mapping[str, LastNotification] = field(default_factory=dict)  # by channel
    pending: Mapping[str, float] = field(default_factory=dict)  # channel -> since when it waits for its group
    held: Mapping[str, float] = field(default_factory=dict)  # channel -> since when its first notification is held back
    suppressed: Mapping[str, SuppressedAlert] = field(default_factory=dict)  # by channel
    flapped: Mapping[str, float] = field(default_factory=dict)  # channel -> when it was notified that the alert flaps
    lost: Mapping[str, Loss] = field(default_factory=dict)  # by channel
    labels: Mapping[str, str] = field(default_factory=dict)  # a person's, of the target and the profile

    @property
    def family(self) -> Family:
        return self.condition.family


#: Alert states by their keys.
States = Mapping[str, AlertState]

_FIELDS = frozenset(AlertState.__dataclass_fields__)
#: What a new state has where nothing else is given. States are frozen, so that they may share an empty mapping.
_DEFAULTS: Mapping[str, Any] = {
    one.name: {} if one.default is MISSING else one.default
    for one in fields(AlertState)
    if one.default is not MISSING or one.default_factory is not MISSING
}


def new_state(**values: Any) -> AlertState:
    """Like ``AlertState``, which sets each of its many fields for itself: ten thousand alerts may begin at once."""
    assert values.keys() <= _FIELDS <= values.keys() | _DEFAULTS.keys(), values.keys() ^ _FIELDS
    new = object.__new__(AlertState)
    object.__setattr__(new, "__dict__", {**_DEFAULTS, **values})
    return new


def changed(state: AlertState, **changes: Any) -> AlertState:
    """Like ``dataclasses.replace``, five times faster: one ``advance`` may change ten thousand states."""
    assert changes.keys() <= _FIELDS, changes.keys() - _FIELDS
    new = object.__new__(AlertState)
    # A dictionary that is displayed has half the size of one that grew, and is copied whole.
    object.__setattr__(new, "__dict__", {**state.__dict__, **changes})
    return new


def with_changes(states: States, changes: States) -> States:
    """``states`` with those in ``changes`` replaced; neither mapping is altered."""
    return {**states, **changes} if changes else states


def without(mapping: Mapping[str, T], name: str) -> dict[str, T]:
    """A copy of ``mapping`` that does not have ``name``."""
    return {key: value for key, value in mapping.items() if key != name}


def differ_only_in_wording(state: AlertState, other: AlertState) -> bool:
    """Whether two states are equal except for their texts, which change at every check."""
    return state.__dict__ | {"summary": other.summary, "remedy": other.remedy} == other.__dict__


def identity(exporter: str, key: str) -> str:
    """32 hex characters for an alert of an exporter, by the exporter's name and the alert's key."""
    return fingerprint(f"{exporter}\x1f{key}" if exporter else key)


@lru_cache(maxsize=65536)
def fingerprint(key: str) -> str:
    """32 hex characters for the identity of an alert."""
    return hashlib.sha256(key.encode("utf-8", "surrogatepass")).hexdigest()[:32]


def fingerprint_of_test(channel: str) -> str:
    """The fingerprint that a test notification of ``channel`` is acknowledged by."""
    return fingerprint(f"test\x1f{channel}")


@dataclass(frozen=True, slots=True)
class AgentNote:
    """An agent for which an alert's main facts do not hold."""

    agent: str
    condition: ConditionName | None = None  # its own; None: the credential works there, or is gone
    deadline: float | None = None


@dataclass(frozen=True, slots=True)
class Alert:
    """One alert as a message reports it. Every agent in ``agents`` has the condition; ``notes`` has the others."""

    fingerprint: str
    reason: NotificationReason
    family: Family
    condition: ConditionName
    severity: Severity
    target: str
    agents: tuple[str, ...] = ()
    provider: str | None = None
    profile: str | None = None
    since: float | None = None
    deadline: float | None = None
    seen_at: float | None = None  # when the condition was last seen, if checks have failed since
    ended_at: float | None = None  # set if resolved or renewed
    resolution_cause: ResolutionCause = ResolutionCause.OVER
    cause: str | None = None
    summary: str = ""
    remedy: tuple[str, ...] = ()
    exporter: str = ""  # the name of the exporter
    key: str = ""  # hash of exporter, target, credential and family: what Alertmanager tells alerts apart by
    until: float | None = None  # when an unusable credential recovers
    is_assumed: bool = False  # the deadline is counted from when the credential was first seen
    times: int = 0  # how often it began within a day, if it is flapping
    notes: tuple[AgentNote, ...] = ()
    new_agents: tuple[str, ...] = ()  # the agents that the trouble has reached since the last notification
    is_of_some: bool = False  # the target has agents that are not in ``agents``
    labels: Mapping[str, str] = field(default_factory=dict)  # a person's, of the target and the profile


@dataclass(frozen=True, slots=True)
class Message:
    """Everything that one channel is sent at one moment. Its content never changes afterwards."""

    channel: str
    at: float
    alerts: tuple[Alert, ...] = ()
    suppressed: tuple[SuppressedAlert, ...] = ()
    withdrawn: tuple[str, ...] = ()  # fingerprints whose notification a phone takes away without a new one

    @property
    def severity(self) -> Severity:
        """The worst in it; a resolution counts with the severity that was notified."""
        severities = [alert.severity for alert in self.alerts] + [line.severity for line in self.suppressed]
        return max(severities, key=lambda severity: severity.rank, default=Severity.INFO)

    @property
    def fingerprints(self) -> frozenset[str]:
        return frozenset(alert.fingerprint for alert in self.alerts)


@dataclass(frozen=True, slots=True)
class QueuedMessage:
    """A message to deliver. ``id`` is the idempotency key, the same at every attempt."""

    id: str
    message: Message
    attempts: int = 0  # before this one


def alert_of_test(channel: str, now: float, summary: str) -> Alert:
    """The alert in a test notification. It reports no problem; it shows a person that the channel delivers."""
    return Alert(
        fingerprint=fingerprint_of_test(channel),
        reason=NotificationReason.TEST,
        family=Family.NOTICE,
        condition=ConditionName.REPORTED,
        severity=Severity.INFO,
        target="test",
        since=now,
        summary=summary,
    )
