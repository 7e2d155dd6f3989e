"""What each channel was told, as the messages say it: what the invariant checker compares the next message with.

Pure. The alert states keep the same for themselves; the checker does not rely on them.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from exporter.alerts.lifecycle.moment import Held, Moment, is_later
from exporter.alerts.lifecycle.policy import AlertPolicy
from exporter.alerts.values import Alert, AlertState, Message, NotificationReason, States
from exporter.model import Report


@dataclass(frozen=True, slots=True)
class Told:
    """The last notification of an alert on a channel."""

    alert: Alert
    at: float
    news_at: float  # when it was last told that the alert began or got worse
    step: float | None = None  # the latest reminder step that had passed, in seconds before the deadline
    held: frozenset[Held] = frozenset()  # the credentials it was about; empty: not recorded
    before: Told | None = None


@dataclass(slots=True)
class Ledger:
    """What each channel was told of the alerts that have not ended there."""

    told: dict[tuple[str, str], Told] = field(default_factory=dict)  # by channel and fingerprint
    last_at: dict[tuple[str, str], float] = field(default_factory=dict)  # of any notification, ends too

    @classmethod
    def of(cls, states: States) -> Ledger:
        """The ledger as the alert states have it, where nobody kept one."""
        ledger = cls()
        for state in states.values():
            for channel, last in state.notified.items():
                alert = replace(
                    _alert_like(state), reason=last.reason, condition=last.condition, severity=last.severity
                )
                told = Told(replace(alert, agents=last.agents), last.at, max(state.worsened_at, last.at), last.step)
                ledger.told[channel, state.fingerprint] = told
        return ledger

    def of_alert(self, channel: str, alert: Alert) -> Told | None:
        """What the channel was told of an alert. An agent that took its own credential goes on with what it had."""
        told = self.told.get((channel, alert.fingerprint))
        if told is not None or alert.reason is NotificationReason.FIRST:
            return told
        known = (told for (where, _), told in self.told.items() if where == channel)
        return next((told for told in known if _is_of_one(told.alert, alert)), None)

    def note(self, message: Message, report: Report, policy: AlertPolicy) -> None:
        """Record that a message was sent."""
        moment = Moment.of(report, policy, message.at)
        for alert in message.alerts:
            place = (message.channel, alert.fingerprint)
            self.last_at[place] = message.at
            before = self.of_alert(message.channel, alert)
            self.told.pop(place, None)
            if alert.reason.ends or alert.reason is NotificationReason.TEST:
                continue
            is_news = alert.reason in (NotificationReason.FIRST, NotificationReason.ESCALATED)
            news_at = message.at if is_news or before is None else before.news_at
            step = policy.step_at(alert.deadline, message.at) if alert.deadline is not None else None
            if before is not None and before.step is not None and not is_later(alert.deadline, before.alert.deadline):
                step = before.step if step is None else min(step, before.step)
            self.told[place] = Told(alert, message.at, news_at, step, moment.held(alert), before)

    def lose(self, message: Message) -> None:
        """Record that a message never arrived: what was told before counts again."""
        for alert in message.alerts:
            place = (message.channel, alert.fingerprint)
            told = _without(self.told.get(place), message.at)
            if told is not None:
                self.told[place] = told
            else:
                self.told.pop(place, None)

    def set_clock_back(self, now: float) -> None:
        """After the clock was set back, nothing was sent in the future. ``Told.at`` still identifies its message."""
        self.told = {place: replace(told, news_at=min(told.news_at, now)) for place, told in self.told.items()}
        self.last_at = {place: min(at, now) for place, at in self.last_at.items()}


def _is_of_one(told: Alert, alert: Alert) -> bool:
    """Whether two alerts are about one subject and share an agent."""
    subject, other = ((a.target, a.provider, a.profile, a.family) for a in (told, alert))
    return subject == other and not set(told.agents).isdisjoint(alert.agents)


def _without(told: Told | None, at: float) -> Told | None:
    if told is None:
        return None
    return told.before if told.at == at else replace(told, before=_without(told.before, at))


def _alert_like(state: AlertState) -> Alert:
    subject = state.subject
    return Alert(
        fingerprint=state.fingerprint,
        reason=NotificationReason.FIRST,
        family=state.family,
        condition=state.condition,
        severity=state.severity,
        target=subject.target,
        agents=state.agents,
        provider=subject.provider or None,
        profile=subject.profile or None,
        deadline=state.deadline,
    )
