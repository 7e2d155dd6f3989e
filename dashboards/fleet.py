"""The dashboard for a fleet: every target and provider, worst first, then checks, quota and the exporters."""

from __future__ import annotations

from typing import Any

from findings import by_provider, gone_exporters, recorded, series, where
from frame import CHECK_AGE, FILLED, TARGET, dashboard, needs_table, oldest_check
from panels import (
    BLUE,
    GREEN,
    ORANGE,
    RED,
    Column,
    Json,
    bars,
    column,
    fixed,
    instant,
    lines,
    link,
    over_time,
    override,
    placed,
    row,
    rows,
    runbook,
    stat,
    steps,
    table,
    words,
)

UNKNOWN = "–"


def _count_or_0(counted: str) -> str:
    """The number of series; 0 only if anything is scraped at all."""
    return f"count({counted}) or 0 * count({series('exit_code')})"


def _with_code(number: int) -> str:
    return f"max by ({TARGET}) ({series('exit_code')} == {number})"


def _failed(title: str, description: str, increased: str, *by: str, **defaults: Any) -> Json:
    """The increase of a counter of failures, by reason and ``by``."""
    labels = (*by, "reason")
    counted = f"sum by ({', '.join(labels)}) ({increased})"
    legend = ": ".join(f"{{{{{label}}}}}" for label in labels)
    return lines(title, description, [over_time(f"{counted} > 0", legend)], stacked=True, decimals=0, min=0, **defaults)


def counts() -> Json:
    return stat(
        "Targets",
        "The number of targets, and of those where someone must act now, or soon.",
        instant(f"count(max by ({TARGET}) ({series('exit_code')}))", "All"),
        instant(_count_or_0(_with_code(1)), "Act now"),
        instant(_count_or_0(f"{_with_code(2)} unless {_with_code(1)}"), "Act soon"),
        decimals=0,
        thresholds=steps(GREEN, (1, RED)),
        noValue="No data",
        overrides=[override("All", color=fixed(BLUE)), override("Act soon", thresholds=steps(GREEN, (1, ORANGE)))],
    )


def watch() -> Json:
    failing = f"max by ({TARGET}) ({series('check_success')} == 0)"
    return stat(
        "Watch",
        "Targets whose last check failed; exporters that were scraped within the last day but are not now; and the age "
        "of the oldest check.",
        instant(_count_or_0(failing), "Checks failing"),
        instant(_count_or_0(gone_exporters()), "Exporters gone"),
        instant(oldest_check(), "Oldest check"),
        decimals=0,
        thresholds=steps(GREEN, (1, RED)),
        noValue="No data",
        overrides=[override("Oldest check", unit="s", thresholds=CHECK_AGE)],
    )


def providers() -> Json:
    texts = {
        "4": ("None works", RED),
        "3": ("Some down", ORANGE),
        "2": ("Ends soon", ORANGE),
        "1": ("In 14 days", BLUE),
        "0": ("Fine", GREEN),
    }
    overview = "/d/openclaw-auth-overview?var-datasource=${datasource}"
    overview += "".join(f"&var-{name}=${{__data.fields.{name}}}" for name in ("instance", "target", "provider"))
    state = column(
        "Value #A", "State", 98, FILLED, mappings=words(texts), links=link("Overview of this target", overview)
    )
    expiry = f"1000 * min by (instance, target, provider) ({series('profile_expiry_timestamp_seconds')})"
    return table(
        "By target and provider",
        "The worst first: no credential works, some do not, one ends within a day, within 14 days, fine. At most the "
        "worst 200. The state links to the overview of that target.",
        [rows(by_provider()), rows(expiry)],
        [
            state,
            column("target", "Target", **{"custom.minWidth": 80}),
            column("provider", "Provider", 92),
            column("Value #B", "Deadline", 92, unit="dateTimeFromNow", noValue=UNKNOWN),
            column("instance", "Exporter", 150),
        ],
        sort=[("State", True), ("Deadline", False)],
        empty="No profile is known.",
    )


def verdicts() -> Json:
    now, soon = _with_code(1), _with_code(2)
    colors = {"Act now": RED, "Act soon": ORANGE, "Fine": GREEN}
    return lines(
        "Targets by verdict",
        "The number of targets where someone had to act now, or soon.",
        [
            over_time(f"count({now})", "Act now"),
            over_time(f"count({soon} unless {now})", "Act soon"),
            over_time(f"count({_with_code(0)} unless {now} unless {soon})", "Fine"),
        ],
        stacked=True,
        decimals=0,
        min=0,
        overrides=[override(name, color=fixed(color)) for name, color in colors.items()],
    )


def usable_share() -> Json:
    return bars(
        "Agents with a usable credential, by provider",
        "The share of agents with a working credential, among the agents that use the provider.",
        instant(f"sort(avg by (provider) ({series('provider_usable')}))", "{{provider}}"),
        unit="percentunit",
        decimals=0,
        max=1,
        thresholds=steps(RED, (0.9, ORANGE), (1, GREEN)),
        noValue="No source reports what is in use.",
    )


def failing() -> Json:
    # Every minute, a fifth of the failures of the five minutes before.
    failures = f"sum_over_time({recorded('check_failures:increase5m')}[$__range:1m]) / 5"
    return table(
        "Failing checks",
        "How many checks failed within the time shown, by target and reason: the most frequent 50. The reason links to "
        "the runbook. The shipped rules record the failures.",
        [rows(f"topk(50, ceil(max by ({TARGET}, reason) ({failures})))")],
        [
            column("target", "Target"),
            column("reason", "Reason", 140, links=runbook("OpenClawAuthCheckFailing")),
            column("Value", "Times", 64, decimals=0),
        ],
        sort=[("Times", True)],
        empty="The rules have recorded no failed check.",
    )


def failures() -> Json:
    return _failed(
        "Checks that failed, by reason",
        "The number of failed checks of all targets within five minutes, as the shipped rules record it.",
        recorded("check_failures:increase5m"),
        noValue="The rules have recorded none",
    )


def durations() -> Json:
    seconds = series("check_duration_seconds")
    return lines(
        "How long a check takes",
        "The duration of the last check of each agent: median, 95th percentile and maximum.",
        [
            over_time(f"quantile(0.5, {seconds})", "median"),
            over_time(f"quantile(0.95, {seconds})", "95 %"),
            over_time(f"max({seconds})", "slowest"),
        ],
        unit="s",
        min=0,
    )


def slowest() -> Json:
    return bars(
        "Slowest checks",
        "The ten targets whose last check took longest.",
        instant(f"topk(10, max by ({TARGET}) ({series('check_duration_seconds')}))", "{{target}} ({{instance}})"),
        unit="s",
        decimals=1,
        thresholds=steps(GREEN, (10, ORANGE), (60, RED)),
        noValue="No check yet",
    )


def quota() -> Json:
    by_window = "by (instance, target, provider, window)"
    names = ("target", "provider", "window")
    used = column(
        "Value #A",
        "Used",
        cell={"type": "gauge", "mode": "basic", "valueDisplayMode": "color"},
        unit="percentunit",
        decimals=0,
        min=0,
        max=1,
        thresholds=steps(GREEN, (0.75, ORANGE), (0.9, RED)),
        links=runbook("OpenClawAuthQuota"),
    )
    resets = f"1000 * max {by_window} ({series('usage_resets_timestamp_seconds')})"
    return table(
        "Quota windows",
        "The used part of each usage window, the fullest first, and when it resets, if the provider reports it.",
        [
            rows(where(f"topk(50, max {by_window} ({series('usage_used_ratio')}))", *names)),
            rows(where(resets, *names)),
        ],
        [
            column("where", "Window"),
            used,
            column("Value #B", "Resets", 92, unit="dateTimeFromNow", noValue=UNKNOWN),
        ],
        sort=[("Used", True)],
        empty="No source reports a quota.",
    )


def exporters() -> Json:
    def good(field: str, title: str, **more: Any) -> Column:
        texts = words({"0": ("bad", RED), "1": ("good", GREEN)})
        return column(field, title, 60, {"type": "color-text"}, mappings=texts, noValue=UNKNOWN, **more)

    lag = column(
        "Value #D",
        "Lag",
        64,
        {"type": "color-text"},
        unit="s",
        decimals=0,
        noValue=UNKNOWN,
        thresholds=steps(GREEN, (1, ORANGE), (10, RED)),
    )
    return table(
        "Exporters",
        "Whether the last load of the configuration succeeded, whether the state can be written, the longest lag of "
        "the event loop since the last scrape, and the release.",
        [
            rows(f"max by (instance, version) ({series('exporter_build_info')})"),
            rows(f"min by (instance) ({series('exporter_config_last_reload_successful')})"),
            rows(f"min by (instance) ({series('exporter_state_ok')})"),
            rows(
                f"max by (instance) ({series('exporter_event_loop_lag_max_seconds')})"
                f" or max by (instance) ({series('exporter_event_loop_lag_seconds')})"
            ),
        ],
        [
            column("instance", "Exporter", **{"custom.minWidth": 80}),
            good("Value #B", "Config", links=runbook("OpenClawAuthConfigReloadFailed")),
            good("Value #C", "State", links=runbook("OpenClawAuthStateFailed")),
            lag,
            column("version", "Release", 76),
        ],
        sort=[("Config", False), ("State", False), ("Lag", True)],
        empty="No exporter is scraped.",
    )


def releases() -> Json:
    return bars(
        "OpenClaw releases",
        "The number of agents per OpenClaw release.",
        instant(f"sort_desc(count by (version) ({series('openclaw_info')}))", "{{version}}"),
        decimals=0,
        color=fixed(BLUE),
        noValue="No release is known",
    )


def failed_notifications() -> Json:
    title, description = "Notifications that failed, by reason", "Failed attempts. They are retried for three days."
    increased = f"increase({series('notifications_failed_total')}[$__rate_interval])"
    return _failed(title, description, increased, "channel")


def fleet() -> Json:
    return dashboard(
        "openclaw-auth-fleet",
        "OpenClaw credentials: fleet",
        "Every target and provider, worst first, then checks, quota and the exporters.",
        "now-24h",
        placed(
            (counts(), 0, 0, 12, 4),
            (watch(), 12, 0, 12, 4),
            (needs_table("What needs somebody", show_exporter=True), 0, 4, 12, 13),
            (providers(), 12, 4, 12, 13),
            (verdicts(), 0, 17, 12, 8),
            (usable_share(), 12, 17, 12, 8),
            (row("Checks"), 0, 25, 24, 1),
            (failing(), 0, 26, 8, 8),
            (failures(), 8, 26, 8, 8),
            (durations(), 16, 26, 8, 8),
            (slowest(), 0, 34, 12, 8),
            (quota(), 12, 34, 12, 8),
            (row("The exporters"), 0, 42, 24, 1),
            (exporters(), 0, 43, 9, 8),
            (failed_notifications(), 9, 43, 9, 8),
            (releases(), 18, 43, 6, 8),
        ),
    )
