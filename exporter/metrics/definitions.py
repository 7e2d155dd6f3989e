"""The definition of every metric: its name, labels, HELP text, type, and where its values come from.

To add a metric, add its definition to CHECK_METRICS or EXPORTER_METRICS and run ``scripts/regenerate``,
which writes docs/metrics.md. prometheus_client writes HELP lines, escapes and numbers.
"""

from __future__ import annotations

import functools
import platform
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Generic, Literal, NamedTuple, TypeVar

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.exposition import generate_latest
from prometheus_client.openmetrics import exposition as openmetrics

from exporter.model import AgentCounters, AgentReport, FailureReason, ProfileReport, Status

if TYPE_CHECKING:
    from exporter.alerts.delivery.statistics import ChannelStatistics

PREFIX = "openclaw_auth_"
TEXT = "text/plain; version=0.0.4; charset=utf-8"
OPENMETRICS = "application/openmetrics-text; version=1.0.0; charset=utf-8"

Row = tuple[tuple[str, ...], float | None]
T = TypeVar("T")


@dataclass(frozen=True)
class ExporterState:
    """The facts that the metrics about the exporter itself are computed from. Times are Unix seconds."""

    version: str
    config_reload_successful: bool | None = None
    config_reload_success_at: float | None = None
    event_loop_lag: float | None = None  # seconds
    state_ok: bool | None = None
    channels: Mapping[str, ChannelStatistics] = field(default_factory=dict)  # by the channel's name
    heartbeat_success_at: float | None = None  # 0: none yet; None: no heartbeat is configured
    silences: int | None = None  # None: no channel is configured


@dataclass(frozen=True)
class MetricDefinition(Generic[T]):
    """One metric. ``rows`` gives the values of the labels after target and agent, and the number, of each series.

    A row whose number is None or not finite has no series: a fact that was not seen is never 0.
    """

    name: str
    labels: tuple[str, ...]
    help: str
    rows: Callable[[T], Iterable[Row]]
    type: Literal["gauge", "counter"] = "gauge"

    @functools.cached_property
    def order(self) -> tuple[int, ...]:
        """The index in ``labels`` of each label of a sample line, which sorts them by name."""
        return tuple(self.labels.index(label) for label in sorted(self.labels))

    @functools.cached_property
    def line(self) -> str:
        """The %-format of a sample line: the label values in ``order``, then the number."""
        pairs = ",".join(f'{label}="%s"' for label in sorted(self.labels))
        return f"{self.name}{{{pairs}}} %s\n" if pairs else f"{self.name} %s\n"

    def empty(self) -> Metric:
        """prometheus_client's metric family without samples."""
        family = CounterMetricFamily if self.type == "counter" else GaugeMetricFamily
        return family(self.name, self.help, labels=self.labels)

    @functools.cached_property
    def heads(self) -> dict[str, bytes]:
        """The HELP and TYPE lines, by format."""
        registry = StaticRegistry(self.empty())
        om: bytes = openmetrics.generate_latest(registry)  # type: ignore[no-untyped-call]  # not typed
        return {TEXT: generate_latest(registry), OPENMETRICS: om.removesuffix(b"# EOF\n")}


class StaticRegistry:
    """A registry of given metric families, with the one method that prometheus_client's expositions call."""

    def __init__(self, *families: Metric) -> None:
        self._families = families

    def collect(self) -> Iterable[Metric]:
        return self._families


# --- the metrics of a check ------------------------------------------------------------------------


class CheckedAgent(NamedTuple):
    """The facts that the metrics of a check are computed from."""

    agent: AgentReport
    profiles: tuple[tuple[tuple[str, str], ProfileReport], ...]  # each with its labels provider, profile
    counters: AgentCounters


_AGENT = ("target", "agent")
_PROVIDER = (*_AGENT, "provider")
_PROFILE = (*_PROVIDER, "profile")


def _agent(name: str, help: str, value: Callable[[AgentReport], float | None]) -> MetricDefinition[CheckedAgent]:
    """A metric with one series per agent."""
    return MetricDefinition(PREFIX + name, _AGENT, help, lambda checked: [((), value(checked.agent))])


def _profile(name: str, help: str, value: Callable[[ProfileReport], float | None]) -> MetricDefinition[CheckedAgent]:
    """A metric with one series per profile."""
    return MetricDefinition(
        PREFIX + name,
        _PROFILE,
        help,
        lambda checked: [(labels, value(profile)) for labels, profile in checked.profiles],
    )


def _status(checked: CheckedAgent) -> Iterator[Row]:
    for labels, profile in checked.profiles:
        for status in () if profile.ignored else Status:
            yield (*labels, status.value), profile.status is status


def _unusable(profile: ProfileReport) -> float | None:
    is_seen = profile.unusable_seen or profile.unusable is not None
    return profile.unusable is not None if is_seen and not profile.ignored else None


def _unusable_until(checked: CheckedAgent) -> Iterator[Row]:
    for labels, profile in checked.profiles:
        if profile.unusable is not None and not profile.ignored:
            yield (*labels, profile.unusable.kind, profile.unusable.reason or "unknown"), profile.unusable.until


def _info(checked: CheckedAgent) -> Iterator[Row]:
    refreshable = {True: "true", False: "false", None: "unknown"}
    for labels, profile in checked.profiles:
        basis = profile.basis.value if profile.basis else "none"
        yield (*labels, profile.kind, basis, refreshable[profile.refreshable]), 1.0


def _conditions(checked: CheckedAgent) -> Iterator[Row]:
    counted = Counter((condition.name.value, condition.severity.value) for condition in checked.agent.conditions)
    yield from sorted(counted.items())


def _check_success(agent: AgentReport) -> float | None:
    return None if agent.failure is None and agent.checked_at is None else agent.failure is None


#: The metrics of each check, in the order of the exposition. Counters come last (see Exposition).
CHECK_METRICS: tuple[MetricDefinition[CheckedAgent], ...] = (
    _profile(
        "profile_expiry_timestamp_seconds",
        "Unix time by which someone must renew this profile. Absent if it never needs anyone.",
        lambda profile: None if profile.ignored else profile.expires_at,
    ),
    MetricDefinition(
        PREFIX + "profile_status",
        (*_PROFILE, "status"),
        "1 for the current status of this profile, 0 for every other status.",
        _status,
    ),
    _profile(
        "profile_unusable",
        "1 if this profile is in cooldown or disabled, else 0. Absent if the source does not report it.",
        _unusable,
    ),
    MetricDefinition(
        PREFIX + "profile_unusable_until_timestamp_seconds",
        (*_PROFILE, "kind", "reason"),
        "Unix time at which the cooldown or disable of this profile ends. Absent while the profile is usable.",
        _unusable_until,
    ),
    MetricDefinition(
        PREFIX + "profile_info",
        (*_PROFILE, "kind", "basis", "refreshable"),
        "Always 1. Labels: the kind of credential, the basis of its deadline, whether it refreshes itself.",
        _info,
    ),
    _profile(
        "profile_selected",
        "1 if this profile serves its provider now, else 0. Absent if the source does not report it.",
        lambda profile: profile.selected,
    ),
    _profile(
        "profile_last_used_timestamp_seconds",
        "Unix time at which OpenClaw last used this profile, from OpenClaw's store.",
        lambda profile: profile.last_used_at,
    ),
    _profile(
        "profile_errors",
        "Consecutive errors that OpenClaw has counted for this profile, from OpenClaw's store.",
        lambda profile: profile.error_count,
    ),
    MetricDefinition(
        PREFIX + "unusable_profiles",
        _PROVIDER,
        "Number of profiles of this provider in cooldown or disabled. Absent if the source does not report it.",
        lambda checked: [((provider,), n) for provider, n in (checked.agent.unusable_counts or {}).items()],
    ),
    MetricDefinition(
        PREFIX + "provider_usable",
        _PROVIDER,
        "1 if this provider, which a model in use needs, has a usable credential, else 0.",
        lambda checked: [((provider,), usable) for provider, usable in checked.agent.providers_usable.items()],
    ),
    MetricDefinition(
        PREFIX + "usage_used_ratio",
        (*_PROVIDER, "window"),
        "Used part of this usage window of the provider, from 0 to 1.",
        lambda checked: [((usage.provider, usage.window), usage.used_ratio) for usage in checked.agent.usage],
    ),
    MetricDefinition(
        PREFIX + "usage_resets_timestamp_seconds",
        (*_PROVIDER, "window"),
        "Unix time at which this usage window of the provider resets.",
        lambda checked: [((usage.provider, usage.window), usage.resets_at) for usage in checked.agent.usage],
    ),
    _agent(
        "exit_code",
        "Verdict about this agent. 0: nothing to do. 1: act now, or it could not be determined. 2: act soon.",
        lambda agent: agent.exit_code,
    ),
    _agent(
        "openclaw_exit_code",
        "Exit code of OpenClaw's own check. Absent if the source has none.",
        lambda agent: agent.openclaw_exit_code,
    ),
    MetricDefinition(
        PREFIX + "conditions",
        (*_AGENT, "condition", "severity"),
        "Number of active conditions. An inactive condition has no series.",
        _conditions,
    ),
    MetricDefinition(
        PREFIX + "openclaw_info",
        (*_AGENT, "version"),
        "Always 1. Label: the OpenClaw release that answered.",
        lambda checked: [((version,), 1.0)] if (version := checked.agent.openclaw_version) else [],
    ),
    _agent("check_success", "1 if the last check of this agent succeeded, else 0.", _check_success),
    _agent(
        "check_last_success_timestamp_seconds",
        "Unix time of the last successful check of this agent.",
        lambda agent: agent.checked_at,
    ),
    _agent("check_duration_seconds", "Duration of the last check, in seconds.", lambda agent: agent.duration),
    MetricDefinition(
        PREFIX + "provider_unusable_seconds_total",
        _PROVIDER,
        "Seconds that this provider, which a model in use needs, has had no usable credential since the exporter "
        "started.",
        lambda checked: [((p,), checked.counters.unusable_seconds.get(p, 0.0)) for p in checked.agent.providers_usable],
        "counter",
    ),
    MetricDefinition(
        PREFIX + "checks_total",
        _AGENT,
        "Number of checks since the exporter started.",
        lambda checked: [((), checked.counters.checks)],
        "counter",
    ),
    MetricDefinition(
        PREFIX + "check_failures_total",
        (*_AGENT, "reason"),
        "Number of failed checks by reason since the exporter started. Every reason starts at 0.",
        lambda checked: [((reason.value,), checked.counters.failures.get(reason, 0)) for reason in FailureReason],
        "counter",
    ),
)


# --- the metrics about the exporter itself ---------------------------------------------------------


def _exporter(name: str, help: str, value: Callable[[ExporterState], float | None]) -> MetricDefinition[ExporterState]:
    """A metric with one series and no labels."""
    return MetricDefinition(PREFIX + name, (), help, lambda state: [((), value(state))])


def _channel(
    name: str,
    help: str,
    value: Callable[[ChannelStatistics], float | None],
    type: Literal["gauge", "counter"] = "gauge",
) -> MetricDefinition[ExporterState]:
    """A metric with one series per notification channel."""
    return MetricDefinition(
        PREFIX + name,
        ("channel",),
        help,
        lambda state: [((channel,), value(statistics)) for channel, statistics in state.channels.items()],
        type,
    )


def _failed_notifications(state: ExporterState) -> Iterator[Row]:
    for channel, statistics in state.channels.items():
        for reason in dict.fromkeys((*(reason.value for reason in FailureReason), *statistics.failures)):
            yield (channel, reason), statistics.failures.get(reason, 0)


#: The metrics about the exporter itself: few series that change all the time, rendered at the scrape.
EXPORTER_METRICS: tuple[MetricDefinition[ExporterState], ...] = (
    MetricDefinition(
        PREFIX + "exporter_build_info",
        ("version", "pythonversion"),
        "Always 1. Labels: the version of the exporter and of Python.",
        lambda state: [((state.version, platform.python_version()), 1.0)],
    ),
    _exporter(
        "exporter_config_last_reload_successful",
        "1 if the last attempt to load the configuration succeeded, else 0.",
        lambda state: state.config_reload_successful,
    ),
    _exporter(
        "exporter_config_last_reload_success_timestamp_seconds",
        "Unix time at which the configuration was last loaded successfully.",
        lambda state: state.config_reload_success_at,
    ),
    _exporter(
        "exporter_event_loop_lag_seconds",
        "Delay with which the event loop last ran a task that was due, in seconds.",
        lambda state: state.event_loop_lag,
    ),
    _exporter(
        "exporter_state_ok",
        "1 if the state files can be read and written, else 0 (a full or read-only disk, a damaged file).",
        lambda state: state.state_ok,
    ),
    _channel(
        "notifications_total",
        "Number of attempts to deliver a notification, over the life of the state file.",
        lambda statistics: statistics.attempts,
        "counter",
    ),
    MetricDefinition(
        PREFIX + "notifications_failed_total",
        ("channel", "reason"),
        "Number of failed attempts to deliver a notification, by reason. The reasons of failed checks start at 0.",
        _failed_notifications,
        "counter",
    ),
    _channel(
        "notifications_dead_total",
        "Number of undeliverable notifications: permanently refused, or not delivered within three days.",
        lambda statistics: statistics.undeliverable,
        "counter",
    ),
    _channel(
        "notifications_pending",
        "Number of notifications that wait to be delivered.",
        lambda statistics: statistics.pending,
    ),
    _channel(
        "notification_oldest_timestamp_seconds",
        "Unix time at which the oldest waiting notification was created. Absent if none waits.",
        lambda statistics: statistics.oldest_pending,
    ),
    _channel(
        "notification_last_success_timestamp_seconds",
        "Unix time at which a notification was last delivered.",
        lambda statistics: statistics.last_success,
    ),
    _channel(
        "channel_last_proven_timestamp_seconds",
        "Unix time at which someone last acknowledged a notification from this channel.",
        lambda statistics: statistics.last_acknowledged,
    ),
    _exporter(
        "heartbeat_last_success_timestamp_seconds",
        "Unix time of the last heartbeat that reported success. 0 if there was none since the exporter started.",
        lambda state: state.heartbeat_success_at,
    ),
    _exporter("silences", "Number of active silences.", lambda state: state.silences),
)

#: Every metric. docs/metrics.md lists each.
METRICS: tuple[MetricDefinition[Any], ...] = CHECK_METRICS + EXPORTER_METRICS
