"""The values of alerting: states, what was told where, and the messages made of them. All frozen.

Everything here can be written as JSON and read back (``dump``, ``load``); no value holds a secret,
only the keyed hash of one, and that stays in the state: messages do not carry it.
"""

from __future__ import annotations

import enum
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache, lru_cache
from typing import Any

from exporter.model import ConditionName, Family, Severity


class NotificationReason(enum.StrEnum):
    """Why something is told: the ``reason`` of an alert in a message."""

    FIRST = "first"
    ESCALATED = "escalated"
    EASED = "eased"
    REMINDER = "reminder"
    REPEAT = "repeat"
    RESOLVED = "resolved"
    RENEWED = "renewed"
    TEST = "test"

    #: Whether it is the last that is told of an alert.
    ends: bool

    def __init__(self, word: str) -> None:
        self.ends = word in ("resolved", "renewed")


class ResolutionCause(enum.StrEnum):
    """What ended an alert, where it is more than that the trouble is over."""

    OVER = ""
    UNWATCHED = "unwatched"  # its target is no longer configured, or looked at only when it is asked for
    GONE = "gone"  # its agent or profile is no longer there
    IGNORED = "ignored"  # the policy says to ignore the profile
    OTHER = "other_trouble"  # something else keeps it from working now
    UNNEEDED = "unneeded"  # nothing says that it works, only that it is no trouble: no route uses it, say


@dataclass(frozen=True, slots=True, order=True)
class AlertSubject:
    """What an alert is about: (target, provider, profile, topic).

    ``topic`` is the family; a notice has its condition in it (and a quota its window), because
    notices do not turn into one another.
    """

    target: str
    provider: str
    profile: str
    topic: str


@dataclass(frozen=True, slots=True)
class Credential:
    """What identified a profile's credential when it was in trouble."""

    profile: str
    secret: str | None = None  # keyed hash
    deadline: float | None = None


@dataclass(frozen=True, slots=True)
class LastNotification:
    """The last that was told of an alert on one channel."""

    severity: Severity
    condition: ConditionName
    reason: NotificationReason
    at: float
    step: float | None = None  # the nearest reminder step that is behind us, in seconds before the deadline


@dataclass(frozen=True, slots=True)
class SuppressedAlert:
    """What came and went on one channel while it was held back: one line of a summary."""

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


@dataclass(frozen=True, slots=True)
class Resolution:
    """How the trouble ended, kept until it was told wherever the trouble was told."""

    at: float
    reason: NotificationReason  # resolved or renewed
    cause: ResolutionCause = ResolutionCause.OVER
    until: float | None = None  # renewed: until when it holds now; None: it has no date


@dataclass(frozen=True)
class AlertState:
    """One alert's life. Times are Unix seconds. Without slots, for ``changed``."""

    key: str
    subject: AlertSubject
    condition: ConditionName
    severity: Severity
    agents: tuple[str, ...]
    started_at: float  # first seen by the lifecycle
    since: float  # since when the condition holds
    worsened_at: float  # when it last got worse: an acknowledgement before that no longer counts
    firing: bool = True
    confirmed: bool = False
    inhibited: bool = False  # told inside no_usable_profile, not separately
    self_healing: bool = False  # it may heal by itself, so it must last before it alarms
    summary: str = ""
    remedy: tuple[str, ...] = ()
    cause: str | None = None  # OpenClaw's reason, or why a look failed
    deadline: float | None = None
    seen_at: float | None = None  # when it was last seen, where a look has failed since
    secret: str | None = None  # keyed hash
    credentials: tuple[Credential, ...] = ()  # of a provider-level alert: what does not work
    checks: Mapping[str, tuple[int, float]] = field(
        default_factory=dict
    )  # agent -> looks in a row, the last one's time
    acknowledged_step: float | None = None  # steps from here up were behind us when a person renewed it
    resolution: Resolution | None = None
    notified: Mapping[str, LastNotification] = field(default_factory=dict)  # channel -> the last that was told there
    pending: Mapping[str, float] = field(default_factory=dict)  # channel -> since when there is news for it
    suppressed: Mapping[str, SuppressedAlert] = field(default_factory=dict)  # channel -> what came and went

    @property
    def fingerprint(self) -> str:
        return fingerprint(self.key)

    @property
    def family(self) -> Family:
        return self.condition.family


_FIELDS = frozenset(AlertState.__dataclass_fields__)


def changed(state: AlertState, **changes: Any) -> AlertState:
    """What ``dataclasses.replace`` does at a fifth of its cost: a turn may change ten thousand states."""
    assert changes.keys() <= _FIELDS, changes.keys() - _FIELDS
    new = object.__new__(AlertState)
    new.__dict__.update(state.__dict__)
    new.__dict__.update(changes)
    return new


def differ_in_words_only(one: AlertState, other: AlertState) -> bool:
    """Whether only what is said of it differs, or nothing: words change at every look."""
    return one.__dict__ | {"summary": other.summary, "remedy": other.remedy} == other.__dict__


@lru_cache(maxsize=65536)
def fingerprint(key: str) -> str:
    """32 hex characters, the same for the life of an alert and for its resolution."""
    return hashlib.sha256(key.encode("utf-8", "surrogatepass")).hexdigest()[:32]


def fingerprint_of_test(channel: str) -> str:
    """What a test of a channel, and its proof, are acknowledged by."""
    return fingerprint(f"test\x1f{channel}")


@dataclass(frozen=True, slots=True)
class Alert:
    """One alert as a message tells it."""

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
    seen_at: float | None = None  # when it was last seen, where a look has failed since
    ended_at: float | None = None  # resolved and renewed only
    resolution_cause: ResolutionCause = ResolutionCause.OVER
    cause: str | None = None
    summary: str = ""
    remedy: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Message:
    """What is told to one channel at one moment; its content never changes any more."""

    channel: str
    at: float
    alerts: tuple[Alert, ...] = ()
    suppressed: tuple[SuppressedAlert, ...] = ()

    @property
    def severity(self) -> Severity:
        """The worst in it; a resolution counts with the severity that was told."""
        told = [alert.severity for alert in self.alerts] + [missed.severity for missed in self.suppressed]
        return max(told, key=lambda severity: severity.rank, default=Severity.INFO)

    @property
    def fingerprints(self) -> frozenset[str]:
        return frozenset(alert.fingerprint for alert in self.alerts)


@dataclass(frozen=True, slots=True)
class QueuedMessage:
    """A message on its way: ``id`` is the idempotency key, the same on every try."""

    id: str
    message: Message
    attempts: int = 0  # before this one


@cache
def _adapters() -> tuple[Any, Any]:
    from pydantic import TypeAdapter

    return TypeAdapter(AlertState), TypeAdapter(Message)


def dump(value: AlertState | Message) -> str:
    """A value as JSON."""
    adapter = _adapters()[0 if isinstance(value, AlertState) else 1]
    text: str = adapter.dump_json(value, exclude_defaults=True).decode()
    return text


def load_state(text: str) -> AlertState:
    """The state in ``text``. Raises ValueError when it is none."""
    state: AlertState = _adapters()[0].validate_json(text)
    return state


def load_message(text: str) -> Message:
    """The message in ``text``. Raises ValueError when it is none."""
    message: Message = _adapters()[1].validate_json(text)
    return message


def alert_of_test(channel: str, now: float, summary: str) -> Alert:
    """What a channel is told so that a person sees that it delivers."""
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
