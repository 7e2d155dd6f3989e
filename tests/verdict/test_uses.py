"""What a provider is used for decides how severe its trouble is, and the messages name it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest
from captured import verdict
from hypothesis import given
from hypothesis import strategies as st
from worlds import DAY, NOW, observations

from exporter.model import (
    AgentReport,
    Dialect,
    Observation,
    ObservedProfile,
    Purpose,
    Severity,
    Unusable,
    Use,
    most_important_first,
)
from exporter.sources.store.uses import providers_of, uses_of

CHAT = Use("anthropic/claude-opus-5", Purpose.CHAT)
TOKEN = ObservedProfile("anthropic:default", "anthropic", "token", expires_at=NOW + 90 * DAY)
ZAI = ObservedProfile("zai:default", "zai", "api_key", has_refresh_token=False)
SPARE = replace(ZAI, id="zai:spare")
BESIDE_CHAT = [purpose for purpose in Purpose if not purpose.is_chat]
TROUBLE = {
    "missing": (),
    "unusable": (replace(ZAI, unusable=Unusable("disabled", "billing", NOW + DAY)),),
    "expired": (replace(ZAI, kind="token", expires_at=NOW - DAY),),
    "missing profile": (replace(ZAI, reason_code="missing_credential"),),
}


def observed(uses: list[Use], *profiles: ObservedProfile, dialect: Dialect = Dialect.STORE) -> Observation:
    ordered = most_important_first(uses)
    in_use = providers_of(ordered)
    return Observation("home", "main", "store", dialect, NOW, (TOKEN, *profiles), in_use, ordered)


def severities(report: AgentReport) -> dict[str, str]:
    return {condition.name.value: condition.severity.value for condition in report.conditions}


def rank(report: AgentReport) -> int:
    return max((condition.severity.rank for condition in report.conditions), default=-1)


def test_people_wait_for_chat_and_channels_and_openclaw_examines_some_other_models() -> None:
    assert {purpose.value for purpose in Purpose if purpose.is_chat} == {"chat", "channel"}
    assert {purpose.value for purpose in Purpose if purpose.is_examined} == {"chat", "images", "utility"}


def test_each_use_counts_once_under_its_provider_in_lower_case() -> None:
    heartbeat = Use("ZAI/glm", Purpose.HEARTBEAT)
    assert heartbeat.provider == "zai"
    assert most_important_first([heartbeat, CHAT, heartbeat]) == (CHAT, heartbeat)


@pytest.mark.parametrize("trouble", TROUBLE)
@pytest.mark.parametrize("dialect", [Dialect.STORE, Dialect.GATEWAY, Dialect.STATUS, Dialect.LISTING, Dialect.ROUTES])
@pytest.mark.parametrize("purpose", BESIDE_CHAT)
def test_trouble_of_a_provider_beside_the_chat_is_a_warning_that_names_its_use(
    purpose: Purpose, dialect: Dialect, trouble: str
) -> None:
    use = Use("zai/glm", purpose)
    seen = observed([CHAT, use], *TROUBLE[trouble], dialect=dialect)
    if purpose.is_examined and dialect is not Dialect.STORE:
        seen = replace(seen, missing_providers=frozenset({"zai"}), openclaw_exit_code=1)
    report = verdict(seen)
    found = [condition for condition in report.conditions if condition.provider == "zai"]
    assert report.exit_code == 2
    assert trouble.split()[0] in {condition.name.value for condition in found}
    assert {condition.severity for condition in found} == {Severity.WARNING}
    assert all(f"needed by {use.words} (zai/glm)" in condition.summary for condition in found)
    assert "no route uses" not in repr(report)


@pytest.mark.parametrize("trouble", TROUBLE)
@pytest.mark.parametrize("purpose", [Purpose.CHAT, Purpose.CHANNEL])
def test_trouble_of_a_chat_route_is_critical(purpose: Purpose, trouble: str) -> None:
    uses = [CHAT, Use("zai/glm", purpose), Use("zai/glm", Purpose.HEARTBEAT)]
    report = verdict(observed(uses, *TROUBLE[trouble]))
    assert report.exit_code == 1
    assert "needed by" not in repr([c.summary for c in report.conditions])


def test_provider_in_use_without_a_known_use_serves_chat() -> None:
    seen = replace(observed([CHAT], *TROUBLE["unusable"]), providers_in_use=("anthropic", "zai"))
    assert severities(verdict(seen))["no_usable_profile"] == "critical"


def test_spare_of_a_heartbeat_is_a_warning_and_info_after_a_week() -> None:
    def expired(days: float) -> dict[str, str]:
        old = replace(ZAI, kind="token", expires_at=NOW - days * DAY)
        return severities(verdict(observed([CHAT, Use("zai/glm", Purpose.HEARTBEAT)], old, SPARE)))

    assert expired(1) == {"expired": "warning"}
    assert expired(8) == {"expired": "info"}


def test_provider_that_nothing_uses_is_info_and_the_words_are_true() -> None:
    seen = observed([CHAT], *TROUBLE["unusable"])
    (condition,) = verdict(seen).conditions
    assert (condition.severity, condition.rule.split("; ")[1]) == (
        "info",
        "nothing in the configuration uses the provider",
    )
    (condition,) = verdict(replace(seen, blind_to=frozenset({"uses"}))).conditions
    assert (condition.severity, condition.rule.split("; ")[1]) == (
        "info",
        "no model that could be seen uses the provider",
    )


def test_missing_heartbeat_provider_that_needs_no_credential_is_fine() -> None:
    assert verdict(observed([CHAT, Use("ollama/llama", Purpose.HEARTBEAT)])).conditions == ()


def test_login_that_serves_a_heartbeat_under_another_name_is_a_warning() -> None:
    login = ObservedProfile("openai-codex:me", "openai-codex", "oauth", expires_at=NOW - DAY, has_refresh_token=False)
    report = verdict(observed([CHAT, Use("openai/gpt-5", Purpose.SUB_AGENTS)], login))
    assert severities(report) == {"expired": "warning", "no_usable_profile": "warning"}
    assert "needed by sub-agents (openai/gpt-5)" in report.conditions[0].summary


def test_provider_that_openclaw_lists_serves_chat_unless_a_use_that_it_examines_explains_it() -> None:
    heartbeat = Use("zai/glm", Purpose.HEARTBEAT)
    listed = {"missing_providers": frozenset({"zai"}), "openclaw_exit_code": 1}
    seen = replace(observed([CHAT, heartbeat], dialect=Dialect.ROUTES), **listed)  # type: ignore[arg-type]  # fields
    assert severities(verdict(seen)) == {"missing": "critical"}
    images = most_important_first((*seen.uses, Use("zai/vision", Purpose.IMAGES)))
    assert severities(verdict(replace(seen, uses=images))) == {"missing": "warning"}


def test_exit_code_that_an_unexamined_provider_cannot_explain_is_reported() -> None:
    expired = replace(ZAI, kind="token", status="expired", expires_at=NOW - DAY)
    uses = [CHAT, Use("zai/glm", Purpose.HEARTBEAT)]
    seen = replace(observed(uses, expired, dialect=Dialect.LISTING), openclaw_exit_code=1)
    assert severities(verdict(seen))["reported"] == "critical"


def test_many_uses_are_counted() -> None:
    uses = [CHAT, *(Use("zai/glm", Purpose.CRON_JOB, name) for name in "abcd")]
    (condition,) = verdict(observed(uses)).conditions
    assert condition.summary.endswith('needed by cron job "a" (zai/glm), cron job "b" (zai/glm) and 2 more')


def test_three_uses_are_all_named() -> None:
    uses = [CHAT, *(Use("zai/glm", Purpose.CRON_JOB, name) for name in "abc")]
    (condition,) = verdict(observed(uses)).conditions
    assert condition.summary.endswith('cron job "a" (zai/glm), cron job "b" (zai/glm) and cron job "c" (zai/glm)')


def test_each_use_is_explained() -> None:
    notes = verdict(observed([CHAT, Use("zai/glm", Purpose.HEARTBEAT)], ZAI)).notes
    assert "zai is in use: the heartbeat (zai/glm)" in notes
    assert not [note for note in notes if note.startswith("not seen:")]
    blind = replace(observed([CHAT]), blind_to=frozenset({"uses"}))
    assert [note for note in verdict(blind).notes if note.startswith("not seen:")]


# --- a cooldown for one model ----------------------------------------------------------------------


def cooled(model: str, *purposes: tuple[str, Purpose]) -> AgentReport:
    """The report about a profile in cooldown for a model of zai, with these uses of zai's models."""
    cooling = replace(ZAI, unusable=Unusable("cooldown", "rate_limit", NOW + 600, model))
    return verdict(observed([CHAT, *(Use(name, purpose) for name, purpose in purposes)], cooling))


def test_cooldown_for_one_model_blocks_only_what_uses_that_model() -> None:
    chat, heartbeat = ("zai/big", Purpose.CHAT), ("zai/small", Purpose.HEARTBEAT)
    images = ("zai/vision", Purpose.IMAGES)
    assert severities(cooled("big", chat, heartbeat))["no_usable_profile"] == "critical"
    assert severities(cooled("zai/small", heartbeat))["no_usable_profile"] == "warning"
    assert severities(cooled("other", chat, heartbeat)) == {"unusable": "info"}
    for beside in (chat, images):
        report = cooled("small", beside, heartbeat)
        assert severities(report)["no_usable_profile"] == "warning"
        assert report.providers_usable["zai"] is True
        assert "needed by the heartbeat (zai/small)" in report.conditions[0].summary
        assert "vision" not in report.conditions[0].summary


# --- laws ------------------------------------------------------------------------------------------

more_uses = st.builds(
    Use, st.sampled_from(["zai/glm", "zai/small", "anthropic/small", "openai/gpt"]), st.sampled_from(Purpose)
)
some_uses = st.lists(more_uses, max_size=4)
conditions = st.sampled_from([*TROUBLE.values(), (ZAI,), (SPARE, *TROUBLE["expired"])])
cooldowns = st.sampled_from([None, "glm", "small", "other"])


@given(some_uses, more_uses, conditions, cooldowns)
def test_further_use_never_lowers_a_severity(
    uses: list[Use], further: Use, profiles: tuple[ObservedProfile, ...], model: str | None
) -> None:
    if model is not None:
        profiles = tuple(replace(p, unusable=Unusable("cooldown", "rate_limit", NOW + 60, model)) for p in profiles)
    before, after = (verdict(observed([CHAT, *some], *profiles)) for some in (uses, [*uses, further]))
    assert rank(after) >= rank(before)


@given(some_uses, st.sampled_from(["zai/glm", "zai/small"]), st.sampled_from(BESIDE_CHAT), conditions, cooldowns)
def test_chat_is_never_milder_than_another_purpose(
    uses: list[Use], model: str, purpose: Purpose, profiles: tuple[ObservedProfile, ...], cooled_model: str | None
) -> None:
    if cooled_model is not None:
        unusable = Unusable("cooldown", "rate_limit", NOW + 60, cooled_model)
        profiles = tuple(replace(p, unusable=unusable) for p in profiles)
    chat, other = (verdict(observed([CHAT, *uses, Use(model, p)], *profiles)) for p in (Purpose.CHAT, purpose))
    assert rank(chat) >= rank(other)


@given(observations(min_profiles=1), st.lists(more_uses, min_size=1, max_size=4), st.sampled_from(BESIDE_CHAT))
def test_chat_is_never_milder_in_any_observation(seen: Observation, uses: list[Use], purpose: Purpose) -> None:
    seen = replace(seen, missing_providers=frozenset(), indeterminate_providers=frozenset())
    as_chat, as_other = (
        replace(seen, uses=tuple(replace(use, purpose=p) for use in uses)) for p in (Purpose.CHAT, purpose)
    )
    assert rank(verdict(as_chat)) >= rank(verdict(as_other))


# --- from the configuration to the verdict ---------------------------------------------------------

PLACES: dict[str, Callable[[str], dict[str, object]]] = {
    "heartbeat": lambda model: {"heartbeat": {"model": model}},
    "sub-agents": lambda model: {"subagents": {"model": {"primary": "anthropic/small", "fallbacks": [model]}}},
    "images": lambda model: {"imageModel": model},
    "PDF files": lambda model: {"pdfModel": model},
    "compaction": lambda model: {"compaction": {"model": model}},
    "memory flush": lambda model: {"compaction": {"memoryFlush": {"model": model}}},
    "utility": lambda model: {"utilityModel": model},
}


@pytest.mark.parametrize("trouble", TROUBLE)
@pytest.mark.parametrize("form", ["defaults", "list", "entries"])
@pytest.mark.parametrize("place", PLACES)
def test_place_in_the_configuration_decides_the_severity(place: str, form: str, trouble: str) -> None:
    setting, chat = PLACES[place]("glm"), {"model": CHAT.model, "models": {"zai/glm": {"alias": "GLM"}}}
    agents: dict[str, object] = {"defaults": {**chat, **(setting if form == "defaults" else {})}}
    if form == "list":
        agents["list"] = [{"id": "main", **setting}, {"id": "work"}]
    if form == "entries":
        agents["entries"] = {"main": setting, "work": {}}
    exit_codes = []
    for agent in ("main", "work"):
        uses = uses_of({"agents": agents}, agent)
        exit_codes.append(verdict(observed([*uses], *TROUBLE[trouble])).exit_code)
    assert exit_codes == ([2, 2] if form == "defaults" else [2, 0])
