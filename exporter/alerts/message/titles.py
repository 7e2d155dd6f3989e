"""Titles of messages: what and where in at most 60 characters, which is what a lock screen shows.

The words come from the catalogue of conditions. Names are escaped and shortened in their middle. Pure.
"""

from __future__ import annotations

from typing import NamedTuple

from exporter.alerts.values import Alert, Message, NotificationReason, ResolutionCause
from exporter.lib.durations import in_words, iso
from exporter.model import Family, Severity, Wording
from exporter.present.words import visible

#: The characters of a title that a lock screen shows.
TITLE = 60

#: How an alert ended if the problem itself is not gone.
_OTHER_ENDS = {
    ResolutionCause.TARGET_REMOVED: "is no longer monitored",
    ResolutionCause.PROFILE_REMOVED: "was removed",
    ResolutionCause.IGNORED: "is now ignored",
    ResolutionCause.OTHER_PROBLEM: "now has another problem",
    ResolutionCause.NOT_NEEDED: "no longer needs attention",
}
_LEADS = {NotificationReason.REPEAT: "Unresolved: ", NotificationReason.EASED: "Less urgent: "}
_COUNTED = {Severity.CRITICAL: "critical", Severity.WARNING: "warnings", Severity.INFO: "notices"}


class _Phrase(NamedTuple):
    """A title in parts. ``target`` is empty if the subject is the target, or if no target is named."""

    before: str
    subject: str
    after: str
    target: str


def title(alert: Alert, now: float) -> str:
    """What and where in at most 60 characters."""
    if alert.reason is NotificationReason.TEST:
        words = "Test: this channel works" if alert.cause is None else alert.summary.split(";")[0]
        return _fit(_Phrase("", "", words, ""))
    return _fit(_phrase(alert, now))


def _phrase(alert: Alert, now: float) -> _Phrase:
    if alert.reason.ends:
        return _resolution(alert)
    phrase = _problem(alert, now)
    return phrase._replace(before=_LEADS.get(alert.reason, "") + phrase.before)


def _problem(alert: Alert, now: float) -> _Phrase:
    """The title of the condition in the catalogue, with its fields filled in."""
    before, has_subject, after = wording(alert).title.partition("{subject}")
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


def _resolution(alert: Alert) -> _Phrase:
    subject = alert.profile or alert.provider or ""
    after = f" {how_it_ended(alert)}"
    if alert.reason is NotificationReason.RENEWED and not alert.resolution_cause:
        date = (iso(alert.deadline) or "")[:10]
        done = "works again" if alert.family is Family.AVAILABILITY else "renewed"
        after = f" {done} until {date}" if date else f" {done}"
    return _Phrase("", subject, after, alert.target) if subject else _Phrase("", alert.target, after, "")


def how_it_ended(alert: Alert) -> str:
    """The words for a resolution after its subject: "works again"."""
    if alert.resolution_cause in _OTHER_ENDS:
        return _OTHER_ENDS[alert.resolution_cause]
    if alert.reason is NotificationReason.RENEWED:
        date = iso(alert.deadline)
        return f"was renewed and works until {date}" if date else "was renewed and has no expiry date"
    return wording(alert).ended


def wording(alert: Alert) -> Wording:
    """The words of the alert's condition, for a profile or for a provider as a whole."""
    definition = alert.condition.definition
    return definition.wording if alert.profile else definition.provider_wording or definition.wording


def group_title(message: Message, now: float) -> str:
    """How many alerts and where, then the worst, in at most 60 characters."""
    alerts = message.alerts
    if not alerts:
        return summary_title(message)
    firing = [alert for alert in alerts if not alert.reason.ends]
    worst = (firing or alerts)[0]
    phrase = _phrase(worst, now)
    before = f"{_count(alerts, firing)} {_place(firing or alerts)}: {phrase.before}"
    return _fit(phrase._replace(before=before, target=""))


def summary_title(message: Message) -> str:
    """The title of a message that has only a summary."""
    number = len(message.suppressed)
    return f"{number:,} alert{'s' if number > 1 else ''} fired and resolved while suppressed"


def _count(alerts: tuple[Alert, ...], firing: list[Alert]) -> str:
    if not firing:
        return f"{len(alerts):,} resolved"
    severities = {alert.severity for alert in firing}
    if len(firing) == len(alerts) and len(severities) == 1:
        return f"{len(alerts):,} {_COUNTED[severities.pop()]}"
    critical = sum(alert.severity is Severity.CRITICAL for alert in firing)
    return f"{len(alerts):,} alerts" + (f", {critical:,} critical," if critical else "")


def _place(alerts: tuple[Alert, ...] | list[Alert]) -> str:
    targets = {alert.target for alert in alerts}
    return f"on {_shortened(visible(min(targets), 1000), 14)}" if len(targets) == 1 else f"on {len(targets):,} targets"


def _fit(phrase: _Phrase) -> str:
    """Fits the title into its length: shortens the target, down to 18 characters, then the subject."""
    subject, target = visible(phrase.subject, 1000), visible(phrase.target, 1000)
    on = " on " if target else ""
    room = TITLE - len(phrase.before) - len(phrase.after) - len(on)
    place = _shortened(target, max(room - len(subject), 18, room if not subject else 0)) if target else ""
    shown = _shortened(subject, max(room - len(place), 4)) if subject else ""
    return f"{phrase.before}{shown}{phrase.after}{on}{place}"[:TITLE]


def _shortened(text: str, length: int) -> str:
    """Keeps both ends, because names differ at their ends."""
    if len(text) <= length:
        return text
    tail = (length - 1) // 2
    return f"{text[: length - 1 - tail]}…{text[-tail:] if tail else ''}"
