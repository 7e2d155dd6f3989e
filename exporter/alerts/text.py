"""What a tired person reads on a lock screen: a title that says what and where, then when, then what to do.

Pure. Words of others (ids, summaries) are made visible and bounded; commands stay whole, to be copied.
"""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from zoneinfo import ZoneInfo

from exporter.alerts.values import Alert, Message, Missed, Reason, Why
from exporter.model import Family, Name, Severity
from exporter.present.words import visible
from exporter.units import END_OF_DATES, in_words, iso

#: What a lock screen shows of a title.
TITLE = 60
#: How many alerts of a large group are said one by one.
WORST = 10
_COMMAND = 2000  # characters of a command; longer is no command
_BODY = 8000

#: After a subject: what is wrong with it.
_TROUBLE = {
    Name.UNDATED: "has no expiry date",
    Name.EXPIRED: "has expired",
    Name.UNUSABLE: "is unusable",
    Name.MISSING: "is not eligible",
    Name.STATUS_DISAGREES: "has a status that its date denies",
    Name.IDLE: "idles, its access token is old",
    Name.VANISHED: "is gone",
    Name.CREDENTIAL_CHANGED: "is served by another credential",
    Name.QUOTA: "has used 90 % of its quota",
}
#: What lasted, in "was … for 3 h".
_LASTED = {
    Name.UNDATED: "without a date",
    Name.EXPIRING: "about to expire",
    Name.EXPIRED: "expired",
    Name.UNUSABLE: "unusable",
    Name.MISSING: "not eligible",
    Name.NO_USABLE_PROFILE: "down",
    Name.CHECK_FAILED: "out of sight",
}


@dataclass(frozen=True, slots=True)
class Text:
    """A message in words. The title's first 60 characters say what and where."""

    title: str
    body: str


def render(message: Message, now: float, zone: ZoneInfo | None = None, link: str = "") -> Text:
    """A message in words as of ``now``, with times in ``zone`` (UTC without one) and a ``link`` to look at."""
    zone = zone or ZoneInfo("UTC")
    alerts, lines = message.alerts, []
    if len(alerts) == 1:
        heading = title(alerts[0], now)
        lines.append(body(alerts[0], now, zone))
    else:
        heading = _group_title(message, now)
        for alert in alerts[:WORST]:
            lines.append(f"- {title(alert, now)}\n{_indented(_short_body(alert, now, zone))}")
        if len(alerts) > WORST:
            lines.append(f"… and {len(alerts) - WORST:,} more.")
    if message.missed:
        lines.append(_missed_lines(message.missed, zone))
    if link:
        lines.append(f"Status: {link}")
    text = "\n".join(filter(None, lines))
    return Text(heading, text if len(text) <= _BODY else text[: _BODY - 1] + "…")


def title(alert: Alert, now: float) -> str:
    """What and where in at most 60 characters."""
    if alert.reason is Reason.TEST:
        return "Test: this channel works"
    lead = {Reason.REPEAT: "Still: ", Reason.EASED: "Eased: "}.get(alert.reason, "")
    before, subject, after = _over(alert) if alert.reason.ends else _trouble(alert, now)
    return _fit(lead + before, subject, after, alert.target)


def _trouble(alert: Alert, now: float) -> tuple[str, str, str]:
    """Words before the subject, the subject, words between it and the target."""
    subject = alert.profile or alert.provider or ""
    cause = f" ({visible(alert.cause, 24)})" if alert.cause else ""
    match alert.condition:
        case Name.EXPIRING:
            if alert.deadline is None:
                return "", subject, " expires soon on "
            if alert.deadline <= now:
                return "", subject, " has expired on "
            return "", subject, f" expires in {in_words(alert.deadline - now)} on "
        case Name.NO_USABLE_PROFILE:
            return "No ", subject, " credential works on "
        case Name.CHECK_FAILED:
            return "", "", f"Check fails{cause} on "
        case Name.MISSING if not alert.profile:
            return "", subject, " has no credential on "
        case Name.UNUSABLE:
            return "", subject, f" is unusable{cause} on "
        case Name.REPORTED:
            return "", "", "OpenClaw reports unexplained trouble on "
        case Name.PARTIAL_VIEW:
            return "", "", "Cooldowns cannot be seen on "
        case Name.CLOCK:
            return "", "", "The clock is wrong, no deadlines judged on "
    return "", subject, f" {_TROUBLE[alert.condition]} on "


def _over(alert: Alert) -> tuple[str, str, str]:
    subject = alert.profile or alert.provider or ""
    if alert.why is Why.UNWATCHED:
        return "", "", "No longer watched: "
    if alert.why is Why.GONE:
        return ("", subject, " is no longer there on ") if subject else ("", "", "No longer there on ")
    if alert.why is Why.IGNORED:
        return "", subject, " is now ignored on "
    if alert.reason is Reason.RENEWED:
        date = (iso(alert.deadline) or "")[:10]
        done = "works again" if alert.family is Family.AVAILABILITY else "renewed"
        return "", subject, f" {done} until {date} on " if date else f" {done} on "
    match alert.condition:
        case Name.CHECK_FAILED:
            return "", "", "The check works again on "
        case Name.EXPIRED | Name.UNUSABLE | Name.MISSING | Name.NO_USABLE_PROFILE:
            return "", subject, " works again on "
        case Name.EXPIRING:
            return "", subject, " no longer expires on "
    over = str(alert.condition).replace("_", " ")
    return (f"Over: {over}, ", subject, " on ") if subject else ("", "", f"Over: {over} on ")


def _fit(before: str, subject: str, after: str, target: str) -> str:
    """The whole within the title's length: the target gives way to 18 characters, then the subject."""
    subject, target = visible(subject, 1000), visible(target, 1000)
    room = TITLE - len(before) - len(after)
    place = _shortened(target, max(room - len(subject), 18, room if not subject else 0))
    return f"{before}{_shortened(subject, max(room - len(place), 4))}{after}{place}"[:TITLE]


def _shortened(text: str, length: int) -> str:
    """The head and the tail: ids differ at their ends."""
    if len(text) <= length:
        return text
    tail = (length - 1) // 2
    return f"{text[: length - 1 - tail]}…{text[-tail:] if tail else ''}"


def sentence(alert: Alert, now: float) -> str:
    """The summary of what the verdict has no words for: what is ahead, and what is over."""
    what = visible(alert.profile or alert.provider or "", 128)
    where = visible(alert.target, 64)
    if alert.reason is Reason.TEST:
        return "A test: nothing is wrong, and this channel delivers"
    if not alert.reason.ends:
        when = f" in {in_words(alert.deadline - now)} ({iso(alert.deadline)})" if alert.deadline else ""
        words = "expires" if alert.condition is Name.EXPIRING else str(alert.condition).replace("_", " ")
        return f"{what} on {where} {words}{when}".strip()
    return f"{_ended(alert)}; {_lasted(alert)}"


def _ended(alert: Alert) -> str:
    what = visible(alert.profile or alert.provider or "", 128)
    where = visible(alert.target, 64)
    return f"{what} on {where} {_how_it_ended(alert)}" if what else f"{where} {_how_it_ended(alert)}"


def _how_it_ended(alert: Alert) -> str:
    match alert.why:
        case Why.UNWATCHED:
            return "is no longer watched"
        case Why.GONE:
            return "is no longer there"
        case Why.IGNORED:
            return "is now ignored"
    if alert.reason is Reason.RENEWED:
        date = iso(alert.deadline)
        return f"is renewed and holds until {date}" if date else "is renewed and has no date that needs a person"
    if alert.family is Family.AVAILABILITY or alert.condition is Name.EXPIRED:
        return "works again"
    words = {Name.CHECK_FAILED: "answers again", Name.EXPIRING: "no longer expires"}
    return words.get(alert.condition, f"is over it ({str(alert.condition).replace('_', ' ')})")


def _lasted(alert: Alert) -> str:
    ended = alert.ended_at if alert.ended_at is not None else 0.0
    lasted = in_words(ended - alert.since) if alert.since is not None else "an unknown time"
    state = _LASTED.get(alert.condition)
    return f"was {state} for {lasted}" if state else f"it lasted {lasted}"


def body(alert: Alert, now: float, zone: ZoneInfo) -> str:
    """Everything else: the words, when, where exactly, and the commands."""
    if alert.reason is Reason.TEST:
        return f"{sentence(alert, now)}."
    lines = [_words(alert)]
    lines += _when(alert, now, zone)
    lines.append(_where(alert))
    lines.append(_level(alert))
    if alert.remedy and not alert.reason.ends:
        lines += ["Do:", *(f"  {visible(command, _COMMAND)}" for command in alert.remedy)]
    return "\n".join(filter(None, lines))


def _words(alert: Alert) -> str:
    """What the title and the times do not say already."""
    if alert.reason.ends:
        return f"{_ended(alert)}."
    if alert.condition in (Name.EXPIRING, Name.EXPIRED) and (alert.deadline is not None or alert.since is not None):
        return ""
    return f"{visible(alert.summary, 600).removesuffix('.')}." if alert.summary else ""


def _short_body(alert: Alert, now: float, zone: ZoneInfo) -> str:
    """An alert among others: when, at which agents, and the commands."""
    lines = [*_when(alert, now, zone), _agents(alert)]
    if alert.remedy and not alert.reason.ends:
        lines += [visible(command, _COMMAND) for command in alert.remedy]
    return "\n".join(filter(None, lines))


def _when(alert: Alert, now: float, zone: ZoneInfo) -> list[str]:
    if alert.reason.ends:
        lines = []
        if alert.reason is Reason.RENEWED and alert.deadline is not None:
            lines.append(f"Holds until {_moment(alert.deadline, now, zone)}.")
        if alert.since is not None and alert.ended_at is not None:
            begin, end = _at(alert.since, zone), _at(alert.ended_at, zone)
            lines.append(f"{_lasted(alert).capitalize()}, from {begin} to {end}.")
        return lines
    if alert.condition in (Name.EXPIRING, Name.UNDATED) and alert.deadline is not None:
        latest = "Ends at the latest" if alert.condition is Name.UNDATED else "Until"
        return [f"{latest} {_moment(alert.deadline, now, zone)}."]
    return [f"Since {_moment(alert.since, now, zone)}."] if alert.since is not None else []


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
    change = {
        Reason.ESCALATED: "it got worse",
        Reason.EASED: "it got better",
        Reason.REMINDER: "a reminder",
        Reason.REPEAT: "it still needs a person",
    }.get(alert.reason)
    name = str(alert.severity).capitalize()
    return f"{name}: {change}." if change else f"{name}."


def _group_title(message: Message, now: float) -> str:
    alerts = message.alerts
    if not alerts:
        gone = len(message.missed)
        return f"{gone} alert{'s' if gone > 1 else ''} came and went while held back"
    over = sum(alert.reason.ends for alert in alerts)
    if over == len(alerts):
        return f"{over:,} over: {title(alerts[0], now)}"[:TITLE]
    critical = sum(a.severity is Severity.CRITICAL and not a.reason.ends for a in alerts)
    count = f"{len(alerts):,} alerts" + (f", {critical:,} critical" if critical else "")
    rest = title(next(alert for alert in alerts if not alert.reason.ends), now)
    return f"{count}: {rest}"[:TITLE]


def _missed_lines(missed: tuple[Missed, ...], zone: ZoneInfo) -> str:
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
