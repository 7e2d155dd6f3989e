"""Titles: what and where in 60 characters, which is what a lock screen shows. ``text`` says the rest.

Pure. Ids of others are made visible and shortened in their middle.
"""

from __future__ import annotations

from typing import NamedTuple

from exporter.alerts.values import Alert, Message, NotificationReason, ResolutionCause
from exporter.lib.durations import in_words, iso
from exporter.model import Family, Severity
from exporter.present.words import visible

#: What a lock screen shows of a title.
TITLE = 60

_ENDED = {
    ResolutionCause.TARGET_REMOVED: "is no longer watched",
    ResolutionCause.PROFILE_REMOVED: "is no longer there",
    ResolutionCause.IGNORED: "is now ignored",
    ResolutionCause.OTHER_PROBLEM: "has other trouble now",
    ResolutionCause.NOT_NEEDED: "is no trouble any more",
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
    definition = alert.condition.definition
    title = definition.title if alert.profile else definition.provider_title or definition.title
    before, has_subject, after = title.partition("{subject}")
    fields = {
        "cause": f" ({visible(alert.cause, 24)})" if alert.cause else "",
        "window": f" {visible(alert.cause, 12)}" if alert.cause else "",
        "expires": _expires(alert.deadline, now),
    }
    before, after = before.format(**fields), after.format(**fields)
    if not has_subject:
        return _Phrase(before, "", after, alert.target)
    subject = alert.profile or alert.provider
    return _Phrase(before, subject, after, alert.target) if subject else _Phrase(before, alert.target, after, "")


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
    return alert.condition.definition.ended


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
