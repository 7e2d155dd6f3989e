"""Report → JSON, table, line, Nagios output, explanation: exact words, and any report at all."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from reports import (
    DAY,
    EXAMPLES,
    HOUR,
    NOW,
    SECRET,
    agent,
    compare_golden,
    expired_with_spare,
    expiring,
    failed,
    healthy,
    not_listed,
    odd_ids,
    profile,
    report,
    reports,
    unusable,
)

from exporter.model import (
    AgentReport,
    Condition,
    ConditionName,
    Failure,
    FailureReason,
    Report,
    Severity,
    Status,
    Step,
    StepKind,
    TargetReport,
    Unusable,
)
from exporter.present import Style, as_json, explain, to_json, to_line, to_nagios, to_table
from exporter.present.as_json import to_text

any_report = settings(suppress_health_check=[HealthCheck.too_slow], deadline=None)


@pytest.mark.golden
@pytest.mark.parametrize("example", EXAMPLES)
def test_golden(example: str) -> None:
    subject = EXAMPLES[example]()
    output, code = to_nagios(subject)
    compare_golden(f"{example}.json", json.dumps(to_json(subject), indent=2) + "\n")
    compare_golden(f"{example}.table.txt", to_table(subject) + "\n")
    compare_golden(f"{example}.line.txt", f"{to_line(subject)}\n")
    compare_golden(f"{example}.nagios.txt", f"{output}\nexit code {code}\n")
    compare_golden(f"{example}.explain.txt", explain(subject) + "\n")


# --- JSON --------------------------------------------------------------------------------------


def test_json_has_the_documented_shape() -> None:
    """The documented shape, keys and order."""
    disabled = unusable().targets[0].agents[0]
    output = to_json(report(replace(disabled, conditions=disabled.conditions[:1])))
    assert json.dumps(output) == json.dumps(
        {
            "schema_version": 1,
            "exit_code": 1,
            "checked_at": "2026-11-22T10:00:00Z",
            "targets": [
                {
                    "name": "home",
                    "source": "openclaw",
                    "error": None,
                    "agents": [
                        {
                            "id": "main",
                            "exit_code": 1,
                            "openclaw_exit_code": 1,
                            "openclaw_version": "2026.9.6",
                            "checked_at": "2026-11-22T10:00:00Z",
                            "error": None,
                            "profiles": [
                                {
                                    "id": "anthropic:default",
                                    "provider": "anthropic",
                                    "kind": "token",
                                    "status": "ok",
                                    "expires_at": "2026-12-22T10:00:00Z",
                                    "basis": "reported",
                                    "refreshable": False,
                                    "selected": True,
                                    "unusable": {
                                        "kind": "disabled",
                                        "reason": "billing",
                                        "until": "2026-11-22T20:00:00Z",
                                    },
                                }
                            ],
                            "conditions": [
                                {
                                    "condition": "unusable",
                                    "severity": "critical",
                                    "provider": "anthropic",
                                    "profile": "anthropic:default",
                                    "summary": "Disabled: billing.",
                                    "remedy": ["Top up the account, then: openclaw models status"],
                                    "steps": [
                                        {
                                            "kind": "note",
                                            "text": "Top up the account, then: openclaw models status",
                                            "where": {"host": None, "user": None, "home": None},
                                            "needs": [],
                                        }
                                    ],
                                }
                            ],
                        }
                    ],
                }
            ],
        }
    )


def first_profile(subject: Report) -> dict[str, object]:
    output = to_json(subject)["targets"][0]["agents"][0]["profiles"][0]
    assert isinstance(output, dict)
    return output


def test_json_unusable_is_null_or_absent_if_unseen() -> None:
    assert first_profile(report(agent(profile())))["unusable"] is None
    assert "unusable" not in first_profile(report(agent(profile(unusable_seen=False))))


@pytest.mark.parametrize("date", [None, 253402300800.0, 1e300, float("inf"), float("nan"), -1.0])
def test_json_date_out_of_range_is_null(date: float | None) -> None:
    assert first_profile(report(agent(profile(expires_at=date))))["expires_at"] is None
    assert first_profile(report(agent(profile(expires_at=253402300799.0))))["expires_at"] == "9999-12-31T23:59:59Z"


def test_json_of_agents_that_could_not_be_listed() -> None:
    error = {"reason": "command_not_found", "message": "openclaw is not there"}
    output = to_json(not_listed())
    target = output["targets"][0]
    assert (output["exit_code"], target["chosen"], target["error"]) == (1, "openclaw: on PATH", error)
    assert [(a["id"], a["exit_code"], a["checked_at"], a["error"]) for a in target["agents"]] == [("*", 1, None, error)]


def test_known_agents_stay_beside_the_star() -> None:
    known = report(agent(profile()), failure=Failure(FailureReason.TIMEOUT, "slow", NOW))
    assert [a["id"] for a in to_json(known)["targets"][0]["agents"]] == ["main", "*"]
    assert known.exit_code == 1  # not seen is not fine


# --- the line ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("subject", "line"),
    [
        (healthy(), "OK"),
        (expiring(), "EXPIRING anthropic:default on home/main in 11 h 59 min"),
        (expired_with_spare(), "EXPIRED anthropic:default on home/main,work 3 h ago"),
        (unusable(), "UNUSABLE anthropic:default on home/main (billing), 10 h left"),
        (failed(), "UNKNOWN home/main (timeout)"),
        (not_listed(), "UNKNOWN home/* (command_not_found)"),
        (odd_ids(), "MISSING a\"b\\c\\nd\\x1b[31m|='e on home/main (missing_credential)"),
        (report(), "UNKNOWN home (no agents)"),
        (report(agent(exit_code=2)), "UNKNOWN home/main (exit code 2)"),
    ],
)
def test_line_names_the_worst_problem(subject: Report, line: str) -> None:
    assert to_line(subject) == line


def test_line_counts_time_left_from_now() -> None:
    assert to_line(expiring(), NOW + 11 * HOUR) == "EXPIRING anthropic:default on home/main in 59 min"
    # No check since: the status stays, without a time left that contradicts it.
    assert to_line(expiring(), NOW + DAY) == "EXPIRING anthropic:default on home/main"


def condition(name: ConditionName, severity: Severity, profile: str | None = None, **more: Any) -> Condition:
    return Condition(name, severity, "anthropic", profile, **more)


def test_line_shows_the_worst_of_several() -> None:
    bad = (
        condition(ConditionName.EXPIRING, Severity.WARNING, "b", deadline=NOW + 60),
        Condition(ConditionName.CHECK_FAILED, Severity.CRITICAL, reason="timeout"),
        condition(ConditionName.MISSING, Severity.CRITICAL, "c"),
        condition(ConditionName.EXPIRED, Severity.CRITICAL, "d", deadline=NOW - 60),
        condition(ConditionName.EXPIRED, Severity.CRITICAL, "a", deadline=NOW - 120),
        condition(ConditionName.UNDATED, Severity.INFO, "e"),
    )
    for rotation in range(len(bad)):
        subject = report(agent(exit_code=1, conditions=bad[rotation:] + bad[:rotation]))
        assert to_line(subject) == "EXPIRED a on home/main 2 min ago, and 4 more"


def test_line_is_ok_with_info_only() -> None:
    assert to_line(report(agent(conditions=(condition(ConditionName.UNDATED, Severity.INFO, "a"),)))) == "OK"


def test_no_usable_profile_has_the_line_word_of_its_cause() -> None:
    nothing = condition(ConditionName.NO_USABLE_PROFILE, Severity.CRITICAL)
    causes = (
        condition(ConditionName.MISSING, Severity.CRITICAL, "c"),
        condition(ConditionName.UNUSABLE, Severity.INFO, "b", reason="rate_limit"),
        condition(ConditionName.EXPIRED, Severity.CRITICAL, "a", deadline=NOW - 60),
    )
    lines = [to_line(report(agent(exit_code=1, conditions=(nothing, *causes[:n])))) for n in range(4)]
    assert lines == [
        "MISSING anthropic on home/main",
        "MISSING c on home/main",
        "UNUSABLE b on home/main (rate_limit)",
        "EXPIRED a on home/main 1 min ago",
    ]


def test_line_names_shared_credential_once() -> None:
    expired = condition(ConditionName.EXPIRED, Severity.CRITICAL, "a")
    many = [agent(id=f"a{n}", exit_code=1, conditions=(expired,)) for n in range(5)]
    assert to_line(report(*many)) == "EXPIRED a on home/a0,a1,a2 and 2 more agents"


# --- Nagios ------------------------------------------------------------------------------------


def test_nagios_output_and_code() -> None:
    assert to_nagios(expiring()) == (
        "OPENCLAW_AUTH WARNING - EXPIRING anthropic:default on home/main in 11 h 59 min"
        " | 'home/main/anthropic:default expiry'=43180s;86400:;0:",
        1,
    )
    assert to_nagios(expiring(), NOW + 40, expiring_within=3600)[0].endswith("expiry'=43140s;3600:;0:")
    assert to_nagios(healthy())[0].startswith("OPENCLAW_AUTH OK - 1 target, 1 agent, 2 profiles | ")
    assert to_nagios(not_listed())[0] == "OPENCLAW_AUTH UNKNOWN - UNKNOWN home/* (command_not_found)"


def test_nagios_code_of_each_example() -> None:
    codes = {name: to_nagios(example())[1] for name, example in EXAMPLES.items()}
    assert codes == {
        "healthy": 0,
        "expiring": 1,
        "expired_with_spare": 1,
        "unusable": 2,
        "failed": 3,
        "not_listed": 3,
        "odd_ids": 2,
    }


def test_nagios_failed_check_does_not_hide_a_critical_problem() -> None:
    both = Report(NOW, failed().targets + unusable().targets)
    output, code = to_nagios(both)
    assert code == 2
    assert output.startswith(
        "OPENCLAW_AUTH CRITICAL - UNUSABLE anthropic:default on home/main (billing), 10 h left, and 1 more |"
    )


def test_nagios_perfdata_is_bounded_and_nearest_first() -> None:
    many = [profile(f"p:{n:03}", expires_at=NOW + 1000 - n) for n in range(300)]
    perfdata = to_nagios(report(agent(*many)))[0].partition(" | ")[2]
    labels = re.findall("'home/main/(p:...) expiry'=", perfdata)
    assert labels == [f"p:{n:03}" for n in range(299, 199, -1)]


def test_nagios_labels_are_unique() -> None:
    twins = [profile(id, label=label, expires_at=NOW + 60) for id, label in (("a", "x"), ("b", "x"), ("c", "x+"))]
    labels = re.findall("'home/main/(.*?) expiry'=60s", to_nagios(report(agent(*twins)))[0])
    assert labels == ["x", "x+", "x++"]


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


# --- any report --------------------------------------------------------------------------------


def is_printable(text: str) -> bool:
    return all(line.isprintable() for line in text.split("\n"))


@any_report
@given(reports)
def test_any_report_is_json(subject: Report) -> None:
    text = json.dumps(to_json(subject), ensure_ascii=False, allow_nan=False)
    text.encode()
    assert SECRET not in text
    assert json.loads(text)["exit_code"] == subject.exit_code
    more = {"notifications": {"alerts": ["\ud800"]}}
    assert "".join(to_text(subject, {})) == text
    assert json.loads("".join(to_text(subject, more))) == {**to_json(subject), **as_json.encodable(more)}


@any_report
@given(reports)
def test_any_report_is_a_line(subject: Report) -> None:
    line = to_line(subject)
    assert line.isprintable()
    assert (line == "OK") is (subject.exit_code == 0)
    assert line.split(" ")[0] in ("OK", "EXPIRING", "EXPIRED", "UNUSABLE", "MISSING", "UNKNOWN")
    assert len(line) < 3000


@any_report
@given(reports)
def test_any_report_is_nagios_output(subject: Report) -> None:
    output, code = to_nagios(subject)
    assert output.isprintable()
    assert output.count("|") <= 1
    word = re.match("OPENCLAW_AUTH (OK|WARNING|CRITICAL|UNKNOWN) - .", output)
    assert word is not None
    assert ("OK", "WARNING", "CRITICAL", "UNKNOWN").index(word[1]) == code
    perfdata = output.partition("| ")[2]
    labels = re.findall(r"'((?:[^'=|]|'')*)'=-?\d+s;86400:;0:(?: |$)", perfdata)
    assert len(labels) == len(set(labels)) == perfdata.count("s;86400:;0:")


@any_report
@given(reports, st.none() | st.text())
def test_any_report_is_a_table_and_an_explanation(subject: Report, name: str | None) -> None:
    wide = to_table(subject, style=Style(width=100, everything=True))
    for text in (to_table(subject), wide, explain(subject), explain(subject, name)):
        assert is_printable(text)
        assert not text.endswith("\n")
        assert SECRET not in text
    last = to_table(subject).splitlines()[-1]
    assert last.endswith(f"(exit code {subject.exit_code}).")
