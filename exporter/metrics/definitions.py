"""The table of metrics: each family's name, labels, help and where its values come from.

Adding a metric is an entry in ``CHECK_METRICS`` or ``EXPORTER_METRICS`` and a row in
docs/metrics.md. Help texts, escaping and number formats are written by prometheus_client.
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
    """What the exporter says about itself. Times in Unix seconds, the lag in seconds."""

    version: str
    config_reload_successful: bool | None = None
    config_reload_success_at: float | None = None
    event_loop_lag: float | None = None
    state_ok: bool | None = None
    channels: Mapping[str, ChannelStatistics] = field(default_factory=dict)  # by the channel's name
    heartbeat_success_at: float | None = None  # 0: never; None: there is no heartbeat
    silences: int | None = None  # None: nothing notifies, so nothing can be silenced


@dataclass(frozen=True)
class MetricDefinition(Generic[T]):
    """One metric: its rows are the label values beside target and agent, and the value.

    A row whose value is None or no finite number is absent: never 0 for what was not seen.
    """

    name: str
    labels: tuple[str, ...]
    help: str
    rows: Callable[[T], Iterable[Row]]
    type: Literal["gauge", "counter"] = "gauge"

    @functools.cached_property
    def order(self) -> tuple[int, ...]:
        """Where each label of a sample line is in ``labels``: lines have them in the order of the alphabet."""
        return tuple(self.labels.index(label) for label in sorted(self.labels))

    @functools.cached_property
    def line(self) -> str:
        """The %-format of a sample line: the label values in ``order``, then the number."""
        pairs = ",".join(f'{label}="%s"' for label in sorted(self.labels))
        return f"{self.name}{{{pairs}}} %s\n" if pairs else f"{self.name} %s\n"

    def empty(self) -> Metric:
        """prometheus_client's family without a sample."""
        if self.type == "counter":
            return CounterMetricFamily(self.name, self.help, labels=self.labels)
        return GaugeMetricFamily(self.name, self.help, labels=self.labels)

    @functools.cached_property
    def heads(self) -> dict[str, bytes]:
        """HELP and TYPE lines by format."""
        registry = MetricDefinitions(self.empty())
        om: bytes = openmetrics.generate_latest(registry)  # type: ignore[no-untyped-call]  # not typed
        return {TEXT: generate_latest(registry), OPENMETRICS: om.removesuffix(b"# EOF\n")}


class MetricDefinitions:
    """The one method of a registry that the library's expositions ask for."""

    def __init__(self, *families: Metric) -> None:
        self._families = families

    def collect(self) -> Iterable[Metric]:
        return self._families


# --- the table ---------------------------------------------------------------------------------


class CheckedAgent(NamedTuple):
    """What the families of a look are computed from."""

    agent: AgentReport
    profiles: tuple[tuple[tuple[str, str], ProfileReport], ...]  # with their labels: provider, profile
    counters: AgentCounters | None


_AGENT = ("target", "agent")
_PROVIDER = (*_AGENT, "provider")
_PROFILE = (*_PROVIDER, "profile")


def _per_agent(name: str, help: str, value: Callable[[AgentReport], float | None]) -> MetricDefinition[CheckedAgent]:
    return MetricDefinition(PREFIX + name, _AGENT, help, lambda look: [((), value(look.agent))])


def _per_profile(
    name: str, help: str, value: Callable[[ProfileReport], float | None]
) -> MetricDefinition[CheckedAgent]:
    return MetricDefinition(
        PREFIX + name, _PROFILE, help, lambda look: [(labels, value(p)) for labels, p in look.profiles]
    )


def _status(look: CheckedAgent) -> Iterator[Row]:
    for labels, profile in look.profiles:
        for status in () if profile.ignored else Status:
            yield (*labels, status.value), profile.status is status


def _unusable_until(look: CheckedAgent) -> Iterator[Row]:
    for labels, profile in look.profiles:
        if profile.unusable is not None and not profile.ignored:
            yield (*labels, profile.unusable.kind, profile.unusable.reason or "unknown"), profile.unusable.until


def _info(look: CheckedAgent) -> Iterator[Row]:
    for labels, profile in look.profiles:
        basis = profile.basis.value if profile.basis else "none"
        yield (*labels, profile.kind, basis, _tristate(profile.refreshable)), 1.0


def _unusable(profile: ProfileReport) -> float | None:
    if profile.ignored:
        return None
    if profile.unusable is not None:
        return 1.0
    return 0.0 if profile.unusable_seen else None


def _conditions(look: CheckedAgent) -> Iterator[Row]:
    counted = Counter((condition.name.value, condition.severity.value) for condition in look.agent.conditions)
    return ((labels, count) for labels, count in sorted(counted.items()))


def _check_success(agent: AgentReport) -> float | None:
    if agent.failure is not None:
        return 0.0
    return None if agent.checked_at is None else 1.0


def _unusable_seconds(look: CheckedAgent) -> Iterator[Row]:
    if look.counters is not None:
        for provider in look.agent.providers_usable:
            yield (provider,), look.counters.unusable_seconds.get(provider, 0.0)


def _failures(look: CheckedAgent) -> Iterator[Row]:
    if look.counters is not None:
        for reason in FailureReason:
            yield (reason.value,), look.counters.failures.get(reason, 0)


def _tristate(value: bool | None) -> str:
    return "unknown" if value is None else "true" if value else "false"


#: What a look shows, in the order of the exposition; the counters come last (see Exposition).
CHECK_METRICS: tuple[MetricDefinition[CheckedAgent], ...] = (
    _per_profile(
        "profile_expiry_timestamp_seconds",
        "When the profile's deadline that needs a person is, in Unix seconds; absent where there is none.",
        lambda profile: None if profile.ignored else profile.expires_at,
    ),
    MetricDefinition(
        PREFIX + "profile_status",
        (*_PROFILE, "status"),
        "1 for the profile's current status, 0 for the others.",
        _status,
    ),
    _per_profile(
        "profile_unusable",
        "1 while the profile is in cooldown or disabled, else 0; absent where it cannot be seen.",
        _unusable,
    ),
    MetricDefinition(
        PREFIX + "profile_unusable_until_timestamp_seconds",
        (*_PROFILE, "kind", "reason"),
        "When the profile's cooldown or disable ends, in Unix seconds; only while it is unusable.",
        _unusable_until,
    ),
    MetricDefinition(
        PREFIX + "profile_info",
        (*_PROFILE, "kind", "basis", "refreshable"),
        "Always 1; what kind of credential it is, what its deadline rests on, whether it refreshes itself.",
        _info,
    ),
    _per_profile(
        "profile_selected",
        "1 where the profile serves its provider now, else 0; absent where the source does not tell.",
        lambda profile: profile.selected,
    ),
    _per_profile(
        "profile_last_used_timestamp_seconds",
        "When OpenClaw last used the profile, in Unix seconds, from its store.",
        lambda profile: profile.last_used_at,
    ),
    _per_profile(
        "profile_errors",
        "How many errors in a row OpenClaw has counted for the profile, from its store.",
        lambda profile: profile.error_count,
    ),
    MetricDefinition(
        PREFIX + "unusable_profiles",
        _PROVIDER,
        "How many of the provider's profiles are in cooldown or disabled; absent where it cannot be seen.",
        lambda look: [((provider,), n) for provider, n in (look.agent.unusable_counts or {}).items()],
    ),
    MetricDefinition(
        PREFIX + "provider_usable",
        _PROVIDER,
        "1 while a provider in use has a usable credential, else 0.",
        lambda look: [((provider,), usable) for provider, usable in look.agent.providers_usable.items()],
    ),
    MetricDefinition(
        PREFIX + "usage_used_ratio",
        (*_PROVIDER, "window"),
        "How much of the provider's usage window is used, from 0 to 1.",
        lambda look: [((usage.provider, usage.window), usage.used_ratio) for usage in look.agent.usage],
    ),
    MetricDefinition(
        PREFIX + "usage_resets_timestamp_seconds",
        (*_PROVIDER, "window"),
        "When the provider's usage window starts anew, in Unix seconds.",
        lambda look: [((usage.provider, usage.window), usage.resets_at) for usage in look.agent.usage],
    ),
    _per_agent(
        "exit_code",
        "The verdict: 0 nothing to do, 1 act now or could not be determined, 2 act soon.",
        lambda agent: agent.exit_code,
    ),
    _per_agent(
        "openclaw_exit_code",
        "What OpenClaw's own check returned; absent where the source has none.",
        lambda agent: agent.openclaw_exit_code,
    ),
    MetricDefinition(
        PREFIX + "conditions",
        (*_AGENT, "condition", "severity"),
        "How many conditions are active; a condition that is not active has no series.",
        _conditions,
    ),
    MetricDefinition(
        PREFIX + "openclaw_info",
        (*_AGENT, "version"),
        "Always 1; the OpenClaw release that answered.",
        lambda look: [((version,), 1.0)] if (version := look.agent.openclaw_version) else [],
    ),
    _per_agent("check_success", "1 when the last look could be read, else 0.", _check_success),
    _per_agent(
        "check_last_success_timestamp_seconds",
        "When the last look that could be read was taken, in Unix seconds.",
        lambda agent: agent.checked_at,
    ),
    _per_agent("check_duration_seconds", "How long the last look took, in seconds.", lambda agent: agent.duration),
    MetricDefinition(
        PREFIX + "provider_unusable_seconds_total",
        _PROVIDER,
        "How long a provider in use has had no usable credential, in seconds, since the exporter started.",
        _unusable_seconds,
        "counter",
    ),
    MetricDefinition(
        PREFIX + "checks_total",
        _AGENT,
        "How many looks were taken.",
        lambda look: [((), look.counters.checks)] if look.counters is not None else [],
        "counter",
    ),
    MetricDefinition(
        PREFIX + "check_failures_total",
        (*_AGENT, "reason"),
        "How many looks failed, by reason; every reason is there from the start.",
        _failures,
        "counter",
    ),
)

#: What the exporter says about itself: few series that change all the time, rendered at the scrape.
EXPORTER_METRICS: tuple[MetricDefinition[ExporterState], ...] = (
    MetricDefinition(
        PREFIX + "exporter_build_info",
        ("version", "pythonversion"),
        "Always 1; the exporter's version and the Python it runs on.",
        lambda state: [((state.version, platform.python_version()), 1.0)],
    ),
    MetricDefinition(
        PREFIX + "exporter_config_last_reload_successful",
        (),
        "1 when the last attempt to load the configuration succeeded, else 0.",
        lambda state: [((), state.config_reload_successful)],
    ),
    MetricDefinition(
        PREFIX + "exporter_config_last_reload_success_timestamp_seconds",
        (),
        "When the configuration was last loaded with success, in Unix seconds.",
        lambda state: [((), state.config_reload_success_at)],
    ),
    MetricDefinition(
        PREFIX + "exporter_event_loop_lag_seconds",
        (),
        "How late the event loop last ran what was due, in seconds.",
        lambda state: [((), state.event_loop_lag)],
    ),
    MetricDefinition(
        PREFIX + "exporter_state_ok",
        (),
        "1 while what must outlive a restart can be read and written, else 0: a full or read-only disk, a damaged "
        "file.",
        lambda state: [((), state.state_ok)],
    ),
)


def _per_channel(
    name: str,
    help: str,
    value: Callable[[ChannelStatistics], float | None],
    type: Literal["gauge", "counter"] = "gauge",
) -> MetricDefinition[ExporterState]:
    def rows(state: ExporterState) -> Iterator[Row]:
        return (((channel,), value(said)) for channel, said in state.channels.items())

    return MetricDefinition(PREFIX + name, ("channel",), help, rows, type)


def _failed_notifications(state: ExporterState) -> Iterator[Row]:
    for channel, said in state.channels.items():
        for reason in dict.fromkeys((*(reason.value for reason in FailureReason), *said.failures)):
            yield (channel, reason), said.failures.get(reason, 0)


#: What is told of notifications; nothing where no channel is configured.
NOTIFICATION_FAMILIES: tuple[MetricDefinition[ExporterState], ...] = (
    _per_channel(
        "notifications_total",
        "How many attempts were made to hand a notification over, since the state file was made.",
        lambda said: said.attempts,
        "counter",
    ),
    MetricDefinition(
        PREFIX + "notifications_failed_total",
        ("channel", "reason"),
        "How many attempts failed, by reason; the reasons of failed looks are there from the start.",
        _failed_notifications,
        "counter",
    ),
    _per_channel(
        "notifications_dead_total",
        "How many notifications were given up: refused for good, or undelivered for three days.",
        lambda said: said.undeliverable,
        "counter",
    ),
    _per_channel("notifications_pending", "How many notifications wait to be delivered.", lambda said: said.pending),
    _per_channel(
        "notification_oldest_timestamp_seconds",
        "When the oldest notification that waits was made, in Unix seconds; absent where none waits.",
        lambda said: said.oldest_pending,
    ),
    _per_channel(
        "notification_last_success_timestamp_seconds",
        "When a notification was last handed over, in Unix seconds.",
        lambda said: said.last_success,
    ),
    _per_channel(
        "channel_last_proven_timestamp_seconds",
        "When a person last acknowledged through the channel, in Unix seconds.",
        lambda said: said.last_acknowledged,
    ),
    MetricDefinition(
        PREFIX + "heartbeat_last_success_timestamp_seconds",
        (),
        "When the dead-man's switch was last told that all is well, in Unix seconds; 0 where it never was since the "
        "start.",
        lambda state: [((), state.heartbeat_success_at)],
    ),
    MetricDefinition(PREFIX + "silences", (), "How many silences hold.", lambda state: [((), state.silences)]),
)
EXPORTER_METRICS += NOTIFICATION_FAMILIES

#: Every metric there is; docs/metrics.md has a row for each.
METRICS: tuple[MetricDefinition[Any], ...] = CHECK_METRICS + EXPORTER_METRICS
