"""The variables that the service has, as far as its files tell, and the credentials among them. Pure.

The names are those of OpenClaw 2026.2 to 2026.9; each was set on the releases, and is what ``models status``
takes.
"""

from __future__ import annotations

import re
from collections.abc import Container, Iterable, Iterator, Mapping
from types import MappingProxyType
from typing import Any, NamedTuple

from exporter.lib.loose_json import mapping
from exporter.sources.store.config import is_filled

#: The environment variables with each provider's credential, in OpenClaw's order.
VARIABLES: Mapping[str, tuple[str, ...]] = {
    **{
        provider: (f"{provider.upper()}_API_KEY",)
        for provider in (
            *("byteplus", "cerebras", "cohere", "deepinfra", "deepseek", "fireworks", "groq", "kilocode"),
            *("litellm", "mistral", "novita", "nvidia", "ollama", "openrouter", "qianfan", "sglang", "stepfun"),
            *("synthetic", "together", "venice", "vllm", "vydra", "xai", "xiaomi"),
        )
    },
    "anthropic": ("ANTHROPIC_OAUTH_TOKEN", "ANTHROPIC_API_KEY"),
    "chutes": ("CHUTES_API_KEY", "CHUTES_OAUTH_TOKEN"),
    "fal": ("FAL_KEY", "FAL_API_KEY"),
    "github-copilot": ("COPILOT_GITHUB_TOKEN", "GH_TOKEN", "GITHUB_TOKEN"),
    "google": ("GEMINI_API_KEY", "GOOGLE_API_KEY"),
    "huggingface": ("HUGGINGFACE_HUB_TOKEN", "HF_TOKEN"),
    "kimi": ("KIMI_API_KEY", "KIMICODE_API_KEY"),
    "kimi-coding": ("KIMI_API_KEY", "KIMICODE_API_KEY"),
    "minimax": ("MINIMAX_CODE_PLAN_KEY", "MINIMAX_CODING_API_KEY", "MINIMAX_API_KEY"),
    "minimax-portal": ("MINIMAX_OAUTH_TOKEN", "MINIMAX_API_KEY"),
    "moonshot": ("MOONSHOT_API_KEY", "KIMI_API_KEY"),
    "openai": ("CODEX_API_KEY", "OPENAI_API_KEY"),
    "opencode": ("OPENCODE_API_KEY", "OPENCODE_ZEN_API_KEY"),
    "opencode-go": ("OPENCODE_API_KEY", "OPENCODE_ZEN_API_KEY"),
    "qwen": ("QWEN_API_KEY", "MODELSTUDIO_API_KEY", "DASHSCOPE_API_KEY"),
    "vercel-ai-gateway": ("AI_GATEWAY_API_KEY",),
    "volcengine": ("VOLCANO_ENGINE_API_KEY",),
    "zai": ("ZAI_API_KEY", "Z_AI_API_KEY"),
}
#: The first release that takes a name, and the first that no longer does; the others, every release takes.
_RELEASES: Mapping[tuple[str, str], tuple[tuple[int, int], tuple[int, int]]] = {
    ("github-copilot", "GH_TOKEN"): ((0, 0), (2026, 9)),
    ("github-copilot", "GITHUB_TOKEN"): ((0, 0), (2026, 9)),
    ("google", "GOOGLE_API_KEY"): ((2026, 5), (9999, 0)),
    ("minimax", "MINIMAX_CODE_PLAN_KEY"): ((2026, 5), (9999, 0)),
    ("openai", "CODEX_API_KEY"): ((2026, 6), (9999, 0)),
}
#: How many characters templates are replaced with in all: more than a process can be given, and less than terabytes.
_MAX_REPLACED = 4 * 1024 * 1024
_TEMPLATE = re.compile(r"(?<!\$)\$\{([A-Z_][A-Z0-9_]*)\}")
#: A value that is nothing but a variable; a secret may also be written so, without braces.
WHOLE_TEMPLATE = re.compile(r"\s*\$(?:\{([A-Z][A-Z0-9_]{0,127})\}|([A-Z][A-Z0-9_]{0,127}))\s*")


class Environment(NamedTuple):
    """The variables that the service has, with their values (secrets!)."""

    variables: Mapping[str, str] = MappingProxyType({})
    #: Whether a variable that is not here is surely not set: its service's file was read.
    is_whole: bool = False
    #: Variables that the configuration names and nothing sets.
    unset: frozenset[str] = frozenset()
    #: Whether OpenClaw takes what is missing from the user's shell.
    asks_shell: bool = False

    def has(self, name: str) -> bool | None:
        """Whether the service has the variable; None if that is not known."""
        return True if is_filled(self.variables.get(name)) else False if self.is_whole else None


def environment(
    config: Mapping[str, Any] | None, dotenv: Mapping[str, str], service: Mapping[str, str] | None
) -> Environment:
    """The variables of ``env`` in openclaw.json, of ``.env`` beside it, and of the service's own file (None: unknown).

    A variable that the service has wins over the configuration's of that name, and one in ``env`` itself over one in
    ``env.vars``; a blank one over none. A ``${VAR}`` in the configuration stands for another variable; where that is
    not set, OpenClaw takes the value as absent.
    """
    settings = mapping(config, "env")
    found = {**dotenv, **(service or {})}
    given: dict[str, str] = {}
    for part in (mapping(settings, "vars"), settings):
        given |= {name: value for name, value in part.items() if is_filled(value) and not is_filled(found.get(name))}
    templates = {name: value for name, value in given.items() if _TEMPLATE.search(value)}
    found |= {name: value for name, value in given.items() if name not in templates}
    known, unset, room = dict(found), set[str](), _MAX_REPLACED
    for name, value in templates.items():
        absent = {one for one in _TEMPLATE.findall(value) if not is_filled(known.get(one))}
        unset |= absent
        size = sum(len(known.get(one, "")) for one in _TEMPLATE.findall(value))
        if not absent and size <= room:
            room -= size
            found[name] = _TEMPLATE.sub(lambda match: known[match[1]], value)
    asks_shell = mapping(settings, "shellEnv").get("enabled") is True
    return Environment(found, service is not None and not asks_shell, frozenset(unset), asks_shell)


def only_here(names: Iterable[str], env: Environment, unit: Container[str] | None) -> tuple[str, ...]:
    """Those of the variables ``names``, which this process has, that no file of the service sets.

    ``unit``: the variables that the service's systemd unit sets, if there is one. Without it and without the service's
    own file nothing is known of the service: then none.
    """
    if not env.is_whole and (unit is None or env.asks_shell):
        return ()
    return tuple(sorted(name for name in names if not env.has(name) and name not in (unit or ())))


def credentials(env: Environment, provider: str, release: tuple[int, int] | None = None) -> Iterator[str]:
    """The names of the variables that hold a credential of ``provider``: the first serves, the others could.

    ``release``: OpenClaw's, if it is known.
    """
    for name in VARIABLES.get(provider, ()):
        first, last = _RELEASES.get((provider, name), ((0, 0), (9999, 0)))
        if env.has(name) and (release is None or first <= release < last):
            yield name


def rotation_keys(env: Environment, provider: str) -> Iterator[str]:
    """The names of the variables with further keys, to which OpenClaw changes when one is rate-limited.

    On no release do they serve by themselves: a request first needs the primary variable or a profile, and
    ``models status`` calls a provider that has nothing else missing.
    """
    names = VARIABLES.get(provider)
    if not names:
        return
    base = "GEMINI" if provider == "google" else re.sub(r"[^A-Z0-9]", "_", provider.upper())
    pattern = re.compile(rf"OPENCLAW_LIVE_{base}_KEYS?|{base}_API_KEYS|{base}_API_KEY_\w+")
    yield from (name for name in sorted(env.variables) if pattern.fullmatch(name) and env.has(name))
