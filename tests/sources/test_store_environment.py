"""The variables that the service has, and the credentials among them."""

from __future__ import annotations

import pytest

from exporter.sources.store.environment import VARIABLES, Environment, credentials, environment, rotation_keys


def test_template_stands_for_what_is_set_and_is_absent_without_it() -> None:
    config = {
        "env": {"A_KEY": "${A_KEY}", "vars": {"B_KEY": "x-${B}", "C_KEY": "plain"}, "shellEnv": {"enabled": False}}
    }
    found = environment(config, {"B": "b"}, None)
    assert (found.has("A_KEY"), found.has("B_KEY"), found.has("C_KEY")) == (None, True, True)
    assert found.variables["B_KEY"] == "x-b"
    assert found.unset == {"A_KEY"}
    assert environment(config, {}, {"A_KEY": "a"}).variables["A_KEY"] == "a"
    assert environment(config, {}, {}).has("A_KEY") is False


def test_service_wins_over_dotenv_and_both_over_the_configuration() -> None:
    config = {"env": {"A": "config", "B": "config", "C": "config"}}
    found = environment(config, {"A": "dotenv", "B": "dotenv"}, {"B": "service"})
    assert found.variables == {"A": "dotenv", "B": "service", "C": "config"}


def test_env_itself_wins_over_its_vars_and_what_is_blank_over_nothing() -> None:
    config = {"env": {"A": "env", "B": " ", "C": "env", "vars": {"A": "vars", "B": "vars", "D": " "}}}
    found = environment(config, {"C": ""}, {"D": ""})
    assert {name: found.variables[name] for name in "ABC"} == {"A": "env", "B": "vars", "C": "env"}
    assert found.has("D") is False


def test_template_can_stand_for_a_variable_of_the_configuration() -> None:
    found = environment({"env": {"A_KEY": "${B_KEY}", "vars": {"B_KEY": "b"}}}, {}, {})
    assert (found.variables["A_KEY"], found.unset) == ("b", frozenset())


def test_templates_that_ask_for_terabytes_are_not_set() -> None:
    big = {"BIG": "x" * 1_000_000}
    config = {"env": {f"A{n}": "${BIG}" * 1000 for n in range(20)} | {"SMALL_KEY": "a${BIG}"}}
    env = environment(config, big, {})
    assert {name for name in env.variables if env.has(name)} == {"BIG", "SMALL_KEY"}


def test_template_that_is_escaped_or_replaced_is_not_missing() -> None:
    config = {"env": {"A_KEY": "$${B_KEY}", "C_KEY": "${B_KEY}"}}
    assert environment(config, {}, {"C_KEY": "c"}).unset == frozenset()


@pytest.mark.parametrize("value", ["", " ", "\t"])
def test_blank_variable_is_not_set(value: str) -> None:
    assert Environment({"A_KEY": value}, is_whole=True).has("A_KEY") is False
    assert Environment({"A_KEY": value}).has("A_KEY") is None


def test_shell_may_have_what_the_service_lacks() -> None:
    assert environment({"env": {"shellEnv": {"enabled": True}}}, {}, {}).has("A_KEY") is None


@pytest.mark.parametrize(
    ("provider", "name", "release", "takes"),
    [
        ("google", "GOOGLE_API_KEY", (2026, 2), False),
        ("google", "GOOGLE_API_KEY", (2026, 5), True),
        ("github-copilot", "GH_TOKEN", (2026, 6), True),
        ("github-copilot", "GH_TOKEN", (2026, 9), False),
        ("minimax", "MINIMAX_CODE_PLAN_KEY", (2026, 2), False),
        ("minimax", "MINIMAX_CODE_PLAN_KEY", (2026, 5), True),
        ("openai", "CODEX_API_KEY", (2026, 5), False),
        ("openai", "CODEX_API_KEY", (2026, 6), True),
        ("openai", "CODEX_API_KEY", None, True),
        ("anthropic", "ANTHROPIC_AUTH_TOKEN", None, False),
        ("anthropic", "ANTHROPIC_OAUTH_TOKEN", None, True),
    ],
)
def test_each_release_takes_its_names(provider: str, name: str, release: tuple[int, int] | None, takes: bool) -> None:
    assert list(credentials(Environment({name: "x"}), provider, release)) == ([name] if takes else [])


#: Variables as OpenClaw documents them, and the providers that they are for, in the order of their names.
DOCUMENTED = {
    "AI_GATEWAY_API_KEY": ["vercel-ai-gateway"],
    "CEREBRAS_API_KEY": ["cerebras"],
    "CHUTES_OAUTH_TOKEN": ["chutes"],
    "COPILOT_GITHUB_TOKEN": ["github-copilot"],
    "DASHSCOPE_API_KEY": ["qwen"],
    "DEEPSEEK_API_KEY": ["deepseek"],
    "FAL_KEY": ["fal"],
    "FIREWORKS_API_KEY": ["fireworks"],
    "GROQ_API_KEY": ["groq"],
    "HF_TOKEN": ["huggingface"],
    "HUGGINGFACE_HUB_TOKEN": ["huggingface"],
    "KILOCODE_API_KEY": ["kilocode"],
    "KIMI_API_KEY": ["kimi", "kimi-coding", "moonshot"],
    "KIMICODE_API_KEY": ["kimi", "kimi-coding"],
    "LITELLM_API_KEY": ["litellm"],
    "MINIMAX_API_KEY": ["minimax", "minimax-portal"],
    "MINIMAX_OAUTH_TOKEN": ["minimax-portal"],
    "MISTRAL_API_KEY": ["mistral"],
    "MODELSTUDIO_API_KEY": ["qwen"],
    "MOONSHOT_API_KEY": ["moonshot"],
    "NVIDIA_API_KEY": ["nvidia"],
    "OLLAMA_API_KEY": ["ollama"],
    "OPENCODE_API_KEY": ["opencode", "opencode-go"],
    "OPENCODE_ZEN_API_KEY": ["opencode", "opencode-go"],
    "OPENROUTER_API_KEY": ["openrouter"],
    "QIANFAN_API_KEY": ["qianfan"],
    "TOGETHER_API_KEY": ["together"],
    "VENICE_API_KEY": ["venice"],
    "VLLM_API_KEY": ["vllm"],
    "VOLCANO_ENGINE_API_KEY": ["volcengine"],
    "XAI_API_KEY": ["xai"],
    "XIAOMI_API_KEY": ["xiaomi"],
    "ZAI_API_KEY": ["zai"],
    "Z_AI_API_KEY": ["zai"],
}


@pytest.mark.parametrize(("name", "providers"), DOCUMENTED.items())
def test_documented_variable_is_a_credential_of_its_providers(name: str, providers: list[str]) -> None:
    env = Environment({name: "x"})
    assert sorted(provider for provider in VARIABLES if [*credentials(env, provider)]) == providers


@pytest.mark.parametrize(
    ("provider", "first", "second"),
    [
        ("anthropic", "ANTHROPIC_OAUTH_TOKEN", "ANTHROPIC_API_KEY"),
        ("github-copilot", "COPILOT_GITHUB_TOKEN", "GITHUB_TOKEN"),
        ("google", "GEMINI_API_KEY", "GOOGLE_API_KEY"),
    ],
)
def test_first_of_several_variables_serves(provider: str, first: str, second: str) -> None:
    for both in ({first: "x", second: "y"}, {second: "y", first: "x"}):
        assert [*credentials(Environment(both), provider)] == [first, second]


def test_rotation_keys_have_the_names_of_their_provider() -> None:
    names = ["GEMINI_API_KEYS", "GEMINI_API_KEY_1", "OPENCLAW_LIVE_GEMINI_KEY", "ANTHROPIC_API_KEYS", "GEMINI_API_KEY"]
    names += ["OPENCLAW_LIVE_ANTHROPIC_KEYS", "KIMI_CODING_API_KEYS"]
    env = Environment(dict.fromkeys(names, "x"))
    assert list(rotation_keys(env, "google")) == ["GEMINI_API_KEYS", "GEMINI_API_KEY_1", "OPENCLAW_LIVE_GEMINI_KEY"]
    assert list(rotation_keys(env, "anthropic")) == ["ANTHROPIC_API_KEYS", "OPENCLAW_LIVE_ANTHROPIC_KEYS"]
    assert list(rotation_keys(env, "kimi-coding")) == ["KIMI_CODING_API_KEYS"]
    assert list(rotation_keys(env, "nobody")) == []
