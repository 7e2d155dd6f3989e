"""The PromQL of the tables: every problem that needs a person, its urgency, and its end.

``needs()`` is one expression. Each row has the labels ``urgency`` (1 now, 2 soon, 3 later), ``problem``
(the anchor of its section in docs/runbook.md), ``where`` and ``instance``. The value is the time until which
the problem holds, in Unix milliseconds as Grafana's date units require, or 0 if there is none.

The dashboard's variables filter only the vector that a row comes from. The join narrows the others.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from exporter.metrics.definitions import METRICS, PREFIX
from exporter.verdict import remedies

#: The labels that have a dashboard variable, in the order of the variables.
VARIABLES = ("instance", "target", "agent", "provider", "profile")

AGENT = "instance, target, agent"
PROVIDER = f"{AGENT}, provider"
PROFILE = f"{PROVIDER}, profile"
WINDOW = f"{PROVIDER}, window"
#: Seconds before a deadline at which it is listed, and the accepted age of the last successful check, as in the rules.
AHEAD, STALE = "14 * 86400", "3 * 3600"

_LABELS = {metric.name: ("instance", *metric.labels) for metric in METRICS}
#: A regular expression of the reasons that need a person.
PERSON = "|".join(sorted(remedies.NEEDS_PERSON))


def _matcher(label: str, value: str) -> str:
    return f'{label}=~"{value[1:]}"' if value.startswith("~") else f'{label}="{value}"'


def plain(metric: str, **matchers: str) -> str:
    """The selector of ``openclaw_auth_METRIC``. A matcher that begins with ``~`` is a regular expression.

    Raises ValueError for a metric that the exporter does not have, or that has no such label.
    """
    name = PREFIX + metric
    if not matchers.keys() <= set(_LABELS.get(name, ())):
        raise ValueError(f"{name} has no label of {sorted(matchers)}")
    inner = ",".join(_matcher(label, value) for label, value in matchers.items())
    return f"{name}{{{inner}}}" if inner else name


def series(metric: str, **matchers: str) -> str:
    """The same selector, filtered by every variable whose label the metric has."""
    chosen = {label: f"~${label}" for label in VARIABLES if label in _LABELS[PREFIX + metric]}
    return plain(metric, **matchers, **chosen)


#: Series that the shipped rules record, with their labels besides ``job`` and ``instance``. A panel that needs one says
#: so where it is empty: without the rules, it must not look as if all were well.
RECORDED = {
    "provider_unused": ("target", "agent", "provider"),
    "profile_deadline_timestamp_seconds:nearest": ("target", "provider", "profile"),
    "check_failures:increase5m": ("target", "agent", "reason"),
    "profile_expiry_timestamp_seconds:shown": ("target", "agent", "provider", "profile"),
}
#: Providers that no route uses, if the agent reports which are in use. Without the rules, they have rows too.
_UNUSED = "openclaw_auth:provider_unused"


def recorded(name: str) -> str:
    """The selector of a recorded series, filtered by every variable whose label it has."""
    chosen = ",".join(f'{label}=~"${label}"' for label in VARIABLES if label in ("instance", *RECORDED[name]))
    return f"openclaw_auth:{name}{{{chosen}}}"


def known_or_0(on: str, known: str, everything: str) -> str:
    """The values of ``known``, and 0 for each series of ``everything`` without one."""
    return f"({known}\n  or on ({on}) 0 * ({everything}))"


def _row(problem: str, urgency: int, expression: str) -> str:
    named = f'label_replace({expression},\n  "problem", "{problem.lower()}", "", "")'
    return f'label_replace({named},\n  "urgency", "{urgency}", "", "")'


def _profiles() -> Iterator[str]:
    """Rows of (target, profile)."""
    expiry, date = series("profile_expiry_timestamp_seconds"), recorded("profile_expiry_timestamp_seconds:shown")
    usable = plain("provider_usable")
    by_profile = "min by (instance, target, provider, profile)"

    def dated(status: str) -> str:
        # The date is only shown. The rules select it among all dates; without them the row has none.
        there = plain("profile_status", status=status)
        return known_or_0(PROFILE, f"{date} and on ({PROFILE}) {there}", series("profile_status", status=status))

    rows_of = {
        "expired": dated("expired"),
        "missing": dated("missing"),
        "unusable": series("profile_unusable_until_timestamp_seconds", reason=f"~{PERSON}"),
    }
    for condition, rows in rows_of.items():
        critical = plain("conditions", condition=condition, severity="critical")
        warning = plain("conditions", condition=condition, severity="warning")
        # Either nothing else serves the provider, or a spare does, which is a warning for a week, or no chat route
        # uses it.
        alone = (
            f"unless on ({PROVIDER}) {usable} == 1\n  unless on ({PROVIDER}) {_UNUSED}\n  and on ({AGENT}) {critical}"
        )
        spared = (
            f"and on ({PROVIDER}) ({usable} == 1 or {usable} == 0 unless on ({AGENT}) {critical})\n"
            f"  and on ({AGENT}) {warning}"
        )
        yield _row(f"OpenClawAuth{condition}", 1, f"{by_profile} ({rows}\n  {alone})")
        yield _row(f"OpenClawAuth{condition}", 2, f"{by_profile} ({rows}\n  {spared})")

    expired = plain("profile_status", status="expired")
    expiring = plain("profile_status", status="expiring")
    # A date also passes while checks fail.
    soon = f"({expiry} < time() or {expiry} and on ({PROFILE}) {expiring} == 1)"
    not_yet = f"({expiry} < time() + {AHEAD} >= time()) unless on ({PROFILE}) {expiring} == 1"
    matters = f"unless on ({PROFILE}) {expired} == 1\n  unless on ({PROVIDER}) {_UNUSED}"
    yield _row("OpenClawAuthExpiringVerySoon", 2, f"{by_profile} ({soon}\n  {matters})")
    yield _row("OpenClawAuthExpiringSoon", 3, f"{by_profile} ({not_yet}\n  {matters})")

    undated = {"provider": "anthropic", "kind": "token", "basis": "~none|ledger"}
    has_status = f"{plain('profile_status', status='~ok|static|unknown')} == 1"
    by_hand = f"{date} and on ({PROFILE}) {plain('profile_info', **undated)}"
    active = plain("conditions", condition="undated")
    tokens = series("profile_info", kind="token", basis="~none|ledger") + f" and on ({PROFILE}) "
    tokens += plain("profile_info", **undated)
    yield _row(
        "OpenClawAuthUndated",
        3,
        f"{by_profile} ({known_or_0(PROFILE, by_hand, tokens)}\n  and on ({PROFILE}) {has_status}\n"
        f"  and on ({AGENT}) {active})",
    )


def _providers() -> Iterator[str]:
    """Rows of (target, provider): no credential works, and no single profile explains it."""
    until = "profile_unusable_until_timestamp_seconds"
    down = f"unless on ({PROVIDER}) {plain('profile_status', status='~expired|missing')} == 1"
    by_provider = "min by (instance, target, provider)"
    none = f"{series('provider_usable')} == 0 {down}\n  unless on ({PROVIDER}) {plain(until)}"
    unserved = {"condition": "~no_usable_profile|missing"}
    beside_chat = (
        f"({plain('conditions', severity='warning', **unserved)}"
        f" unless on ({AGENT}) {plain('conditions', severity='critical', **unserved)})"
    )
    replies, others = f"unless on ({AGENT}) {beside_chat}", f"and on ({AGENT}) {beside_chat}"
    yield _row("OpenClawAuthNoUsableCredential", 1, f"{by_provider} (0 * ({none}\n  {replies}))")
    yield _row("OpenClawAuthNoUsableCredential", 2, f"{by_provider} (0 * ({none}\n  {others}))")
    cooling = f"{series(until)} and on ({PROVIDER}) {plain('provider_usable')} == 0 {down}"
    refused = plain(until, reason=f"~{PERSON}")
    cooling += f"\n  unless on ({PROVIDER}) {refused}"
    yield _row("OpenClawAuthCoolingDown", 1, f"{by_provider} ({cooling}\n  {replies})")
    yield _row("OpenClawAuthCoolingDown", 2, f"{by_provider} ({cooling}\n  {others})")
    resets = series("usage_resets_timestamp_seconds")
    used = known_or_0(
        WINDOW,
        f"{resets} and on ({WINDOW}) {plain('usage_used_ratio')} > 0.9",
        f"{series('usage_used_ratio')} > 0.9",
    )
    over = f"unless on ({WINDOW}) {plain('usage_resets_timestamp_seconds')} < time()"
    yield _row("OpenClawAuthQuota", 3, f"{by_provider} ({used} {over})")


def _targets() -> Iterator[str]:
    """Rows of a target."""
    last = series("check_last_success_timestamp_seconds")
    fails = f"{plain('check_success')} == 0"
    failing = known_or_0(AGENT, f"{last} and on ({AGENT}) {fails}", f"{series('check_success')} == 0")
    stale = f"{last} < time() - {STALE} unless on ({AGENT}) {fails}"
    by_target = "min by (instance, target)"
    yield _row("OpenClawAuthCheckFailing", 1, f"{by_target} {failing}")
    yield _row("OpenClawAuthCheckStale", 1, f"{by_target} ({stale})")
    for severity, urgency in (("critical", 1), ("warning", 2)):
        reported = series("conditions", condition="reported", severity=severity)
        yield _row("OpenClawAuthReported", urgency, f"{by_target} (0 * {reported})")
    yield _row("OpenClawAuthClock", 2, f"{by_target} (0 * {series('conditions', condition='clock')})")


def gone_exporters() -> str:
    """The exporters that were scraped within the last day but are not now, by ``instance``."""
    seen = f"max by (instance) (last_over_time({series('exporter_build_info')}[1d]))"
    return f"{seen} unless on (instance) {plain('exporter_build_info')}"


def _exporters() -> Iterator[str]:
    """Rows of an exporter, identified by its ``instance``."""
    last = f"max by (instance) (last_over_time({series('check_last_success_timestamp_seconds')}[1d]))"
    gone = known_or_0("instance", f"{last} and on (instance) ({gone_exporters()})", gone_exporters())
    yield _row("OpenClawAuthExporterDown", 1, gone)
    loaded = series("exporter_config_last_reload_success_timestamp_seconds")
    bad = f"on (instance) {plain('exporter_config_last_reload_successful')} == 0"
    lists = f"on (instance) {plain('exporter_target_lists_ok')} == 0"
    yield _row("OpenClawAuthConfigReloadFailed", 2, f"max by (instance) ({loaded} and {bad} or {loaded} and {lists})")
    state = f"0 * ({series('exporter_state_ok')} == 0)"
    yield _row("OpenClawAuthStateFailed", 2, f"max by (instance) ({state})")
    beat = series("heartbeat_last_success_timestamp_seconds")
    yield _row("OpenClawAuthHeartbeatStale", 2, f"max by (instance) ({beat} < time() - 3600)")


def _channels() -> Iterator[str]:
    """Rows of a channel."""
    dead = f"increase({series('notifications_dead_total')}[1d]) > 0"
    yield _row("OpenClawAuthNotificationsDead", 2, f"max by (instance, channel) (0 * ({dead}))")
    oldest = series("notification_oldest_timestamp_seconds")
    waits = f"and on (instance, channel) {plain('notifications_pending')} > 0"
    failed = f"sum by (instance, channel) (increase({plain('notifications_failed_total')}[1h]))"
    tried = f"sum by (instance, channel) (increase({plain('notifications_total')}[1h]))"
    most_failed = f"and on (instance, channel) {failed} / {tried} > 0.5"
    yield _row("OpenClawAuthNotificationsFailing", 2, f"min by (instance, channel) ({oldest} {waits}\n  {most_failed})")
    yield _row("OpenClawAuthNotificationsPilingUp", 2, f"min by (instance, channel) ({oldest} < time() - 1800 {waits})")


def where(expression: str, *labels: str) -> str:
    """``expression`` with the label ``where``, joined from ``labels``."""
    names = ", ".join(f'"{label}"' for label in labels)
    return f'label_join({expression},\n  "where", " · ", {names})'


def _union(rows: Iterable[str]) -> str:
    return "\n or ".join(rows)


def needs() -> str:
    """Every problem that needs a person. If nothing is scraped at all, that is a row."""
    nothing = _row("OpenClawAuthExporterAbsent", 1, f"0 * absent({series('exit_code')})")
    groups = [
        where(_union(_profiles()), "target", "profile"),
        where(_union(_providers()), "target", "provider"),
        where(_union(_targets()), "target"),
        where(_union(_exporters()), "instance"),
        where(_union(_channels()), "channel"),
        f'label_replace({nothing},\n  "where", "everything", "", "")',
    ]
    return f"1000 * ({_union(groups)})"


def by_provider() -> str:
    """The state of each (instance, target, provider): 4 no credential works, 3 some do not, 2 one ends soon,
    1 one ends within 14 days, 0 fine. ``or`` keeps the first of equal label sets, so the worst come first."""
    by = "by (instance, target, provider)"
    # Each level is reduced to its providers before they are united: there may be many profiles.
    levels = [
        f"4 * (min {by} ({series('provider_usable')}) == bool 0)",
        f"3 * group {by} ({series('profile_status', status='~expired|missing')})",
        f"3 * group {by} ({series('profile_unusable_until_timestamp_seconds')})",
        f"2 * group {by} ({series('profile_status', status='expiring')})",
        f"(min {by} ({series('profile_expiry_timestamp_seconds')}) < bool time() + {AHEAD})",
        f"0 * group {by} ({series('profile_info')})",
    ]
    # The first of equal label sets wins in a union, also with a 0, so each level is without its zeros.
    some = [f"({level} > 0)" for level in levels[:-1]]
    return f"topk(200, {_union([*some, levels[-1]])})"
