"""What a person has to type: the exact commands for one profile, agent, host and release."""

from __future__ import annotations

import shlex

from exporter.model import Dialect

#: How long a setup-token is promised to live when it is pasted (facts: one year).
TOKEN_LIFE = "365d"


def renew(
    profile: str, provider: str, kind: str, agent: str, dialect: Dialect, openclaw: str = "openclaw"
) -> tuple[str, ...]:
    """The commands that replace a credential which expired, was revoked or is missing.

    ``openclaw`` is how the command is called on its host, e.g. ``ssh -t me@vps openclaw``.
    """
    if dialect is Dialect.LOGIN:
        if profile.startswith("env:"):
            return _environment(profile)
        return ("claude auth login",)
    if profile.startswith("env:"):
        return _environment(profile)
    ident, who = shlex.quote(profile), shlex.quote(provider)
    auth, owner = _auth(openclaw, agent, dialect)
    if kind == "token" and provider == "anthropic":
        return (
            "claude setup-token",
            f"{auth} paste-token --provider {who} --profile-id {ident} --expires-in {TOKEN_LIFE}{owner}",
        )
    if kind == "token":
        return (f"{auth} paste-token --provider {who} --profile-id {ident}{owner}",)
    if kind == "api_key":
        if dialect is Dialect.STATUS:
            return (f"{auth} add",)  # this release has no paste-api-key
        return (f"{auth} paste-api-key --provider {who} --profile-id {ident}{owner}",)
    if dialect in (Dialect.STATUS, Dialect.LISTING):
        return (f"{auth} login --provider {who}",)
    return (f"{auth} login --provider {who} --profile-id {ident}{owner}",)


def unusable(
    reason: str | None, profile: str, provider: str, kind: str, agent: str, dialect: Dialect, openclaw: str = "openclaw"
) -> tuple[str, ...]:
    """What ends a cooldown or a disable: billing wants money, a rate limit wants time."""
    if reason == "billing":
        return (f"Top up or fix the billing of {provider}", f"{openclaw} models status")
    if reason in PERSON:
        return renew(profile, provider, kind, agent, dialect, openclaw)
    return ("Wait until it ends, or add another profile", f"{openclaw} models status")


def add(provider: str, agent: str, dialect: Dialect, openclaw: str = "openclaw") -> tuple[str, ...]:
    """The commands that give a provider its first credential."""
    if dialect is Dialect.LOGIN:
        return ("claude auth login",)
    kind = "token" if provider == "anthropic" else "oauth"
    return renew(f"{provider}:default", provider, kind, agent, dialect, openclaw)


def date(profile: str, agent: str, target: str) -> tuple[str, ...]:
    """How to give an undated token a date: what is known can be told without pasting it again."""
    return (f"openclaw-auth-exporter deadline set {shlex.quote(f'{target}/{agent}/{profile}')} DATE",)


#: Reasons of a cooldown or disable that no waiting heals.
PERSON = frozenset({"auth", "auth_permanent", "session_expired", "billing"})


def _auth(openclaw: str, agent: str, dialect: Dialect) -> tuple[str, str]:
    """What goes before and after the auth command to make it about one agent.

    Recent releases insist on ``--agent`` where there are several; 2026.6 and 7 take it before the
    command only; the oldest know an agent by its folder only. (Seen on 2026.2.9, 6.11 and 9.6.)
    """
    command, name = f"{openclaw} models auth", shlex.quote(agent)
    if dialect is Dialect.STATUS:
        folder = "" if agent == "main" else f"OPENCLAW_AGENT_DIR=~/.openclaw/agents/{name}/agent "
        return folder + command, ""
    if dialect is Dialect.LISTING:
        return command if agent == "main" else f"{command} --agent {name}", ""
    return command, f" --agent {name}"


def _environment(profile: str) -> tuple[str, ...]:
    return (f"Set a new {profile.removeprefix('env:')} in the service's environment and restart it",)
