"""Report → JSON, and any report at all in every form."""

from __future__ import annotations

import json
import re

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from reports import EXAMPLES, NOW, SECRET, agent, compare_golden, not_listed, profile, report, reports, unusable

from exporter.model import Failure, FailureReason, Report
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
    output = to_json(report(disabled._replace(conditions=disabled.conditions[:1])))
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
