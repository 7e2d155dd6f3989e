"""Report → one line, for a phone, and Nagios output: exact words."""

from __future__ import annotations

import re
from typing import Any

import pytest
from reports import (
    DAY,
    EXAMPLES,
    HOUR,
    NOW,
    agent,
    expired_with_spare,
    expiring,
    failed,
    healthy,
    not_listed,
    odd_ids,
    profile,
    report,
    unusable,
)

from exporter.model import Condition, ConditionName, Report, Severity
from exporter.present import to_line, to_nagios

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
