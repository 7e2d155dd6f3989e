"""What a tired person reads: a title that says what and where, then when, then what to do.

Pure. Words of others (ids, summaries) are made visible and bounded; commands stay whole, to be copied.
"""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Iterable
from dataclasses import dataclass
from zoneinfo import ZoneInfo

from exporter.alerts.message.titles import TITLE, group_title, how_it_ended, summary_title, title
from exporter.alerts.values import Alert, Message, NotificationReason, SuppressedAlert
from exporter.lib.durations import END_OF_DATES, in_words, iso
from exporter.model import ConditionName, Severity
from exporter.present.words import visible

__all__ = ["TITLE", "WORST", "Text", "body", "render", "sentence", "summary_title", "title"]

#: How many alerts of a large group are said one by one.
WORST = 10
_ISO = re.compile(r"\b\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ\b")
_AS_SEEN = ", as last seen at "
_COMMAND = 2000  # characters of a command; longer is no command
_BODY = 8000

#: What a severity asks for, as the exit code of ``check`` does.
_LEVELS = {
    Severity.CRITICAL: "Critical: act now",
    Severity.WARNING: "Warning: act soon",
    Severity.INFO: "For information",
}
_CHANGES = {
    NotificationReason.ESCALATED: "it got worse",
    NotificationReason.EASED: "it got better",
    NotificationReason.REMINDER: "a reminder",
    NotificationReason.REPEAT: "it still needs a person",
}


@dataclass(frozen=True, slots=True)
class Text:
    """A message in words. The title's first 60 characters say what and where."""

    title: str
    body: str


def render(
    message: Message,
    now: float,
    zone: ZoneInfo | None = None,
    link: str = "",
    links: Iterable[tuple[str, str]] = (),
) -> Text:
    """A message in words as of ``now``, with times in ``zone`` (UTC without one), a ``link`` to look at, and
    ``links`` to do something, each with what it does."""
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
        lines.append(_missed_lines(message.suppressed, zone))
    lines += (f"{label}: {address}" for label, address in links)
    if link:
        lines.append(f"Status: {link}")
    text = "\n".join(filter(None, lines))
    return Text(heading, text if len(text) <= _BODY else text[: _BODY - 1] + "…")


def sentence(alert: Alert, now: float) -> str:
    """The summary of what the verdict has no words for: what is ahead, and what is over."""
    what, where = visible(alert.profile or alert.provider or "", 128), visible(alert.target, 64)
    if alert.reason is NotificationReason.TEST:
        return "A test: this channel delivers"
    if not alert.reason.ends:
        when = f" in {in_words(alert.deadline - now)} ({iso(alert.deadline)})" if alert.deadline else ""
        words = "expires" if alert.condition is ConditionName.EXPIRING else str(alert.condition).replace("_", " ")
        seen = f"{_AS_SEEN}{iso(alert.seen_at)}" if alert.seen_at is not None else ""
        return f"{what} on {where} {words}{when}{_at_the_latest(alert, ' ')}{seen}".strip()
    subject = f"{what} on {where}" if what else where
    return f"{subject} {how_it_ended(alert)}; {_lasted(alert)}"


def _lasted(alert: Alert) -> str:
    ended = alert.ended_at if alert.ended_at is not None else 0.0
    lasted = in_words(ended - alert.since) if alert.since is not None else "an unknown time"
    definition = alert.condition.definition
    duration = definition.duration if alert.profile else definition.provider_duration or definition.duration
    return f"{duration} {lasted}"


def _at_the_latest(alert: Alert, before: str = ", ") -> str:
    """Of a date that is counted from when a token was first seen."""
    assumed = alert.cause == "undated" or _unaged(alert).endswith("at the latest")
    return (
        f"{before}at the latest"
        if assumed and alert.condition in (ConditionName.EXPIRING, ConditionName.EXPIRED)
        else ""
    )


def _unaged(alert: Alert) -> str:
    """The summary without when that was last seen, which is said as a time of its own."""
    return alert.summary.rpartition(_AS_SEEN)[0] if alert.seen_at is not None else alert.summary


def body(alert: Alert, now: float, zone: ZoneInfo) -> str:
    """Everything else: the words, when, where exactly, and the commands."""
    if alert.reason is NotificationReason.TEST:
        return _of_a_test(alert, now, zone)
    lines = [_words(alert, now, zone), *_when(alert, now, zone), _where(alert), _level(alert)]
    if alert.remedy and not alert.reason.ends:
        lines += ["Do:", *(f"  {command}" for command in _commands(alert))]
    return "\n".join(filter(None, lines))


def _commands(alert: Alert) -> list[str]:
    """The remedy, one command a line. Of an undated token there are two: a new one, or its date."""
    commands = [visible(command, _COMMAND) for command in alert.remedy]
    if alert.condition is ConditionName.UNDATED and len(commands) > 1 and " deadline set " in commands[-1]:
        commands.insert(-1, "or, where you know when it was made or ends:")
    return commands


def _of_a_test(alert: Alert, now: float, zone: ZoneInfo) -> str:
    """What the title, which is the first clause of the summary, does not say; and what to do about it."""
    if alert.cause is None:
        lines = [f"{sentence(alert, now)}."]
    else:
        rest = [clause.strip() for clause in visible(alert.summary, 600).split(";")[1:]]
        when = f": {_moment(alert.deadline, now, zone)}" if alert.deadline is not None else ""
        lines = [f"{clause[:1].upper()}{clause[1:]}{when if clause is rest[-1] else ''}." for clause in rest]
    return "\n".join([*lines, f"Acknowledge this to prove that messages reach you here ({alert.fingerprint})."])


def _words(alert: Alert, now: float, zone: ZoneInfo) -> str:
    """What the title and the times do not say already, its own times as this person reads them."""
    if alert.reason.ends:
        return ""
    if alert.condition in (ConditionName.EXPIRING, ConditionName.EXPIRED) and (
        alert.deadline is not None or alert.since is not None
    ):
        return ""
    said = _unaged(alert)
    if alert.condition is ConditionName.UNDATED and alert.deadline is not None:
        said = said.partition("; it ends by ")[0]  # said as a time of its own
    said = visible(said, 600).removesuffix(".")

    def read(found: re.Match[str]) -> str:
        try:
            return _moment(dt.datetime.fromisoformat(found[0]).timestamp(), now, zone)
        except ValueError:  # an id that looks like a time
            return found[0]

    return f"{_ISO.sub(read, said)}." if said else ""


def _short_body(alert: Alert, now: float, zone: ZoneInfo) -> str:
    """An alert among others: when, where in full, and the commands."""
    lines = [*_when(alert, now, zone), _where(alert)]
    if alert.remedy and not alert.reason.ends:
        lines += _commands(alert)
    return "\n".join(filter(None, lines))


def _when(alert: Alert, now: float, zone: ZoneInfo) -> list[str]:
    if alert.reason.ends:
        lines = []
        if alert.reason is NotificationReason.RENEWED and not alert.resolution_cause:
            until = _moment(alert.deadline, now, zone) if alert.deadline is not None else ""
            lines.append(f"Works until {until}." if until else "It has no date that needs a person.")
        if alert.since is not None and alert.ended_at is not None:
            begin, end = _at(alert.since, zone), _at(alert.ended_at, zone)
            lines.append(f"{_lasted(alert).capitalize()}, from {begin} to {end}.")
        return lines
    latest, lines = _at_the_latest(alert), []
    if alert.condition in (ConditionName.EXPIRING, ConditionName.UNDATED) and alert.deadline is not None:
        begins = "It ends at the latest" if alert.condition is ConditionName.UNDATED else "Works until"
        lines.append(f"{begins} {_moment(alert.deadline, now, zone)}{latest}.")
    elif alert.since is not None:
        lines.append(f"Since {_moment(alert.since, now, zone)}{latest}.")
    if alert.seen_at is not None:
        lines.append(f"As last seen at {_moment(alert.seen_at, now, zone)}: looks fail since then.")
    return lines


def _moment(moment: float, now: float, zone: ZoneInfo) -> str:
    """In words and as an absolute time with its zone."""
    words = f"in {in_words(moment - now)}" if moment > now else f"{in_words(now - moment)} ago"
    return f"{_at(moment, zone)} ({words})"


def _at(moment: float, zone: ZoneInfo) -> str:
    if not 0 <= moment <= END_OF_DATES - 86400:
        return "beyond the year 9999"
    return dt.datetime.fromtimestamp(moment, zone).strftime("%a %Y-%m-%d %H:%M %Z")


def _where(alert: Alert) -> str:
    parts = [f"Target {visible(alert.target, 64)}", _agents(alert).removesuffix(".").lower()]
    if alert.profile:
        parts.append(f"profile {visible(alert.profile, 128)}")
    elif alert.provider:
        parts.append(f"provider {visible(alert.provider, 64)}")
    return ", ".join(filter(None, parts)) + "."


def _agents(alert: Alert) -> str:
    names = [visible(agent, 60) for agent in alert.agents if agent != "*"]
    if not names:
        return ""
    more = f" and {len(names) - 5} more" if len(names) > 5 else ""
    return f"Agent{'s' if len(names) > 1 else ''} {', '.join(names[:5])}{more}."


def _level(alert: Alert) -> str:
    if alert.reason.ends:
        return ""
    change = _CHANGES.get(alert.reason)
    return f"{_LEVELS[alert.severity]}; {change}." if change else f"{_LEVELS[alert.severity]}."


def _missed_lines(missed: tuple[SuppressedAlert, ...], zone: ZoneInfo) -> str:
    lines = ["Came and went while held back:"]
    for one in missed[:WORST]:
        subject = visible(one.profile or one.provider or "", 128)
        where = f"{subject} on {visible(one.target, 64)}" if subject else visible(one.target, 64)
        times = f", {one.times} times" if one.times > 1 else ""
        what = str(one.condition).replace("_", " ")
        lines.append(f"  {where}: {what}, {_at(one.began_at, zone)} to {_at(one.ended_at, zone)}{times}")
    if len(missed) > WORST:
        lines.append(f"  … and {len(missed) - WORST:,} more")
    return "\n".join(lines)


def _indented(text: str) -> str:
    return "\n".join(f"  {line}" for line in text.splitlines())
