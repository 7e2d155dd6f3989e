"""Report → explanation: each verdict with its evidence."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from exporter.lib.zones import in_zone
from exporter.model import AgentReport, Condition, ProfileReport, Report
from exporter.present.style import PLAIN, Style
from exporter.present.words import heading, in_full, now_of, remedy_lines, until_of, visible

#: How many known profiles the answer about an unknown profile lists.
MAX_KNOWN = 20
#: Lines about alerts by (target, agent, provider, profile). The last two are empty if an alert is about none.
Alerts = Mapping[tuple[str, str, str, str], list[str]]


def explain(
    report: Report,
    profile: str | None = None,
    now: float | None = None,
    alerts: Alerts | None = None,
    style: Style = PLAIN,
) -> str:
    """Each verdict with its evidence and the state of its ``alerts``, or only that of ``profile`` (id or alias).

    For an unknown profile, a sentence that lists the known ones.
    """
    now = now_of(report, now)
    blocks = []
    for target in report.targets:
        if target.chosen is not None:
            blocks.append(f"{visible(target.target, 60)}: {visible(target.chosen, 400)}")
        for agent in target.entries:
            profiles = [p for p in agent.profiles if profile is None or profile in (p.id, p.label)]
            if profiles or profile is None:
                blocks.append("\n".join(_explanation(agent, profiles, profile is not None, now, alerts or {}, style)))
    if profile is not None and not blocks:
        known = {p.id for target in report.targets for agent in target.entries for p in agent.profiles}
        names = ", ".join(visible(id, 80) for id in sorted(known)[:MAX_KNOWN]) or "none"
        return f"There is no profile {visible(profile, 80)}. Known profiles: {names}"
    return "\n\n".join(blocks)


def _explanation(
    agent: AgentReport, profiles: list[ProfileReport], only: bool, now: float, alerts: Alerts, style: Style
) -> Iterator[str]:
    theirs = "" if agent.openclaw_exit_code is None else f"; OpenClaw's own exit code is {agent.openclaw_exit_code}"
    yield f"{heading(agent, now)}: exit code {agent.exit_code}{theirs}"
    for profile in profiles:
        yield from _profile_lines(profile, now, style)
        for condition in agent.conditions:
            if (condition.provider, condition.profile) == (profile.provider, profile.id):
                yield from _condition_lines(condition, style)
        yield from _alert_lines(alerts, agent, profile.provider, profile.id, style)
    explained = {(profile.provider, profile.id) for profile in profiles}
    providers = {profile.provider for profile in profiles}
    rest = [c for c in agent.conditions if (c.provider, c.profile) not in explained]
    if only:
        rest = [c for c in rest if c.profile is None and (c.provider is None or c.provider in providers)]
    about = {("", ""), *((name, "") for name in providers), *((c.provider or "", c.profile or "") for c in rest)}
    other_alerts = [line for provider, id in sorted(about) for line in _alert_lines(alerts, agent, provider, id, style)]
    if rest or other_alerts:
        yield "  other conditions"
        for condition in rest:
            yield from _condition_lines(condition, style)
        yield from other_alerts
    if agent.advice:
        yield "  advice"
        yield from (f"    - {in_zone(visible(sentence, 600), style.zone)}" for sentence in agent.advice)
    if agent.notes:
        yield "  how it was checked"
        yield from (f"    - {visible(note, 400)}" for note in agent.notes)


def _alert_lines(alerts: Alerts, agent: AgentReport, provider: str, profile: str, style: Style) -> Iterator[str]:
    lines = alerts.get((agent.target, agent.agent, provider, profile), ())
    yield from (f"    {in_zone(visible(line, 600), style.zone)}" for line in lines)


def _profile_lines(profile: ProfileReport, now: float, style: Style) -> Iterator[str]:
    alias = f", called {visible(profile.label, 80)}" if profile.label != profile.id else ""
    kind, provider = visible(profile.kind, 40), visible(profile.provider, 60)
    yield f"  {visible(profile.id)} ({kind} of {provider}{alias}): {profile.status.value}"
    basis = f", {profile.basis.value}" if profile.basis else ""
    deadline = "none" if profile.expires_at is None else in_full(profile.expires_at, now, style.zone) or "not a date"
    yield f"    deadline: {deadline}{basis}"
    words = {True: "yes", False: "no", None: "unknown"}
    yield (
        f"    refreshable: {words[profile.refreshable]}, selected: {words[profile.selected]}, "
        f"in use: {words[profile.in_use]}, usable: {words[profile.usable]}"
    )
    if profile.unusable is not None:
        yield f"    {visible(profile.unusable.kind, 40)}: {until_of(profile, now, style.zone)}"
    elif not profile.unusable_seen:
        yield "    cooldowns and disables: not reported"
    for name, moment in (("first seen", profile.first_seen_at), ("last used", profile.last_used_at)):
        if moment is not None and (when := in_full(moment, now, style.zone)):
            yield f"    {name}: {when}"
    yield from (f"    - {in_zone(visible(sentence, 400), style.zone)}" for sentence in profile.evidence)


def _condition_lines(condition: Condition, style: Style) -> Iterator[str]:
    severity = condition.severity.value
    title = style.paint(f"{severity} {condition.name.value}:", severity)
    yield f"    {title} {in_zone(visible(condition.summary, 600), style.zone)}"
    yield f"      rule: {visible(condition.rule or condition.name.definition.when, 400)}"
    yield from remedy_lines(condition.remedy, "      ")
