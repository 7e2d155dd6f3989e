"""What the gateway source asks for, how often, and what it remembers between checks."""

from __future__ import annotations

import json
from typing import Any

import httpx
import pytest
from captured import capture
from fake_gateway import RELEASE, Clock, Gateway, agent_list, recorded, source, with_payload

from exporter.model import CheckError, FailureReason, UsageWindow
from exporter.sources import InMemorySourceCache
from exporter.sources.gateway import source as source_module
from exporter.sources.gateway.answers import observe


async def test_default_agent_is_first_and_each_agent_has_its_own_models() -> None:
    gateway = Gateway(
        agents_list=agent_list(
            {"id": "work", "model": {"primary": "google/gemini-3"}, "utilityModel": "openrouter/foo/bar"},
            {"id": "main", "model": {"primary": "anthropic/claude-opus-5", "fallbacks": ["xai/grok-5"]}},
        )
    )
    subject = source(gateway)
    assert await subject.agents() == ["main", "work"]
    assert (await subject.check("main")).providers_in_use == ("anthropic", "xai")
    assert (await subject.check("work")).providers_in_use == ("google", "openrouter")
    assert gateway.calls.count("agents.list") == 1


async def test_agents_and_version_are_cached() -> None:
    gateway, clock = Gateway(), Clock()
    cache = InMemorySourceCache(clock)
    for _ in range(2):
        subject = source(gateway, clock, cache)  # as after a restart of ours
        await subject.agents()
        await subject.check("main")
    assert gateway.calls == ["agents.list", "models.authStatus", "status", "models.authStatus"]
    clock.now += 901
    await subject.agents()
    assert gateway.calls[4:] == ["agents.list"]


async def test_configured_agents_are_not_asked_for() -> None:
    gateway = Gateway()
    subject = source(gateway, agents=["work", "main"])
    assert await subject.agents() == ["work", "main"]
    assert gateway.calls == []


async def test_providers_in_use_are_unknown_without_agents_list() -> None:
    gateway = Gateway(agents_list=httpx.Response(500))
    seen = await source(gateway, agents=["main"]).check("main")
    assert seen.providers_in_use is None
    assert seen.models_in_use == ()
    assert len(seen.profiles) == 4


async def test_cached_agents_are_used_if_listing_fails() -> None:
    gateway, clock = Gateway(), Clock()
    subject = source(gateway, clock)
    assert await subject.agents() == ["main"]
    clock.now += 1000
    gateway.answers = dict.fromkeys(gateway.answers, httpx.ConnectError("nobody"))
    assert await subject.agents() == ["main"]
    with pytest.raises(CheckError) as caught:
        await subject.check("main")
    assert caught.value.reason is FailureReason.CONNECTION
    clock.now += 2 * 86400
    with pytest.raises(CheckError) as caught:
        await subject.agents()
    assert caught.value.reason is FailureReason.CONNECTION


async def test_agents_and_version_are_asked_again_after_an_outage() -> None:
    gateway = Gateway()
    subject = source(gateway)
    await subject.agents()
    await subject.check("main")
    good = dict(gateway.answers)
    gateway.answers["models.authStatus"] = recorded(capture(RELEASE, "_not_ready"))
    with pytest.raises(CheckError):
        await subject.check("main")
    gateway.answers = good | {
        "status": with_payload({"runtimeVersion": "2026.10.1"}),
        "agents.list": agent_list({"id": "main", "model": {"primary": "openai/gpt-6"}}),
    }
    seen = await subject.check("main")
    assert (seen.openclaw_version, seen.providers_in_use) == ("2026.10.1", ("openai",))


async def test_usage_is_asked_hourly_and_only_if_configured() -> None:
    gateway, clock = Gateway(), Clock()
    await source(gateway, clock).check("main")
    assert "usage.status" not in gateway.calls
    subject = source(gateway, clock, usage=True)
    for _ in range(3):
        seen = await subject.check("main")
        clock.now += 1000
    assert gateway.calls.count("usage.status") == 1
    assert seen.usage_error == "anthropic: Unsupported provider; openai: fetch failed; openrouter: Unsupported provider"
    clock.now += 601
    await subject.check("main")
    assert gateway.calls.count("usage.status") == 2


@pytest.mark.parametrize("answer", [httpx.Response(500), httpx.ReadTimeout("slow"), httpx.ConnectError("gone")])
async def test_failing_usage_does_not_fail_the_check(answer: Any) -> None:
    seen = await source(Gateway(usage_status=answer), usage=True).check("main")
    assert len(seen.profiles) == 4
    assert seen.usage == ()
    assert seen.usage_error


async def test_usage_windows_of_both_answers_are_combined() -> None:
    five = {"label": "5h", "usedPercent": 91.5, "resetAt": 1_800_000_600_000}
    status = {"providers": [{"provider": "anthropic", "profiles": [], "usage": {"windows": [five]}}]}
    usage = {
        "providers": [
            {"provider": "anthropic", "windows": [five | {"usedPercent": 12}, {"label": "Week", "usedPercent": 40}]},
            {"provider": "openai", "windows": [{"label": "x"}, {"usedPercent": 3}, {"label": "y", "usedPercent": -1}]},
        ]
    }
    gateway = Gateway(models_authStatus=with_payload(status), usage_status=with_payload(usage))
    subject = source(gateway, usage=True)
    expected = (
        UsageWindow("anthropic", "5h", 0.915, 1_800_000_600.0),
        UsageWindow("anthropic", "Week", 0.4, None),
    )
    assert (await subject.check("main")).usage == expected
    assert (await subject.check("main")).usage == expected  # out of the cache


# --- answers that say the same -----------------------------------------------------------------------


async def test_answer_that_says_the_same_is_not_read_again(monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[object] = []

    def counted(payload: Any, **rest: Any) -> Any:
        read.append(payload)
        return observe(payload, **rest)

    monkeypatch.setattr(source_module, "observe", counted)
    said = capture(RELEASE, "mixed_providers")["body"]
    later, expired = json.loads(json.dumps(said)), json.loads(json.dumps(said))
    later["payload"]["ts"] += 60_000
    later["payload"]["providers"][0]["profiles"][0]["expiry"]["remainingMs"] -= 60_000
    expired["payload"]["providers"][0]["profiles"][0]["status"] = "expired"
    gateway = Gateway()
    gateway_source = source(gateway)
    first = await gateway_source.check("main")
    gateway.answers["models.authStatus"] = httpx.Response(200, json=later)
    assert await gateway_source.check("main") == first
    assert len(read) == 1
    gateway.answers["models.authStatus"] = httpx.Response(200, json=expired)
    assert (await gateway_source.check("main")).profiles != first.profiles
    gateway.answers["models.authStatus"] = httpx.Response(401, json=expired)
    with pytest.raises(CheckError):
        await gateway_source.check("main")
    assert gateway.calls.count("models.authStatus") == 4
    assert len(gateway.calls) == 6, "one request for a check, once agents and release are known"
