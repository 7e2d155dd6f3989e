"""A message about several alerts: their order, its title, and as many of them as its body has room for.

The worst come first, among equals the news, and what is over comes last. Every critical alert is named with its target
before any other gets its commands. Pure.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from zoneinfo import ZoneInfo

from exporter.alerts.message.places import subject, subject_and_place
from exporter.alerts.message.titles import TITLE, Phrase, fitted, heading, phrases, wording
from exporter.alerts.values import Alert, Message, NotificationReason
from exporter.lib.zones import UTC
from exporter.model import Severity

#: How many alerts of a large group are shown with all that is known of them.
WORST = 10
#: How many further critical alerts get a line of their own, if the body has room.
_MOST_LINES = 40
_NEWS = (NotificationReason.FIRST, NotificationReason.ESCALATED)


def in_order(alerts: Iterable[Alert]) -> list[Alert]:
    """The order in which people read them."""
    return sorted(alerts, key=lambda alert: (alert.reason.ends, -alert.severity.rank, alert.reason not in _NEWS))


def group_title(message: Message, now: float, zone: ZoneInfo = UTC) -> str:
    """The first alert, and as much of the others as fits: their names or their number."""
    if not message.alerts:
        return summary_title(message)
    first, *rest = in_order(message.alerts)
    choices = list(phrases(first, now, zone))
    tails = [f" · {words}" for words in _others(rest, now, zone)] if rest else [""]
    for tail in tails:
        text = fitted(choices, TITLE - len(tail))
        if any(text == str(choice) for choice in choices):
            return text + tail
    return fitted(choices, TITLE - len(tails[-1])) + tails[-1]


def _others(rest: Sequence[Alert], now: float, zone: ZoneInfo) -> list[str]:
    """Words for all alerts but the first, with less and less detail."""
    if len(rest) == 1:
        names = [*map(str, phrases(rest[0], now, zone)), f"also {subject(rest[0])}"]
    else:
        names = [f"{choice} · {len(rest) - 1:,} more" for choice in phrases(rest[0], now, zone)]
    return [*names, *dict.fromkeys((_counts(rest), f"{len(rest):,} more"))]


def _counts(alerts: Sequence[Alert]) -> str:
    ended = sum(alert.reason.ends for alert in alerts)
    critical = sum(_is_urgent(alert) for alert in alerts)
    other = len(alerts) - ended - critical
    parts = ((critical, "more critical"), (other, "less urgent" if critical else "more"), (ended, "resolved"))
    return ", ".join(f"{number:,} {words}" for number, words in parts if number)


def _is_urgent(alert: Alert) -> bool:
    return alert.severity is Severity.CRITICAL and not alert.reason.ends


def group_lines(
    alerts: Sequence[Alert], now: float, zone: ZoneInfo, details: Callable[[Alert], str], room: int
) -> list[str]:
    """The alerts in order, in at most ``room`` bytes: the worst with their details, other critical ones in a line."""
    heads = [_head(alert, now, zone) for alert in alerts[: WORST + _MOST_LINES]]
    room -= 80  # for the last line
    reserved = sum(_size(head) for alert, head in zip(alerts, heads, strict=False) if _is_urgent(alert))
    lines = []
    for number, (alert, head) in enumerate(zip(alerts, heads, strict=False)):
        reserved -= _size(head) if _is_urgent(alert) else 0
        full = f"{head}\n{_indented(details(alert))}" if number < WORST else head
        if number < WORST and _size(full) <= room - max(reserved, 0):
            line = full
        elif (_is_urgent(alert) and _size(head) <= room) or (number < WORST and _size(head) <= room - max(reserved, 0)):
            line = head
        else:
            break
        lines.append(line)
        room -= _size(line)
    hidden = alerts[len(lines) :]
    return [*lines, f"… and {_counts(hidden)}."] if hidden else lines


def _head(alert: Alert, now: float, zone: ZoneInfo) -> str:
    if alert.reason.ends:
        return f"- {heading(alert, now, zone)}"
    new = ", new" if alert.reason is NotificationReason.FIRST else ""
    return f"- {heading(alert, now, zone)} ({alert.severity}{new})"


def _size(line: str) -> int:
    return len(line.encode("utf-8", "replace")) + 1


def _indented(text: str) -> str:
    return "\n".join(f"  {line}" for line in text.splitlines())


def summary_title(message: Message) -> str:
    """The title of a message that has only a summary of what came and went."""
    lines = message.suppressed
    if len(lines) == 1:
        words = f" {wording(lines[0]).past}"
        return fitted([Phrase("Over: ", subject_and_place(lines[0]), words, "")])
    return f"{len(lines):,} alerts fired and resolved while suppressed"
