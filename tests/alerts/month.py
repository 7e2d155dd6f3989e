"""A month of a homelab: rate limits all day, gateways that reboot every night, and a few troubles that last.

Seeded, so that it is the same month every time. ``run`` gives the messages of each channel.
"""

from __future__ import annotations

import random
from dataclasses import replace
from typing import Any

from alerts.worlds import DAY, HOUR, MINUTE, NOW, P, World, policy
from exporter.alerts.lifecycle import advance, next_event
from exporter.alerts.lifecycle.policy import ChannelPolicy, QuietPeriod
from exporter.alerts.values import AlertState, Message
from exporter.config import QuietHours
from exporter.model import Report

DAYS = 30
RATE_LIMITS = 20  # a day
MIDNIGHT = NOW - 10 * HOUR
QUIET = QuietPeriod.of(
    QuietHours.model_validate({"from": "22:00", "to": "07:00", "timezone": "UTC", "except": "critical"})
)
CHANNELS = (ChannelPolicy("phone", quiet=QUIET, can_withdraw=True), ChannelPolicy("hook", for_machines=True))
TARGETS = ("home", "gateway-1", "gateway-2")
#: How long rate limits last, in seconds: each is as likely. The second list has OpenClaw's longer cooldowns too.
SHORT = (30, 60, 60, 300, 300, 600)
LONG = (30, 60, 60, 300, 300, 1500)
#: Troubles that last: target, from when until when (days), how the profile is.
LASTING: tuple[tuple[str, float, float, dict[str, Any]], ...] = (
    ("home", 5.5, 7.5, {"down": "billing"}),
    ("gateway-1", 12.1, 12.6, {"down": "auth"}),
)
EXPIRES_AT = MIDNIGHT + 20.4 * DAY


def spans(durations: tuple[int, ...]) -> tuple[list[tuple[float, float]], dict[str, list[tuple[float, float]]]]:
    """When the login at home is rate-limited, and when each gateway cannot be checked."""
    chance = random.Random(12)  # a fixed month, no secret
    limited = []
    for day in range(DAYS):
        for place in range(RATE_LIMITS):
            begins = MIDNIGHT + day * DAY + (place + chance.random() * 0.5) * DAY / RATE_LIMITS
            limited.append((begins, begins + chance.choice(durations)))
    down = {
        target: [
            (
                MIDNIGHT + day * DAY + 3 * HOUR + number * HOUR,
                MIDNIGHT + day * DAY + 3 * HOUR + number * HOUR + 12 * MINUTE,
            )
            for day in range(DAYS)
        ]
        for number, target in enumerate(TARGETS[1:])
    }
    return limited, down


def worlds(now: float, limited: bool, rebooting: frozenset[str], checked_at: float) -> list[World]:
    made = []
    for target in TARGETS:
        profile = P("anthropic:default", ends=MIDNIGHT + 200 * DAY, secret=target)
        if target == "home":
            ends = EXPIRES_AT if now < EXPIRES_AT + 6 * HOUR else MIDNIGHT + 200 * DAY
            profile = replace(profile, ends=ends, secret=f"home {ends}")
            if limited:
                profile = replace(profile, down="rate_limit")
        for where, begins, ends, changes in LASTING:
            if where == target and MIDNIGHT + begins * DAY <= now < MIDNIGHT + ends * DAY:
                profile = replace(profile, **changes)
        spare = P("anthropic:spare", ends=MIDNIGHT + 300 * DAY, secret=f"{target} spare")
        failing = {"main": checked_at} if target in rebooting else {}
        made.append(World({"main": (profile, spare)}, target=target, failing=failing))
    return made


def run(durations: tuple[int, ...] = SHORT) -> list[Message]:
    """The month's messages."""
    limited, down = spans(durations)
    moments = {MIDNIGHT + day * DAY for day in range(DAYS + 1)}
    moments |= {at for span in limited for at in span} | {EXPIRES_AT - DAY + 0.001, EXPIRES_AT, EXPIRES_AT + 6 * HOUR}
    moments |= {MIDNIGHT + day * DAY for _, begins, ends, _ in LASTING for day in (begins, ends)}
    for target_spans in down.values():
        for begins, ends in target_spans:
            moments |= {begins + minutes * MINUTE for minutes in range(0, 12, 5)} | {ends}
    checks = sorted(moments)
    rules = policy(*CHANNELS, targets=frozenset(TARGETS), group_wait=10.0, exporter="homelab")
    states: dict[str, AlertState] = {}
    messages: list[Message] = []
    for place, at in enumerate(checks):
        until = checks[place + 1] if place + 1 < len(checks) else at
        now: float | None = at
        while now is not None:
            is_limited = any(begins <= now < ends for begins, ends in limited)
            rebooting = frozenset(t for t, of in down.items() if any(begins <= now < ends for begins, ends in of))
            report = Report(now, tuple(world.report(now) for world in worlds(now, is_limited, rebooting, at)))
            states, sent = advance(states, report, rules, now)
            messages += sent
            now = next_event(states, report, rules, now)
            now = now if now is not None and now < until else None
    return messages


def shown(messages: list[Message], channel: str) -> list[Message]:
    """The messages that a person sees: not those that only take a notification away."""
    return [m for m in messages if m.channel == channel and (m.alerts or m.suppressed)]


def at_night(messages: list[Message]) -> list[Message]:
    return [message for message in messages if QUIET.is_active(message.at)]
