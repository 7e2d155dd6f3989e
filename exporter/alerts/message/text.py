"""Renders a message as text for a person: a title with what and where, then when, then how to fix it.

Names and summaries from outside are escaped and shortened. Lines are never cut: a command that does not fit is left
out as a whole. Pure.
"""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from zoneinfo import ZoneInfo

from exporter.alerts.message.groups import WORST, group_lines, group_title, in_order, summary_title
from exporter.alerts.message.moments import absolute, in_full
from exporter.alerts.message.places import listed, named, subject, subject_and_place, where
from exporter.alerts.message.titles import TITLE, heading, how_it_ended, is_stable, title, wording, wording_of
from exporter.alerts.values import AgentNote, Alert, Message, NotificationReason, ResolutionCause, SuppressedAlert
from exporter.lib import printable
from exporter.lib.durations import in_words, iso
from exporter.lib.zones import UTC
from exporter.model import ConditionName, Family, Severity
from exporter.present.words import visible

__all__ = [
    "LIMIT",
    "TITLE",
    "WORST",
    "Text",
    "body",
    "heading",
    "in_order",
    "render",
    "sentence",
    "subject",
    "summary_title",
    "title",
    "whole_lines",
]

#: The longest body in bytes, unless a channel accepts less.
LIMIT = 8000
_ISO = re.compile(r"\b\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ\b")
_AS_SEEN = ", as last seen at "
_CUT = "… (shortened: `openclaw-auth-exporter check` prints everything)"
#: How many kinds of other agents an alert describes.
_MOST_NOTES = 5

#: How soon someone must act, in the words of the exit codes of ``check``.
_LEVELS = {
    Severity.CRITICAL: "Critical: act now.",
    Severity.WARNING: "Warning: act soon.",
    Severity.INFO: "For information.",
}
_CHANGES = {
    NotificationReason.ESCALATED: " It got worse.",
    NotificationReason.EASED: " It got better.",
    NotificationReason.REMINDER: " This is a reminder.",
    NotificationReason.REPEAT: " It is still not fixed.",
}
#: What the end of an alert means if the problem itself is not gone.
_OTHER_ENDS = {
    ResolutionCause.TARGET_REMOVED: "The target is no longer checked on a schedule.",
    ResolutionCause.PROFILE_REMOVED: "It no longer exists there.",
    ResolutionCause.REPLACED: "A new credential is stored, and it does not work yet.",
    ResolutionCause.IGNORED: "The configuration ignores it now.",
    ResolutionCause.OTHER_PROBLEM: "Something else keeps it from working now.",
    ResolutionCause.NOT_NEEDED: "It does not matter any more, for example because nothing uses it.",
}
_DATED = (ConditionName.EXPIRING, ConditionName.EXPIRED)


@dataclass(frozen=True, slots=True)
class Text:
    """A message as text. The title has at most 60 characters."""

    title: str
    body: str


def render(
    message: Message,
    now: float,
    zone: ZoneInfo | None = None,
    link: str = "",
    links: Iterable[tuple[str, str]] = (),
    limit: int = LIMIT,
) -> Text:
    """Renders ``message`` as of ``now`` with times in ``zone`` (default UTC), in at most ``limit`` bytes.

    ``link`` leads to the status page; each of ``links`` is an action's label and address.
    """
    zone = zone or UTC
    alerts = in_order(message.alerts)
    last = [f"{label}: {address}" for label, address in links]
    if link:
        last.append(f"Status: {link}")
    if len(alerts) == 1:
        shown = [title(alerts[0], now, zone), body(alerts[0], now, zone)]
    else:
        room = limit - sum(len(line.encode("utf-8", "replace")) + 1 for line in last)
        lines = group_lines(alerts, now, zone, lambda alert: _details(alert, now, zone), room)
        shown = [group_title(message, now, zone), *lines]
    if message.suppressed:
        last.insert(0, _summary(message.suppressed, zone))
    below = printable.each_line("\n".join(filter(None, [*shown[1:], *last])))
    return Text(printable.one_line(shown[0]), whole_lines(below, limit))


def whole_lines(text: str, limit: int) -> str:
    """The lines of ``text`` that fit into ``limit`` bytes, with a last line that says so if some do not."""
    if len(text.encode("utf-8", "replace")) <= limit:
        return text
    room, lines = limit - len(_CUT.encode()) - 1, []
    for line in text.split("\n"):
        room -= len(line.encode("utf-8", "replace")) + 1
        if room < 0:
            break
        lines.append(line)
    return "\n".join([*lines, _CUT])


def sentence(alert: Alert, now: float) -> str:
    """The summary of an alert that the verdict has no summary for: a reminder or a resolution."""
    about = subject_and_place(alert)
    if alert.reason.ends:
        return f"{about} {how_it_ended(alert)}; it {_lasted(alert)}"
    seen = f"{_AS_SEEN}{iso(alert.seen_at)}" if alert.seen_at is not None else ""
    verb = "expires" if alert.condition is ConditionName.EXPIRING else wording(alert).present
    return f"{about} {verb}{_when_in_iso(alert, now)}{seen}"


def _when_in_iso(alert: Alert, now: float) -> str:
    if alert.deadline is None or alert.condition not in _DATED:
        return ""
    away = in_words(alert.deadline - now)
    words = f"in {away}" if alert.deadline > now else f"{away} ago"
    return f" {words} ({iso(alert.deadline)}){' at the latest' if alert.is_assumed else ''}"


def _lasted(alert: Alert) -> str:
    """How long an alert lasted: "was expired for 3 h"."""
    ended = alert.ended_at if alert.ended_at is not None else 0.0
    lasted = in_words(ended - alert.since) if alert.since is not None else "an unknown time"
    return f"{wording(alert).duration} {lasted}"


def body(alert: Alert, now: float, zone: ZoneInfo) -> str:
    """The text below the title: the summary, when, where, how urgent, and the commands that fix it."""
    if alert.reason is NotificationReason.TEST:
        return _test_body(alert, now, zone)
    lines = [*_facts(alert, now, zone), _level(alert)]
    if alert.remedy and not alert.reason.ends:
        lines += ["To fix it:", *(f"  {command}" for command in _commands(alert))]
    return "\n".join(filter(None, lines))


def _details(alert: Alert, now: float, zone: ZoneInfo) -> str:
    """The text of an alert in a group: the same without its urgency, which its heading has."""
    lines = _facts(alert, now, zone)
    if alert.remedy and not alert.reason.ends:
        lines += _commands(alert)
    return "\n".join(filter(None, lines))


def _facts(alert: Alert, now: float, zone: ZoneInfo) -> list[str]:
    when = _when_it_ended if alert.reason.ends else _when_it_began
    return [_summary_line(alert, now, zone), *when(alert, now, zone), where(alert), *_notes(alert, now, zone)]


def _commands(alert: Alert) -> list[str]:
    """The remedy, one step a line and none of them cut."""
    return [visible(command, max(len(command), 1)) for command in alert.remedy]


def _test_body(alert: Alert, now: float, zone: ZoneInfo) -> str:
    """The clauses of the summary that the title does not show, and how to acknowledge the test."""
    clauses = [clause.strip() for clause in visible(alert.summary, 600).split(";")]
    rest = clauses[1:] if alert.cause is not None else clauses
    when = f": {in_full(alert.deadline, now, zone)}" if alert.deadline is not None else ""
    lines = [f"{clause[:1].upper()}{clause[1:]}{when if clause is rest[-1] else ''}." for clause in rest]
    if alert.exporter:
        lines.append(f"Exporter {visible(alert.exporter, 64)}.")
    return "\n".join([*lines, f"Acknowledge this to confirm that messages reach you here ({alert.fingerprint})."])


def _summary_line(alert: Alert, now: float, zone: ZoneInfo) -> str:
    """The part of the summary that neither the title nor the times repeat, with times in ``zone``."""
    if alert.reason.ends or (alert.condition in _DATED and (alert.deadline is not None or alert.since is not None)):
        return ""
    # The time at which it was last seen has a line of its own.
    summary = alert.summary.rpartition(_AS_SEEN)[0] if alert.seen_at is not None else alert.summary
    if alert.condition is ConditionName.UNDATED and alert.deadline is not None:
        summary = summary.partition(";")[0]  # the date has a line of its own
    summary = visible(summary, 600).removesuffix(".")

    def in_zone(found: re.Match[str]) -> str:
        try:
            return in_full(dt.datetime.fromisoformat(found[0]).timestamp(), now, zone)
        except ValueError:  # a name that resembles a time
            return found[0]

    return f"{_ISO.sub(in_zone, summary)}." if summary else ""


def _when_it_began(alert: Alert, now: float, zone: ZoneInfo) -> list[str]:
    """Since when, or until when it works; how often it failed; and when it was last seen."""
    lines, deadline = [], alert.deadline
    latest = " at the latest" if alert.is_assumed else ""
    if alert.condition is ConditionName.UNDATED and deadline is not None:
        lines.append(f"It expires by {in_full(deadline, now, zone)} at the latest.")
    elif alert.condition is ConditionName.EXPIRING and deadline is not None:
        lines.append(f"Works until {in_full(deadline, now, zone)}{latest}.")
    elif alert.condition is ConditionName.EXPIRED and deadline is not None and deadline <= now:
        lines.append(f"It expired on {in_full(deadline, now, zone)}{latest}.")
    elif alert.since is not None:
        lines.append(f"Since {in_full(alert.since, now, zone)}.")
    if alert.times:
        lines.append(_how_often(alert))
    if alert.seen_at is not None:
        lines.append(f"Last seen at {in_full(alert.seen_at, now, zone)}. Checks have failed since then.")
    return lines


def _how_often(alert: Alert) -> str:
    """How often a flapping alert began today, and if it is notified only once, when the next message comes."""
    if alert.reason is NotificationReason.REPEAT:
        return f"It failed {alert.times} times today, and has not recovered for an hour now."
    often = f"It comes and goes: {alert.times} times today."
    needs_person = alert.severity is Severity.CRITICAL and alert.condition is not ConditionName.CHECK_FAILED
    if alert.reason is not NotificationReason.FIRST or needs_person:
        return often
    return f"{often} The next message comes when it has worked or failed for a whole hour, or when it gets worse."


def _when_it_ended(alert: Alert, now: float, zone: ZoneInfo) -> list[str]:
    """Until when the credential works or why it does not, and how long the problem lasted."""
    lines, renewed = [], ""
    is_over = alert.resolution_cause is ResolutionCause.OVER
    is_credential = alert.family in (Family.DEADLINE, Family.AVAILABILITY)
    if alert.condition is ConditionName.QUOTA and alert.resolution_cause is ResolutionCause.NOT_NEEDED:
        lines.append("How much of it is used is not known now.")
    elif not is_over:
        lines.append(_OTHER_ENDS[alert.resolution_cause])
    elif is_credential and alert.deadline is not None and alert.deadline > now:
        latest = " at the latest" if alert.is_assumed else ""
        lines.append(f"Works until {in_full(alert.deadline, now, zone)}{latest}.")
    elif alert.reason is NotificationReason.RENEWED:
        lines.append("It works. No expiry date is known.")
    if alert.reason is NotificationReason.RENEWED and is_over:
        renewed = " before it was renewed"
    if alert.times and is_over:
        stable = ", and has been stable for an hour" if is_stable(alert, now) else ""
        lines.append(f"It failed {alert.times} times today{stable}.")
    if alert.since is not None and alert.ended_at is not None:
        period = f"{absolute(alert.since, zone)} to {absolute(alert.ended_at, zone)}"
        last = "The last time, it" if alert.times else "It"
        lines.append(f"{last} {_lasted(alert)}{renewed} ({period}).")
    return lines


def _notes(alert: Alert, now: float, zone: ZoneInfo) -> list[str]:
    """The agents for which it is different, those with the same difference together."""
    kinds: dict[tuple[ConditionName | None, float | None], list[str]] = {}
    for note in alert.notes:
        if note.agent != "*":
            kinds.setdefault((note.condition, note.deadline), []).append(note.agent)
    lines = [
        f"At {listed('agent', named(agents))} it {_note(AgentNote('', *kind), alert, now, zone)}."
        for kind, agents in list(kinds.items())[:_MOST_NOTES]
    ]
    more = sum(map(len, list(kinds.values())[_MOST_NOTES:]))
    return [*lines, f"At {more:,} more agents it is different again."] if more else lines


def _note(note: AgentNote, alert: Alert, now: float, zone: ZoneInfo) -> str:
    if note.condition in (None, ConditionName.EXPIRING) and note.deadline is not None and note.deadline > now:
        return f"works until {in_full(note.deadline, now, zone)}"
    if note.condition is None:
        return "is not affected"
    if note.condition is ConditionName.EXPIRED and note.deadline is not None and note.deadline <= now:
        return f"expired on {in_full(note.deadline, now, zone)}"
    return wording_of(note.condition, alert.profile).present


def _level(alert: Alert) -> str:
    if alert.reason.ends:
        return ""
    agents = named(alert.new_agents)
    if alert.reason is NotificationReason.ESCALATED and agents:
        return f"{_LEVELS[alert.severity]} Now at {listed('agent', agents)}, too."
    return f"{_LEVELS[alert.severity]}{_CHANGES.get(alert.reason, '')}"


def _summary(suppressed: Sequence[SuppressedAlert], zone: ZoneInfo) -> str:
    """One line for each alert that fired and was resolved while it was suppressed."""
    lines = ["Fired and resolved while suppressed:"]
    for line in suppressed[:WORST]:
        times = f", {line.times} times" if line.times > 1 else ""
        period = f"{absolute(line.began_at, zone)} to {absolute(line.ended_at, zone)}"
        lines.append(f"  {subject_and_place(line)} {wording(line).past}, {period}{times}")
    if len(suppressed) > WORST:
        lines.append(f"  … and {len(suppressed) - WORST:,} more")
    return "\n".join(lines)
