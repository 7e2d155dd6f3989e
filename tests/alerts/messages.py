"""Alerts and messages that the channels' tests send, and a secret that must not leave."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from exporter.alerts.message import text
from exporter.alerts.values import Alert, Message, NotificationReason, QueuedMessage
from exporter.model import ConditionName, Severity

NOW = 1_795_000_000.0
DAY = 86400.0
ID = "01JD0000000000000000000000"
FINGERPRINT = "0123456789abcdef0123456789abcdef"
SECRET = "PLANTED-SECRET-tk-0123456789"


def alert(**changes: Any) -> Alert:
    """A token of the main agent that expired an hour ago, notified for the first time."""
    name = changes.get("condition", ConditionName.EXPIRED)
    values: dict[str, Any] = {
        "fingerprint": FINGERPRINT,
        "reason": NotificationReason.FIRST,
        "family": name.family,
        "condition": name,
        "severity": Severity.CRITICAL,
        "target": "home",
        "agents": ("main",),
        "provider": "anthropic",
        "profile": "anthropic:default",
        "since": NOW - 3600,
        "deadline": NOW - 3600,
        "summary": "anthropic:default on home has expired",
        "remedy": ("claude setup-token", "openclaw models auth paste-token --provider anthropic"),
    }
    return Alert(**{**values, **changes})


def ended(reason: NotificationReason = NotificationReason.RESOLVED, **changes: Any) -> Alert:
    return alert(reason=reason, ended_at=NOW, remedy=(), **changes)


def outgoing(*alerts: Alert, **changes: Any) -> QueuedMessage:
    """A message to deliver; by default about one expired token."""
    return QueuedMessage(changes.pop("id", ID), Message("phone", NOW, alerts or (alert(),), **changes))


def other(number: int, **changes: Any) -> Alert:
    """An alert about another profile, with another fingerprint."""
    return alert(fingerprint=f"{number:032x}", profile=f"anthropic:{number}", **changes)


def lines_of_a_crowd() -> tuple[QueuedMessage, set[str]]:
    """A message about more than any channel can show, with names of many lengths; and all lines that it may have."""
    names = [f"anthropic:{'token-of-a-team-' * (number % 7)}{number}" for number in range(60)]
    crowd = outgoing(*(alert(fingerprint=f"{number:032x}", profile=name) for number, name in enumerate(names)))
    return crowd, set(text.render(crowd.message, NOW, limit=10**6).body.splitlines())


def program(path: Path, text: str) -> Path:
    """An executable file with that text."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    path.chmod(0o755)
    return path
