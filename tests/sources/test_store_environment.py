"""The variables that the service has, and the credentials among them."""

from __future__ import annotations

import pytest

from exporter.sources.store.environment import Environment, credentials, environment, rotation_keys


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


def test_shell_may_have_what_the_service_lacks() -> None:
    assert environment({"env": {"shellEnv": {"enabled": True}}}, {}, {}).has("A_KEY") is None


@pytest.mark.parametrize(
    ("provider", "name", "release", "takes"),
    [
        ("google", "GOOGLE_API_KEY", (2026, 2), False),
        ("google", "GOOGLE_API_KEY", (2026, 5), True),
        ("github-copilot", "GH_TOKEN", (2026, 6), True),
        ("github-copilot", "GH_TOKEN", (2026, 9), False),
        ("openai", "CODEX_API_KEY", (2026, 5), False),
        ("openai", "CODEX_API_KEY", None, True),
        ("anthropic", "ANTHROPIC_AUTH_TOKEN", None, False),
        ("anthropic", "ANTHROPIC_OAUTH_TOKEN", None, True),
    ],
)
def test_each_release_takes_its_names(provider: str, name: str, release: tuple[int, int] | None, takes: bool) -> None:
    assert list(credentials(Environment({name: "x"}), provider, release)) == ([name] if takes else [])


def test_rotation_keys_have_the_names_of_their_provider() -> None:
    names = ["GEMINI_API_KEYS", "GEMINI_API_KEY_1", "OPENCLAW_LIVE_GEMINI_KEY", "ANTHROPIC_API_KEYS", "GEMINI_API_KEY"]
    env = Environment(dict.fromkeys(names, "x"))
    assert list(rotation_keys(env, "google")) == ["GEMINI_API_KEYS", "GEMINI_API_KEY_1", "OPENCLAW_LIVE_GEMINI_KEY"]
    assert list(rotation_keys(env, "anthropic")) == ["ANTHROPIC_API_KEYS"]
