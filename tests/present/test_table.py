"""Report → table and explanation, for a person."""

from __future__ import annotations

import re
from zoneinfo import ZoneInfo

from reports import DAY, EXAMPLES, NOW, agent, expired_with_spare, expiring, healthy, profile, report, unusable

from exporter.model import (
    AgentReport,
    Condition,
    ConditionName,
    Report,
    Severity,
    Status,
    Step,
    StepKind,
    TargetReport,
    Unusable,
)
from exporter.present import Style, explain, to_table

# --- the table ---------------------------------------------------------------------------------


def test_table_fits_a_terminal_but_for_commands() -> None:
    for width in (60, 80, 120):
        for example in EXAMPLES.values():
            lines = to_table(example(), style=Style(width=width)).splitlines()[:-1]
            assert [line for line in lines if len(line) > width and "openclaw models" not in line] == []


def test_long_ids_lose_their_middle_on_a_terminal_only() -> None:
    id = "anthropic:" + "x" * 60 + "-work"
    subject = report(agent(profile(id)))
    assert id in to_table(subject)
    shown = to_table(subject, style=Style(width=80))
    assert id not in shown
    assert re.search(r"^  anthropic:x+…x*-work ", shown, re.M)


def test_times_to_wait_for_are_in_the_zone_and_commands_stay_as_they_are() -> None:
    steps = (
        Step(StepKind.WAIT, "Wait until 2026-11-22T11:00:00Z."),
        Step(StepKind.COMMAND, "openclaw x --at 2026-11-22T11:00:00Z"),
    )
    condition = Condition(ConditionName.UNUSABLE, Severity.INFO, "anthropic", "anthropic:default", steps=steps)
    table = to_table(report(agent(profile(), conditions=(condition,))), style=Style(zone=ZoneInfo("Asia/Tokyo")))
    assert "do: Wait until 2026-11-22 20:00 JST.\n" in table
    assert "openclaw x --at 2026-11-22T11:00:00Z\n" in table


def test_a_narrow_terminal_gets_no_absolute_times() -> None:
    assert "2026-" in to_table(healthy(), style=Style(width=80))
    assert "2026-" not in to_table(healthy(), style=Style(width=60))


def test_colours_mark_severities_and_change_nothing_else() -> None:
    for example in EXAMPLES.values():
        coloured = to_table(example(), style=Style(colour=True))
        assert re.sub(r"\x1b\[[0-9;]*m", "", coloured) == to_table(example())
    assert "\x1b[1;31mCRITICAL no_usable_profile:\x1b[0m anthropic" in to_table(unusable(), style=Style(colour=True))
    assert "\x1b[33mwarning expiring:\x1b[0m" in explain(expiring(), style=Style(colour=True))
    assert "\x1b" not in to_table(unusable()) + explain(unusable())


def test_table_is_in_order_of_severity_then_deadline() -> None:
    def ending(id: str, days: float, severity: Severity) -> AgentReport:
        condition = Condition(ConditionName.EXPIRING, severity, "p", f"p:{id}", summary="ends")
        return agent(profile(f"p:{id}", expires_at=NOW + days * DAY), id=id, conditions=(condition,), exit_code=2)

    warnings = [ending("late", 3, Severity.WARNING), ending("soon", 1, Severity.WARNING)]
    subject = report(agent(profile("p:fine"), id="fine"), *warnings, ending("worst", 2, Severity.CRITICAL))
    lines = to_table(subject).splitlines()
    assert [line.split()[2] for line in lines if re.match("[A-Z]+ expiring", line)] == ["p:worst", "p:soon", "p:late"]
    assert [line.split()[0] for line in lines if re.match("  p:", line)] == ["p:worst", "p:soon", "p:late", "p:fine"]
    assert lines[-1].startswith("Act soon: 1 now · 2 this week · 1 fine in 1 target, 4 agents, 4 profiles")


def test_shared_credential_is_shown_once_with_its_agents() -> None:
    table = to_table(expired_with_spare())
    assert table.count("anthropic:spare    ok       home (main, work)") == 1
    assert table.count("WARNING expired: anthropic:default on home (main, work)") == 1
    assert table.count("claude setup-token") == 1


def test_credentials_of_one_name_with_other_secrets_are_two() -> None:
    one, two = (agent(profile(secret_hash=secret), id=secret) for secret in ("a", "b"))
    assert re.findall(r"home/(\w)", to_table(report(one, two))) == ["a", "b"]


def test_each_agent_that_needs_its_own_commands_has_them() -> None:
    def needing(id: str, command: str) -> AgentReport:
        steps = (Step(StepKind.COMMAND, command),)
        condition = Condition(
            ConditionName.EXPIRED, Severity.CRITICAL, "anthropic", "anthropic:default", summary="ended", steps=steps
        )
        return agent(profile(), id=id, conditions=(condition,), exit_code=1)

    table = to_table(report(needing("main", "renew main"), needing("ops", "renew ops"), needing("qa", "renew ops")))
    assert "  main:\n    do: renew main\n  ops, qa:\n    do: renew ops\n" in table
    assert table.count("CRITICAL expired") == 1


def test_table_profiles_are_worst_first() -> None:
    rows = [
        profile("p:static", status=Status.STATIC, expires_at=None),
        profile("p:late", expires_at=NOW + 9 * DAY),
        profile("p:soon", expires_at=NOW + 8 * DAY),
        profile("p:expiring", status=Status.EXPIRING),
        profile("p:cooldown", unusable=Unusable("cooldown", "rate_limit", NOW + 60)),
        profile("p:missing", status=Status.MISSING),
        profile("p:expired", status=Status.EXPIRED),
    ]
    found = re.findall(r"^  (p:\w+)", to_table(report(agent(*rows))), re.M)
    assert found == [f"p:{n}" for n in ("expired", "missing", "cooldown", "expiring", "soon", "late", "static")]


def test_table_of_a_fleet_stays_short_unless_everything_is_asked_for() -> None:
    agents = [agent(*(profile(f"p:{n}") for n in range(50)), id=f"a{n}") for n in range(60)]
    subject = Report(NOW, tuple(TargetReport(f"t{n}", "gateway", tuple(agents)) for n in range(20)))
    table = to_table(subject)
    assert len(table.splitlines()) < 50
    assert "  ... and 10 more profiles: 10 ok (--all lists them)" in table
    assert "home (a0, a1, a2 and 1197 more)" in table
    whole = to_table(subject, style=Style(everything=True))
    assert "more" not in whole
    assert all(f" a{n}" in whole or f"(a{n}" in whole for n in range(60))


def test_table_shows_remedies_whole_and_an_outage_once() -> None:
    table = to_table(expiring(), style=Style(width=60))
    assert "    do: claude setup-token\n        openclaw models auth paste-token --provider anthropic " in table
    assert "unusable:" not in to_table(unusable())  # listed in no_usable_profile


def test_table_marks_a_profile_that_refreshes_itself() -> None:
    login = profile(kind="oauth", expires_at=None, basis=None, refreshable=True)
    assert "  anthropic:default  ok  home/main  refreshes itself\n" in to_table(report(agent(login)))


def test_table_of_a_target_without_agents() -> None:
    assert to_table(report()).splitlines()[0] == "home (openclaw): no agents"
    assert to_table(report(agent(id="idle"))).splitlines()[0] == "No profiles: home/idle"


# --- the explanation ---------------------------------------------------------------------------


def test_explain_one_profile() -> None:
    text = explain(expired_with_spare(), "anthropic:spare")
    assert re.findall(r"^  (\S+) \(", text, re.M) == ["anthropic:spare", "anthropic:spare"]
    assert "expired" not in text
    aliased = report(agent(profile("a:1", label="work"), profile("a:2")))
    assert re.findall(r"^  (\S+) \(", explain(aliased, "work"), re.M) == ["a:1"]


def test_explain_of_a_profile_includes_its_provider() -> None:
    text = explain(unusable(), "anthropic:default")
    assert "rule: billing needs a person" in text
    assert "critical no_usable_profile" in text


def test_explain_of_an_unknown_profile_lists_the_known_ones() -> None:
    text = explain(healthy(), "nobody\n")
    assert text == "There is no profile nobody\\n. Known profiles: anthropic:default, openai:key"
