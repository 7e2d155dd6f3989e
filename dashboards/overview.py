"""The overview for one person: which problems need me, how soon, and whether notifications would reach me."""

from __future__ import annotations

from findings import AGENT, PERSON, PROVIDER, STALE, gone_exporters, known_or_0, plain, recorded, series, where
from frame import CHECK_AGE, PROFILE, dashboard, needs_table, oldest_check
from panels import (
    BLUE,
    GREEN,
    GREY,
    ORANGE,
    RED,
    Column,
    Json,
    bars,
    column,
    fixed,
    instant,
    lines,
    moment,
    over_time,
    placed,
    row,
    rows,
    runbook,
    stat,
    steps,
    table,
    words,
)

DAY = 86400
CHANNEL = "instance, channel"


def verdict() -> Json:
    code = series("exit_code")
    stale = f"{series('check_last_success_timestamp_seconds')} < time() - {STALE}"
    texts = {"3": ("Act now", RED), "2": ("Act soon", ORANGE), "0": ("All is well", GREEN)}
    return stat(
        "Right now",
        "The worst verdict of all targets, like the exit code of `check`: act now (1), act soon (2), or all is well "
        "(0). Act now also if an exporter is gone or a check is three hours old: then nobody knows.",
        instant(f"max(({code} == 1) + 2 or 3 + 0 * ({stale}) or {code} or 3 + 0 * ({gone_exporters()}))"),
        mappings=words(texts),
        thresholds=steps(GREEN, (2, ORANGE), (3, RED)),
        noValue="No data",
        links=runbook("three-commands"),
    )


def next_deadline() -> Json:
    return stat(
        "Next deadline",
        "The nearest deadline of all profiles that has not passed.",
        instant(f"1000 * min({series('profile_expiry_timestamp_seconds')} > time())"),
        unit="dateTimeFromNow",
        color=fixed(BLUE),
        noValue="None known",
    )


def oldest() -> Json:
    return stat(
        "Oldest check",
        "Time since the last successful check of the target that was checked least recently. Its data are that old.",
        instant(oldest_check()),
        unit="s",
        decimals=0,
        thresholds=CHECK_AGE,
        noValue="No data",
    )


def waiting() -> Json:
    return stat(
        "Messages waiting",
        "Notifications of all channels that are not delivered yet.",
        instant(f"sum({series('notifications_pending')})"),
        thresholds=steps(GREEN, (1, ORANGE)),
        noValue="No channel",
    )


def deadlines() -> Json:
    expiry = f"bottomk(100, min by ({PROFILE}) ({series('profile_expiry_timestamp_seconds')}))"
    left = column(
        "Value #A",
        "Left",
        cell={"type": "gauge", "mode": "basic", "valueDisplayMode": "color"},
        unit="s",
        decimals=0,
        min=0,
        max=90 * DAY,
        thresholds=steps(RED, (DAY, ORANGE), (14 * DAY, GREEN)),
    )
    return table(
        "Deadlines",
        "The deadlines by which a person must renew a profile, the nearest 100 first. A full bar is 90 days or more.",
        [rows(where(f"{expiry} - time()", "target", "profile")), rows(where(f"1000 * {expiry}", "target", "profile"))],
        [
            column("where", "Profile", **{"custom.minWidth": 128}),
            left,
            column("Value #B", "Ends", 94, unit="time:YYYY-MM-DD HH:mm"),
        ],
        sort=[("Left", False)],
        empty="No deadline is known.",
    )


def unusable() -> Json:
    until = f"min by ({PROFILE}, reason) ({series('profile_unusable_until_timestamp_seconds')})"
    needs_time = f'label_replace({until},\n  "problem", "openclawauthcoolingdown", "", "")'
    marked = f'label_replace({needs_time},\n  "problem", "openclawauthunusable", "reason", "{PERSON}")'
    texts = {"openclawauthunusable": ("you", RED), "openclawauthcoolingdown": ("time", BLUE)}
    return table(
        "Unusable profiles",
        "Profiles that OpenClaw has put into cooldown or disabled, with reason and end. A refusal or an unpaid bill "
        "needs you: the next request is refused as well. A rate limit needs time.",
        [rows(where(f"1000 * {marked}", "target", "profile"))],
        [
            column("where", "Profile", **{"custom.minWidth": 128}),
            column("reason", "Reason", 116),
            column(
                "problem",
                "Needs",
                58,
                {"type": "color-text"},
                mappings=words(texts),
                links=runbook("${__value.raw}"),
            ),
            moment("Value", "Until", 70),
        ],
        sort=[("Needs", True), ("Until", False)],
        empty="No unusable profile is reported.",
    )


def notifications() -> Json:
    pending = series("notifications_pending")

    def last(metric: str) -> str:
        return f"1000 * max by ({CHANNEL}) {known_or_0(CHANNEL, series(metric), pending)}"

    def count(field: str, title: str, section: str) -> Column:
        trouble = steps(GREY, (1, ORANGE))
        return column(field, title, 54, {"type": "color-text"}, thresholds=trouble, decimals=0, links=runbook(section))

    def last_time(field: str, title: str) -> Column:
        return column(field, title, 86, unit="dateTimeFromNow", mappings=words({"0": ("never", GREY)}))

    return table(
        "Notifications",
        "By channel: waiting and undeliverable notifications within the time shown, the last delivery, and the last "
        "acknowledgement by a person.",
        [
            rows(f"max by ({CHANNEL}) ({pending})"),
            rows(f"round(max by ({CHANNEL}) (increase({series('notifications_dead_total')}[$__range])))"),
            rows(last("notification_last_success_timestamp_seconds")),
            rows(last("channel_last_proven_timestamp_seconds")),
        ],
        [
            column("channel", "Channel", **{"custom.minWidth": 70}),
            count("Value #A", "Wait", "OpenClawAuthNotificationsPilingUp"),
            count("Value #B", "Dead", "OpenClawAuthNotificationsDead"),
            last_time("Value #C", "Delivered"),
            last_time("Value #D", "Proven"),
        ],
        sort=[("Dead", True), ("Wait", True)],
        empty="No channel is configured: nobody is notified.",
    )


def days_left() -> Json:
    nearest = recorded("profile_deadline_timestamp_seconds:nearest")
    days = f"(min by (instance, target, profile) ({nearest}) - time()) / 86400"
    return lines(
        "Days left",
        "Days left until the ten nearest deadlines. A renewal is a jump upwards. Below zero, the profile has expired. "
        "The shipped rules record the three nearest deadlines of each target.",
        [over_time(f"bottomk(10, {days})", "{{target}} · {{profile}} ({{instance}})")],
        noValue="The rules have recorded no deadline",
    )


def deliveries() -> Json:
    def increase(metric: str) -> str:
        return f"sum by (channel) (increase({series(metric)}[$__rate_interval]))"

    attempts, failed = increase("notifications_total"), increase("notifications_failed_total")
    red = [{"id": "color", "value": fixed(RED)}]
    return lines(
        "Notifications delivered and failed",
        "Attempts to deliver a notification: successful ones, and failed ones, which are retried.",
        [
            over_time(f"{attempts} - {failed} > 0", "{{channel}}: delivered"),
            over_time(f"{failed} > 0", "{{channel}}: failed"),
        ],
        stacked=True,
        decimals=0,
        min=0,
        overrides=[{"matcher": {"id": "byRegexp", "options": "/: failed$/"}, "properties": red}],
    )


def without_credential() -> Json:
    # The counter grows only at a check, so the time since the last check is added. Textfiles and pushes have no
    # counter.
    usable = series("provider_usable")
    counted = known_or_0(PROVIDER, f"increase({series('provider_unusable_seconds_total')}[$__range])", usable)
    elapsed = (
        f"(time() - {plain('check_last_success_timestamp_seconds')} and on ({AGENT}) {plain('check_success')} == 1)"
    )
    since = known_or_0(PROVIDER, f"(1 - {usable}) * on ({AGENT}) group_left () {elapsed}", usable)
    down = f"clamp_max({counted}\n  + on ({PROVIDER}) {since}, $__range_s)"
    return bars(
        "Without a usable credential",
        "How long a provider in use had no working credential within the time shown, until now or the last check.",
        instant(
            f"topk(20, max by (instance, target, provider) ({down}) > 0)", "{{target}} · {{provider}} ({{instance}})"
        ),
        unit="s",
        decimals=0,
        thresholds=steps(RED),
        noValue="None is known",
    )


def serving() -> Json:
    on = "instance, target, agent, profile"
    chosen = f"{series('profile_selected')} == 1"
    used = f"{series('profile_last_used_timestamp_seconds')} and on ({on}) {plain('profile_selected')} == 1"
    return table(
        "Serving now",
        "The credentials that OpenClaw uses, at most 200. An unexpected one may cost money. Used: the time of its last "
        "use, if the store reports it.",
        [rows(f"topk(200, 1000 * max by ({PROFILE}) {known_or_0(on, used, chosen)})")],
        [
            column("target", "Target", **{"custom.minWidth": 70}),
            column("profile", "Profile"),
            moment("Value", "Used", 100),
        ],
        sort=[("Target", False), ("Profile", False)],
        empty="No source reports which profile serves.",
    )


def heartbeat() -> Json:
    return stat(
        "Heartbeat",
        "Time since the last successful heartbeat to the dead-man's switch.",
        instant(f"time() - min({series('heartbeat_last_success_timestamp_seconds')})"),
        unit="s",
        decimals=0,
        # No heartbeat since the exporter started: the metric is 0, so the difference is the current Unix time.
        mappings=[{"type": "range", "options": {"from": 1e9, "to": 1e11, "result": {"text": "Never", "color": RED}}}],
        thresholds=steps(GREEN, (900, ORANGE), (3600, RED)),
        noValue="Not used",
    )


def silences() -> Json:
    return stat(
        "Silences",
        "Number of active silences. Alerts that match one are not sent.",
        instant(f"sum({series('silences')})"),
        thresholds=steps(GREEN, (1, BLUE)),
        noValue="No channel",
    )


def overview() -> Json:
    return dashboard(
        "openclaw-auth-overview",
        "OpenClaw credentials",
        "Problems that need you, the most urgent first, and whether notifications reach you.",
        "now-7d",
        placed(
            (verdict(), 0, 0, 5, 3),
            (needs_table("What needs you", show_exporter=False), 5, 0, 19, 12),
            (next_deadline(), 0, 3, 5, 3),
            (oldest(), 0, 6, 5, 3),
            (waiting(), 0, 9, 5, 3),
            (deadlines(), 0, 12, 12, 10),
            (unusable(), 12, 12, 12, 10),
            (notifications(), 0, 22, 12, 7),
            (deliveries(), 12, 22, 12, 7),
            (row("History"), 0, 29, 24, 1),
            (days_left(), 0, 30, 12, 8),
            (without_credential(), 12, 30, 12, 8),
            (serving(), 0, 38, 12, 8),
            (heartbeat(), 12, 38, 6, 4),
            (silences(), 18, 38, 6, 4),
        ),
    )
