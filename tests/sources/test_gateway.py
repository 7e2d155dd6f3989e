"""The gateway source against recorded answers of OpenClaw 2026.9.6 and against everything else."""

from __future__ import annotations

import asyncio
import contextlib
import json
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import pytest
from captured import capture, scenarios, verdict
from hypothesis import given
from hypothesis import strategies as st

from exporter.config import GatewayTarget
from exporter.model import CheckError, Dialect, FailureReason, Purpose, Severity, UsageWindow, Use
from exporter.sources import InMemorySourceCache, SourceContext
from exporter.sources.gateway import source as source_module
from exporter.sources.gateway.answers import by_credential, observe, only_in_use, roster_of, usage_of
from exporter.sources.gateway.rpc import MAX_BODY
from exporter.sources.gateway.source import GatewaySource
from exporter.sources.store.uses import providers_of

RELEASE = "gateway-2026.9.6"
TOKEN = "PLANTED-SECRET-token"
OTHER = capture(RELEASE, "_other_responses")
NOW = 1_800_000_000.0

Handler = Callable[[httpx.Request], httpx.Response]


class Gateway:
    """Answers each method with what is set; counts calls."""

    def __init__(self, **answers: Any) -> None:
        self.answers: dict[str, Any] = {
            "models.authStatus": _answer(capture(RELEASE, "mixed_providers")),
            "agents.list": _answer(OTHER["agents_list"]),
            "status": httpx.Response(200, json={"id": "1", "ok": True, "payload": {"runtimeVersion": "2026.9.6"}}),
            "usage.status": _answer(OTHER["usage_status"]),
        }
        self.answers.update({name.replace("_", "."): answer for name, answer in answers.items()})
        self.calls: list[str] = []
        self.requests: list[httpx.Request] = []

    def __call__(self, request: httpx.Request) -> httpx.Response:
        method = json.loads(request.content)["method"]
        self.calls.append(method)
        self.requests.append(request)
        answer = self.answers[method]
        if isinstance(answer, Exception):
            raise answer
        assert isinstance(answer, httpx.Response)
        return httpx.Response(answer.status_code, headers=answer.headers, content=answer.content)


def _answer(data: dict[str, Any]) -> httpx.Response:
    return httpx.Response(data["status"], json=data["body"])


def _payload(payload: dict[str, Any]) -> httpx.Response:
    return httpx.Response(200, json={"id": "1", "ok": True, "payload": payload})


class Clock:
    def __init__(self) -> None:
        self.now = NOW

    def __call__(self) -> float:
        return self.now


def source(
    handler: Handler, clock: Clock | None = None, cache: InMemorySourceCache | None = None, **config: Any
) -> GatewaySource:
    now = clock or Clock()
    target = GatewayTarget(**{"source": "gateway", "name": "rack7", "token": TOKEN, "timeout": "5s", **config})
    context = SourceContext(
        keyed_hash=lambda text: f"hash{len(text)}", cache=cache or InMemorySourceCache(now), now=now
    )
    return GatewaySource(target, context, transport=httpx.MockTransport(handler))


async def refused(handler: Handler, **config: Any) -> CheckError:
    subject = source(handler, **config)
    with pytest.raises(CheckError) as caught:
        await subject.check("main")
    await subject.aclose()
    assert TOKEN not in str(caught.value)
    assert "user-part" not in str(caught.value)
    assert caught.value.message
    return caught.value


# --- what a good answer becomes --------------------------------------------------------------------


async def test_alias_among_the_fallbacks_counts_for_every_provider(tmp_path: Path) -> None:
    model = {"primary": "anthropic/claude-opus-5", "fallbacks": ["GPT"]}
    agents = _payload({"defaultId": "main", "agents": [{"id": "main", "model": model}]})
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
    nothing = _payload({"ts": 1, "providers": []})
    subject = source(Gateway(agents_list=_agents(entry), models_authStatus=nothing))
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


# --- agents, version, usage -------------------------------------------------------------------------


def _agents(*entries: dict[str, Any], default: str = "main") -> httpx.Response:
    return _payload({"defaultId": default, "agents": list(entries)})


async def test_default_agent_is_first_and_each_agent_has_its_own_models() -> None:
    gateway = Gateway(
        agents_list=_agents(
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
    gateway.answers["models.authStatus"] = _answer(capture(RELEASE, "_not_ready"))
    with pytest.raises(CheckError):
        await subject.check("main")
    gateway.answers = good | {
        "status": _payload({"runtimeVersion": "2026.10.1"}),
        "agents.list": _agents({"id": "main", "model": {"primary": "openai/gpt-6"}}),
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
    gateway = Gateway(models_authStatus=_payload(status), usage_status=_payload(usage))
    subject = source(gateway, usage=True)
    expected = (
        UsageWindow("anthropic", "5h", 0.915, 1_800_000_600.0),
        UsageWindow("anthropic", "Week", 0.4, None),
    )
    assert (await subject.check("main")).usage == expected
    assert (await subject.check("main")).usage == expected  # out of the cache


# --- each failure has its own reason -----------------------------------------------------------------


async def test_gateway_that_is_not_ready_fails_the_check() -> None:
    error = await refused(Gateway(models_authStatus=_answer(capture(RELEASE, "_not_ready"))))
    assert error.reason is FailureReason.NOT_READY
    assert "Model authentication status is unavailable" in error.message


async def test_gateway_without_profiles_is_no_failure() -> None:
    seen = await source(Gateway(models_authStatus=_payload({"providers": []}))).check("main")
    assert seen.profiles == ()
    report = verdict(seen)
    assert [c.severity for c in report.conditions if c.name == "missing"] == [Severity.CRITICAL]


HTML = httpx.Response(200, html="<!doctype html><title>router</title>")


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (_answer(OTHER["wrong_token"]), FailureReason.UNAUTHORIZED),
        (httpx.Response(403, text="Forbidden"), FailureReason.UNAUTHORIZED),
        (httpx.Response(404, text="Not Found"), FailureReason.NOT_ENABLED),
        (httpx.Response(503, text="Plugin runtime is starting"), FailureReason.NOT_READY),
        (httpx.Response(503, html="<h1>upstream</h1>"), FailureReason.NOT_READY),
        (_answer(OTHER["unknown_agent"]), FailureReason.UNKNOWN_AGENT),
        (_answer(OTHER["method_not_allowed"]), FailureReason.HTTP_ERROR),
        (httpx.Response(302, headers={"location": "https://elsewhere.example/"}), FailureReason.HTTP_ERROR),
        (httpx.Response(500, text="oops"), FailureReason.HTTP_ERROR),
        (httpx.Response(429, json={"error": {"type": "rate_limited"}}), FailureReason.HTTP_ERROR),
        (httpx.Response(504, json={"ok": False, "error": {"code": "AGENT_TIMEOUT"}}), FailureReason.HTTP_ERROR),
        (HTML, FailureReason.HTTP_ERROR),
        (httpx.Response(200, text="  <html>"), FailureReason.HTTP_ERROR),
        (httpx.Response(200, content=b""), FailureReason.INVALID_OUTPUT),
        (httpx.Response(200, text="pong"), FailureReason.INVALID_OUTPUT),
        (httpx.Response(200, content=b"\xff\xfe{"), FailureReason.INVALID_OUTPUT),
        (httpx.Response(200, json=[1]), FailureReason.INVALID_OUTPUT),
        (httpx.Response(200, json={"ok": True}), FailureReason.INVALID_OUTPUT),
        (httpx.Response(200, json={"ok": True, "payload": []}), FailureReason.INVALID_OUTPUT),
        (httpx.Response(200, json={"payload": {"providers": []}}), FailureReason.INVALID_OUTPUT),
        (httpx.Response(200, json={"ok": False, "error": {"message": "no"}}), FailureReason.HTTP_ERROR),
        (_payload({"providers": "none"}), FailureReason.INVALID_OUTPUT),
        (_payload({}), FailureReason.INVALID_OUTPUT),
        (httpx.Response(200, content=b"[" * 200_000), FailureReason.INVALID_OUTPUT),
        (httpx.Response(200, content=b" " * (MAX_BODY + 1)), FailureReason.INVALID_OUTPUT),
        (httpx.Response(200, headers={"content-encoding": "zstd"}, content=b"{}"), FailureReason.INVALID_OUTPUT),
        (httpx.ConnectError("refused"), FailureReason.CONNECTION),
        (httpx.ReadError("reset"), FailureReason.CONNECTION),
        (httpx.RemoteProtocolError("Server disconnected without sending a response."), FailureReason.CONNECTION),
        (httpx.RemoteProtocolError("illegal status line"), FailureReason.INVALID_OUTPUT),
        (httpx.ConnectTimeout("slow"), FailureReason.TIMEOUT),
        (httpx.ReadTimeout("slow"), FailureReason.TIMEOUT),
        (httpx.Response(500, json={"error": {"message": "EACCES: permission denied, open"}}), FailureReason.PERMISSION),
    ],
)
async def test_gateway_failure_has_its_reason(answer: Any, reason: FailureReason) -> None:
    error = await refused(Gateway(models_authStatus=answer))
    assert error.reason is reason


async def test_missing_plugin_is_reported_with_its_remedy() -> None:
    error = await refused(Gateway(models_authStatus=httpx.Response(404)))
    assert "openclaw plugins enable admin-http-rpc" in error.message


@pytest.mark.parametrize(
    ("answer", "seconds"),
    [
        (httpx.Response(503, json={"ok": False, "error": {"message": "suspended", "retryAfterMs": 2500}}), 2.5),
        (httpx.Response(409, json={"ok": False, "error": {"message": "busy", "retryAfterMs": 250}}), 0.25),
        (httpx.Response(503, headers={"retry-after": "7"}), 7.0),
        (httpx.Response(503, headers={"retry-after": "Wed, 21 Oct 2015 07:28:00 GMT"}), None),
        (httpx.Response(503, json={"error": {"retryAfterMs": "soon"}}), None),
        (httpx.Response(503, json={"error": {"retryAfterMs": -1}}), None),
        (httpx.Response(503, json={"error": {"retryAfterMs": 1e300}}), 3600.0),
    ],
)
async def test_pause_requested_by_the_gateway_is_passed_on(answer: httpx.Response, seconds: float | None) -> None:
    error = await refused(Gateway(models_authStatus=answer))
    assert (error.reason, error.retry_after) == (FailureReason.NOT_READY, seconds)


async def test_untrusted_certificate_is_named_as_the_cause() -> None:
    def handler(request: httpx.Request) -> httpx.Response:
        failed = ssl.SSLCertVerificationError("verify failed")
        failed.verify_message = "self-signed certificate"
        raise httpx.ConnectError("x") from failed

    error = await refused(handler, url="https://gw.example")
    assert error.reason is FailureReason.CONNECTION
    assert "self-signed certificate" in error.message


async def test_ca_file_without_certificates_fails_the_check(tmp_path: Path) -> None:
    (tmp_path / "empty.pem").write_text("")
    for name in ("empty.pem", "missing.pem"):
        error = await refused(Gateway(), url="https://gw.example", ca_file=str(tmp_path / name))
        assert error.reason is FailureReason.CONNECTION
        assert "ca_file" in error.message


@pytest.mark.parametrize("url", ["http://", "http://[::1", "http://a:b:c", "https:///x"])
async def test_invalid_url_is_reported_with_an_example(url: str) -> None:
    assert (await refused(Gateway(), url=url)).reason is FailureReason.CONNECTION


# --- the token ------------------------------------------------------------------------------------------


async def test_rotated_token_file_is_used_at_the_next_call(tmp_path: Path) -> None:
    file, gateway = tmp_path / "token", Gateway()
    subject = source(gateway, token=None, token_file=str(file), agents=["main"])
    for token in ("first-token", "second-token"):
        file.write_text(token + "\n")
        await subject.check("main")
        assert gateway.requests[-1].headers["authorization"] == f"Bearer {token}"


@pytest.mark.parametrize("token", ["", "two words", "PLANTED-SECRET\x07", "PLANTED-SECRETß"])
async def test_token_that_no_header_can_carry_is_refused(token: str, tmp_path: Path) -> None:
    (tmp_path / "token").write_text(token)
    error = await refused(Gateway(), token=None, token_file=str(tmp_path / "token"))
    assert error.reason is FailureReason.UNAUTHORIZED
    assert "PLANTED" not in str(error)


async def test_missing_token_file_is_unauthorized(tmp_path: Path) -> None:
    error = await refused(Gateway(), token=None, token_file=str(tmp_path / "none"))
    assert error.reason is FailureReason.UNAUTHORIZED


async def test_echoed_token_is_redacted() -> None:
    def echo(request: httpx.Request) -> httpx.Response:
        message = f"no: {request.headers['authorization']}, that is {token}, at http://user-part:{TOKEN}@host/"
        return httpx.Response(500, json={"ok": False, "error": {"message": message}})

    for token in (TOKEN, "hunter2"):  # a short one looks like any word
        error = await refused(echo, url=f"http://user-part:{TOKEN}@gw.example:1", token=token)
        assert error.reason is FailureReason.HTTP_ERROR
        assert token not in str(error)


async def test_endless_answer_is_refused() -> None:
    sent = 0

    class Endless(httpx.AsyncByteStream):
        async def __aiter__(self) -> AsyncIterator[bytes]:
            nonlocal sent
            while sent < 4 * MAX_BODY:
                sent += 65536
                yield b" " * 65536

    error = await refused(lambda request: httpx.Response(200, stream=Endless()))
    assert error.reason is FailureReason.INVALID_OUTPUT
    assert "larger than 8 MiB" in error.message
    assert sent == MAX_BODY + 65536


async def test_login_in_the_url_is_used_only_without_a_token() -> None:
    gateway = Gateway()
    await source(gateway, url="http://me:word@gw.example/base/", agents=["main"]).check("main")
    assert gateway.requests[0].headers["authorization"] == f"Bearer {TOKEN}"
    assert str(gateway.requests[0].url) == "http://gw.example/base/api/v1/admin/rpc"
    await source(gateway, url="http://me:word@gw.example", token=None, agents=["main"]).check("main")
    assert gateway.requests[-1].headers["authorization"] == "Basic bWU6d29yZA=="


# --- over a real socket ------------------------------------------------------------------------------------


@contextlib.asynccontextmanager
async def serving(
    answer: Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]],
) -> AsyncIterator[str]:
    """The URL of a server that answers each connection so; all of them have ended when this ends."""
    connections: list[asyncio.Task[None]] = []

    async def one(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        connections.append(task)
        with contextlib.suppress(OSError):
            await answer(reader, writer)
        with contextlib.suppress(OSError):
            writer.close()
            await writer.wait_closed()

    server = await asyncio.start_server(one, "127.0.0.1", 0)
    try:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    finally:
        server.close()
        await asyncio.gather(*connections)


async def _check_agent(url: str, timeout: str = "5s") -> CheckError:
    target = GatewayTarget(source="gateway", url=url, token=TOKEN, timeout=timeout)
    subject = GatewaySource(target, SourceContext(keyed_hash=lambda text: "hash"))
    with pytest.raises(CheckError) as caught:
        await subject.check("main")
    await subject.aclose()
    assert TOKEN not in str(caught.value)
    return caught.value


async def test_closed_port_is_a_connection_failure() -> None:
    async def nothing(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None: ...

    async with serving(nothing) as url:
        pass
    error = await _check_agent(url)
    assert error.reason is FailureReason.CONNECTION
    assert "connection refused" in error.message


async def test_slow_answer_times_out() -> None:
    done = asyncio.Event()

    async def drip(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n")
        while not done.is_set():
            writer.write(b" ")
            await asyncio.sleep(0.05)

    async with serving(drip) as url:
        try:
            async with asyncio.timeout(30):
                error = await _check_agent(url, timeout="300ms")
        finally:
            done.set()
    assert error.reason is FailureReason.TIMEOUT


@pytest.mark.parametrize(
    ("said", "reason"),
    [
        (b"", FailureReason.CONNECTION),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n{", FailureReason.CONNECTION),
        (b"220 mail.example ESMTP\r\n\r\n", FailureReason.INVALID_OUTPUT),
    ],
)
async def test_broken_or_foreign_answer_has_its_reason(said: bytes, reason: FailureReason) -> None:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"}}")  # the whole request: what is left unread would reset the connection
        writer.write(said)

    async with serving(answer) as url:
        assert (await _check_agent(url)).reason is reason


async def test_plain_http_in_place_of_tls_is_a_connection_failure() -> None:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(100)
        writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")

    async with serving(answer) as url:
        error = await _check_agent(url.replace("http:", "https:"))
    assert error.reason is FailureReason.CONNECTION
    assert "TLS" in error.message


# --- the store on the same host ------------------------------------------------------------------------------


def _store(folder: Path, **usage: Any) -> None:
    """A store as releases to 2026.5 keep it, with the profile that the payload below has."""
    agent = folder / "agents/main/agent"
    agent.mkdir(parents=True)
    profile = {"type": "token", "provider": "anthropic", "token": "PLANTED-SECRET-sk", "expires": 1_803_000_000_000}
    (agent / "auth-profiles.json").write_text(
        json.dumps({"version": 1, "profiles": {"anthropic:default": profile}, "usageStats": usage})
    )
    models = {"defaults": {"model": "anthropic/claude-opus-5", "imageModel": {"primary": "xai/grok-image"}}}
    (folder / "openclaw.json").write_text(json.dumps({"agents": models}))


STATUS = {
    "providers": [
        {
            "provider": "anthropic",
            "profiles": [
                {
                    "profileId": "anthropic:default",
                    "type": "token",
                    "status": "ok",
                    "expiry": {"at": 1_803_000_000_000},
                }
            ],
        }
    ]
}


async def test_store_adds_what_the_gateway_omits(tmp_path: Path) -> None:
    until = int((NOW + 600) * 1000)
    _store(tmp_path, **{"anthropic:default": {"disabledUntil": until, "disabledReason": "billing"}})
    seen = await source(Gateway(models_authStatus=_payload(STATUS)), state_dir=str(tmp_path)).check("main")
    assert seen.blind_to == frozenset()
    unusable = seen.profiles[0].unusable
    assert unusable is not None
    assert (unusable.kind, unusable.reason, unusable.until) == ("disabled", "billing", NOW + 600)
    assert seen.providers_in_use == ("anthropic", "xai")
    assert seen.models_in_use == ("anthropic/claude-opus-5", "xai/grok-image")
    assert "PLANTED-SECRET" not in repr(seen)


async def test_unreadable_store_beside_a_gateway_is_a_note(tmp_path: Path) -> None:
    seen = await source(Gateway(models_authStatus=_payload(STATUS)), state_dir=str(tmp_path / "none")).check("main")
    assert seen.blind_to == {"unusable", "uses"}
    assert len(seen.profiles) == 1
    assert any("the store could not be read" in note for note in seen.notes)


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
