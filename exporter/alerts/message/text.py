"""Renders a message as text for a person: a title with what and where, then when, then how to fix it.

Names and summaries from outside are escaped and shortened. Commands stay whole, so that they can
be copied. Pure.
"""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Iterable
from dataclasses import dataclass
from zoneinfo import ZoneInfo

from exporter.alerts.message.titles import TITLE, group_title, how_it_ended, summary_title, title, wording
from exporter.alerts.values import Alert, Message, NotificationReason, SuppressedAlert
from exporter.lib.durations import END_OF_DATES, in_words, iso
from exporter.model import ConditionName, Severity
from exporter.present.words import visible

__all__ = ["TITLE", "WORST", "Text", "body", "render", "sentence", "summary_title", "title"]

#: How many alerts of a large group are listed.
WORST = 10
_ISO = re.compile(r"\b\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ\b")
_AS_SEEN = ", as last seen at "
#: The longest command and the longest body, in characters.
_COMMAND, _BODY = 2000, 8000

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


@dataclass(frozen=True, slots=True)
class Text:
    """A message as text. The title has at most 60 characters."""

    title: str
    body: str


def render(
    message: Message, now: float, zone: ZoneInfo | None = None, link: str = "", links: Iterable[tuple[str, str]] = ()
) -> Text:
    """Renders ``message`` as of ``now`` with times in ``zone`` (default UTC).

    ``link`` leads to the status page; each of ``links`` is an action's label and address.
    """
    zone = zone or ZoneInfo("UTC")
    alerts, lines = message.alerts, []
    if len(alerts) == 1:
        heading = title(alerts[0], now)
        lines.append(body(alerts[0], now, zone))
    else:
        heading = group_title(message, now)
        for alert in alerts[:WORST]:
            level = "" if alert.reason.ends else f" ({alert.severity})"
            lines.append(f"- {title(alert, now)}{level}\n{_indented(_short_body(alert, now, zone))}")
        if len(alerts) > WORST:
            lines.append(f"… and {len(alerts) - WORST:,} more.")
    if message.suppressed:
        lines.append(_summary(message.suppressed, zone))
    lines += (f"{label}: {address}" for label, address in links)
    if link:
        lines.append(f"Status: {link}")
    text = "\n".join(filter(None, lines))
    return Text(heading, text if len(text) <= _BODY else text[: _BODY - 1] + "…")


def sentence(alert: Alert, now: float) -> str:
    """The summary of an alert that the verdict has no summary for: a reminder or a resolution."""
    where = _subject(alert)
    if alert.reason.ends:
        return f"{where} {how_it_ended(alert)}; it {_lasted(alert)}"
    when = f" in {in_words(alert.deadline - now)} ({iso(alert.deadline)})" if alert.deadline else ""
    words = "expires" if alert.condition is ConditionName.EXPIRING else str(alert.condition).replace("_", " ")
    seen = f"{_AS_SEEN}{iso(alert.seen_at)}" if alert.seen_at is not None else ""
    return f"{where} {words}{when}{_at_the_latest(alert, ' ')}{seen}"


def _subject(alert: Alert | SuppressedAlert) -> str:
    subject, target = visible(alert.profile or alert.provider or "", 128), visible(alert.target, 64)
    return f"{subject} on {target}" if subject else target


def _lasted(alert: Alert) -> str:
    """How long an alert lasted: "was expired for 3 h"."""
    ended = alert.ended_at if alert.ended_at is not None else 0.0
    lasted = in_words(ended - alert.since) if alert.since is not None else "an unknown time"
    return f"{wording(alert).duration} {lasted}"


def _at_the_latest(alert: Alert, before: str = ", ") -> str:
    """Marks a date that is assumed, because it is counted from when a token was first seen."""
    assumed = alert.cause == "undated" or _without_age(alert).endswith("at the latest")
    is_dated = alert.condition in (ConditionName.EXPIRING, ConditionName.EXPIRED)
    return f"{before}at the latest" if assumed and is_dated else ""


def _without_age(alert: Alert) -> str:
    """The summary without the time at which the condition was last seen; that has a line of its own."""
    return alert.summary.rpartition(_AS_SEEN)[0] if alert.seen_at is not None else alert.summary


def body(alert: Alert, now: float, zone: ZoneInfo) -> str:
    """The text below the title: the summary, when, where, how urgent, and the commands that fix it."""
    if alert.reason is NotificationReason.TEST:
        return _test_body(alert, now, zone)
    lines = [_summary_line(alert, now, zone), *_when(alert, now, zone), _where(alert), _level(alert)]
    if alert.remedy and not alert.reason.ends:
        lines += ["To fix it:", *(f"  {command}" for command in _commands(alert))]
    return "\n".join(filter(None, lines))


def _commands(alert: Alert) -> list[str]:
    """The remedy, one step a line."""
    return [visible(command, _COMMAND) for command in alert.remedy]


def _test_body(alert: Alert, now: float, zone: ZoneInfo) -> str:
    """The clauses of the summary that the title does not show, and how to acknowledge the test."""
    clauses = [clause.strip() for clause in visible(alert.summary, 600).split(";")]
    rest = clauses[1:] if alert.cause is not None else clauses
    when = f": {_moment(alert.deadline, now, zone)}" if alert.deadline is not None else ""
    lines = [f"{clause[:1].upper()}{clause[1:]}{when if clause is rest[-1] else ''}." for clause in rest]
    return "\n".join([*lines, f"Acknowledge this to confirm that messages reach you here ({alert.fingerprint})."])


def _summary_line(alert: Alert, now: float, zone: ZoneInfo) -> str:
    """The part of the summary that neither the title nor the times repeat, with times in ``zone``."""
    is_dated = alert.condition in (ConditionName.EXPIRING, ConditionName.EXPIRED)
    if alert.reason.ends or (is_dated and (alert.deadline is not None or alert.since is not None)):
        return ""
    summary = _without_age(alert)
    if alert.condition is ConditionName.UNDATED and alert.deadline is not None:
        summary = summary.partition(";")[0]  # the date has a line of its own
    summary = visible(summary, 600).removesuffix(".")

    def in_zone(found: re.Match[str]) -> str:
        try:
            return _moment(dt.datetime.fromisoformat(found[0]).timestamp(), now, zone)
        except ValueError:  # a name that resembles a time
            return found[0]

    return f"{_ISO.sub(in_zone, summary)}." if summary else ""


def _short_body(alert: Alert, now: float, zone: ZoneInfo) -> str:
    """The text of an alert in a group: when, where, and the commands."""
    lines = [*_when(alert, now, zone), _where(alert)]
    if alert.remedy and not alert.reason.ends:
        lines += _commands(alert)
    return "\n".join(filter(None, lines))


def _when(alert: Alert, now: float, zone: ZoneInfo) -> list[str]:
    return _when_it_ended(alert, now, zone) if alert.reason.ends else _when_it_began(alert, now, zone)


def _when_it_began(alert: Alert, now: float, zone: ZoneInfo) -> list[str]:
    """Since when, or until when it works; and when it was last seen."""
    lines = []
    if alert.condition is ConditionName.UNDATED and alert.deadline is not None:
        lines.append(f"It expires by {_moment(alert.deadline, now, zone)} at the latest.")
    elif alert.condition is ConditionName.EXPIRING and alert.deadline is not None:
        lines.append(f"Works until {_moment(alert.deadline, now, zone)}{_at_the_latest(alert)}.")
    elif alert.since is not None:
        lines.append(f"Since {_moment(alert.since, now, zone)}{_at_the_latest(alert)}.")
    if alert.seen_at is not None:
        lines.append(f"Last seen at {_moment(alert.seen_at, now, zone)}. Checks have failed since then.")
    return lines


def _when_it_ended(alert: Alert, now: float, zone: ZoneInfo) -> list[str]:
    """Until when the new credential works, and how long the problem lasted."""
    lines, renewed = [], ""
    if alert.reason is NotificationReason.RENEWED and not alert.resolution_cause:
        until = _moment(alert.deadline, now, zone) if alert.deadline is not None else ""
        lines.append(f"Works until {until}." if until else "It has no expiry date.")
        renewed = " before it was renewed"
    if alert.since is not None and alert.ended_at is not None:
        period = f"{_at(alert.since, zone)} to {_at(alert.ended_at, zone)}"
        lines.append(f"It {_lasted(alert)}{renewed} ({period}).")
    return lines


def _moment(moment: float, now: float, zone: ZoneInfo) -> str:
    """An absolute time with its zone, and how far away it is."""
    words = f"in {in_words(moment - now)}" if moment > now else f"{in_words(now - moment)} ago"
    return f"{_at(moment, zone)} ({words})"


def _at(moment: float, zone: ZoneInfo) -> str:
    if not 0 <= moment <= END_OF_DATES - 86400:
        return "beyond the year 9999"
    return dt.datetime.fromtimestamp(moment, zone).strftime("%a %Y-%m-%d %H:%M %Z")


def _where(alert: Alert) -> str:
    parts = [f"Target {visible(alert.target, 64)}", _agents(alert)]
    if alert.profile:
        parts.append(f"profile {visible(alert.profile, 128)}")
    elif alert.provider:
        parts.append(f"provider {visible(alert.provider, 64)}")
    return "; ".join(filter(None, parts)) + "."


def _agents(alert: Alert) -> str:
    names = [visible(agent, 60) for agent in alert.agents if agent != "*"]
    if not names:
        return ""
    more = f" and {len(names) - 5} more" if len(names) > 5 else ""
    return f"agent{'s' if len(names) > 1 else ''} {', '.join(names[:5])}{more}"


def _level(alert: Alert) -> str:
    return "" if alert.reason.ends else f"{_LEVELS[alert.severity]}{_CHANGES.get(alert.reason, '')}"


def _summary(suppressed: tuple[SuppressedAlert, ...], zone: ZoneInfo) -> str:
    """One line for each alert that fired and was resolved while it was suppressed."""
    lines = ["Fired and resolved while suppressed:"]
    for alert in suppressed[:WORST]:
        times = f", {alert.times} times" if alert.times > 1 else ""
        condition = str(alert.condition).replace("_", " ")
        lines.append(
            f"  {_subject(alert)}: {condition}, {_at(alert.began_at, zone)} to {_at(alert.ended_at, zone)}{times}"
        )
    if len(suppressed) > WORST:
        lines.append(f"  … and {len(suppressed) - WORST:,} more")
    return "\n".join(lines)


def _indented(text: str) -> str:
    return "\n".join(f"  {line}" for line in text.splitlines())
