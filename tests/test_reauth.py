"""The way back to health: what is offered, what is run, what is found afterwards."""

from __future__ import annotations

from pathlib import Path

import pytest
from captured import seen, verdict
from reports import agent, profile, report

from exporter.model import Report, TargetReport
from exporter.reauth import is_command, outcome, walk, wanting


def shown(scenario: str) -> Report:
    judged = verdict(seen("2026.9.6", scenario))
    return Report(judged.judged_at, (TargetReport("home", "openclaw", (judged,)),))


def test_what_needs_a_person_is_offered_the_worst_first() -> None:
    found = wanting(shown("all_unusable"))
    assert [(c.severity, c.profile) for _, c in found][-1] == ("warning", "anthropic:work")
    assert {c.profile for _, c in found} == {"anthropic:api", "anthropic:default", "anthropic:work"}
    assert [c.profile for _, c in wanting(shown("all_unusable"), profile="anthropic:api")] == ["anthropic:api"]
    assert wanting(shown("all_unusable"), target="other") == []
    assert wanting(shown("token_ok_30d")) == []


def test_an_undated_token_is_offered_by_name_only() -> None:
    assert wanting(shown("token_no_expiry")) == []
    assert len(wanting(shown("token_no_expiry"), profile="anthropic:default")) == 1


def test_every_step_can_be_refused(tmp_path: Path) -> None:
    told = tmp_path / "told"
    steps = (f"OPENCLAW_X=1 sh -c 'echo a >> {told}'", f"OPENCLAW_X=1 sh -c 'echo b >> {told}'", "Top up")
    asked: list[str] = []

    def second_only(question: str) -> bool:
        asked.append(question)
        return "echo b" in question

    assert walk(steps, second_only)
    assert len(asked) == 2  # advice is shown, not asked
    assert told.read_text() == "b\n"


def test_what_fails_ends_the_walk(capsys: pytest.CaptureFixture[str]) -> None:
    assert not walk(("OPENCLAW_X=1 false", "OPENCLAW_X=1 true"), lambda question: True)
    assert "did not work" in capsys.readouterr().err


def test_until_when_it_holds_now() -> None:
    good = report(agent(profile(usable=True)))
    assert "works on home/main" in outcome(good, good.targets[0].agents[0].profiles[0].id)
    assert outcome(good, "another").startswith("It is not mended yet")


def test_advice_is_no_command() -> None:
    assert is_command("claude setup-token")
    assert is_command("ssh -t me@vps openclaw models status")
    assert not is_command("Top up or fix the billing of anthropic")
