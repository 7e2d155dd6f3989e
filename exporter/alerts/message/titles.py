"""Titles of messages: what and where in at most 60 characters, which is what a lock screen shows.

The words come from the catalogue of conditions. A title that is too long is built with fewer parts; only a name that
is too long for the simplest title is shortened, in its middle. Pure.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from zoneinfo import ZoneInfo

from exporter.alerts.message.moments import date
from exporter.alerts.message.places import named, place, place_with_names, target_name
from exporter.alerts.values import Alert, NotificationReason, ResolutionCause, SuppressedAlert
from exporter.lib.durations import in_words, iso
from exporter.lib.zones import UTC
from exporter.model import ConditionName, Family, Wording
from exporter.present.words import visible

#: The characters of a title that a lock screen shows.
TITLE = 60

_LEADS = {NotificationReason.REPEAT: "Unresolved: ", NotificationReason.EASED: "Less urgent: "}
#: OpenClaw's reasons that are longer are left out of titles.
_LONGEST_CAUSE = 24

#: How long a flapping alert must be over to be called stable, in seconds; rounding may take a moment off.
_STABLE_AFTER = 3600.0 - 60.0

#: How an alert ended if the problem itself is not gone.
_OTHER_ENDS = {
    ResolutionCause.TARGET_REMOVED: "is no longer monitored",
    ResolutionCause.PROFILE_REMOVED: "was removed",
    ResolutionCause.REPLACED: "was replaced but still fails",
    ResolutionCause.IGNORED: "is now ignored",
    ResolutionCause.OTHER_PROBLEM: "now has another problem",
    ResolutionCause.NOT_NEEDED: "no longer needs attention",
}


@dataclass(frozen=True, slots=True)
class Phrase:
    """A title in parts. ``place`` is empty if the subject is the place, or if no place is named."""

    before: str
    subject: str
    after: str
    place: str
    suffix: str = ""
    preposition: str = "on"

    def __str__(self) -> str:
        where = f" {self.preposition} {self.place}" if self.place else ""
        return f"{self.before}{self.subject}{self.after}{where}{self.suffix}"


def title(alert: Alert, now: float, zone: ZoneInfo = UTC) -> str:
    """What and where in at most 60 characters. Dates are those of ``zone``."""
    return fitted(list(phrases(alert, now, zone)))


def heading(alert: Alert, now: float, zone: ZoneInfo = UTC) -> str:
    """The same with all its parts, however long."""
    return str(next(phrases(alert, now, zone)))


def phrases(alert: Alert, now: float, zone: ZoneInfo) -> Iterator[Phrase]:
    """Titles with fewer and fewer parts, the most complete first."""
    found = list(_phrases(alert, now, zone))
    short, long = place(alert), place_with_names(alert)
    if long != short:  # the place is the subject where there is no other
        subject = long if found[0].subject == short else found[0].subject
        yield replace(found[0], subject=subject, place=found[0].place and long)
    yield from found


def _phrases(alert: Alert, now: float, zone: ZoneInfo) -> Iterator[Phrase]:
    if alert.reason is NotificationReason.TEST:
        words = "Test: this channel works" if alert.cause is None else visible(alert.summary.split(";")[0], 600)
        yield Phrase("", "", words, "")
    elif alert.reason.ends:
        yield from _ends(alert, now, zone)
    elif alert.times and alert.reason in (NotificationReason.FIRST, NotificationReason.REPEAT):
        yield from _flapping(alert, now)
    else:
        yield from _problems(alert, now)


def _problems(alert: Alert, now: float) -> Iterator[Phrase]:
    lead = _LEADS.get(alert.reason, "")
    cause = visible(alert.cause or "", 100)
    for shown in dict.fromkeys((cause if len(cause) <= _LONGEST_CAUSE else "", "")):
        phrase = _problem(alert, now, shown)
        agents = named(alert.new_agents) if alert.reason is NotificationReason.ESCALATED else []
        if agents:
            few = len(agents) == 1
            yield replace(phrase, suffix=f", now at {agents[0]}, too" if few else f", now at {len(agents)} more agents")
            phrase = _at_agent(phrase, alert, agents[0]) if few else phrase
            yield replace(phrase, before=f"Also: {phrase.before}")
        yield replace(phrase, before=f"{lead}{phrase.before}")


def _at_agent(phrase: Phrase, alert: Alert, agent: str) -> Phrase:
    name = f"{target_name(alert)}/{agent}"
    return replace(phrase, place=name) if phrase.place else replace(phrase, subject=name)


def _problem(alert: Alert, now: float, cause: str) -> Phrase:
    """The title of the condition in the catalogue, with its fields filled in."""
    before, has_subject, after = wording(alert).title.partition("{subject}")
    fields = {
        "cause": f" ({cause})" if cause else "",
        "window": f" {cause}" if cause else "",
        "expires": _expires(alert, now),
    }
    return _about(alert, before.format(**fields), after.format(**fields), has_subject != "")


def _about(alert: Alert, before: str, after: str, has_subject: bool = True) -> Phrase:
    subject = visible(alert.profile or alert.provider or "", 1000)
    if not has_subject:
        return Phrase(before, "", after, place(alert))
    return Phrase(before, subject, after, place(alert)) if subject else Phrase(before, place(alert), after, "")


def _expires(alert: Alert, now: float) -> str:
    if alert.deadline is None:
        return "expires soon"
    if alert.deadline <= now:
        return "has expired"
    return f"expires {'within' if alert.is_assumed else 'in'} {in_words(alert.deadline - now)}"


def _flapping(alert: Alert, now: float) -> Iterator[Phrase]:
    """A problem that comes and goes: how often, or that it now stays."""
    often = f": {alert.times} times today"
    if alert.family is Family.NOTICE:
        phrase = _problem(alert, now, "")
        yield replace(phrase, suffix=often)
        yield phrase
    elif alert.reason is NotificationReason.REPEAT:
        yield _about(alert, "", " still fails")
    else:
        phrase = _about(alert, "", " keeps failing")
        yield replace(phrase, suffix=often)
        yield phrase


def _ends(alert: Alert, now: float, zone: ZoneInfo) -> Iterator[Phrase]:
    if alert.reason is NotificationReason.RENEWED and not alert.resolution_cause:
        done = "works again" if alert.family is Family.AVAILABILITY else "renewed"
        if alert.deadline is not None:
            latest = " at the latest" if alert.is_assumed else ""
            yield _about(alert, "", f" {done} until {date(alert.deadline, now, zone)}{latest}")
        yield _about(alert, "", f" {done}")
        return
    phrase = _about(alert, "", f" {how_it_ended(alert)}")
    if alert.resolution_cause is ResolutionCause.PROFILE_REMOVED:
        phrase = replace(phrase, preposition="from")
    if is_stable(alert, now):
        yield replace(phrase, suffix=", stable for 1 h")
    yield phrase


def is_stable(alert: Alert, now: float) -> bool:
    """Whether a flapping alert has been over for an hour, so that its end is likely to last."""
    is_over = alert.ended_at is not None and not alert.resolution_cause
    return is_over and alert.times > 0 and now - (alert.ended_at or 0.0) >= _STABLE_AFTER


def how_it_ended(alert: Alert) -> str:
    """The words for a resolution after its subject: "works again"."""
    if alert.condition is ConditionName.QUOTA and alert.resolution_cause is ResolutionCause.NOT_NEEDED:
        return f"no longer reports its{_window(alert)} quota"
    if alert.resolution_cause in _OTHER_ENDS:
        return _OTHER_ENDS[alert.resolution_cause]
    if alert.reason is NotificationReason.RENEWED:
        day, latest = iso(alert.deadline), " at the latest" if alert.is_assumed else ""
        return f"was renewed and works until {day}{latest}" if day else "was renewed and works"
    return wording(alert).ended.format(window=_window(alert))


def _window(alert: Alert) -> str:
    """The name of a usage window, where it is short enough for a title."""
    cause = visible(alert.cause or "", 100)
    return f" {cause}" if cause and len(cause) <= _LONGEST_CAUSE else ""


def wording(alert: Alert | SuppressedAlert) -> Wording:
    """The words of the alert's condition."""
    return wording_of(alert.condition, alert.profile)


def wording_of(condition: ConditionName, profile: str | None) -> Wording:
    """The words of a condition, for a profile or for a provider as a whole."""
    definition = condition.definition
    return definition.wording if profile else definition.provider_wording or definition.wording


def fitted(choices: list[Phrase], room: int = TITLE) -> str:
    """The first of ``choices`` that has at most ``room`` characters; else the last one with shortened names."""
    for phrase in choices:
        if len(text := str(phrase)) <= room:
            return text
    return _shortened_names(choices[-1], room)


def _shortened_names(phrase: Phrase, room: int) -> str:
    """Shortens the place, down to 18 characters, then the subject."""
    fixed = len(str(replace(phrase, subject="", place="-" if phrase.place else ""))) - (1 if phrase.place else 0)
    free = room - fixed
    subject, place = phrase.subject, phrase.place
    if place:
        place = _shortened(place, max(free - len(subject), 18, free if not subject else 0))
    if subject:
        subject = _shortened(subject, max(free - len(place), 4))
    return str(replace(phrase, subject=subject, place=place))[:room]


def _shortened(text: str, length: int) -> str:
    """Keeps both ends, because names differ at their ends."""
    if len(text) <= length:
        return text
    tail = (length - 1) // 2
    return f"{text[: length - 1 - tail]}…{text[-tail:] if tail else ''}"
