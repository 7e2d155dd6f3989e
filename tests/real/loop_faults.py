"""The faults of the closed loop: what the store and the configuration of a failing OpenClaw home hold.

Times are written ``"@ms:-1h"``, as in the situations of ``tests/field``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from .desk import MINIMAX, OLD

#: GitHub's device login. The person has entered the code by the second time OpenClaw asks for the token.
COPILOT = """
const real = globalThis.fetch;
let asked = 0;
const reply = (url) => {
  if (url.startsWith("https://github.com/login/device/code"))
    return {device_code: "made-up", user_code: "ABCD-1234", verification_uri: "https://github.com/login/device",
      expires_in: 600, interval: 1};
  if (url.startsWith("https://github.com/login/oauth/access_token"))
    return asked++ ? {access_token: "ghu_" + "Z".repeat(36), token_type: "bearer", scope: "read:user"}
                   : {error: "authorization_pending"};
  return null;
};
globalThis.fetch = async (to, options) => {
  const body = reply(String(to?.url ?? to));
  return body ? new Response(JSON.stringify(body), {headers: {"content-type": "application/json"}}) : real(to, options);
};
globalThis.fetch.mock = {};
"""

Profiles = Mapping[str, Mapping[str, Any]]


@dataclass(frozen=True, kw_only=True, slots=True)
class Fault:
    """A home that needs a person."""

    provider: str
    #: What the check calls it. The second name is that of releases which are silent about the first. None: no fault.
    conditions: tuple[str, ...]
    profiles: Profiles = field(default_factory=dict)
    usage: Profiles = field(default_factory=dict)
    primary: str | None = None  # the default model, if it is not Anthropic's
    fallbacks: tuple[str, ...] = ()
    has_old_store: bool = False  # auth-profiles.json, on a release that no longer reads it
    server: str | None = None  # the login server that a stand-in replaces: MINIMAX or COPILOT
    only_in_full: bool = False  # another fault of the matrix has the same remedy

    @property
    def is_disable(self) -> bool:
        return bool(self.usage)


def _token(**more: Any) -> dict[str, Any]:
    return {"type": "token", "provider": "anthropic", "token": OLD, **more}


def _key(provider: str = "xai", **more: Any) -> dict[str, Any]:
    return {"type": "api_key", "provider": provider, "key": "x" * 60, **more}


def _login(provider: str, **more: Any) -> dict[str, Any]:
    return {"type": "oauth", "provider": provider, "access": "A" * 60, "expires": "@ms:-1h", **more}


def _disabled(profile: str, reason: str) -> Profiles:
    return {profile: {"disabledUntil": "@ms:+5h", "disabledReason": reason, "errorCount": 3}}


def _cooldown(profile: str, reason: str) -> Profiles:
    return {profile: {"cooldownUntil": "@ms:+1h", "cooldownReason": reason, "errorCount": 3}}


DEFAULT, XAI, MINIMAX_LOGIN, GITHUB = "anthropic:default", "xai:api", "minimax-portal:default", "github-copilot:github"
_WORKING = {DEFAULT: _token(expires="@ms:+200d")}
_MONTH_LEFT = {DEFAULT: _token(expires="@ms:+30d")}
_GROK, _MINIMAX_MODEL, _COPILOT_MODEL = (
    ("xai/grok-4",),
    ("minimax-portal/MiniMax-M2.1",),
    "github-copilot/claude-opus-4.6",
)
_REFRESHING = _login("minimax-portal", refresh="R" * 40, expires="@ms:+1h")
#: A reference to a secrets provider that the configuration does not have.
_VAULT = {"source": "exec", "provider": "vault-old", "id": "xai/key"}


def _anthropic(condition: str, profiles: Profiles, usage: Profiles | None = None, **more: Any) -> Fault:
    return Fault(provider="anthropic", conditions=(condition,), profiles=profiles, usage=usage or {}, **more)


def _xai(condition: str, profiles: Profiles, usage: Profiles | None = None) -> Fault:
    everything = {**_WORKING, **profiles}
    return Fault(provider="xai", conditions=(condition,), profiles=everything, usage=usage or {}, fallbacks=_GROK)


def _minimax(condition: str, profiles: Profiles, usage: Profiles | None = None, **more: Any) -> Fault:
    return Fault(
        provider="minimax-portal",
        conditions=(condition,),
        profiles={**_WORKING, **profiles},
        usage=usage or {},
        fallbacks=_MINIMAX_MODEL,
        server=MINIMAX,
        **more,
    )


def _copilot(condition: str, profiles: Profiles, usage: Profiles | None = None) -> Fault:
    return Fault(
        provider="github-copilot",
        conditions=(condition,),
        profiles=profiles,
        usage=usage or {},
        primary=_COPILOT_MODEL,
        server=COPILOT,
    )


FAULTS: Mapping[str, Fault] = {
    "token-expired": _anthropic("expired", {DEFAULT: _token(expires="@ms:-1h")}),
    "token-expiring": _anthropic("expiring", {DEFAULT: _token(expires="@ms:+12h")}),
    "token-undated": _anthropic("undated", {DEFAULT: _token()}),
    "token-named-expired": _anthropic("expired", {"anthropic:wo rk": _token(expires="@ms:-1h")}, only_in_full=True),
    "token-missing": _anthropic("missing", {}),
    "token-revoked": _anthropic("unusable", _MONTH_LEFT, _disabled(DEFAULT, "auth_permanent")),
    "token-session": _anthropic("unusable", _MONTH_LEFT, _disabled(DEFAULT, "session_expired"), only_in_full=True),
    "token-billing": _anthropic("unusable", _MONTH_LEFT, _disabled(DEFAULT, "billing")),
    "token-auth-cooldown": _anthropic("unusable", _MONTH_LEFT, _cooldown(DEFAULT, "auth"), only_in_full=True),
    "token-rate-limit": _anthropic("unusable", _MONTH_LEFT, _cooldown(DEFAULT, "rate_limit")),
    "token-secretref": _anthropic("missing", {DEFAULT: {"type": "token", "provider": "anthropic", "tokenRef": _VAULT}}),
    "token-no-secret": _anthropic("missing", {DEFAULT: {"type": "token", "provider": "anthropic"}}, only_in_full=True),
    "key-missing": _xai("missing", {}),
    "key-revoked": _xai("unusable", {XAI: _key()}, _disabled(XAI, "auth_permanent")),
    "key-billing": _xai("unusable", {XAI: _key()}, _disabled(XAI, "billing")),
    "key-secretref": _xai("missing", {XAI: {"type": "api_key", "provider": "xai", "keyRef": _VAULT}}),
    "key-no-secret": _xai("missing", {XAI: {"type": "api_key", "provider": "xai"}}),
    "key-anthropic-revoked": _anthropic("unusable", {DEFAULT: _key("anthropic")}, _disabled(DEFAULT, "auth_permanent")),
    "key-openai-missing": Fault(
        provider="openai", conditions=("missing",), profiles=_WORKING, fallbacks=("openai/gpt-5.5",)
    ),
    "login-expired": _minimax("expired", {MINIMAX_LOGIN: _login("minimax-portal")}),
    "login-missing": _minimax("missing", {}, only_in_full=True),
    "login-session": _minimax("unusable", {MINIMAX_LOGIN: _REFRESHING}, _disabled(MINIMAX_LOGIN, "session_expired")),
    "copilot-missing": _copilot("missing", {}),
    "copilot-revoked": _copilot(
        "unusable",
        {GITHUB: {"type": "token", "provider": "github-copilot", "token": "ghu_" + "x" * 36}},
        _disabled(GITHUB, "auth_permanent"),
    ),
    "ollama-missing": Fault(
        provider="ollama", conditions=("missing",), profiles=_WORKING, fallbacks=("ollama/lfm2:latest",)
    ),
    "bedrock": Fault(  # OpenClaw lists it as missing, but it signs in through AWS
        provider="amazon-bedrock",
        conditions=(),
        primary="amazon-bedrock/global.anthropic.claude-haiku-4-5",
    ),
    "store-not-migrated": Fault(
        provider="anthropic", conditions=("check_failed", "missing"), profiles=_WORKING, has_old_store=True
    ),
}
