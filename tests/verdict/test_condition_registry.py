"""Every condition of the catalogue has a rule with a test, a row in docs/verdict.md and a runbook section."""

from __future__ import annotations

import re
import string
from collections.abc import Callable
from dataclasses import fields, replace
from pathlib import Path

import pytest
from captured import verdict
from profiles import DAY, EXPIRED, HOUR, LOGIN, NOW, SPARE, TOKEN, observation

from exporter.config import Policy
from exporter.model import AgentReport, ConditionName, Dialect, Failure, FailureReason, Severity, Unusable, UsageWindow
from exporter.state.history import CredentialChange, CredentialHistory, CredentialRecord
from exporter.verdict import Subject, evaluate

DOCS = Path(__file__).parents[2] / "docs"


def failed() -> AgentReport:
    failure = Failure(FailureReason.TIMEOUT, "no answer within 60 s", NOW)
    return evaluate(Subject("home", "main", "openclaw"), None, failure, CredentialHistory(), Policy(), NOW)


def with_history(**facts: object) -> AgentReport:
    return verdict(observation(SPARE), replace(CredentialHistory(), **facts))  # type: ignore[arg-type]  # any field


#: The plainest situation in which each condition holds, and its severity then.
EXAMPLES: dict[ConditionName, tuple[Callable[[], AgentReport], Severity]] = {
    ConditionName.UNDATED: (lambda: verdict(observation(replace(TOKEN, expires_at=None))), Severity.INFO),
    ConditionName.EXPIRING: (lambda: verdict(observation(replace(TOKEN, expires_at=NOW + HOUR))), Severity.WARNING),
    ConditionName.EXPIRED: (lambda: verdict(observation(EXPIRED)), Severity.CRITICAL),
    ConditionName.UNUSABLE: (
        lambda: verdict(observation(replace(TOKEN, unusable=Unusable("disabled", "billing", None)))),
        Severity.CRITICAL,
    ),
    ConditionName.MISSING: (
        lambda: verdict(observation(missing_providers=frozenset({"anthropic"}))),
        Severity.CRITICAL,
    ),
    ConditionName.NO_USABLE_PROFILE: (lambda: verdict(observation(EXPIRED)), Severity.CRITICAL),
    ConditionName.CHECK_FAILED: (failed, Severity.CRITICAL),
    ConditionName.REPORTED: (lambda: verdict(observation(TOKEN, openclaw_exit_code=2)), Severity.WARNING),
    ConditionName.STATUS_DISAGREES: (
        lambda: verdict(observation(replace(TOKEN, expires_at=NOW - HOUR))),
        Severity.INFO,
    ),
    ConditionName.IDLE: (
        lambda: verdict(
            observation(replace(LOGIN, status="expired", expires_at=NOW - 2 * DAY), dialect=Dialect.LISTING)
        ),
        Severity.INFO,
    ),
    ConditionName.VANISHED: (
        lambda: with_history(
            profiles={"old": CredentialRecord("old", "openai", "api_key", NOW - 9 * DAY, NOW - DAY, gone_at=NOW - DAY)}
        ),
        Severity.INFO,
    ),
    ConditionName.CREDENTIAL_CHANGED: (
        lambda: with_history(changed={"anthropic": CredentialChange("token", "api_key", NOW - DAY)}),
        Severity.INFO,
    ),
    ConditionName.PARTIAL_VIEW: (
        lambda: verdict(observation(TOKEN, blind_to=frozenset({"unusable"}))),
        Severity.INFO,
    ),
    ConditionName.QUOTA: (
        lambda: verdict(observation(TOKEN, usage=(UsageWindow("anthropic", "5h", 0.95),))),
        Severity.INFO,
    ),
    ConditionName.CLOCK: (lambda: with_history(latest=NOW + DAY), Severity.WARNING),
}


@pytest.mark.parametrize("name", ConditionName)
def test_condition_holds_in_its_example(name: ConditionName) -> None:
    assert name in EXAMPLES, f"condition {name} has no example: add one to EXAMPLES in {__file__}"
    example, severity = EXAMPLES[name]
    found = {condition.name: condition for condition in example().conditions}
    assert name in found, f"no rule in exporter/verdict/conditions.py finds {name} in its example"
    assert found[name].severity is severity
    assert found[name].summary


@pytest.mark.parametrize("name", ConditionName)
def test_condition_has_a_row_in_the_reference(name: ConditionName) -> None:
    rows = re.findall(r"^\| `(\w+)` \|", (DOCS / "verdict.md").read_text(encoding="utf-8"), re.MULTILINE)
    assert name in rows, f"condition {name} has no row in docs/verdict.md: run scripts/regenerate"


@pytest.mark.parametrize("name", ConditionName)
def test_condition_has_a_runbook_section(name: ConditionName) -> None:
    text = (DOCS / "runbook.md").read_text(encoding="utf-8")
    heading = name.definition.runbook
    assert f"\n### {heading}\n" in text, (
        f"condition {name} has no section '### {heading}' in docs/runbook.md: write one"
    )


@pytest.mark.parametrize("name", ConditionName)
def test_row_of_the_catalogue_is_complete(name: ConditionName) -> None:
    definition = name.definition
    optional = {"provider_wording", "runbook_note", "renewal_rank"}
    for field in fields(definition):
        assert field.name in optional or getattr(definition, field.name) not in ("", None), f"{name}: {field.name}"
    for wording in filter(None, (definition.wording, definition.provider_wording)):
        assert all(wording), f"{name}: {wording}"
        title = wording.title
        used = {field for _, field, _, _ in string.Formatter().parse(title) if field}
        assert used <= {"subject", "cause", "window", "expires"}, f"{name}: {title}"
    assert definition.word == name.name.lower()


def test_each_renewable_condition_has_its_own_rank() -> None:
    ranks = [name.definition.renewal_rank for name in ConditionName if name.definition.renewal_rank]
    assert sorted(ranks) == list(range(1, len(ranks) + 1))
