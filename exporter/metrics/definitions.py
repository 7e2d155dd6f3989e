"""The definition of every metric: its name, labels, HELP text, type, and where its values come from.

A metric is a function under a decorator. The function's name with PREFIX is the metric's name, and what
it returns is the value. To add a metric, add its function and run ``scripts/regenerate``, which writes
docs/metrics.md. prometheus_client writes HELP lines, escapes and numbers.
"""

from __future__ import annotations

import functools
import platform
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Generic, NamedTuple, TypeVar

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.exposition import generate_latest
from prometheus_client.openmetrics import exposition as openmetrics

from exporter.model import AgentCounters, AgentReport, FailureReason, ProfileReport

if TYPE_CHECKING:
    from exporter.alerts.delivery.statistics import ChannelStatistics

PREFIX = "openclaw_auth_"
TEXT = "text/plain; version=0.0.4; charset=utf-8"
OPENMETRICS = "application/openmetrics-text; version=1.0.0; charset=utf-8"

Value = float | None
Row = tuple[tuple[str, ...], Value]
T = TypeVar("T")
F = TypeVar("F")


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
    task_restarts: Mapping[str, int] = field(default_factory=dict)  # by the name of the long-lived task
    event_loop_lag_max: float | None = None  # seconds, since the last scrape
    target_lists_ok: bool | None = None  # None: no list is configured


@dataclass(frozen=True)
class MetricDefinition(Generic[T]):
    """One metric. ``rows`` gives the values of the labels after target and agent, and the number, of each series.

    A row whose number is None or not finite has no series: a fact that was not seen is never 0.
    """

    name: str
    labels: tuple[str, ...]
    help: str
    rows: Callable[[T], Iterable[Row]]

    @property
    def type(self) -> str:
        """A counter's name ends in ``_total``, as OpenMetrics demands. All others are gauges."""
        return "counter" if self.name.endswith("_total") else "gauge"

    @functools.cached_property
    def order(self) -> tuple[int, ...]:
        """The index in ``labels`` of each label of a sample line, which sorts them by name."""
        return tuple(self.labels.index(label) for label in sorted(self.labels))

    @functools.cached_property
    def line(self) -> str:
        """The %-format of a sample line: the label values in ``order``, then the number."""
        pairs = ",".join(f'{label}="%s"' for label in sorted(self.labels))
        return f"{self.name}{{{pairs}}} %s\n" if pairs else f"{self.name} %s\n"

    def with_labels(self, names: tuple[str, ...]) -> MetricDefinition[T]:
        """The same metric about a target that has further labels, whose values come after the agent's."""
        return _with_labels(self, names) if names else self

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


@functools.lru_cache(maxsize=2048)
def _with_labels(metric: MetricDefinition[T], names: tuple[str, ...]) -> MetricDefinition[T]:
    return replace(metric, labels=(*metric.labels[: len(_AGENT)], *names, *metric.labels[len(_AGENT) :]))


class StaticRegistry:
    """A registry of given metric families, with the one method that prometheus_client's expositions call."""

    def __init__(self, *families: Metric) -> None:
        self._families = families

    def collect(self) -> Iterable[Metric]:
        return self._families


#: Makes the metric of the function that it decorates.
Define = Callable[[F], MetricDefinition[T]]


def _add(
    metrics: list[MetricDefinition[T]],
    name: str,
    labels: tuple[str, ...],
    help: str,
    rows: Callable[[T], Iterable[Row]],
) -> MetricDefinition[T]:
    metrics.append(MetricDefinition(PREFIX + name, labels, help, rows))
    return metrics[-1]


# --- the metrics of a check ------------------------------------------------------------------------


class CheckedAgent(NamedTuple):
    """The facts that the metrics of a check are computed from."""

    agent: AgentReport
    profiles: tuple[tuple[tuple[str, str], ProfileReport], ...]  # each with its labels provider, profile
    counters: AgentCounters
    stands_for_target: bool = True  # shows the failure reasons with 0, once for the whole target


_checks: list[MetricDefinition[CheckedAgent]] = []
_AGENT = ("target", "agent")
_PROFILE = (*_AGENT, "provider", "profile")


def _check(help: str, *labels: str) -> Define[Callable[[CheckedAgent], Iterable[Row]], CheckedAgent]:
    """Defines a metric with ``labels`` besides target and agent."""
    return lambda rows: _add(_checks, rows.__name__, (*_AGENT, *labels), help, rows)


def _agent(help: str) -> Define[Callable[[AgentReport], Value], CheckedAgent]:
    """Defines a metric with one series per agent."""
    return lambda value: _add(_checks, value.__name__, _AGENT, help, lambda checked: [((), value(checked.agent))])


def _profile(help: str) -> Define[Callable[[ProfileReport], Value], CheckedAgent]:
    """Defines a metric with one series per profile."""

    def define(value: Callable[[ProfileReport], Value]) -> MetricDefinition[CheckedAgent]:
        def rows(checked: CheckedAgent) -> Iterable[Row]:
            return [(labels, value(profile)) for labels, profile in checked.profiles]

        return _add(_checks, value.__name__, _PROFILE, help, rows)

    return define


@_profile("Unix time by which someone must renew this profile. Absent if it never needs anyone.")
def profile_expiry_timestamp_seconds(profile: ProfileReport) -> Value:
    return None if profile.ignored else profile.expires_at


@_check("Always 1. The label status has the current status; no other has a series.", "provider", "profile", "status")
def profile_status(checked: CheckedAgent) -> Iterator[Row]:
    for labels, profile in checked.profiles:
        if not profile.ignored:
            yield (*labels, profile.status.value), 1.0


@_profile("1 if this profile is in cooldown or disabled, else 0. Absent if the source does not report it.")
def profile_unusable(profile: ProfileReport) -> Value:
    is_seen = profile.unusable_seen or profile.unusable is not None
    return profile.unusable is not None if is_seen and not profile.ignored else None


@_check(
    "Unix time at which the cooldown or disable of this profile ends. Absent while the profile is usable.",
    *("provider", "profile", "kind", "reason"),
)
def profile_unusable_until_timestamp_seconds(checked: CheckedAgent) -> Iterator[Row]:
    for labels, profile in checked.profiles:
        if profile.unusable is not None and not profile.ignored:
            yield (*labels, profile.unusable.kind, profile.unusable.reason or "unknown"), profile.unusable.until


@_check(
    "Always 1. Labels: the kind of credential, the basis of its deadline, whether it refreshes itself.",
    *("provider", "profile", "kind", "basis", "refreshable"),
)
def profile_info(checked: CheckedAgent) -> Iterator[Row]:
    refreshable = {True: "true", False: "false", None: "unknown"}
    for labels, profile in checked.profiles:
        basis = profile.basis.value if profile.basis else "none"
        yield (*labels, profile.kind, basis, refreshable[profile.refreshable]), 1.0


@_profile("1 if this profile serves its provider now, else 0. Absent if the source does not report it.")
def profile_selected(profile: ProfileReport) -> Value:
    return profile.selected


@_profile("Unix time at which OpenClaw last used this profile, from OpenClaw's store.")
def profile_last_used_timestamp_seconds(profile: ProfileReport) -> Value:
    return profile.last_used_at


@_profile("Consecutive errors that OpenClaw has counted for this profile, from OpenClaw's store.")
def profile_errors(profile: ProfileReport) -> Value:
    return profile.error_count


@_check(
    "Number of profiles of this provider in cooldown or disabled. Absent if the source does not report it.", "provider"
)
def unusable_profiles(checked: CheckedAgent) -> Iterable[Row]:
    return [((provider,), number) for provider, number in (checked.agent.unusable_counts or {}).items()]


@_check("1 if this provider, which a model in use needs, has a usable credential, else 0.", "provider")
def provider_usable(checked: CheckedAgent) -> Iterable[Row]:
    return [((provider,), usable) for provider, usable in checked.agent.providers_usable.items()]


@_check("Used part of this usage window of the provider, from 0 to 1.", "provider", "window")
def usage_used_ratio(checked: CheckedAgent) -> Iterable[Row]:
    return [((usage.provider, usage.window), usage.used_ratio) for usage in checked.agent.usage]


@_check("Unix time at which this usage window of the provider resets.", "provider", "window")
def usage_resets_timestamp_seconds(checked: CheckedAgent) -> Iterable[Row]:
    return [((usage.provider, usage.window), usage.resets_at) for usage in checked.agent.usage]


@_agent("Verdict about this agent. 0: nothing to do. 1: act now, or it could not be determined. 2: act soon.")
def exit_code(agent: AgentReport) -> Value:
    return agent.exit_code


@_agent("Exit code of OpenClaw's own check. Absent if the source has none.")
def openclaw_exit_code(agent: AgentReport) -> Value:
    return agent.openclaw_exit_code


@_check("Number of active conditions. An inactive condition has no series.", "condition", "severity")
def conditions(checked: CheckedAgent) -> Iterable[Row]:
    counted = Counter((condition.name.value, condition.severity.value) for condition in checked.agent.conditions)
    return sorted(counted.items())


@_check("Always 1. Label: the OpenClaw release that answered.", "version")
def openclaw_info(checked: CheckedAgent) -> Iterable[Row]:
    return [((version,), 1.0)] if (version := checked.agent.openclaw_version) else []


@_agent("1 if the last check of this agent succeeded, else 0.")
def check_success(agent: AgentReport) -> Value:
    return None if agent.failure is None and agent.checked_at is None else agent.failure is None


@_agent("Unix time of the last successful check of this agent.")
def check_last_success_timestamp_seconds(agent: AgentReport) -> Value:
    return agent.checked_at


@_agent("Duration of the last check, in seconds.")
def check_duration_seconds(agent: AgentReport) -> Value:
    return agent.duration


@_check(
    "Seconds that this provider, which a model in use needs, has had no usable credential since the exporter started.",
    "provider",
)
def provider_unusable_seconds_total(checked: CheckedAgent) -> Iterable[Row]:
    seconds = checked.counters.unusable_seconds
    return [((provider,), seconds.get(provider, 0.0)) for provider in checked.agent.providers_usable]


@_check("Number of checks since the exporter started.")
def checks_total(checked: CheckedAgent) -> Iterable[Row]:
    return [((), checked.counters.checks)]


@_check(
    "Number of failed checks by reason since the exporter started. Every reason starts at 0, once per target.", "reason"
)
def check_failures_total(checked: CheckedAgent) -> Iterator[Row]:
    for reason in FailureReason:
        number = checked.counters.failures.get(reason, 0)
        if number or checked.stands_for_target:
            yield (reason.value,), number


#: The metrics of each check, in the order of the exposition. Counters come last (see Exposition).
CHECK_METRICS = tuple(_checks)
#: Those that a check changes although it has found what the one before it found: the counters, and these.
TIMED_METRICS = tuple(
    metric
    for metric in CHECK_METRICS
    if metric.type == "counter"
    or metric in (check_success, check_last_success_timestamp_seconds, check_duration_seconds)
)


# --- the metrics about the exporter itself ---------------------------------------------------------

_about_exporter: list[MetricDefinition[ExporterState]] = []


def _exporter(help: str) -> Define[Callable[[ExporterState], Value], ExporterState]:
    """Defines a metric with one series and no labels."""
    return lambda value: _add(_about_exporter, value.__name__, (), help, lambda state: [((), value(state))])


def _channel(help: str) -> Define[Callable[[ChannelStatistics], Value], ExporterState]:
    """Defines a metric with one series per notification channel."""

    def define(value: Callable[[ChannelStatistics], Value]) -> MetricDefinition[ExporterState]:
        def rows(state: ExporterState) -> Iterable[Row]:
            return [((channel,), value(statistics)) for channel, statistics in state.channels.items()]

        return _add(_about_exporter, value.__name__, ("channel",), help, rows)

    return define


def _labelled(help: str, *labels: str) -> Define[Callable[[ExporterState], Iterable[Row]], ExporterState]:
    """Defines a metric with ``labels``."""
    return lambda rows: _add(_about_exporter, rows.__name__, labels, help, rows)


@_labelled("Always 1. Labels: the version of the exporter and of Python.", "version", "pythonversion")
def exporter_build_info(state: ExporterState) -> Iterable[Row]:
    return [((state.version, platform.python_version()), 1.0)]


@_exporter("1 if the last attempt to load the configuration succeeded, else 0.")
def exporter_config_last_reload_successful(state: ExporterState) -> Value:
    return state.config_reload_successful


@_exporter("Unix time at which the configuration was last loaded successfully.")
def exporter_config_last_reload_success_timestamp_seconds(state: ExporterState) -> Value:
    return state.config_reload_success_at


@_exporter(
    "1 if every list of targets can be used as it is, else 0: then the last good one stays. Absent without lists."
)
def exporter_target_lists_ok(state: ExporterState) -> Value:
    return state.target_lists_ok


@_exporter("Delay with which the event loop last ran a task that was due, in seconds.")
def exporter_event_loop_lag_seconds(state: ExporterState) -> Value:
    return state.event_loop_lag


@_exporter("Longest time since the last scrape in which the event loop could run nothing that was due, in seconds.")
def exporter_event_loop_lag_max_seconds(state: ExporterState) -> Value:
    return state.event_loop_lag_max


@_exporter("1 if the state files can be read and written, else 0 (a full or read-only disk, a damaged file).")
def exporter_state_ok(state: ExporterState) -> Value:
    return state.state_ok


@_labelled("Number of times this long-lived task failed and was started again, since the exporter started.", "task")
def exporter_task_restarts_total(state: ExporterState) -> Iterable[Row]:
    return [((task,), restarts) for task, restarts in sorted(state.task_restarts.items())]


@_channel("Number of attempts to deliver a notification, over the life of the state file.")
def notifications_total(channel: ChannelStatistics) -> Value:
    return channel.attempts


@_labelled(
    "Number of failed attempts to deliver a notification, by reason. The reasons of failed checks start at 0.",
    *("channel", "reason"),
)
def notifications_failed_total(state: ExporterState) -> Iterator[Row]:
    for channel, statistics in state.channels.items():
        for reason in dict.fromkeys((*(reason.value for reason in FailureReason), *statistics.failures)):
            yield (channel, reason), statistics.failures.get(reason, 0)


@_channel("Number of undeliverable notifications: permanently refused, or not delivered within three days.")
def notifications_dead_total(channel: ChannelStatistics) -> Value:
    return channel.undeliverable


@_channel("Number of notifications that wait to be delivered.")
def notifications_pending(channel: ChannelStatistics) -> Value:
    return channel.pending


@_channel("Unix time at which the oldest waiting notification was created. Absent if none waits.")
def notification_oldest_timestamp_seconds(channel: ChannelStatistics) -> Value:
    return channel.oldest_pending


@_channel("Unix time at which a notification was last delivered.")
def notification_last_success_timestamp_seconds(channel: ChannelStatistics) -> Value:
    return channel.last_success


@_channel("Unix time at which someone last acknowledged a notification from this channel.")
def channel_last_proven_timestamp_seconds(channel: ChannelStatistics) -> Value:
    return channel.last_acknowledged


@_exporter("Unix time of the last heartbeat that reported success. 0 if there was none since the exporter started.")
def heartbeat_last_success_timestamp_seconds(state: ExporterState) -> Value:
    return state.heartbeat_success_at


@_exporter("Number of active silences.")
def silences(state: ExporterState) -> Value:
    return state.silences


#: The metrics about the exporter itself: few series that change all the time, rendered at the scrape.
EXPORTER_METRICS = tuple(_about_exporter)

#: Every metric. docs/metrics.md lists each.
METRICS: tuple[MetricDefinition[Any], ...] = CHECK_METRICS + EXPORTER_METRICS
