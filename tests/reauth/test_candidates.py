"""Which credentials need renewing, in which order, and for whom."""

from __future__ import annotations

from captured import seen, verdict
from reports import DAY, agent, profile, report

from exporter.model import Report, Severity, TargetReport
from exporter.reauth import candidates
from exporter.reauth.candidates import Selection
from reauth.conversation import World, disabled, token


def shown(scenario: str) -> Report:
    found = verdict(seen("2026.9.6", scenario))
    return Report(found.evaluated_at, (TargetReport("home", "openclaw", (found,)),))


def test_worst_credential_is_first_and_its_provider_is_no_other_problem() -> None:
    found = candidates.find_candidates(shown("all_unusable"), Selection())
    assert [(candidate.severity, candidate.profile) for candidate in found] == [
        (Severity.CRITICAL, "anthropic:api"),
        (Severity.CRITICAL, "anthropic:default"),
        (Severity.WARNING, "anthropic:work"),
    ]
    assert candidates.other_problems(shown("all_unusable"), Selection()) == []
    assert candidates.exit_code(shown("all_unusable"), Selection()) == 1


def test_selection_narrows_the_candidates() -> None:
    def profiles(scenario: str, **selection: str) -> list[str]:
        return [candidate.profile for candidate in candidates.find_candidates(shown(scenario), Selection(**selection))]

    assert profiles("all_unusable", profile="anthropic:api") == ["anthropic:api"]
    assert profiles("all_unusable", agent="other") == []
    assert profiles("all_unusable", target="other") == []
    assert profiles("token_ok_30d") == []
    assert profiles("token_ok_30d", profile="anthropic:default") == ["anthropic:default"]
    assert profiles("token_no_expiry") == []
    assert profiles("token_no_expiry", profile="anthropic:default") == ["anthropic:default"]


def test_profile_can_be_selected_by_its_alias() -> None:
    named = report(agent(profile(label="mine")))
    assert [candidate.profile for candidate in candidates.find_candidates(named, Selection(profile="mine"))] == [
        "anthropic:default"
    ]


def test_rate_limit_on_everything_is_an_other_problem() -> None:
    world = World(token(ends=30 * DAY, unusable=disabled("rate_limit")), release="2026.6.11")
    found = world.check(None)
    assert candidates.find_candidates(found, Selection()) == []
    assert [condition.name for condition in candidates.other_problems(found, Selection())] == ["no_usable_profile"]


def test_agents_share_a_candidate_if_they_hold_the_same_secret() -> None:
    world = World(token())
    world.store(token(), "ops")
    world.store(token(secret_hash="another"), "work")

    def agents(selection: Selection) -> list[tuple[str, ...]]:
        return [found.agents for found in candidates.find_candidates(world.check(None), selection)]

    assert agents(Selection()) == [("main", "ops"), ("work",)]
    assert agents(Selection(agent="ops")) == [("ops",)]


def test_exit_code_is_about_the_selection() -> None:
    world = World(token(), token("openai:token", ends=30 * DAY))
    assert candidates.exit_code(world.check(None), Selection()) == 1
    assert candidates.exit_code(world.check(None), Selection(profile="openai:token")) == 0
    assert candidates.exit_code(world.check(None), Selection(profile="anthropic:default")) == 1
    world.failure = "no answer"
    assert candidates.exit_code(world.check(None), Selection(profile="openai:token")) == 1
