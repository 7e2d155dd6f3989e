"""The gateway source reads what a gateway answers: recorded answers of OpenClaw 2026.9.6, and arbitrary ones."""

from __future__ import annotations

import contextlib
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from captured import capture, scenarios, verdict
from fake_gateway import NOW, RELEASE, TOKEN, Gateway, agent_list, source, with_payload
from hypothesis import given
from hypothesis import strategies as st

from exporter.model import CheckError, Dialect, FailureReason, Purpose, Use
from exporter.sources.gateway.answers import by_credential, observe, only_in_use, roster_of, usage_of
from exporter.sources.store.uses import providers_of

# --- what a good answer becomes --------------------------------------------------------------------


async def test_alias_among_the_fallbacks_counts_for_every_provider(tmp_path: Path) -> None:
    model = {"primary": "anthropic/claude-opus-5", "fallbacks": ["GPT"]}
    agents = with_payload({"defaultId": "main", "agents": [{"id": "main", "model": model}]})
    subject = source(Gateway(agents_list=agents))
    seen = await subject.check("main")
    assert seen.providers_in_use == ("anthropic", "google", "openai", "openrouter")
    assert seen.models_in_use == ("anthropic/claude-opus-5",)
    assert [note for note in seen.notes if "GPT" in note]
    await subject.aclose()
    # The configuration resolves the alias if it is on this host.
    aliases = {"agents": {"defaults": {"models": {"openai/gpt-5": {"alias": "gpt"}}}}}
    (tmp_path / "openclaw.json").write_text(json.dumps(aliases))
    subject = source(Gateway(agents_list=agents), state_dir=str(tmp_path))
    seen = await subject.check("main")
    assert seen.providers_in_use == ("anthropic", "openai")
    assert seen.models_in_use == ("anthropic/claude-opus-5", "openai/gpt-5")
    assert not [note for note in seen.notes if "GPT" in note]
    await subject.aclose()


async def test_model_that_claude_code_runs_is_served_by_its_login() -> None:
    entry = {"id": "main", "model": {"primary": "anthropic/claude-opus-4-6"}, "agentRuntime": {"id": "claude-cli"}}
    nothing = with_payload({"ts": 1, "providers": []})
    subject = source(Gateway(agents_list=agent_list(entry), models_authStatus=nothing))
    seen = await subject.check("main")
    assert seen.providers_in_use == ("claude-cli",)
    assert [note for note in seen.notes if "Claude Code" in note]
    report = verdict(seen)
    assert not [condition for condition in report.conditions if condition.severity != "info"]
    assert report.providers_usable == {}  # it was not seen
    await subject.aclose()


async def test_check_gives_the_observation_in_the_answer() -> None:
    gateway = Gateway()
    subject = source(gateway)
    assert await subject.agents() == ["main"]
    seen = await subject.check("main")
    assert (seen.target, seen.agent, seen.source, seen.dialect) == ("rack7", "main", "gateway", Dialect.GATEWAY)
    assert seen.observed_at == NOW
    assert [(p.id, p.provider, p.kind, p.status, p.expires_at) for p in seen.profiles] == [
        ("anthropic:default", "anthropic", "token", "ok", 1803123087.011),
        ("google:default", "google", "api_key", "static", None),
        ("openai:user@example.com", "openai", "oauth", "ok", 1795419087.011),
        ("openrouter:manual", "openrouter", "api_key", "static", None),
    ]
    assert seen.providers_in_use == ("anthropic",)
    assert seen.models_in_use == ("anthropic/claude-opus-5",)
    assert seen.openclaw_version == "2026.9.6"
    assert seen.blind_to == {"unusable", "uses"}
    assert seen.openclaw_exit_code is None
    assert subject.fingerprint() is None
    request = gateway.requests[0]
    assert request.headers["authorization"] == f"Bearer {TOKEN}"
    assert str(request.url) == "http://127.0.0.1:18789/api/v1/admin/rpc"
    assert json.loads(gateway.requests[1].content)["params"] == {"agentId": "main"}


@pytest.mark.parametrize(
    ("scenario", "exit_code", "conditions"),
    [
        ("mixed_providers", 0, {("partial_view", "info")}),
        ("all_unusable", 2, {("partial_view", "info"), ("expiring", "warning")}),
        (
            "token_expired",
            1,
            {("partial_view", "info"), ("expired", "critical"), ("no_usable_profile", "critical")},
        ),
    ],
)
def test_capture_gives_the_expected_conditions(scenario: str, exit_code: int, conditions: set[tuple[str, str]]) -> None:
    data = capture(RELEASE, scenario)
    payload = data["body"]["payload"]
    seen = observe(payload, target="t", agent="main", observed_at=data["now_ms"] / 1000)
    uses = by_credential([Use("anthropic/claude-opus-5", Purpose.CHAT)], payload)
    report = verdict(only_in_use(replace(seen, uses=uses, providers_in_use=providers_of(uses)), payload))
    assert report.exit_code == exit_code
    assert {(c.name, c.severity) for c in report.conditions} == conditions
    assert all(p.unusable_seen is False for p in report.profiles)


def test_every_capture_has_an_expectation() -> None:
    assert scenarios(RELEASE) == ["all_unusable", "mixed_providers", "token_expired"]


def test_account_names_are_never_copied() -> None:
    payload = capture(RELEASE, "mixed_providers")["body"]["payload"]
    for entry in payload["providers"]:
        for profile in entry["profiles"]:
            profile["email"] = profile["displayName"] = "PLANTED-SECRET-person"
        entry["usage"] = {"accountEmail": "PLANTED-SECRET-person", "plan": "PLANTED-SECRET-plan", "windows": []}
    assert "PLANTED-SECRET" not in repr(observe(payload, target="t", agent="main", observed_at=NOW))


def test_explicit_order_is_kept() -> None:
    payload = {
        "providers": [
            {"provider": "anthropic", "profiles": [], "profileOrder": ["a:2", "a:1", "a:2"]},
            {"provider": "openai", "profiles": []},
        ]
    }
    assert observe(payload, target="t", agent="main", observed_at=NOW).order == {"anthropic": ("a:2", "a:1")}


def test_environment_key_is_a_profile_if_its_provider_is_in_use() -> None:
    # As 2026.9.6 answers with XAI_API_KEY in the gateway's environment: the alias is listed first.
    key = {"source": "env", "envVar": "XAI_API_KEY"}
    payload = {
        "providers": [
            {"provider": "x-ai", "authProvider": "xai", "status": "static", "profiles": [], "apiKey": key},
            {"provider": "xai", "authProvider": "xai", "status": "static", "profiles": [], "apiKey": key},
            {
                "provider": "groq",
                "authProvider": "groq",
                "profiles": [],
                "apiKey": {"source": "env", "envVar": "GROQ_KEY"},
            },
        ]
    }
    seen = observe(payload, target="t", agent="main", observed_at=NOW)
    uses = by_credential([Use(model, Purpose.CHAT) for model in ("x-ai/grok-5", "openrouter/a/b")], payload)
    assert [use.model for use in uses] == ["xai/grok-5", "openrouter/a/b"]
    in_use = providers_of(uses)
    kept = only_in_use(replace(seen, providers_in_use=in_use), payload)
    assert [(p.id, p.provider, p.kind) for p in kept.profiles] == [("env:XAI_API_KEY", "xai", "api_key")]
    assert kept.providers_in_use == ("xai", "openrouter")


def test_key_in_the_openclaw_configuration_is_not_missing() -> None:
    payload = {"providers": [{"provider": "openai", "profiles": [], "apiKey": {"source": "config"}}]}
    seen = replace(observe(payload, target="t", agent="main", observed_at=NOW), providers_in_use=("openai", "xai"))
    kept = only_in_use(seen, payload)
    assert kept.providers_in_use == ("xai",)
    assert any("openai" in note for note in kept.notes)


def test_profile_listed_twice_is_one_profile() -> None:
    def profile(status: str) -> dict[str, str]:
        return {"profileId": "a:1", "type": "token", "status": status}

    entries = [
        {"provider": "alias", "authProvider": "anthropic", "profiles": [profile("ok")]},
        {"provider": "anthropic", "authProvider": "anthropic", "profiles": [profile("ok"), profile("expired")]},
    ]
    for order in (entries, entries[::-1]):
        seen = observe({"providers": order}, target="t", agent="main", observed_at=NOW)
        assert [(p.id, p.provider, p.status) for p in seen.profiles] == [("a:1", "anthropic", "expired")]


@pytest.mark.parametrize("at", [0, -5, "1800000000000", True, None, float("nan"), float("inf"), [], {}])
def test_invalid_date_counts_as_absent(at: object) -> None:
    profile = {"profileId": "a:1", "type": "token", "status": "ok", "expiry": {"at": at}}
    seen = observe({"providers": [{"provider": "a", "profiles": [profile]}]}, target="t", agent="main", observed_at=NOW)
    assert seen.profiles[0].expires_at is None
    assert seen.profiles[0].status == "ok"


def test_entries_without_a_name_are_counted() -> None:
    payload = {"providers": [{}, {"provider": ""}, {"provider": "a", "profiles": [{"x": 7}, {}, {"profileId": "a:1"}]}]}
    seen = observe(payload, target="t", agent="main", observed_at=NOW)
    assert [(p.id, p.kind, p.status) for p in seen.profiles] == [("a:1", "unknown", None)]
    assert seen.notes == ("skipped 4 entries of the gateway's lists that name nothing",)


@pytest.mark.parametrize(
    ("providers", "problem"),
    [
        ([None], "providers[0] is not an object"),
        ([{"provider": "a", "profiles": None}], "providers[0].profiles is not a list"),
        ([{"provider": "a", "profiles": {}}], "providers[0].profiles is not a list"),
        ([{"provider": "a", "profiles": [7]}], "providers[0].profiles[0] is not an object"),
        ([{"provider": "a", "profiles": [], "profileOrder": "a:1"}], "providers[0].profileOrder is not a list"),
    ],
)
def test_container_of_another_type_is_invalid_output_and_not_an_empty_list(providers: list[Any], problem: str) -> None:
    with pytest.raises(CheckError) as caught:
        observe({"providers": providers}, target="t", agent="main", observed_at=NOW)
    assert (caught.value.reason, caught.value.message) == (
        FailureReason.INVALID_OUTPUT,
        f"models.authStatus cannot be read: {problem}",
    )


@pytest.mark.parametrize("agents", [None, {}, "main", [None], [{"id": "main"}, 7], []])
def test_agents_that_cannot_be_read_are_invalid_output(agents: object) -> None:
    with pytest.raises(CheckError) as caught:
        roster_of({"agents": agents})
    assert caught.value.reason is FailureReason.INVALID_OUTPUT


WORDS = (
    *("provider", "authProvider", "profiles", "profileId", "type", "status", "expiry", "at", "profileOrder", "usage"),
    *("windows", "label", "usedPercent", "resetAt", "apiKey", "source", "envVar", "error"),
    *("agents", "id", "model", "primary", "fallbacks", "defaultId"),
)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8) | st.just("provider"),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from(WORDS), inner, max_size=5),
    max_leaves=30,
)


@given(providers=st.lists(JSON, max_size=5), agents=JSON, extra=JSON)
def test_arbitrary_payload_never_breaks_the_reading(providers: list[Any], agents: Any, extra: Any) -> None:
    payload = {"providers": providers, "extra": extra}
    try:
        seen = observe(payload, target="t", agent="main", observed_at=NOW)
    except CheckError:
        seen = observe({"providers": []}, target="t", agent="main", observed_at=NOW)
    assert len({p.id for p in seen.profiles}) == len(seen.profiles)
    in_use = providers_of(by_credential([Use(model, Purpose.CHAT) for model in ("provider/x", "b/y")], payload))
    assert in_use
    only_in_use(replace(seen, providers_in_use=in_use), payload)
    usage_of({"providers": providers})
    with contextlib.suppress(CheckError):
        assert roster_of({"agents": agents, "defaultId": extra})
