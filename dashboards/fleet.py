"""The dashboard for a fleet: every target and provider, worst first; checks, quota and the exporters themselves."""

from __future__ import annotations

from typing import Any

from findings import by_provider, gone_exporters, series, where
from frame import FILLED, LOOK_AGE, TARGET, dashboard, needs_table, oldest_look
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

NOT_TOLD = "–"


def _count_or_0(counted: str) -> str:
    """How many there are; 0 only where something is scraped at all."""
    return f"count({counted}) or 0 * count({series('exit_code')})"


def _with_code(number: int) -> str:
    return f"max by ({TARGET}) ({series('exit_code')} == {number})"


def _failed(title: str, description: str, counter: str, *by: str) -> Json:
    """What a counter of failures counted, by reason and ``by``."""
    labels = (*by, "reason")
    counted = f"sum by ({', '.join(labels)}) (increase({series(counter)}[$__rate_interval]))"
    legend = ": ".join(f"{{{{{label}}}}}" for label in labels)
    return lines(title, description, [over_time(f"{counted} > 0", legend)], stacked=True, decimals=0, min=0)


def counts() -> Json:
    return stat(
        "Targets",
        "How many there are, and on how many somebody must act now, or within a day.",
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
        "Targets whose last look could not be read; exporters that were scraped within a day and are not now; how old "
        "the oldest look is.",
        instant(_count_or_0(failing), "Checks failing"),
        instant(_count_or_0(gone_exporters()), "Exporters gone"),
        instant(oldest_look(), "Oldest look"),
        decimals=0,
        thresholds=steps(GREEN, (1, RED)),
        noValue="No data",
        overrides=[override("Oldest look", unit="s", thresholds=LOOK_AGE)],
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
    overview += "".join(f"&var-{name}=${{__data.fields.{name}}}" for name in ("target", "provider"))
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
            column("Value #B", "Deadline", 92, unit="dateTimeFromNow", noValue=NOT_TOLD),
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
        "On how many targets somebody had to act now, on how many soon.",
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
        "Of the agents that use the provider, how many have a credential that works.",
        instant(f"sort(avg by (provider) ({series('provider_usable')}))", "{{provider}}"),
        unit="percentunit",
        decimals=0,
        max=1,
        thresholds=steps(RED, (0.9, ORANGE), (1, GREEN)),
        noValue="No source tells what is in use.",
    )


def failing() -> Json:
    failures = f"increase({series('check_failures_total')}[$__range])"
    return table(
        "Failing checks",
        "The looks that failed within the time shown, by target and reason. The reason links to what to do.",
        [rows(f"topk(50, round(max by ({TARGET}, reason) ({failures})) > 0)")],
        [
            column("target", "Target"),
            column("reason", "Reason", 140, links=runbook("OpenClawAuthCheckFailing")),
            column("Value", "Times", 64, decimals=0),
        ],
        sort=[("Times", True)],
        empty="No check failed.",
    )


def failures() -> Json:
    return _failed("Checks that failed, by reason", "How many looks at all targets failed.", "check_failures_total")


def durations() -> Json:
    seconds = series("check_duration_seconds")
    return lines(
        "How long a check takes",
        "Of the last look at each agent: half of them took less than the median, 95 % less than the next line.",
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
        "The ten targets whose last look took longest.",
        instant(f"topk(10, max by ({TARGET}) ({series('check_duration_seconds')}))", "{{target}}"),
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
        "How much of each usage window is used, the fullest first, and when it starts anew; where a provider tells.",
        [
            rows(where(f"topk(50, max {by_window} ({series('usage_used_ratio')}))", *names)),
            rows(where(resets, *names)),
        ],
        [
            column("where", "Window"),
            used,
            column("Value #B", "Resets", 92, unit="dateTimeFromNow", noValue=NOT_TOLD),
        ],
        sort=[("Used", True)],
        empty="No source tells a quota.",
    )


def exporters() -> Json:
    def good(field: str, title: str, **more: Any) -> Column:
        texts = words({"0": ("bad", RED), "1": ("good", GREEN)})
        return column(field, title, 60, {"type": "color-text"}, mappings=texts, noValue=NOT_TOLD, **more)

    lag = column(
        "Value #D",
        "Lag",
        64,
        {"type": "color-text"},
        unit="s",
        decimals=0,
        noValue=NOT_TOLD,
        thresholds=steps(GREEN, (1, ORANGE), (10, RED)),
    )
    return table(
        "Exporters",
        "Whether the configuration was good when it was last loaded, whether the state can be written, how late the "
        "event loop last was, and the release.",
        [
            rows(f"max by (instance, version) ({series('exporter_build_info')})"),
            rows(f"min by (instance) ({series('exporter_config_last_reload_successful')})"),
            rows(f"min by (instance) ({series('exporter_state_ok')})"),
            rows(f"max by (instance) ({series('exporter_event_loop_lag_seconds')})"),
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
        "How many agents answer from which release.",
        instant(f"sort_desc(count by (version) ({series('openclaw_info')}))", "{{version}}"),
        decimals=0,
        color=fixed(BLUE),
        noValue="No release is known",
    )


def failed_notifications() -> Json:
    what, how = "Notifications that failed, by reason", "Attempts; they are made again for three days."
    return _failed(what, how, "notifications_failed_total", "channel")


def fleet() -> Json:
    return dashboard(
        "openclaw-auth-fleet",
        "OpenClaw credentials: fleet",
        "Every target and provider, worst first; the checks, the quota and the exporters themselves.",
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
