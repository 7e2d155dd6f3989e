"""The rules of a message as a whole: each alert once, summaries of what was never sent, ends that belong together."""

from __future__ import annotations

from collections.abc import Iterator

from exporter.alerts.lifecycle.ledger import Ledger, Sent
from exporter.alerts.lifecycle.moment import Moment
from exporter.alerts.lifecycle.policy import ChannelPolicy
from exporter.alerts.values import Alert, Message, SuppressedAlert
from exporter.model import ConditionName


def about_message(message: Message, channel: ChannelPolicy | None, moment: Moment, before: Ledger) -> Iterator[str]:
    """Sentences about what is wrong with the message as a whole; ``channel`` is None if it is no longer configured."""
    if len(message.fingerprints) < len(message.alerts):
        yield "the message has one alert twice"
    if not (message.alerts or message.suppressed or message.withdrawn):
        yield "the message is empty"
    if message.withdrawn and channel is not None and not channel.can_withdraw:
        yield "the channel cannot withdraw a notification"
    for line in message.suppressed:
        place = (message.channel, line.fingerprint)
        sent_at = before.sent_at.get(place, {})
        last = before.notified.get(place)
        # What was sent since is about what came later, such as an outage that goes on under this fingerprint.
        is_known = last is not None and sent_at.get(last.at, Sent(last.at, is_end=False)).at < line.ended_at
        if is_known or any(_is_within(sent, line) for sent in sent_at.values()):
            yield f"the summary says that {line.condition} came and went unsent, but it was sent"
        if channel is not None and not channel.accepts(line.severity):
            yield f"the summary has {line.condition} below min_severity"
        if channel is not None and channel.is_quiet_for(line.severity, moment.now):
            yield f"the summary of {line.condition} is sent in quiet hours"
    yield from _ends_together(message, moment, before)


def _is_within(sent: Sent, line: SuppressedAlert) -> bool:
    """Whether an alert was sent while it lasted. The end of its life before may be sent when it begins again."""
    return line.began_at <= sent.at < line.ended_at and not (sent.is_end and sent.at == line.began_at)


def ended_outages(message: Message) -> frozenset[tuple[str, str | None]]:
    """The targets and providers whose no_usable_profile the message ends."""
    return frozenset(
        (alert.target, alert.provider)
        for alert in message.alerts
        if alert.reason.ends and alert.condition is ConditionName.NO_USABLE_PROFILE
    )


def _ends_together(message: Message, moment: Moment, before: Ledger) -> Iterator[str]:
    """The end of no_usable_profile ends, in the same message, all that it inhibited and that is over too."""
    ended, fingerprints = ended_outages(message), message.fingerprints
    for (channel, fingerprint), last in before.notified.items():
        known = last.alert
        if channel != message.channel or fingerprint in fingerprints or known.profile is None:
            continue
        if (known.target, known.provider) not in ended:
            continue
        if set(known.agents) <= _ended_agents(message, known):
            continue  # they are known from an alert that they left, whose end names them
        holds = any(
            moment.is_unknown(known, agent.agent) or moment.facts(known, agent.agent, name)
            for agent in moment.of_target(known.target)
            for name in ConditionName
            if name.family is known.family
        )
        if not holds and known.condition.definition.causes_outage:
            yield f"no_usable_profile of {known.provider} ends, but not {known.condition} of {known.profile} with it"


def _ended_agents(message: Message, known: Alert) -> set[str]:
    """The agents of which the message ends an alert about the same profile."""
    place = (known.target, known.provider, known.profile, known.family)
    return {
        agent
        for alert in message.alerts
        if alert.reason.ends and (alert.target, alert.provider, alert.profile, alert.family) == place
        for agent in alert.agents
    }
