"""Titles: what and where in 60 characters, which is what a lock screen shows. ``text`` says the rest.

Pure. Ids of others are made visible and shortened in their middle.
"""

from __future__ import annotations

from typing import NamedTuple

from exporter.alerts.values import Alert, Message, NotificationReason, ResolutionCause
from exporter.lib.durations import in_words, iso
from exporter.model import ConditionName, Family, Severity
from exporter.present.words import visible

#: What a lock screen shows of a title.
TITLE = 60

#: After a subject: what is wrong with it.
_TROUBLE = {
    ConditionName.UNDATED: "has no expiry date",
    ConditionName.EXPIRED: "has expired",
    ConditionName.MISSING: "is not eligible",
    ConditionName.STATUS_DISAGREES: "has a status that its date denies",
    ConditionName.IDLE: "idles, its access token is old",
    ConditionName.VANISHED: "is gone",
    ConditionName.CREDENTIAL_CHANGED: "is served by another credential",
}
#: After a subject (or the target): how it ended.
_HEALED = {
    ConditionName.UNDATED: "is no longer undated",
    ConditionName.EXPIRING: "no longer expires",
    ConditionName.EXPIRED: "works again",
    ConditionName.UNUSABLE: "works again",
    ConditionName.MISSING: "works again",
    ConditionName.NO_USABLE_PROFILE: "works again",
    ConditionName.CHECK_FAILED: "answers again",
    ConditionName.REPORTED: "reports no trouble any more",
    ConditionName.STATUS_DISAGREES: "has a status that fits its date",
    ConditionName.IDLE: "no longer idles",
    ConditionName.VANISHED: "is no longer missed",
    ConditionName.CREDENTIAL_CHANGED: "keeps its new credential",
    ConditionName.PARTIAL_VIEW: "shows cooldowns again",
    ConditionName.QUOTA: "is below 90 % of its quota",
    ConditionName.CLOCK: "has the right time again",
}
_ENDED = {
    ResolutionCause.UNWATCHED: "is no longer watched",
    ResolutionCause.GONE: "is no longer there",
    ResolutionCause.IGNORED: "is now ignored",
    ResolutionCause.OTHER: "has other trouble now",
    ResolutionCause.UNNEEDED: "is no trouble any more",
}
_COUNTED = {Severity.CRITICAL: "critical", Severity.WARNING: "warnings", Severity.INFO: "notices"}


class _Phrase(NamedTuple):
    """A title in parts; ``target`` is empty where the subject is the target itself, or none is to be named."""

    before: str
    subject: str
    after: str
    target: str


def title(alert: Alert, now: float) -> str:
    """What and where in at most 60 characters."""
    if alert.reason is NotificationReason.TEST:
        said = "Test: this channel works" if alert.cause is None else alert.summary.split(";")[0]
        return _fit(_Phrase("", "", said, ""))
    return _fit(_phrase(alert, now))


def _phrase(alert: Alert, now: float) -> _Phrase:
    if alert.reason.ends:
        return _over(alert)
    lead = {NotificationReason.REPEAT: "Still: ", NotificationReason.EASED: "Eased: "}.get(alert.reason, "")
    phrase = _trouble(alert, now)
    return phrase._replace(before=lead + phrase.before)


def _trouble(alert: Alert, now: float) -> _Phrase:
    subject, target = alert.profile or alert.provider or "", alert.target
    cause = f" ({visible(alert.cause, 24)})" if alert.cause else ""
    match alert.condition:
        case ConditionName.EXPIRING:
            return _Phrase("", subject, f" {_expires(alert.deadline, now)}", target)
        case ConditionName.NO_USABLE_PROFILE:
            return _Phrase("No ", subject, " credential works", target)
        case ConditionName.CHECK_FAILED:
            return _Phrase("", target, f" cannot be checked{cause}", "")
        case ConditionName.MISSING if not alert.profile:
            return _Phrase("", subject, " has no credential", target)
        case ConditionName.UNUSABLE:
            return _Phrase("", subject, f" is unusable{cause}", target)
        case ConditionName.REPORTED:
            return _Phrase("", "", "OpenClaw reports unexplained trouble", target)
        case ConditionName.PARTIAL_VIEW:
            return _Phrase("", "", "Cooldowns cannot be seen", target)
        case ConditionName.QUOTA:
            window = f" {visible(alert.cause, 12)}" if alert.cause else ""
            return _Phrase("", subject, f" has used over 90 % of its{window} quota", target)
        case ConditionName.CLOCK:
            return _Phrase("", "", "The clock is wrong, no deadlines are judged", target)
    return _Phrase("", subject, f" {_TROUBLE[alert.condition]}", target)


def _expires(deadline: float | None, now: float) -> str:
    if deadline is None:
        return "expires soon"
    return f"expires in {in_words(deadline - now)}" if deadline > now else "has expired"


def _over(alert: Alert) -> _Phrase:
    subject = alert.profile or alert.provider or ""
    after = f" {how_it_ended(alert)}"
    if alert.reason is NotificationReason.RENEWED and not alert.resolution_cause:
        date = (iso(alert.deadline) or "")[:10]
        done = "works again" if alert.family is Family.AVAILABILITY else "renewed"
        after = f" {done} until {date}" if date else f" {done}"
    return _Phrase("", subject, after, alert.target) if subject else _Phrase("", alert.target, after, "")


def how_it_ended(alert: Alert) -> str:
    """Of a renewal or a resolution, after its subject: "works again"."""
    if alert.resolution_cause in _ENDED:
        return _ENDED[alert.resolution_cause]
    if alert.reason is NotificationReason.RENEWED:
        date = iso(alert.deadline)
        return f"is renewed and holds until {date}" if date else "is renewed and has no date that needs a person"
    return _HEALED[alert.condition]


def group_title(message: Message, now: float) -> str:
    """How much and where, then the worst, in at most 60 characters."""
    alerts = message.alerts
    if not alerts:
        return summary_title(message)
    firing = [alert for alert in alerts if not alert.reason.ends]
    worst = (firing or alerts)[0]
    phrase = _phrase(worst, now)
    before = f"{_count(alerts, firing)} {_place(firing or alerts)}: {phrase.before}"
    return _fit(phrase._replace(before=before, target=""))


def summary_title(message: Message) -> str:
    """What a message says of alerts that were over before they could be told."""
    gone = len(message.suppressed)
    return f"{gone:,} alert{'s' if gone > 1 else ''} came and went while held back"


def _count(alerts: tuple[Alert, ...], firing: list[Alert]) -> str:
    if not firing:
        return f"{len(alerts):,} over"
    severities = {alert.severity for alert in firing}
    if len(firing) == len(alerts) and len(severities) == 1:
        return f"{len(alerts):,} {_COUNTED[severities.pop()]}"
    critical = sum(alert.severity is Severity.CRITICAL for alert in firing)
    return f"{len(alerts):,} alerts" + (f", {critical:,} critical," if critical else "")


def _place(alerts: tuple[Alert, ...] | list[Alert]) -> str:
    targets = {alert.target for alert in alerts}
    return f"on {_shortened(visible(min(targets), 1000), 14)}" if len(targets) == 1 else f"on {len(targets):,} targets"


def _fit(phrase: _Phrase) -> str:
    """The whole within the title's length: the target gives way to 18 characters, then the subject."""
    subject, target = visible(phrase.subject, 1000), visible(phrase.target, 1000)
    on = " on " if target else ""
    room = TITLE - len(phrase.before) - len(phrase.after) - len(on)
    place = _shortened(target, max(room - len(subject), 18, room if not subject else 0)) if target else ""
    shown = _shortened(subject, max(room - len(place), 4)) if subject else ""
    return f"{phrase.before}{shown}{phrase.after}{on}{place}"[:TITLE]


def _shortened(text: str, length: int) -> str:
    """The head and the tail: ids differ at their ends."""
    if len(text) <= length:
        return text
    tail = (length - 1) // 2
    return f"{text[: length - 1 - tail]}…{text[-tail:] if tail else ''}"
